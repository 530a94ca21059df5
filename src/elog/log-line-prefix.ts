// `log_line_prefix` filled in. Any process. Pure.
// PostgreSQL: log_status_format and process_log_prefix_padding in src/backend/utils/error/elog.c, REL_15_STABLE.
//
//   %a application   %u user         %d database     %r, %h client's host   %b type of process   %p pid
//   %P leader's pid  %t %m %n time   %i activity     %e SQLSTATE            %c session id        %l number of the line
//   %s session start %v, %x virtual and real transaction id                 %Q query id          %q end here without a client
//
// A number between is a width, to the left when negative. What a process has not is empty or, where it has a client, `[unknown]`; letters that mean
// nothing are left out. A session has neither application name nor database, and no process of ours a transaction: it is the database server's.

import type { ProcPort } from '../globals.js';
import { type LogContext, sessionId, sessionStart } from './log-context.js';

const UNKNOWN = '[unknown]';
const ESCAPE = /%(?:(%)|(-?)(\d*)(?:([^%\d]|%)|$))/gsu;

interface Line extends LogContext {
  readonly code: string;
  readonly lineNumber: number;
}

const ofClient =
  (of: (port: ProcPort) => string | null) =>
  ({ port }: Line): string =>
    port === null ? '' : (of(port) ?? UNKNOWN);

/** What each letter stands for, but %q, which stands for nothing. */
const VALUES = new Map<string, (line: Line) => string>([
  ['a', ofClient(() => null)],
  ['u', ofClient(({ userName }) => userName)],
  ['d', ofClient(() => null)],
  ['r', ofClient(({ remoteHost }) => remoteHost)],
  ['h', ofClient(({ remoteHost }) => remoteHost)],
  ['i', ofClient(({ activity }) => activity)],
  ['b', ({ backendType }) => backendType],
  ['p', ({ pid }) => String(pid)],
  ['P', () => ''],
  ['t', ({ times }) => times.seconds],
  ['m', ({ times }) => times.milliseconds],
  ['n', ({ times }) => times.epoch],
  ['s', sessionStart],
  ['c', sessionId],
  ['l', ({ lineNumber }) => String(lineNumber)],
  ['e', ({ code }) => code],
  ['v', () => ''],
  ['x', () => '0'],
  ['Q', () => '0'],
]);

/** One line's prefix. `code` is the SQLSTATE of the report, `lineNumber` that of this line. */
export function logStatusFormat(format: string, context: LogContext, code: string, lineNumber: number): string {
  const line = { ...context, code, lineNumber };
  let prefix = '';
  let end = 0;
  for (const match of format.matchAll(ESCAPE)) {
    const [whole, percent, minus, digits, letter] = match;
    prefix += format.slice(end, match.index);
    end = match.index + whole.length;
    if (percent !== undefined) {
      prefix += '%';
      continue;
    }
    if (letter === undefined) return prefix; // the format ends within an escape
    if (letter === 'q' && context.port === null) return prefix;
    const value = VALUES.get(letter)?.(line);
    if (value === undefined) continue;
    prefix += minus === '-' ? value.padEnd(Number(digits)) : value.padStart(Number(digits));
  }
  return prefix + format.slice(end);
}
