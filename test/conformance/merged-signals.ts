// Signals that the kernel may have made one of: it keeps one SIGUSR1 pending, and a backend that waits for a processor takes only one of two that come
// meanwhile. PostgreSQL's backends count no more either; the oracle's machine was quiet. Pure.
//
//   postmaster   exit of w: SIGUSR1 ─┐        start of w: SIGUSR1 ─┐
//   backend      (asleep)            └ ready to run … no processor …└ still one ── runs: the handler is called once

import type { LogRecord } from './server-log.js';

/** What the postmaster says when it tells whoever asked for it: a worker runs, it has ended, or it will never run. */
const TOLD = /^(?:starting background worker process |unregistering background worker |background worker ".*" \(PID \d+\) )/s;
const START = /^starting /;
const UNREGISTERING = /^unregistering background worker "(.*)"$/s;
/** The line of a start comes before the fork, the signal after it; a fork takes at least so long. */
const FORK_MS = 0.5;
/** Times in the log are cut to milliseconds: what lies so far apart there may have come one after the other at once. */
const CUT_MS = 1;

/** How many of the signals of a log a backend may have lost so, at most. `waited`: may it have had no processor all that time? */
export function mergesPossible(log: readonly LogRecord[], waited: (fromMs: number, toMs: number) => boolean): number {
  const told = log.filter(({ message }, at) => TOLD.test(message) && !isPartOfExit(message, log[at + 1]?.message));
  return told.slice(1).filter(({ epochMs, message }, index) => {
    const before = (told[index] as LogRecord).epochMs;
    return waited(before, Math.max(before, epochMs - CUT_MS) + (START.test(message) ? FORK_MS : 0));
  }).length;
}

/** A worker that is unregistered at its exit has two lines, and whoever asked for it one signal. */
function isPartOfExit(message: string, next = ''): boolean {
  const [, name] = UNREGISTERING.exec(message) ?? [];
  return name !== undefined && next.startsWith(`background worker "${name}" (PID `);
}
