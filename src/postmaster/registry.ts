// The postmaster's list of registered workers, and what it writes to their slots. Postmaster only; pure.
//
// The list is private: slots are read when a change is signalled, believed as little as possible, and otherwise only written. The order of
// the actions is the order of the stores: a registrant that was notified must find its slot as it will stay.
// PostgreSQL: src/backend/postmaster/bgworker.c, REL_15_STABLE.

import { DEBUG1, LOG } from '../elog/error-data.js';
import { findWorker, log, notify, updateWorker, type Draft } from './draft.js';
import { closeFolds } from './fold.js';
import { NO_FAILURES, carriedOver } from './guard.js';
import type { RegisteredBgWorker, SlotView, WorkerEntry } from './state-types.js';

const BGWORKER_CLASS_PARALLEL = 0x0010;
const BGW_NEVER_RESTART = -1;
/** A slot's pid between registration and first start. */
const INVALID_PID = -1;

export function neverRestarts(worker: WorkerEntry): boolean {
  return worker.descriptor.restartTime === BGW_NEVER_RESTART;
}

/** out of the list and out of its slot. Touches no pid and tells nobody; who must be told is told by the caller, afterwards. */
export function forgetBackgroundWorker(d: Draft, worker: WorkerEntry): void {
  if ((worker.descriptor.flags & BGWORKER_CLASS_PARALLEL) !== 0) d.actions.push({ type: 'count terminated parallel worker' });
  d.actions.push({ type: 'free slot', slot: worker.slot });
  closeFolds(d, (fold) => fold.workerId === worker.id);
  log(d, DEBUG1, `unregistering background worker "${worker.descriptor.name}"`);
  d.state.workers = d.state.workers.filter((other) => other.id !== worker.id);
}

/** Private pid first, then the slot's, then the signal (S-55). */
export function reportBackgroundWorkerPID(d: Draft, id: number, pid: number): void {
  const worker = findWorker(d, id);
  if (worker === undefined) return;
  updateWorker(d, id, { pid, slotPid: pid });
  d.actions.push({ type: 'set slot pid', slot: worker.slot, pid });
  notify(d, worker.notifyPid);
}

/** After a clean exit. A worker that will not come back frees its slot before the signal: its registrant may reuse it at once. */
export function reportBackgroundWorkerExit(d: Draft, id: number): void {
  const worker = findWorker(d, id);
  if (worker === undefined) return;
  updateWorker(d, id, { pid: 0, slotPid: 0 });
  d.actions.push({ type: 'set slot pid', slot: worker.slot, pid: 0 });
  if (worker.terminate || neverRestarts(worker)) forgetBackgroundWorker(d, worker);
  notify(d, worker.notifyPid);
}

/** X-24: this process is gone, so its pid may soon be somebody else's. The slots' copies stay as they are (P-15). */
export function backgroundWorkerStopNotifications(d: Draft, pid: number): void {
  d.state.workers = d.state.workers.map((worker) => (worker.notifyPid === pid ? { ...worker, notifyPid: 0 } : worker));
}

/** S-01 … S-14. `allowNew`: the postmaster is not stopping. */
export function backgroundWorkerStateChange(d: Draft, totalSlots: number, slots: readonly SlotView[], allowNew: boolean): void {
  const { maxWorkerProcesses } = d.state.settings;
  if (totalSlots !== maxWorkerProcesses) {
    log(d, LOG, `inconsistent background worker state (max_worker_processes=${maxWorkerProcesses}, total_slots=${totalSlots})`);
    return;
  }
  const bySlot = new Map(d.state.workers.map((worker) => [worker.slot, worker]));
  for (const view of slots) {
    if (!view.inUse || view.slot < 0 || view.slot >= maxWorkerProcesses) continue;
    const known = bySlot.get(view.slot);
    if (known !== undefined) {
      if (view.terminate && !known.terminate) recordTermination(d, known);
      continue;
    }
    if (!allowNew && !view.terminate) d.actions.push({ type: 'set slot terminate', slot: view.slot });
    if (view.terminate || !allowNew) rejectRequest(d, view);
    else register(d, view);
  }
}

/** S-03, S-04. It is done once: repeated requests find it recorded (S-05). Unlike a shutdown's, this SIGTERM spares the process group. */
function recordTermination(d: Draft, worker: WorkerEntry): void {
  updateWorker(d, worker.id, { terminate: true });
  if (worker.pid !== 0) d.actions.push({ type: 'kill', pid: worker.pid, signal: 'SIGTERM', group: false });
  else reportBackgroundWorkerPID(d, worker.id, 0);
}

/**
 * S-07: terminated before we ever saw it, or too late: straight back to the free slots. Its notify pid was validated by nobody.
 *
 * DIFFERS FROM POSTGRES: which signals whatever pid stands in the slot, even if it is not ours. SIGUSR1 would end most programs.
 */
function rejectRequest(d: Draft, view: SlotView): void {
  if (view.parallel) d.actions.push({ type: 'count terminated parallel worker' });
  d.actions.push({ type: 'set slot pid', slot: view.slot, pid: 0 });
  d.actions.push({ type: 'free slot', slot: view.slot });
  if (d.state.children.some(({ pid }) => pid === view.notifyPid)) notify(d, view.notifyPid);
}

/** S-08, S-10 … S-13; the sanity check is not repeated (S-11). */
function register(d: Draft, view: SlotView): void {
  // A descriptor that could not be read is left in its slot and looked at again at the next change signal, as S-09 does.
  if (view.descriptor === null) return;
  let notifyPid = view.notifyPid;
  if (!markPidForWorkerNotify(d, notifyPid)) {
    log(d, DEBUG1, `worker notification PID ${notifyPid} is not valid`);
    notifyPid = 0;
  }
  const entry = { slot: view.slot, descriptor: view.descriptor, notifyPid, pid: 0, crashedAt: null, terminate: false };
  log(d, DEBUG1, `registering background worker "${view.descriptor.name}"`);
  d.state.workers = [{ id: d.state.nextWorkerId++, ...entry, ...NO_FAILURES, slotPid: INVALID_PID }, ...d.state.workers];
}

/** S-13: only a session's backend or a worker can be notified; the startup process is in no such list in PostgreSQL either. */
function markPidForWorkerNotify(d: Draft, pid: number): boolean {
  const target = d.state.children.find((child) => child.pid === pid && child.kind !== 'startup');
  if (target === undefined) return false;
  if (!target.wantsNotify) d.state.children = d.state.children.map((child) => (child === target ? { ...child, wantsNotify: true } : child));
  return true;
}

/** T-31: whoever waits for a start that cannot come any more is told. Entries that nobody waits for, or that have run before, stay. */
export function forgetUnstartedBackgroundWorkers(d: Draft): void {
  for (const worker of d.state.workers) {
    if (worker.slotPid !== INVALID_PID || worker.notifyPid === 0) continue;
    forgetBackgroundWorker(d, worker);
    notify(d, worker.notifyPid);
  }
}

/**
 * X-26, P-12: what is left of the list after a crash, and its new slots in list order. A recorded termination survives.
 * 15 forgets never-restart entries whether they had been started or not. What the guard remembers stays.
 */
export function resetBackgroundWorkerCrashTimes(d: Draft): void {
  for (const worker of d.state.workers) if (neverRestarts(worker)) forgetBackgroundWorker(d, worker);
  const memories = new Map(d.state.workers.map((worker) => [worker.id, carriedOver(d.state.settings, worker)]));
  d.state.workers = assignSlots(d.state.workers).map((worker) => ({ ...worker, ...memories.get(worker.id) }));
}

/** P-12: slots 0, 1, 2 … from the head of the list, nobody to notify, not started. */
export function assignSlots(workers: readonly RegisteredBgWorker[]): readonly WorkerEntry[] {
  return workers.map((worker, slot) => ({
    ...worker,
    ...NO_FAILURES,
    slot,
    notifyPid: 0,
    pid: 0,
    crashedAt: null,
    slotPid: INVALID_PID,
  }));
}
