// How a session's backend dies where a scenario says so: `bgwo_crash(how)`. Runs in session backends.

import { constants } from 'node:os';
import * as bgworker from 'bgworker';
import { leaveWithoutCleanup } from './raw-exit.js';

/**
 * `exit2` is C's `_exit`, `proc_exit1` leaves in order; `error`, `fatal` and `panic` are reported; `abort` is C's; any other word is a signal's name. Comes back
 * where that signal has a handler.
 */
export function crash(how: string): void {
  const [, kind, status] = /^_?(exit|proc_exit)_?(\d+)$/.exec(how) ?? [];
  if (kind === 'exit') leaveWithoutCleanup(Number(status));
  if (kind === 'proc_exit') bgworker.procExit(Number(status));
  const levels: Readonly<Record<string, number>> = { error: bgworker.ERROR, fatal: bgworker.FATAL, panic: bgworker.PANIC };
  const level = levels[how];
  if (level !== undefined) bgworker.ereport(level, { message: `oracle backend ${how}` });
  if (how === 'abort') process.abort();
  const signo = constants.signals[`SIG${how.toUpperCase().replace(/^SIG/, '')}` as NodeJS.Signals] as number | undefined;
  if (signo === undefined) throw new Error(`a backend cannot crash by "${how}"`);
  process.kill(bgworker.myProcPid, signo);
}
