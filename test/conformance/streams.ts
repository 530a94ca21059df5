// Sorts the lines of a signature by who said them, because the order is only fixed for what one process did. Pure.

export interface LogLine {
  readonly level: string;
  readonly text: string;
  /** The line as a signature has it, DETAIL and HINT after it. */
  readonly whole: string;
}

export interface Streams {
  /** By the name of the process, as `w#1`. */
  readonly events: ReadonlyMap<string, readonly string[]>;
  /** By the session; what the runner itself saw is under ''. */
  readonly sessions: ReadonlyMap<string, readonly string[]>;
  readonly postmasterLog: readonly LogLine[];
  readonly otherLog: readonly LogLine[];
}

/** The lines that a postmaster writes itself; everything else in the log is of its children. */
const POSTMASTER_LINES: readonly RegExp[] = [
  /^(?:registering|unregistering) background worker "/,
  /^starting background worker process "/,
  /^background worker ".*" \(PID [^)]*\) (?:exited with|was terminated by)/s,
  /^server process \(PID [^)]*\) (?:exited with|was terminated by)/,
  /^worker notification PID /,
  /^could not fork /,
  /^(?:terminating any other active server processes|all server processes terminated; reinitializing|issuing SIG\w+ to recalcitrant children)$/,
  /^(?:received (?:smart|fast|immediate) shutdown request|received SIGHUP, reloading configuration files|aborting any active transactions)$/,
  /^database system is (?:ready to accept (?:read-only )?connections|shut down)$/,
  /^(?:abnormal database system shutdown|shutting down because |shutting down due to |performing immediate shutdown because )/,
  /^too many background workers$/,
];
/** A refused static registration is logged by the postmaster at LOG; a refused dynamic one is an ERROR of its session. */
const STATIC_REFUSAL = /^background worker ".*": /s;

function isPostmasterLine(level: string, text: string): boolean {
  return POSTMASTER_LINES.some((pattern) => pattern.test(text)) || (level === 'LOG' && STATIC_REFUSAL.test(text));
}

/** `sessions` says which names are sessions: after `runner: ` there are also lines such as `processes: w:alive`. */
export function streamsOf(signature: readonly string[], sessions: ReadonlySet<string>): Streams {
  const events = new Map<string, string[]>();
  const bySession = new Map<string, string[]>();
  const log: { level: string; text: string; whole: string }[] = [];
  const push = (map: Map<string, string[]>, key: string, line: string): void => {
    map.set(key, [...(map.get(key) ?? []), line]);
  };
  for (const line of signature) {
    const [, level, text] = /^LOG\[(\w+)\] (.*)$/s.exec(line) ?? [];
    const last = log.at(-1);
    if (level !== undefined && text !== undefined) {
      if ((level === 'DETAIL' || level === 'HINT') && last !== undefined) last.whole += ` ${level}: ${text}`;
      else log.push({ level, text, whole: line });
    } else if (line.startsWith('runner: ')) {
      const [, name] = /^runner: (\w+): /.exec(line) ?? [];
      push(bySession, name !== undefined && sessions.has(name) ? name : '', line);
    } else push(events, line.slice(0, line.indexOf(': ')), line);
  }
  return {
    events,
    sessions: bySession,
    postmasterLog: log.filter(({ level, text }) => isPostmasterLine(level, text)),
    otherLog: log.filter(({ level, text }) => !isPostmasterLine(level, text)),
  };
}

/** The worker that a line of the postmaster is about (by name, or by type where that is what the line says), or null. */
export function subjectOf(line: LogLine): string | null {
  return (
    /^(?:(?:registering|unregistering) background worker|starting background worker process|background worker) "(.*?)"(?: \(PID |: |$)/s.exec(
      line.text,
    )?.[1] ?? null
  );
}
