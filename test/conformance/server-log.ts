// Reads the log that a postmaster and its children write, with the prefix that the judge sets: time, pid, SQLSTATE. Pure.

/** What the judge passes as log_line_prefix. */
export const LOG_LINE_PREFIX = '%m [%p] %e ';

export interface LogRecord {
  /** Milliseconds since the epoch. */
  readonly epochMs: number;
  readonly pid: number;
  /** SQLSTATE. */
  readonly code: string;
  /** DEBUG, LOG, WARNING, ERROR, … */
  readonly level: string;
  readonly message: string;
  readonly detail?: string;
  readonly hint?: string;
}

/** Lines of a record that follow its first one, by what stands where the level is. The others (CONTEXT, STATEMENT, …) are not compared. */
const PARTS: Readonly<Record<string, 'detail' | 'hint' | null>> = {
  DETAIL: 'detail',
  HINT: 'hint',
  CONTEXT: null,
  STATEMENT: null,
  QUERY: null,
  LOCATION: null,
  BACKTRACE: null,
};
const LINE = /^(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d\.\d{3}) \S+ \[(\d+)\] (\S{5}) ([A-Z]+): {2}(.*)$/s;

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/** The records of a log, and the lines that are none: what Node or a library has written to the same file. */
export function parseLog(content: string): { records: LogRecord[]; noise: string[] } {
  const records: Mutable<LogRecord>[] = [];
  const noise: string[] = [];
  // Records of several processes alternate: the lines that belong to a record are those of the same process.
  const lastOf = new Map<number, Mutable<LogRecord>>();
  let appendTo: ((text: string) => void) | null = null;
  for (const line of content
    .slice(0, content.lastIndexOf('\n') + 1)
    .split('\n')
    .slice(0, -1)) {
    const [, day, time, pidText, code, level, text] = LINE.exec(line) ?? [];
    if (day === undefined || level === undefined || text === undefined) {
      if (appendTo !== null && line.startsWith('\t')) appendTo(`\n${line.slice(1)}`);
      else if (line !== '') noise.push(line);
      continue;
    }
    const pid = Number(pidText);
    const part = PARTS[level];
    if (part === undefined) {
      const record: Mutable<LogRecord> = { epochMs: Date.parse(`${day}T${time}Z`), pid, code: code ?? '', level, message: text };
      records.push(record);
      lastOf.set(pid, record);
      appendTo = (more) => (record.message += more);
      continue;
    }
    const record = lastOf.get(pid);
    appendTo = () => {};
    if (part === null || record === undefined) continue;
    record[part] = text;
    appendTo = (more) => (record[part] += more);
  }
  return { records, noise };
}
