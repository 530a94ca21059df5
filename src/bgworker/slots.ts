// The array of worker slots in shared memory: reading and writing one slot, and the order in which that is done.
// PostgreSQL: src/backend/postmaster/bgworker.c (BackgroundWorkerArray, BackgroundWorkerSlot), contract section P.
//
// The postmaster must be able to go on whatever a backend did to shared memory, so it takes no lock here and believes nothing it reads.
// `inUse` hands a slot over: 0, and the backends own it, coordinating among themselves by BackgroundWorkerLock; 1, and the postmaster does.
// One exception: a backend may set `terminate` of a slot in use, under the lock. Readers must live with a pid that is stale when read.

import { asciiSafeText, type Descriptor } from './background-worker.js';
import { BGWORKER_CLASS_PARALLEL, BGW_EXTRALEN, BGW_MAXLEN, InvalidPid, MAXPGPATH, RLIMITS_SIZE } from '../constants.js';
import { HEADER, PARALLEL, SLOT, SLOT_SIZE } from '../shmem/layout.js';
import { sharedMemory } from '../shmem/shmem.js';

function slotOffset(slot: number): number {
  return sharedMemory().layout.slotsOffset + slot * SLOT_SIZE;
}

export function totalSlots(): number {
  return sharedMemory().layout.totalSlots;
}

/** What the header says; the postmaster compares it with what it made (S-01). */
export function claimedTotalSlots(): number {
  return sharedMemory().load(HEADER.totalSlots);
}

// --- single fields --------------------------------------------------------------------------------------------------------------------

/** Pairs with the last store of fillSlot() and with freeSlot(): what follows sees the slot's contents. */
export function slotInUse(slot: number): boolean {
  return sharedMemory().load(slotOffset(slot) + SLOT.inUse) === 1;
}
export function slotPid(slot: number): number {
  return sharedMemory().load(slotOffset(slot) + SLOT.pid);
}
export function slotGeneration(slot: number): bigint {
  return sharedMemory().loadLong(slotOffset(slot) + SLOT.generation);
}
export function slotTerminate(slot: number): boolean {
  return sharedMemory().load(slotOffset(slot) + SLOT.terminate) !== 0;
}
export function slotNotifyPid(slot: number): number {
  return sharedMemory().load(slotOffset(slot) + SLOT.notifyPid);
}
export function slotType(slot: number): string {
  return sharedMemory().loadText(slotOffset(slot) + SLOT.type, BGW_MAXLEN);
}
export function setSlotPid(slot: number, pid: number): void {
  sharedMemory().store(slotOffset(slot) + SLOT.pid, pid);
}
export function setSlotTerminate(slot: number): void {
  sharedMemory().store(slotOffset(slot) + SLOT.terminate, 1);
}

// --- whole slots ------------------------------------------------------------------------------------------------------------------------

function writeDescriptor(offset: number, worker: Descriptor): void {
  const memory = sharedMemory();
  memory.store(offset + SLOT.flags, worker.flags);
  memory.store(offset + SLOT.startTime, worker.startTime);
  memory.store(offset + SLOT.restartTime, worker.restartTime);
  memory.store(offset + SLOT.notifyPid, worker.notifyPid);
  memory.storeLong(offset + SLOT.mainArg, BigInt.asIntN(64, worker.mainArg));
  memory.storeBytes(offset + SLOT.name, BGW_MAXLEN, Buffer.from(worker.name));
  memory.storeBytes(offset + SLOT.type, BGW_MAXLEN, Buffer.from(worker.type));
  memory.storeBytes(offset + SLOT.functionName, BGW_MAXLEN, Buffer.from(worker.functionName));
  memory.storeBytes(offset + SLOT.libraryName, MAXPGPATH, Buffer.from(worker.libraryName));
  memory.bytes.set(worker.extra, offset + SLOT.extra);
  memory.storeBytes(offset + SLOT.rlimits, RLIMITS_SIZE, Buffer.from(worker.rlimits));
}

/** Backend, under the exclusive lock, for a slot that is not in use (P-10). Returns the generation. */
export function fillSlot(slot: number, worker: Descriptor): bigint {
  const memory = sharedMemory();
  const offset = slotOffset(slot);
  writeDescriptor(offset, worker);
  memory.store(offset + SLOT.pid, InvalidPid);
  const generation = BigInt.asIntN(64, memory.loadLong(offset + SLOT.generation) + 1n);
  memory.storeLong(offset + SLOT.generation, generation);
  memory.store(offset + SLOT.terminate, 0);
  if ((worker.flags & BGWORKER_CLASS_PARALLEL) !== 0) memory.add(PARALLEL.registerCount, 1);
  // Publish: contents before inUse. Pairs with the load in slotInUse(), as the postmaster calls it.
  memory.store(offset + SLOT.inUse, 1);
  return generation;
}

/** Postmaster: the slot is the backends' again. Everything written before is seen by whoever finds it free; Atomics is a full barrier. */
export function freeSlot(slot: number): void {
  sharedMemory().store(slotOffset(slot) + SLOT.inUse, 0);
}

/** Postmaster: a parallel worker is forgotten or rejected. Before its slot is freed. */
export function countTerminatedParallelWorker(): void {
  sharedMemory().add(PARALLEL.terminateCount, 1);
}

/** Parallel workers that live, as an unsigned difference of counters that wrap. */
export function activeParallelWorkers(): number {
  const memory = sharedMemory();
  return (memory.load(PARALLEL.registerCount) - memory.load(PARALLEL.terminateCount)) >>> 0;
}

/** Postmaster, at start and in every crash cycle: static and surviving workers into slots 0, 1, 2 … (P-12). The rest is free, being zero. */
export function initializeSlot(slot: number, worker: Descriptor): void {
  const memory = sharedMemory();
  const offset = slotOffset(slot);
  writeDescriptor(offset, { ...worker, notifyPid: 0 });
  memory.store(offset + SLOT.terminate, 0);
  memory.store(offset + SLOT.pid, InvalidPid);
  memory.storeLong(offset + SLOT.generation, 0n);
  memory.store(offset + SLOT.inUse, 1);
}

/** Postmaster: the descriptor of a slot, copied defensively: text made safe, numbers raw (S-10, S-11). */
export function copySlotDescriptor(slot: number): Descriptor {
  const memory = sharedMemory();
  const offset = slotOffset(slot);
  const text = (at: number, size: number): string => asciiSafeText(memory.bytes.subarray(offset + at, offset + at + size - 1));
  return {
    name: text(SLOT.name, BGW_MAXLEN),
    type: text(SLOT.type, BGW_MAXLEN),
    flags: memory.load(offset + SLOT.flags),
    startTime: memory.load(offset + SLOT.startTime),
    restartTime: memory.load(offset + SLOT.restartTime),
    main: null,
    libraryName: text(SLOT.libraryName, MAXPGPATH),
    functionName: text(SLOT.functionName, BGW_MAXLEN),
    mainArg: BigInt.asUintN(64, memory.loadLong(offset + SLOT.mainArg)),
    extra: memory.bytes.slice(offset + SLOT.extra, offset + SLOT.extra + BGW_EXTRALEN),
    notifyPid: memory.load(offset + SLOT.notifyPid),
    rlimits: text(SLOT.rlimits, RLIMITS_SIZE),
  };
}
