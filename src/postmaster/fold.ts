// Lines about the exits and restarts of one worker that repeat are folded, where `log_fold_repeats` says so. Postmaster only; pure.
//
// DIFFERS FROM POSTGRES: ours alone, and off by default.
//
// The first line is written. What repeats it within ten seconds (only the pid differs) is counted, and the lines of the restarts in between are left
// out. The count is written, with the last of the folded lines, when the ten seconds are over, when the worker ends otherwise or is unregistered, or
// before any other line of the postmaster's at LOG or above; a shutdown has such lines. Each worker has a fold of its own, so that two workers that
// fail in turns do not unfold each other.

import { LOG } from '../elog/error-data.js';
import type { Draft } from './draft.js';
import { guardOf } from './guard.js';
import type { Action, Fold, PostmasterState } from './state-types.js';

const FOLD_FOR_MS = 10_000;

type LogFields = Pick<Extract<Action, { type: 'log' }>, 'code' | 'detail' | 'hint'>;

/** A line of the postmaster's about one worker's exit, or its fork that failed. */
export function logOfWorker(d: Draft, id: number, message: string, more: LogFields = {}): void {
  const key = message.replace(/\(PID \d+\)/, '');
  const fold = d.state.folds.find(({ workerId }) => workerId === id);
  if (fold !== undefined && fold.key === key) {
    d.state.folds = d.state.folds.map((other) => (other === fold ? { ...fold, times: fold.times + 1, last: message } : other));
    return;
  }
  closeFolds(d, (other) => other === fold);
  d.actions.push({ type: 'log', level: LOG, message, ...more });
  const registered = d.state.workers.some((worker) => worker.id === id);
  if (registered && guardOf(d.state.settings).logFoldRepeats) {
    d.state.folds = [...d.state.folds, { workerId: id, key, times: 0, last: message, until: d.now + FOLD_FOR_MS }];
  }
}

/** Is the line of this worker's restart one of those that are left out? */
export function isFolding(d: Draft, id: number): boolean {
  return d.state.folds.some(({ workerId }) => workerId === id);
}

/** Writes what was counted, and begins anew: the next line of these workers is written whole. */
export function closeFolds(d: Draft, which: (fold: Fold) => boolean): void {
  const { folds } = d.state;
  const closed = folds.filter((fold) => which(fold));
  if (closed.length === 0) return;
  d.state.folds = folds.filter((fold) => !closed.includes(fold));
  for (const { times, last } of closed) {
    if (times === 0) continue;
    d.actions.push({ type: 'log', level: LOG, message: `last message repeated ${times} times`, detail: `The last one was: ${last}.` });
  }
}

/** First thing in a step, so that the log is in the order of time. */
export function closeExpiredFolds(d: Draft): void {
  closeFolds(d, (fold) => fold.until <= d.now);
}

/** When a count has to be written, if there is one: milliseconds as in the events. */
export function foldDeadlines({ folds }: PostmasterState): number[] {
  return folds.filter(({ times }) => times > 0).map(({ until }) => until);
}
