// Dynamic shared memory segments, as a process holds them. Backends: workers with BGWORKER_SHMEM_ACCESS and session backends.
// PostgreSQL: src/include/storage/dsm.h, src/backend/storage/ipc/dsm.c, contract 10.2.
//
// native/core/dsm.c counts references, and releases them on every orderly way out, whatever JavaScript does; here is what C cannot have: buffers, callbacks
// and errors.

import { leaveIfDying } from './signals.js';
import { DsmSegment, type OnDsmDetachCallback, segments } from './dsm-segment.js';
import {
  ERRCODE_DATA_CORRUPTED,
  ERRCODE_DISK_FULL,
  ERRCODE_INSUFFICIENT_RESOURCES,
  ERRCODE_INTERNAL_ERROR,
  ERRCODE_INVALID_PARAMETER_VALUE,
  ERRCODE_OUT_OF_MEMORY,
} from '../elog/errcodes.js';
import { ErrorData } from '../elog/error-data.js';
import { myBackendType } from '../globals.js';
import { check, native, systemError } from '../native.js';
import { sharedMemory } from '../shmem/shmem.js';

/** Flag of {@link dsmCreate}: null instead of an error where there are too many segments. @pg DSM_CREATE_NULL_IF_MAXSEGMENTS */
export const DSM_CREATE_NULL_IF_MAXSEGMENTS = 0x0001;

/** The largest array of bytes that every Node of ours can have. */
const MAX_SIZE = 0xffffffff;

const EEXIST = -17;
const EMFILE = -24;
const ENOENT = -2;
const ENOMEM = -12;
const ENOSPC = -28;
const EINVAL = -22;
const EBADMSG = -74;
const EALREADY = -114;

function requireBackend(): void {
  sharedMemory(); // a clear error where there is none
  if (myBackendType !== 'postmaster') return;
  throw new ErrorData({ code: ERRCODE_INTERNAL_ERROR, message: 'dynamic shared memory cannot be used in the postmaster' });
}

function stateOf(segment: DsmSegment): DsmSegment['state'] {
  if (!(segment instanceof DsmSegment)) throw new TypeError('segment must be a dynamic shared memory segment, as dsmCreate and dsmAttach return it');
  return segment.state;
}

function checkHandle(handle: number): void {
  if (Number.isInteger(handle) && handle >= 0 && handle <= 0xffffffff) return;
  throw new TypeError(`handle must be an integer from 0 to 4294967295, not ${String(handle)}`);
}

function attachedAt(index: number): DsmSegment {
  const segment = new DsmSegment(index);
  segments.add(segment);
  return segment;
}

function createError(errno: number, size: number): Error {
  if (errno === EMFILE) return new ErrorData({ code: ERRCODE_INSUFFICIENT_RESOURCES, message: 'too many dynamic shared memory segments' });
  if (errno !== ENOSPC && errno !== ENOMEM) return systemError(errno, 'fallocate');
  return new ErrorData({
    code: errno === ENOSPC ? ERRCODE_DISK_FULL : ERRCODE_OUT_OF_MEMORY,
    message: `could not resize shared memory segment to ${size} bytes: ${errno === ENOSPC ? 'No space left on device' : 'Cannot allocate memory'}`,
    ...(errno === ENOSPC
      ? { detail: 'All segments together may take half of the memory of the machine, or of the control group that the postmaster runs in.' }
      : {}),
  });
}

/**
 * Makes a segment of zeroed bytes that other backends can attach to, and attaches this process to it.
 *
 * It lives until the last process has detached it ({@link dsmPinSegment} apart), and in no case longer than the postmaster or the next crash cycle. Its
 * memory is allocated here, so that no access fails later. There is nothing of it in the file system.
 *
 * @param size bytes, 1 to 4294967295
 * @param flags 0, or DSM_CREATE_NULL_IF_MAXSEGMENTS
 * @returns null only with the flag, where there are too many segments (64, and 5 for each process that there may be)
 * @throws ErrorData 53000 for too many segments; 53100 beyond half of the memory that there is; 22023 for a size or flags out of range
 * @example const segment = dsmCreate(65536); worker.mainArg = BigInt(dsmSegmentHandle(segment));
 * @pg dsm_create
 */
export function dsmCreate(size: number, flags?: 0): DsmSegment;
export function dsmCreate(size: number, flags: number): DsmSegment | null;
export function dsmCreate(size: number, flags: number = 0): DsmSegment | null {
  requireBackend();
  if (typeof size !== 'number') throw new TypeError(`size must be a number of bytes, not ${typeof size}`);
  if (!Number.isInteger(size) || size < 1 || size > MAX_SIZE) {
    throw new ErrorData({
      code: ERRCODE_INVALID_PARAMETER_VALUE,
      message: `size of a dynamic shared memory segment must be an integer from 1 to ${MAX_SIZE} bytes, not ${size}`,
    });
  }
  if (flags !== 0 && flags !== DSM_CREATE_NULL_IF_MAXSEGMENTS) {
    throw new ErrorData({
      code: ERRCODE_INVALID_PARAMETER_VALUE,
      message: `unrecognized flags of a dynamic shared memory segment: ${String(flags)}`,
    });
  }
  const index = native.dsmCreate(size);
  if (index === EMFILE && flags === DSM_CREATE_NULL_IF_MAXSEGMENTS) return null;
  if (index < 0) throw createError(index, size);
  return attachedAt(index);
}

/**
 * Attaches this process to the segment of another. Costs no system call.
 * @param handle what {@link dsmSegmentHandle} said there; often a worker's `mainArg`
 * @returns null where the segment is gone or about to go: mostly, who made it has left
 * @throws ErrorData where this process is attached to it already
 * @example const segment = dsmAttach(Number(mainArg));
 * @pg dsm_attach
 */
export function dsmAttach(handle: number): DsmSegment | null {
  requireBackend();
  checkHandle(handle);
  const index = native.dsmAttach(handle);
  if (index === ENOENT) return null;
  if (index === EEXIST) {
    throw new ErrorData({ code: ERRCODE_INTERNAL_ERROR, message: "can't attach the same segment more than once" });
  }
  if (index === EBADMSG) {
    throw new ErrorData({ code: ERRCODE_DATA_CORRUPTED, message: `control structure of dynamic shared memory segment ${handle} is corrupted` });
  }
  return attachedAt(check(index, 'dsmAttach'));
}

/**
 * Gives a segment up: its callbacks run, its arrays become empty, and with the last process that does so it is destroyed. A callback that throws ends it
 * half-way, as in C: the segment is still attached then, and the callbacks before it are still to run.
 * @pg dsm_detach
 */
export function dsmDetach(segment: DsmSegment): void {
  stateOf(segment);
  segment.detach();
  leaveIfDying(); // it may have released a lock
}

/** What names a segment for other processes: 32 bits, random. @pg dsm_segment_handle */
export function dsmSegmentHandle(segment: DsmSegment): number {
  return stateOf(segment).handle;
}

/**
 * The bytes of a segment: always the same array. It is empty once the segment is detached. Structures, locks, condition variables, barriers and queues may lie in
 * it: see `shmemStruct`.
 * @example const shared = Shared.at(dsmSegmentAddress(segment)); lwLockInitialize(shared.lock, tranche);
 * @pg dsm_segment_address
 */
export function dsmSegmentAddress(segment: DsmSegment): Uint8Array {
  return stateOf(segment).bytes;
}

/** How many bytes a segment has: as many as were asked for. @pg dsm_segment_map_length */
export function dsmSegmentMapLength(segment: DsmSegment): number {
  return stateOf(segment).bytes.length;
}

/** The segment of that handle, where this process is attached to it; else null. @pg dsm_find_mapping */
export function dsmFindMapping(handle: number): DsmSegment | null {
  checkHandle(handle);
  for (const segment of segments) if (segment.state.handle === handle) return segment;
  return null;
}

/**
 * Keeps this process attached until it ends or detaches.
 *
 * DIFFERS FROM POSTGRES: there, a mapping that was made in a transaction goes with it unless it is pinned. Here nothing but {@link dsmDetach} and the end of
 * the process detaches one, so that this changes nothing: several calls of a session run at a time, and none of them owns the process's resources.
 * @pg dsm_pin_mapping
 */
export function dsmPinMapping(segment: DsmSegment): void {
  void stateOf(segment);
}

/** Takes back {@link dsmPinMapping}. Changes as little. @pg dsm_unpin_mapping */
export function dsmUnpinMapping(segment: DsmSegment): void {
  void stateOf(segment);
}

/**
 * Keeps the segment in being when no process is attached to it, until {@link dsmUnpinSegment}, the end of the postmaster or a crash cycle.
 * @throws ErrorData where it is pinned already
 * @pg dsm_pin_segment
 */
export function dsmPinSegment(segment: DsmSegment): void {
  const result = native.dsmPin(stateOf(segment).index);
  if (result === EALREADY) throw new ErrorData({ code: ERRCODE_INTERNAL_ERROR, message: 'cannot pin a segment that is already pinned' });
  check(result, 'dsmPin');
}

/**
 * Takes back {@link dsmPinSegment}: by its handle, since nobody need be attached. The segment is destroyed where nobody is.
 * @throws ErrorData where there is no such segment, or it is not pinned
 * @pg dsm_unpin_segment
 */
export function dsmUnpinSegment(handle: number): void {
  requireBackend();
  checkHandle(handle);
  const result = native.dsmUnpin(handle);
  if (result === ENOENT) throw new ErrorData({ code: ERRCODE_INTERNAL_ERROR, message: 'cannot unpin unknown segment handle' });
  if (result === EINVAL) throw new ErrorData({ code: ERRCODE_INTERNAL_ERROR, message: 'cannot unpin a segment that is not pinned' });
  check(result, 'dsmUnpin');
}

/**
 * Registers a callback for when this process detaches the segment: by {@link dsmDetach}, or on its way out, after the `beforeShmemExit` callbacks and before
 * the `onShmemExit` ones. The last registered runs first, with interrupts held.
 * @example onDsmDetach(segment, () => terminateBackgroundWorker(handle));
 * @pg on_dsm_detach
 */
export function onDsmDetach(segment: DsmSegment, callback: OnDsmDetachCallback, arg?: unknown): void {
  const { onDetach } = stateOf(segment);
  if (typeof callback !== 'function') throw new TypeError(`the callback must be a function, not ${typeof callback}`);
  check(native.deferDie(), 'timer_create'); // SIGTERM's default action is to find time for it
  onDetach.push({ callback, arg });
}

/** Takes back {@link onDsmDetach} with the same callback and argument: the last such one. Nothing happens where there is none. @pg cancel_on_dsm_detach */
export function cancelOnDsmDetach(segment: DsmSegment, callback: OnDsmDetachCallback, arg?: unknown): void {
  const { onDetach } = stateOf(segment);
  const at = onDetach.findLastIndex((entry) => entry.callback === callback && entry.arg === arg);
  if (at >= 0) onDetach.splice(at, 1);
}
