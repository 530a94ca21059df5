// Structures by name, in the area that modules share. Postmaster (in its start-up hooks) and every child that is attached.
// PostgreSQL: src/backend/storage/ipc/shmem.c (ShmemInitStruct, ShmemAlloc), release 15.
//
// A worker may have written garbage over the index. That can harm whoever reads it here, but by an error and not by a fault: every number is checked
// against the area before it is used. The postmaster reads it in its hooks only, when the memory is new and nobody else is attached.

import { checkShmemSize } from './ipci.js';
import { ERRCODE_DATA_CORRUPTED, ERRCODE_INVALID_NAME, ERRCODE_OUT_OF_MEMORY } from '../elog/errcodes.js';
import { ErrorData } from '../elog/error-data.js';
import { check, native } from '../native.js';
import { AREA, AREA_ALIGN, INDEX_ENTRIES, INDEX_ENTRY, INDEX_ENTRY_SIZE, INDEX_NAME_SIZE, SHMEM_INDEX_LOCK_OFFSET } from '../shmem/layout.js';
import { ShmemRegion } from '../shmem/region.js';
import { type SharedMemory, sharedMemory } from '../shmem/shmem.js';
import type { ShmemDeclaration, ShmemFields, ShmemStruct, ShmemView } from '../shmem/struct.js';

// lwlock.ts imports tranches, and these import us.
const LW_EXCLUSIVE = 0;

/** Regions by where they begin: the same structure is the same region, however often it is asked for. */
const known = new Map<number, ShmemRegion>();

function checkName(name: string): Buffer {
  if (typeof name !== 'string') throw new TypeError(`the name of a shared memory structure must be a string, not ${typeof name}`);
  const bytes = Buffer.from(name);
  const detail = `Names have 1 to ${INDEX_NAME_SIZE - 1} bytes.`;
  if (bytes.length === 0) throw new ErrorData({ code: ERRCODE_INVALID_NAME, message: 'shared memory structure name cannot be empty', detail });
  if (bytes.length >= INDEX_NAME_SIZE || bytes.includes(0)) {
    const message = bytes.includes(0) ? 'shared memory structure name must not contain a NUL' : `shared memory structure name "${name}" is too long`;
    throw new ErrorData({ code: ERRCODE_INVALID_NAME, message, detail });
  }
  return bytes;
}

const corrupt = (): ErrorData => new ErrorData({ code: ERRCODE_DATA_CORRUPTED, message: 'index of shared memory structures is corrupted' });

/** The entry's number, or how many there are. */
function find(memory: SharedMemory, name: string): { at: number; count: number; found: boolean } {
  const count = memory.load(AREA.indexCount);
  if (count < 0 || count > INDEX_ENTRIES) throw corrupt();
  for (let at = 0; at < count; at++) {
    if (memory.loadText(entryOffset(memory, at) + INDEX_ENTRY.name, INDEX_NAME_SIZE) === name) return { at, count, found: true };
  }
  return { at: count, count, found: false };
}
function entryOffset(memory: SharedMemory, at: number): number {
  return memory.layout.indexOffset + at * INDEX_ENTRY_SIZE;
}

/** Takes room from the area; null where there is none left. */
function shmemAlloc(memory: SharedMemory, size: number): number | null {
  const { areaOffset, size: end } = memory.layout;
  const free = Number(memory.loadLong(AREA.freeOffset));
  if (free < areaOffset || free > end) throw corrupt();
  const begin = Math.ceil(free / AREA_ALIGN) * AREA_ALIGN;
  if (size > end - begin) return null;
  memory.storeLong(AREA.freeOffset, BigInt(begin + size));
  return begin;
}

// Under ShmemIndexLock.
function findOrAllocate(memory: SharedMemory, name: string, size: number): { offset: number; found: boolean } {
  const { at, count, found } = find(memory, name);
  const entry = entryOffset(memory, at);
  if (found) {
    const actual = Number(memory.loadLong(entry + INDEX_ENTRY.size));
    if (actual !== size) {
      throw new ErrorData({ message: `ShmemIndex entry size is wrong for data structure "${name}": expected ${size}, actual ${actual}` });
    }
    const offset = Number(memory.loadLong(entry + INDEX_ENTRY.offset));
    if (offset < memory.layout.areaOffset || offset > memory.layout.size - size || offset % AREA_ALIGN !== 0) throw corrupt();
    return { offset, found: true };
  }
  if (count === INDEX_ENTRIES) {
    throw new ErrorData({ code: ERRCODE_OUT_OF_MEMORY, message: `could not create ShmemIndex entry for data structure "${name}"` });
  }
  const offset = shmemAlloc(memory, size);
  if (offset === null) {
    throw new ErrorData({
      code: ERRCODE_OUT_OF_MEMORY,
      message: `not enough shared memory for data structure "${name}" (${size} bytes requested)`,
      hint: 'Ask for it with requestAddinShmemSpace, from the function that is given to setShmemRequestHook.',
    });
  }
  memory.storeBytes(entry + INDEX_ENTRY.name, INDEX_NAME_SIZE, Buffer.from(name));
  memory.storeLong(entry + INDEX_ENTRY.offset, BigInt(offset));
  memory.storeLong(entry + INDEX_ENTRY.size, BigInt(size));
  // Last: a process that dies here leaves no entry that is half an entry. Pairs with the load in find().
  memory.store(AREA.indexCount, count + 1);
  return { offset, found: false };
}

function regionAt(offset: number, size: number): ShmemRegion {
  const before = known.get(offset);
  if (before?.attached === true && before.size === size) return before;
  const buffer = native.shmemBuffer(offset, size);
  if (typeof buffer === 'number') {
    check(buffer, 'shmemBuffer');
    throw corrupt();
  }
  const region = new ShmemRegion(offset, buffer);
  known.set(offset, region);
  return region;
}

/** What {@link shmemInitStruct} gives for a number of bytes. */
export interface ShmemBytes {
  /** Was it there already? Where not, it is zeroed, and the caller initialises it. */
  readonly found: boolean;
  readonly region: ShmemRegion;
  /** Exactly as many as were asked for. Taken from the region: `region.bytes` is an error once the memory is gone, a kept array may not be. */
  readonly bytes: Uint8Array;
}
/** What {@link shmemInitStruct} gives for a declared structure. */
export interface ShmemStructResult<F extends ShmemFields> {
  /** Was it there already? Where not, it is zeroed, and the caller initialises it. */
  readonly found: boolean;
  readonly region: ShmemRegion;
  readonly struct: ShmemView<F>;
}

/**
 * Finds a structure in the shared memory area by its name, or makes it: the same memory for every process that asks. It is never freed, and is gone after a
 * crash cycle.
 *
 * Whoever finds it new must have initialised it before anybody else uses it: hold `addinShmemInitLock` around both, or do it in the start-up hook, when
 * nobody else is there. Zeroed memory is a valid state of atomic words, flags and locks.
 *
 * @param name 1 to 47 bytes
 * @param what a structure declared with `shmemStruct`, or a number of bytes, 1 or more
 * @throws ErrorData 53200 where there is no room (see `requestAddinShmemSpace`) or there are 64 structures already; XX000 where it was made with another size,
 * or in a process that is not attached; 42602 for a name that is empty or too long; RangeError, TypeError for what is no size
 * @example
 * lwLockAcquireSync(addinShmemInitLock, LW_EXCLUSIVE);
 * const { struct, found } = shmemInitStruct('my counters', Counters);
 * if (!found) struct.limit = 100;
 * lwLockRelease(addinShmemInitLock);
 * @pg ShmemInitStruct
 */
export function shmemInitStruct(name: string, what: number): ShmemBytes;
export function shmemInitStruct<F extends ShmemFields>(name: string, what: ShmemStruct<F>): ShmemStructResult<F>;
export function shmemInitStruct(name: string, what: number | ShmemDeclaration): ShmemBytes | { found: boolean; region: ShmemRegion; struct: object } {
  checkName(name);
  const size = checkShmemSize(typeof what === 'object' && what !== null ? what.size : what, `shared memory structure "${name}"`);
  if (size === 0) throw new RangeError(`the size of shared memory structure "${name}" must be 1 byte or more, not 0`);
  const memory = sharedMemory();
  check(native.lwLockAcquire(SHMEM_INDEX_LOCK_OFFSET, LW_EXCLUSIVE), 'lwLockAcquire');
  let place: { offset: number; found: boolean };
  try {
    place = findOrAllocate(memory, name, size);
  } finally {
    native.lwLockRelease(SHMEM_INDEX_LOCK_OFFSET);
  }
  const region = regionAt(place.offset, size);
  const { found } = place;
  return typeof what === 'number' ? { found, region, bytes: region.bytes } : { found, region, struct: what.at(region) };
}
