// The shared mapping as JavaScript sees it. Made by the postmaster; every child inherits mapping and views over the fork.
// PostgreSQL: src/backend/storage/ipc/ipci.c (CreateSharedMemoryAndSemaphores), shmem.c.

import { totalmem } from 'node:os';

import { AREA, HEADER, type ShmemLayout, SHMEM_MAGIC, SHMEM_VERSION, layoutShmem } from './layout.js';
import { detachAllRegions } from './region.js';
import { ERRCODE_INTERNAL_ERROR, ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, ERRCODE_OUT_OF_MEMORY } from '../elog/errcodes.js';
import { prepareLastWords } from '../elog/elog.js';
import { ErrorData } from '../elog/error-data.js';
import { check, native, systemError } from '../native.js';

/** Views of one mapping. Offsets are bytes everywhere; these methods turn them into indexes. */
export class SharedMemory {
  readonly layout: ShmemLayout;
  readonly #words: Int32Array;
  readonly #longs: BigInt64Array;
  readonly #doubles: Float64Array;
  readonly bytes: Uint8Array;

  constructor(buffer: ArrayBuffer, layout: ShmemLayout) {
    this.layout = layout;
    this.#words = new Int32Array(buffer);
    this.#longs = new BigInt64Array(buffer);
    this.#doubles = new Float64Array(buffer);
    this.bytes = new Uint8Array(buffer);
  }

  /** Sequentially consistent, and so a full barrier, as all of Atomics. */
  load(offset: number): number {
    return Atomics.load(this.#words, offset >> 2);
  }
  store(offset: number, value: number): void {
    Atomics.store(this.#words, offset >> 2, value);
  }
  exchange(offset: number, value: number): number {
    return Atomics.exchange(this.#words, offset >> 2, value);
  }
  /** Adds with 32-bit wrap-around; returns what was there before. */
  fetchAdd(offset: number, value: number): number {
    return Atomics.add(this.#words, offset >> 2, value);
  }
  /** Adds with 32-bit wrap-around. */
  add(offset: number, value: number): void {
    Atomics.add(this.#words, offset >> 2, value);
  }
  loadLong(offset: number): bigint {
    return Atomics.load(this.#longs, offset >> 3);
  }
  storeLong(offset: number, value: bigint): void {
    Atomics.store(this.#longs, offset >> 3, value);
  }
  loadDouble(offset: number): number {
    return this.#doubles[offset >> 3] as number;
  }
  storeDouble(offset: number, value: number): void {
    this.#doubles[offset >> 3] = value;
  }

  /** Text up to the first NUL, at most `size` bytes. */
  loadText(offset: number, size: number): string {
    const bytes = this.bytes.subarray(offset, offset + size);
    const end = bytes.indexOf(0);
    return Buffer.from(bytes.subarray(0, end < 0 ? size : end)).toString();
  }
  /** Stores bytes cut to `size - 1`, NUL-padded. */
  storeBytes(offset: number, size: number, bytes: Uint8Array): void {
    this.bytes.fill(0, offset, offset + size);
    this.bytes.set(bytes.subarray(0, size - 1), offset);
  }
}

let shmem: SharedMemory | null = null;

function notAttached(): ErrorData {
  return new ErrorData({
    code: ERRCODE_INTERNAL_ERROR,
    message: 'shared memory is not attached',
    hint: 'This can be called in a backend or in a background worker that was registered with BGWORKER_SHMEM_ACCESS.',
  });
}

/** The mapping, or an error in a process that has none. */
export function sharedMemory(): SharedMemory {
  if (shmem === null) throw notAttached();
  return shmem;
}

export function hasSharedMemory(): boolean {
  return shmem !== null;
}

/** Postmaster, once: maps the memory and writes its header. `addinSize`: what modules have asked for. */
export function createSharedMemory(totalSlots: number, totalProcs: number, addinSize: number, postmasterPid: number): SharedMemory {
  const layout = layoutShmem(totalSlots, totalProcs, addinSize);
  const buffer = native.shmemCreate(layout.size);
  if (typeof buffer === 'number') {
    throw new ErrorData({
      severity: 'FATAL',
      code: ERRCODE_OUT_OF_MEMORY,
      message: `could not create shared memory segment of ${layout.size} bytes`,
      hint: 'Reduce "max_worker_processes" or "max_connections", or what modules ask for, or make more memory available.',
    });
  }
  shmem = new SharedMemory(buffer, layout);
  writeHeader(shmem, postmasterPid);
  native.waitersInit(layout.waitBlocksOffset, layout.totalProcs);
  createDynamicSharedMemory(shmem);
  return shmem;
}

/**
 * All dynamic segments together may take half of the memory that there is: what a file system in memory, where PostgreSQL keeps its own, allows by
 * default. The kernel asks for no more than addresses until a segment is made, and would kill somebody where the last page is gone.
 */
function dynamicMemoryLimit(): number {
  const constrained = process.constrainedMemory();
  const memory = constrained > 0 ? Math.min(constrained, totalmem()) : totalmem();
  return Math.floor(memory / 2);
}

function createDynamicSharedMemory(memory: SharedMemory): void {
  const failure = native.dsmMap(dynamicMemoryLimit());
  if (failure < 0) {
    throw new ErrorData({
      severity: 'FATAL',
      code: ERRCODE_OUT_OF_MEMORY,
      message: 'could not reserve addresses for dynamic shared memory',
      hint: 'Raise the limits on virtual memory and on file sizes (ulimit -v, ulimit -f).',
      cause: systemError(failure, 'mmap'),
    });
  }
  resetDynamicSharedMemory(memory);
}

function resetDynamicSharedMemory({ layout }: SharedMemory): void {
  check(native.dsmReset(layout.dsmControlOffset, layout.dsmMaxItems, dynamicMemoryLimit()), 'fallocate');
}

function writeHeader(memory: SharedMemory, postmasterPid: number): void {
  memory.store(HEADER.magic, SHMEM_MAGIC);
  memory.store(HEADER.version, SHMEM_VERSION);
  memory.store(HEADER.size, memory.layout.size);
  memory.store(HEADER.postmasterPid, postmasterPid);
  memory.store(HEADER.totalSlots, memory.layout.totalSlots);
  memory.store(HEADER.totalProcs, memory.layout.totalProcs);
  memory.storeLong(AREA.freeOffset, BigInt(memory.layout.areaOffset));
}

/**
 * Postmaster, in a crash cycle, when every child that was attached is gone: all of it anew. The mapping stays where it is, since the
 * children to come inherit it; zeroing it is what a fresh segment would give. Regions of before are detached: what the start-up hooks make now
 * may lie elsewhere.
 */
export function resetSharedMemory(postmasterPid: number): void {
  const memory = sharedMemory();
  const message = 'shared memory was reinitialized';
  const hint = 'Call shmemInitStruct again, from the function that was given to setShmemStartupHook.';
  detachAllRegions(new ErrorData({ code: ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, message, hint }));
  check(native.shmemReset(), 'fallocate');
  writeHeader(memory, postmasterPid);
  resetDynamicSharedMemory(memory);
}

/**
 * A worker without BGWORKER_SHMEM_ACCESS: the mapping goes before its main function runs. What the postmaster's modules have kept of it fails from
 * here on: structures, regions and locks with an error; bytes taken from a region with one, too, or as an empty array (Node 20), or by the end of
 * the worker with a line that says why (native/core/guard.h).
 */
export function detachSharedMemory(): void {
  if (shmem === null) return;
  const reason = notAttached();
  prepareLastWords('touchedGone', reason.code, reason.message);
  detachAllRegions(reason);
  check(native.shmemUnmap(), 'mmap');
  native.dsmUnmap();
  shmem = null;
}
