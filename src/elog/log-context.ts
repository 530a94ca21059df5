// What a log record says besides the report itself: when, and who. Any process. Pure but for the globals and the line counters.
// PostgreSQL: get_formatted_log_time, get_formatted_start_time and the counters of log_status_format in src/backend/utils/error/elog.c, REL_15_STABLE.

import { myBackendTypeName, myProcPid, myProcPort, myStartTime, type ProcPort } from '../globals.js';

/** A moment in the three forms that the log knows. Times are UTC: there is no `log_timezone`. */
export interface LogTimes {
  /** `2026-11-22 16:43:38.123 UTC` */
  readonly milliseconds: string;
  /** `2026-11-22 16:43:38 UTC` */
  readonly seconds: string;
  /** `1795379018.123` */
  readonly epoch: string;
}

export interface LogContext {
  readonly times: LogTimes;
  readonly pid: number;
  /** Seconds since 1970. */
  readonly startTime: number;
  readonly backendType: string;
  /** null in a process that has no client. */
  readonly port: ProcPort | null;
}

export function timesOf(now: Date): LogTimes {
  const [date, time] = now.toISOString().split(/[TZ]/) as [string, string];
  const seconds = Math.floor(now.getTime() / 1000);
  return { milliseconds: `${date} ${time} UTC`, seconds: `${date} ${time.slice(0, 8)} UTC`, epoch: `${seconds}.${time.slice(9)}` };
}

export function currentContext(times: LogTimes = timesOf(new Date())): LogContext {
  return { times, pid: myProcPid, startTime: myStartTime, backendType: myBackendTypeName, port: myProcPort };
}

/** Start and pid in hexadecimal: `6b034f43.3c16`. */
export function sessionId({ startTime, pid }: LogContext): string {
  return `${startTime.toString(16)}.${pid.toString(16)}`;
}

export function sessionStart({ startTime }: LogContext): string {
  return timesOf(new Date(startTime * 1000)).seconds;
}

/** Counts what this process writes, from 1; a child does not go on with its parent's numbers. */
export class LineCounter {
  #pid = 0;
  #lines = 0;

  next(): number {
    if (this.#pid !== myProcPid) {
      this.#pid = myProcPid;
      this.#lines = 0;
    }
    return ++this.#lines;
  }

  /** What next() would say; nothing is counted. */
  peek(): number {
    return this.#pid === myProcPid ? this.#lines + 1 : 1;
  }
}
