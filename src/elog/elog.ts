// Reporting: levels decide whether a record is written, whether control returns, and whether the process goes on. Any process.
// PostgreSQL: src/backend/utils/error/elog.c (errstart, errfinish, send_message_to_server_log), REL_15_STABLE.

import { ERRCODE_INTERNAL_ERROR, ERRCODE_SUCCESSFUL_COMPLETION, ERRCODE_WARNING } from './errcodes.js';
import { ERROR, ErrorData, type ErrorFields, FATAL, LOG, PANIC, WARNING, errorFields, levelName } from './error-data.js';
import { formatJsonRecord } from './jsonlog.js';
import { type LogContext, LineCounter, currentContext, timesOf } from './log-context.js';
import { logStatusFormat } from './log-line-prefix.js';
import { writeLog } from './server-log.js';
import { native } from '../native.js';

/** The forms that a record takes. Both go to standard error; none at all is a log that nobody wants. */
export type LogDestination = 'stderr' | 'jsonlog';

let logMinMessages: number = WARNING;
let logLinePrefix = '%m [%p] ';
let logDestination: ReadonlySet<LogDestination> = new Set(['stderr']);
// One for each form, as in PostgreSQL: the text form counts lines, the other counts records.
const textLines = new LineCounter();
const jsonLines = new LineCounter();
let showsLineNumber = false;

/** Takes the settings whose names these are. Called by the settings' own code when they change. */
export function configureLog(settings: { minMessages?: number; linePrefix?: string; destination?: readonly LogDestination[] }): void {
  if (settings.minMessages !== undefined) logMinMessages = settings.minMessages;
  if (settings.linePrefix !== undefined) logLinePrefix = settings.linePrefix;
  if (settings.destination !== undefined) logDestination = new Set(settings.destination);
  showsLineNumber = logDestination.has('jsonlog') || /%-?\d*l/.test(logLinePrefix);
  linePrefixHook();
}

// Where a line is kept ready with its prefix (src/ipc/signals.ts), it must be made anew: after a change of the settings, or of a line's number in it.
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

function defaultCode(level: number): string {
  if (level >= ERROR) return ERRCODE_INTERNAL_ERROR;
  return level === WARNING ? ERRCODE_WARNING : ERRCODE_SUCCESSFUL_COMPLETION;
}

/** One record as text. Each of its lines begins with the prefix; what a text with newlines goes on with begins with a tab, as in PostgreSQL. */
export function formatLogRecord(level: number, fields: ErrorFields, context: LogContext = currentContext()): string {
  const code = fields.code ?? defaultCode(level);
  const line = (label: string, text: string): string =>
    `${logStatusFormat(logLinePrefix, context, code, textLines.next())}${label}:  ${text.replace(/\n/g, '\n\t')}\n`;
  const position = fields.internalpos === undefined ? '' : ` at character ${fields.internalpos}`;
  let record = line(levelName(level), fields.message + position);
  if (fields.detail !== undefined) record += line('DETAIL', fields.detail);
  if (fields.hint !== undefined) record += line('HINT', fields.hint);
  if (fields.internalquery !== undefined) record += line('QUERY', fields.internalquery);
  if (fields.context !== undefined) record += line('CONTEXT', fields.context);
  return record;
}

/** One record in every form that is wanted. */
function formatRecord(level: number, fields: ErrorFields): string {
  const context = currentContext();
  const report = { level, fields, code: fields.code ?? defaultCode(level) };
  const json = logDestination.has('jsonlog') ? formatJsonRecord(report, context, jsonLines.next()) : '';
  return logDestination.has('stderr') ? json + formatLogRecord(level, fields, context) : json;
}

// What stands for each form of a time while a line is made: as long as the time, so that padding comes out right, and of characters that no text has (they are
// no characters). Their place in the list is the form's number in native/core/last_words.h.
const NOW = timesOf(new Date());
const TIME_MARKS = ['\uFDD0'.repeat(NOW.milliseconds.length), '\uFDD1'.repeat(NOW.seconds.length), '\uFDD2'.repeat(NOW.epoch.length)] as const;
const ANY_TIME_MARK = new RegExp(`(${TIME_MARKS.join('|')})`);

/** Text with holes: each time goes in at an offset, in bytes. */
export interface TimelessText {
  readonly text: Buffer;
  readonly times: readonly { readonly offset: number; readonly form: number }[];
}

/**
 * A record of one line as it would be logged, in every form that is wanted, but for its times: for the ways out on which no JavaScript runs.
 * Empty where it would not be logged.
 */
export function timelessRecord(level: number, code: string, message: string): TimelessText {
  const wanted = logDestination.size > 0 && isLogLevelOutput(level);
  const [milliseconds, seconds, epoch] = TIME_MARKS;
  const context = currentContext({ milliseconds, seconds, epoch });
  let marked = '';
  if (wanted && logDestination.has('jsonlog')) marked += formatJsonRecord({ level, fields: { message }, code }, context, jsonLines.peek());
  if (wanted && logDestination.has('stderr')) {
    marked += `${logStatusFormat(logLinePrefix, context, code, textLines.peek())}${levelName(level)}:  ${message.replace(/\n/g, '\n\t')}\n`;
  }
  let text = Buffer.alloc(0);
  const times: { offset: number; form: number }[] = [];
  for (const part of marked.split(ANY_TIME_MARK)) {
    const form = (TIME_MARKS as readonly string[]).indexOf(part);
    if (form < 0) text = Buffer.concat([text, Buffer.from(part)]);
    else times.push({ offset: text.length, form });
  }
  return { text, times };
}

/** Why a process ends without JavaScript; native/core/last_words.h has the same numbers. */
export const LastWords = { terminated: 0, touchedGone: 1, outOfHeap: 2, stuckSpinlock: 3, unexpectedQuit: 4 } as const;

/** Prepares what such a process says. Again after the log's settings have changed. */
export function prepareLastWords(why: keyof typeof LastWords, code: string, message: string, level: number = FATAL): void {
  const { text, times } = timelessRecord(level, code, message);
  native.setLastWords(LastWords[why], text, Int32Array.from(times.flatMap(({ offset, form }) => [offset, form])));
}

const noteOfLoss = (records: number): string =>
  formatRecord(WARNING, { message: 'the log is incomplete', detail: `${records} of its records could not be written, because nobody read them.` });

function emit(level: number, fields: ErrorFields): void {
  if (isLogLevelOutput(level)) {
    writeLog(() => formatRecord(level, fields), noteOfLoss);
    if (showsLineNumber) linePrefixHook();
  }
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
