// The processes in shared memory: who is attached, and the dead-man switch. The postmaster assigns entries, children fill theirs in.
// PostgreSQL: src/backend/storage/lmgr/proc.c (InitProcess), src/backend/storage/ipc/pmsignal.c (postmaster child slots).

import type { Latch } from './latch.js';
import { PANIC } from '../elog/error-data.js';
import { ereport } from '../elog/elog.js';
import type { BackendType } from '../globals.js';
import { type BackendStatus, crashedBackendActivity, initBackendStatus, readBackendStatus } from './backend-status.js';
import { setWaitBlock } from './wait-block.js';
import { pgstatGetWaitEvent } from './wait-event-custom.js';
import { pgstatGetWaitEventType } from './wait-event.js';
import { check, native } from '../native.js';
import { PROC, PROC_SIZE } from '../shmem/layout.js';
import { type SharedMemory, sharedMemory } from '../shmem/shmem.js';
import { BGW_MAXLEN } from '../constants.js';

// The dead-man switch's values; native/core/proc.h has the same.
const PM_CHILD_UNUSED = 0;
const PM_CHILD_ASSIGNED = 1;
const PM_CHILD_ACTIVE = 2;

const KINDS: readonly BackendType[] = ['startup', 'background worker', 'client backend'];

/** A process that is attached to shared memory, as others name it: whom to wake. @pg PGPROC */
export interface PGPROC {
  readonly pid: number;
  /** Its `myLatch`. */
  readonly procLatch: Latch;
}

/** This process; null where it has no shared memory. @pg MyProc */
export let myProc: PGPROC | null = null;
let myOffset = -1;

/** One process as a listing shows it. */
export interface ProcEntry extends BackendStatus {
  readonly pid: number;
  readonly kind: BackendType;
  readonly name: string;
  readonly type: string;
  readonly workerSlot: number;
  /** Milliseconds since the epoch. */
  readonly startedAt: number;
  /** What it waits for, class and name; null: it does not wait, or not for anything that has a name. */
  readonly waitEventType: string | null;
  readonly waitEvent: string | null;
}

function procOffset(memory: SharedMemory, index: number): number {
  return memory.layout.procsOffset + index * PROC_SIZE;
}

// --- postmaster -----------------------------------------------------------------------------------------------------------------

/** Entries that children have. The postmaster's own memory: the flags could be overwritten by a child, and then nobody could be forked, or two get one entry. */
const assigned = new Set<number>();

/** Takes a free entry for a child about to be forked, or -1. */
export function assignChildSlot(): number {
  const memory = sharedMemory();
  for (let index = 0; index < memory.layout.totalProcs; index++) {
    if (assigned.has(index)) continue;
    assigned.add(index);
    memory.store(procOffset(memory, index) + PROC.flag, PM_CHILD_ASSIGNED);
    return index;
  }
  return -1;
}

/** In a crash cycle, when every child is gone. */
export function forgetChildSlots(): void {
  assigned.clear();
}

/**
 * After the child was reaped (or never forked): frees the entry. `detached`: the child had left shared memory as it should. `activity`: what it had reported
 * last where it had not; one that left has taken that along, and one that never came has the entry as the last one left it.
 */
export function releaseChildSlot(index: number): { detached: boolean; activity: string } {
  const memory = sharedMemory();
  const offset = procOffset(memory, index);
  assigned.delete(index);
  // Pairs with the last store of native BgwProcDetach: ASSIGNED means that nothing of the child's is left behind.
  const detached = memory.load(offset + PROC.flag) !== PM_CHILD_ACTIVE;
  const activity = detached ? '' : crashedBackendActivity(index);
  memory.store(offset + PROC.pid, 0);
  memory.store(offset + PROC.flag, PM_CHILD_UNUSED);
  return { detached, activity };
}

// --- child ------------------------------------------------------------------------------------------------------------------------

/** Joins shared memory under the entry that the postmaster assigned: from here on the process is expected to leave in order. */
export function initProcess(index: number, entry: { pid: number; kind: BackendType; name: string; type: string; workerSlot: number }): number {
  const memory = sharedMemory();
  const offset = procOffset(memory, index);
  memory.store(offset + PROC.kind, KINDS.indexOf(entry.kind));
  memory.store(offset + PROC.workerSlot, entry.workerSlot);
  memory.storeDouble(offset + PROC.startedAt, Date.now());
  memory.storeBytes(offset + PROC.name, BGW_MAXLEN, Buffer.from(entry.name));
  memory.storeBytes(offset + PROC.type, BGW_MAXLEN, Buffer.from(entry.type));
  initBackendStatus(index);
  // The entry is ours alone: whoever had it gave its latch up, or died, and then all of shared memory is new.
  const owner = check(native.procAttach(offset + PROC.flag, offset + PROC.latch), 'procAttach');
  if (owner !== 0) ereport(PANIC, { message: `latch already owned by PID ${owner}` });
  check(native.waitersAttach(index), 'waitersAttach');
  setWaitBlock(index);
  memory.store(offset + PROC.waitEventInfo, 0);
  check(native.setWaitEventStorage(offset + PROC.waitEventInfo), 'setWaitEventStorage');
  memory.store(offset + PROC.pid, entry.pid); // last: readers go by it
  myOffset = offset;
  myProc = Object.freeze({ pid: entry.pid, procLatch: Object.freeze({ offset: offset + PROC.latch }) });
  return offset + PROC.latch;
}

/**
 * Not waiting any more: for who is called by the event loop for a descriptor of its own, in the middle of its poll. What other waits are under way for is shown
 * again when the loop sleeps next. C: pgstat_report_wait_end.
 */
export function pgstatReportWaitEnd(): void {
  if (myOffset >= 0) sharedMemory().store(myOffset + PROC.waitEventInfo, 0);
}

/**
 * The process of that pid, where it is attached to shared memory; null where there is none. It may end at any moment after: to set the latch of one that has
 * does no harm.
 * @example const registrant = backendPidGetProc(myBgworkerEntry.notifyPid); if (registrant !== null) setLatch(registrant.procLatch);
 * @pg BackendPidGetProc
 */
export function backendPidGetProc(pid: number): PGPROC | null {
  if (!Number.isInteger(pid)) throw new TypeError(`pid must be an integer, not ${String(pid)}`);
  if (pid <= 0) return null;
  const memory = sharedMemory();
  for (let index = 0; index < memory.layout.totalProcs; index++) {
    const offset = procOffset(memory, index);
    if (memory.load(offset + PROC.pid) !== pid || memory.load(offset + PROC.flag) !== PM_CHILD_ACTIVE) continue;
    return { pid, procLatch: { offset: offset + PROC.latch } };
  }
  return null;
}

/** Everyone who is attached now. A snapshot: an entry may be gone when it is read. */
export function procArray(): ProcEntry[] {
  const memory = sharedMemory();
  const entries: ProcEntry[] = [];
  for (let index = 0; index < memory.layout.totalProcs; index++) {
    const offset = procOffset(memory, index);
    const pid = memory.load(offset + PROC.pid);
    if (pid === 0 || memory.load(offset + PROC.flag) !== PM_CHILD_ACTIVE) continue;
    const waitEventInfo = memory.load(offset + PROC.waitEventInfo);
    const entry: ProcEntry = {
      pid,
      kind: KINDS[memory.load(offset + PROC.kind)] ?? 'client backend',
      name: memory.loadText(offset + PROC.name, BGW_MAXLEN),
      type: memory.loadText(offset + PROC.type, BGW_MAXLEN),
      workerSlot: memory.load(offset + PROC.workerSlot),
      startedAt: memory.loadDouble(offset + PROC.startedAt),
      waitEventType: pgstatGetWaitEventType(waitEventInfo),
      waitEvent: pgstatGetWaitEvent(waitEventInfo),
      ...readBackendStatus(index),
    };
    // Another process may have come into the entry since.
    if (memory.load(offset + PROC.pid) === pid) entries.push(entry);
  }
  return entries;
}
