// Reporting: levels decide whether a record is written, whether control returns, and whether the process goes on. Any process.
// PostgreSQL: src/backend/utils/error/elog.c (errstart, errfinish, send_message_to_server_log, log_line_prefix), REL_15_STABLE.

import { writeSync } from 'node:fs';

import { ERRCODE_INTERNAL_ERROR, ERRCODE_SUCCESSFUL_COMPLETION, ERRCODE_WARNING } from './errcodes.js';
import { ERROR, ErrorData, type ErrorFields, FATAL, LOG, PANIC, WARNING, errorFields, levelName } from './error-data.js';
import { myBackendTypeName, myProcPid } from '../globals.js';
import { native } from '../native.js';

let logMinMessages: number = WARNING;
let logLinePrefix = '%m [%p] ';

/** Takes the settings `log_min_messages` and `log_line_prefix`. Called by the settings' own code when they change. */
export function configureLog(settings: { minMessages?: number; linePrefix?: string }): void {
  if (settings.minMessages !== undefined) logMinMessages = settings.minMessages;
  if (settings.linePrefix === undefined || settings.linePrefix === logLinePrefix) return;
  logLinePrefix = settings.linePrefix;
  linePrefixHook();
}

// Where a line is kept ready with its prefix (src/ipc/signals.ts), it must be made anew.
let linePrefixHook: () => void = () => undefined;
export function setLinePrefixHook(hook: () => void): void {
  linePrefixHook = hook;
}

// What ends the process is installed by src/ipc/exit.ts, which stands above this layer.
let exitProcess: (code: number) => never = (code) => process.exit(code);
export function setExitProcess(exit: (code: number) => never): void {
  exitProcess = exit;
}

// A session backend sends its notices and warnings to its client too.
let clientSink: ((level: number, fields: ErrorFields) => void) | null = null;
export function setClientSink(sink: ((level: number, fields: ErrorFields) => void) | null): void {
  clientSink = sink;
}

/** LOG stands between ERROR and FATAL for the server log (is_log_level_output). */
function isLogLevelOutput(level: number): boolean {
  if (level === LOG) return logMinMessages === LOG || logMinMessages <= ERROR;
  if (logMinMessages === LOG) return level >= FATAL;
  return level >= logMinMessages;
}

function twoDigits(n: number): string {
  return String(n).padStart(2, '0');
}

function timestamp(now: Date, milliseconds: boolean): string {
  const date = `${now.getUTCFullYear()}-${twoDigits(now.getUTCMonth() + 1)}-${twoDigits(now.getUTCDate())}`;
  const time = `${twoDigits(now.getUTCHours())}:${twoDigits(now.getUTCMinutes())}:${twoDigits(now.getUTCSeconds())}`;
  return `${date} ${time}${milliseconds ? `.${String(now.getUTCMilliseconds()).padStart(3, '0')}` : ''} UTC`;
}

/** `log_line_prefix` filled in; `time` stands for %m, so that the native way out can put its own there. */
function linePrefix(code: string, time: string): string {
  return logLinePrefix.replace(/%(-?\d*)([a-zA-Z%])/g, (escape: string, padding: string, letter: string) => {
    const value = prefixValue(letter, code, time);
    if (value === null) return escape === '%%' ? '%' : '';
    const width = Number(padding === '' || padding === '-' ? 0 : padding);
    return width < 0 ? value.padEnd(-width) : value.padStart(width);
  });
}

function prefixValue(letter: string, code: string, time: string): string | null {
  switch (letter) {
    case 'm':
      return time;
    case 't':
      return timestamp(new Date(), false);
    case 'p':
      return String(myProcPid);
    case 'e':
      return code;
    case 'b':
      return myBackendTypeName;
    default:
      return null;
  }
}

function defaultCode(level: number): string {
  if (level >= ERROR) return ERRCODE_INTERNAL_ERROR;
  return level === WARNING ? ERRCODE_WARNING : ERRCODE_SUCCESSFUL_COMPLETION;
}

/** One record as the log shows it. Continuation lines begin with a tab, as PostgreSQL's do. */
export function formatLogRecord(level: number, fields: ErrorFields): string {
  const prefix = linePrefix(fields.code ?? defaultCode(level), timestamp(new Date(), true));
  const line = (label: string, text: string): string => `${prefix}${label}:  ${text.replace(/\n/g, '\n\t')}\n`;
  const position = fields.internalpos === undefined ? '' : ` at character ${fields.internalpos}`;
  let record = line(levelName(level), fields.message + position);
  if (fields.detail !== undefined) record += line('DETAIL', fields.detail);
  if (fields.hint !== undefined) record += line('HINT', fields.hint);
  if (fields.internalquery !== undefined) record += line('QUERY', fields.internalquery);
  if (fields.context !== undefined) record += line('CONTEXT', fields.context);
  return record;
}

/** What stands before and after the time of day in a one-line FATAL record: for the way out that runs inside a signal handler. */
export function fatalLineParts(code: string, message: string): { before: string; withTime: boolean; after: string } {
  const mark = '\u0000';
  const line = `${linePrefix(code, mark)}FATAL:  ${message}\n`;
  const at = line.indexOf(mark);
  if (at < 0) return { before: line, withTime: false, after: '' };
  return { before: line.slice(0, at), withTime: true, after: line.slice(at + 1) };
}

/** Writes to the server log with one write, so that records of several processes do not mix. A full pipe is waited for. */
function writeLog(text: string): void {
  const bytes = Buffer.from(text);
  for (let written = 0; written < bytes.length;) {
    try {
      written += writeSync(2, bytes, written);
    } catch (err) {
      if ((err as NodeJS.ErrnoException).code !== 'EAGAIN') return; // nobody reads the log any more; that must not end us
    }
  }
}

function emit(level: number, fields: ErrorFields): void {
  if (isLogLevelOutput(level)) writeLog(formatLogRecord(level, fields));
  if (clientSink !== null) clientSink(level, fields);
}

/**
 * Reports a condition. Below ERROR the record is written and the call returns; ERROR throws an {@link ErrorData}; FATAL ends the process
 * with status 1 after its exit callbacks; PANIC aborts it, which is a crash.
 *
 * @param level one of the level constants
 * @param fields `message` is short, begins in lower case, has no full stop; `code` is the SQLSTATE
 * @throws ErrorData at level ERROR
 * @example ereport(LOG, { message: `worker "${name}" has ${n} rows to do` });
 * @pg ereport
 */
export function ereport(level: number, fields: ErrorFields): void {
  if (level < ERROR) {
    emit(level, fields);
    return;
  }
  if (level < FATAL) throw new ErrorData({ ...fields, message: fields.message, severity: 'ERROR' }); // `fields` may be a caught error
  emit(level, fields);
  if (level >= PANIC) native.abort();
  exitProcess(1);
}

/**
 * {@link ereport} with a message alone.
 * @example elog(DEBUG1, 'nothing to do');
 * @pg elog
 */
export function elog(level: number, message: string): void {
  ereport(level, { message });
}

/** Writes a caught error, whatever it is, and returns: what PostgreSQL's EmitErrorReport does for an error that went uncaught. */
export function emitErrorReport(err: unknown, level: number = ERROR): void {
  emit(level, errorFields(err));
}
