// Dynamic shared memory by name: a library's way to share memory without having been preloaded. Backends.
// PostgreSQL: src/backend/storage/ipc/dsm_registry.c (release 17), contract M-17. There the entries are in a hash table that is itself dynamic.

import { dsmAttach, dsmCreate, dsmDetach, dsmFindMapping, dsmPinMapping, dsmPinSegment, dsmSegmentAddress, dsmSegmentHandle } from './dsm.js';
import type { DsmSegment } from './dsm-segment.js';
import { withLWLockAt } from './lwlock.js';
import { ERRCODE_INTERNAL_ERROR, ERRCODE_OUT_OF_MEMORY } from '../elog/errcodes.js';
import { ErrorData } from '../elog/error-data.js';
import { DSM_REGISTRY_ENTRIES, DSM_REGISTRY_ENTRY, DSM_REGISTRY_ENTRY_SIZE, DSM_REGISTRY_NAME_SIZE } from '../shmem/layout.js';
import { type SharedMemory, sharedMemory } from '../shmem/shmem.js';

function internalError(message: string): ErrorData {
  return new ErrorData({ code: ERRCODE_INTERNAL_ERROR, message });
}

function checkRequest(name: string, size: number): void {
  if (typeof name !== 'string') throw new TypeError(`name must be a string, not ${typeof name}`);
  if (typeof size !== 'number') throw new TypeError(`size must be a number of bytes, not ${typeof size}`);
  if (name === '') throw internalError('DSM segment name cannot be empty');
  if (Buffer.byteLength(name) >= DSM_REGISTRY_NAME_SIZE || name.includes('\0')) throw internalError('DSM segment name too long');
  if (size === 0) throw internalError('DSM segment size must be nonzero');
}

/** The entry of that name, made where there is none. Under the registry's lock for the search alone. */
function findOrInsert(memory: SharedMemory, name: string): number {
  const { dsmRegistryOffset, dsmMaxItems } = memory.layout;
  return withLWLockAt(dsmRegistryOffset, () => {
    for (let n = 0; n < dsmMaxItems; n++) {
      const entry = dsmRegistryOffset + DSM_REGISTRY_ENTRIES + n * DSM_REGISTRY_ENTRY_SIZE;
      const found = memory.loadText(entry + DSM_REGISTRY_ENTRY.name, DSM_REGISTRY_NAME_SIZE);
      if (found === name) return entry;
      if (found !== '') continue;
      memory.storeBytes(entry + DSM_REGISTRY_ENTRY.name, DSM_REGISTRY_NAME_SIZE, Buffer.from(name));
      return entry;
    }
    throw new ErrorData({ code: ERRCODE_OUT_OF_MEMORY, message: 'too many named dynamic shared memory segments' });
  });
}

function attached(handle: number): DsmSegment {
  const mapped = dsmFindMapping(handle);
  if (mapped !== null) return mapped;
  const segment = dsmAttach(handle);
  if (segment === null) throw internalError('could not map dynamic shared memory segment');
  dsmPinMapping(segment);
  return segment;
}

function created(size: number, initCallback: ((address: Uint8Array) => void) | null): DsmSegment {
  const segment = dsmCreate(size);
  try {
    initCallback?.(dsmSegmentAddress(segment));
  } catch (err) {
    dsmDetach(segment); // the next caller tries again
    throw err;
  }
  dsmPinSegment(segment);
  dsmPinMapping(segment);
  return segment;
}

/**
 * The segment of that name: made and initialised by the first backend that asks for it, and the same for all others, until the postmaster ends or begins
 * anew after a crash. Nobody sees it before `initCallback` has returned.
 *
 * @param name at most 63 bytes
 * @param size bytes; the same in every call
 * @param initCallback is given the zeroed bytes; synchronous; it runs under the entry's lock, with interrupts held. null: zeroes will do
 * @returns its bytes, and whether it was there; C: the address, and an out-parameter
 * @throws ErrorData for a name that is empty or too long, a size of 0 or another than the segment's; what {@link dsmCreate} throws
 * @example const { address, found } = getNamedDSMSegment('my_library', 4096, (bytes) => bytes.fill(1));
 * @pg GetNamedDSMSegment
 */
export function getNamedDSMSegment(
  name: string,
  size: number,
  initCallback: ((address: Uint8Array) => void) | null = null,
): { address: Uint8Array; found: boolean } {
  checkRequest(name, size);
  const memory = sharedMemory();
  const entry = findOrInsert(memory, name);
  return withLWLockAt(entry + DSM_REGISTRY_ENTRY.lock, () => {
    const handle = memory.load(entry + DSM_REGISTRY_ENTRY.handle) >>> 0;
    const known = memory.loadDouble(entry + DSM_REGISTRY_ENTRY.size);
    if (known !== 0 && known !== size) throw internalError('requested DSM segment size does not match size of existing segment');
    if (handle !== 0) return { address: dsmSegmentAddress(attached(handle)), found: true };
    const segment = created(size, initCallback);
    memory.storeDouble(entry + DSM_REGISTRY_ENTRY.size, size);
    memory.store(entry + DSM_REGISTRY_ENTRY.handle, dsmSegmentHandle(segment));
    return { address: dsmSegmentAddress(segment), found: false };
  });
}
