// The guard against what fails again and again. Postmaster only; pure.
//
// DIFFERS FROM POSTGRES: ours alone, and off by default. PostgreSQL restarts a worker after its interval, and itself at once, for ever: a worker
// with interval 0 that cannot start takes a whole core, and one that dies with status 2 takes the server with it, again and again.
//
//   worker   n-th failure in a row: the delay is max(1 s, its interval) · 2^(n-1), up to worker_restart_backoff_max, and never less than its interval.
//            It holds after a crash of the worker's own too, and through crashes of others: PostgreSQL then restarts at once, which is how one bad
//            worker keeps a server in cycles. After worker_give_up_after failures it is unregistered.
//   server   n-th crash in a row: the first is answered at once, as ever; then 1 s · 2^(n-2), up to crash_cycle_backoff_max. After
//            crash_give_up_after crashes it shuts down with status 1.
//
// In a row: with less than a minute of life in between, a worker's from its fork, the server's from the moment it was open. A fixed time, and not the
// delay of the moment: what takes longer to fail than to be restarted (a connection that times out) would never count, and what has a long interval
// would have to live that long to be believed. Deaths that we ordered, by a shutdown, a crash cycle or a termination, are nobody's failure. A fork that
// failed does not count either, but waits as long as the failure before it did, and a second at least.
//
// Delays are computed when they are asked for, so that a reload that changes the settings changes them too.

import type { Draft } from './draft.js';
import type { FailureRecord, GuardSettings, PostmasterSettings, PostmasterState, WorkerEntry } from './state-types.js';

const RECOVERED_AFTER_MS = 60_000;
const FIRST_DELAY_MS = 1000;

const OFF: GuardSettings = { workerRestartBackoffMax: 0, workerGiveUpAfter: 0, crashCycleBackoffMax: 0, crashGiveUpAfter: 0, logFoldRepeats: false };

export function guardOf({ guard }: PostmasterSettings): GuardSettings {
  return guard ?? OFF;
}

export const NO_FAILURES: FailureRecord = { failures: 0, startedAt: null, failed: false };

/** How long a worker that must not start yet waits after its death. `interval`: what PostgreSQL would have it wait. Milliseconds. */
export function restartDelay(settings: PostmasterSettings, worker: FailureRecord, interval: number): number {
  const { workerRestartBackoffMax } = guardOf(settings);
  if (workerRestartBackoffMax === 0) return interval;
  const doublings = Math.max(worker.failures, 1) - 1;
  return Math.max(interval, Math.min(Math.max(FIRST_DELAY_MS, interval) * 2 ** doublings, workerRestartBackoffMax * 1000));
}

/** After the death of a worker that nobody told to die, with another status than 0. */
export function afterFailure(now: number, { failures, startedAt }: FailureRecord): FailureRecord {
  const recovered = startedAt !== null && now - startedAt >= RECOVERED_AFTER_MS;
  return { failures: recovered ? 1 : failures + 1, startedAt: null, failed: true };
}

export function givesUpWorker(settings: PostmasterSettings, { failures }: FailureRecord): boolean {
  const { workerGiveUpAfter } = guardOf(settings);
  return workerGiveUpAfter > 0 && failures >= workerGiveUpAfter;
}

/** What an entry keeps when everything begins anew after a crash. */
export function carriedOver(settings: PostmasterSettings, worker: WorkerEntry): FailureRecord & Pick<WorkerEntry, 'crashedAt'> {
  const { failures, failed } = worker;
  const waits = failed && guardOf(settings).workerRestartBackoffMax > 0;
  return { failures, failed, startedAt: null, crashedAt: waits ? worker.crashedAt : null };
}

/** A crash cycle begins. */
export function noteCrash(d: Draft): void {
  const { servingSince, crashes } = d.state;
  const recovered = servingSince !== null && d.now - servingSince >= RECOVERED_AFTER_MS;
  d.state.crashes = recovered ? 1 : crashes + 1;
  d.state.servingSince = null;
}

/** Open, read-only at least: a life begins, if it has not begun before. */
export function noteServing(d: Draft): void {
  d.state.servingSince ??= d.now;
}

/** How long the server waits, when everybody has gone, before it begins again. Milliseconds. */
export function reinitialiseDelay({ settings, crashes }: Pick<PostmasterState, 'settings' | 'crashes'>): number {
  const { crashCycleBackoffMax } = guardOf(settings);
  return crashes < 2 ? 0 : Math.min(FIRST_DELAY_MS * 2 ** (crashes - 2), crashCycleBackoffMax * 1000);
}

/** Has the crash cycle that is under way been one too many? */
export function givesUpServer({ settings, crashes, fatalError }: PostmasterState): boolean {
  const { crashGiveUpAfter } = guardOf(settings);
  return fatalError && crashGiveUpAfter > 0 && crashes >= crashGiveUpAfter;
}
