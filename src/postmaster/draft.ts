// One step's working copy of the postmaster's state. Postmaster only; pure.
//
// A step clones the record shallowly and replaces arrays and entries whole, so the state it began with never changes.
// Only step() makes a draft, and none outlives its step.
// PostgreSQL: ReportBackgroundWorkerPID's kill, signal_child and the pmState assignments of src/backend/postmaster/postmaster.c, REL_15_STABLE.

import { LOG } from '../elog/error-data.js';
import { closeFolds } from './fold.js';
import type { Action, Child, PMState, PostmasterState, SignalName, WorkerEntry } from './state-types.js';

export interface Draft {
  readonly now: number;
  readonly state: { -readonly [K in keyof PostmasterState]: PostmasterState[K] };
  readonly actions: Action[];
  /** A pass ran (or went on) in this step: what it left over is for the next turn of the loop, after other events. */
  passed: boolean;
}

export function openDraft(state: PostmasterState, now: number): Draft {
  return { now, state: { ...state, lastWakeup: now }, actions: [], passed: false };
}

export function log(d: Draft, level: number, message: string, more: { readonly detail?: string; readonly hint?: string } = {}): void {
  if (level >= LOG) closeFolds(d, () => true);
  d.actions.push({ type: 'log', level, message, ...more });
}

export function setPMState(d: Draft, pmState: PMState): void {
  if (d.state.pmState === pmState) return;
  d.state.pmState = pmState;
  d.actions.push({ type: 'state', state: pmState });
}

/** T-13: signals that end a process go to its group as well, the others to the process alone. */
export function signalChild(d: Draft, pid: number, signal: SignalName): void {
  const group = signal === 'SIGINT' || signal === 'SIGTERM' || signal === 'SIGQUIT' || signal === 'SIGKILL';
  d.actions.push({ type: 'kill', pid, signal, group });
}

/**
 * SIGUSR1 to a registrant, the process alone.
 *
 * DIFFERS FROM POSTGRES: a pid below 1 is not signalled. PostgreSQL passes whatever shared memory holds to kill(2) on the early-termination
 * path (S-07), where -1 would mean every process there is.
 */
export function notify(d: Draft, pid: number): void {
  if (pid > 0) d.actions.push({ type: 'kill', pid, signal: 'SIGUSR1', group: false });
}

export function findWorker(d: Draft, id: number | undefined): WorkerEntry | undefined {
  return d.state.workers.find((worker) => worker.id === id);
}

export function updateWorker(d: Draft, id: number, changes: Partial<WorkerEntry>): void {
  d.state.workers = d.state.workers.map((worker) => (worker.id === id ? { ...worker, ...changes } : worker));
}

export function addChild(d: Draft, child: Child): void {
  d.state.children = [child, ...d.state.children];
}

export function removeChild(d: Draft, pid: number): void {
  d.state.children = d.state.children.filter((child) => child.pid !== pid);
}
