// Waiting for what the holder of a lock is doing, instead of for the lock. Backends.
// PostgreSQL: src/backend/storage/lmgr/lwlock.c (LWLockAcquireOrWait, LWLockWaitForVar, LWLockUpdateVar, LWLockReleaseClearVar), release 15: how processes let
// one of them write the log for all.

import { LW_EXCLUSIVE, type LWLockMode, acquireInSteps, checkLockAndMode, failLock, lwLockRelease, roomToWait, woken } from './lwlock.js';
import type { LWLock } from './lwlock-tranche.js';
import { type VarResult, native } from '../native.js';
import type { pg_atomic_uint64 } from '../shmem/atomics.js';

const EMFILE = -24;
const EINPROGRESS = -115;
const MAX_UINT64 = 2n ** 64n - 1n;

function addressOf(valptr: pg_atomic_uint64): number {
  if (typeof valptr?.region?.address !== 'number') throw new TypeError('valptr must be a pg_atomic_uint64 in shared memory');
  return valptr.region.address + valptr.index * 8;
}
function checkValue(value: bigint, name: string): bigint {
  if (typeof value !== 'bigint') throw new TypeError(`${name} must be a bigint, not ${typeof value}`);
  if (value < 0n || value > MAX_UINT64) throw new RangeError(`${name} must be from 0 to ${MAX_UINT64}, not ${value}`);
  return value;
}

/**
 * Takes a lock where that is possible at once; else waits until its holder lets go, and does not take it: whoever held it may have done what was to be done.
 * @returns whether it has the lock
 * @throws as {@link lwLockAcquire}
 * @example if (await lwLockAcquireOrWait(writeLock, LW_EXCLUSIVE)) { try { writeAll(); } finally { lwLockRelease(writeLock); } }
 * @pg LWLockAcquireOrWait
 */
export function lwLockAcquireOrWait(lock: LWLock, mode: LWLockMode): Promise<boolean> {
  return acquireInSteps(lock, mode, (address) => native.lwLockBeginOrWait(address, mode));
}

/** As {@link lwLockAcquireOrWait}, and blocks the thread. @pg LWLockAcquireOrWait */
export function lwLockAcquireOrWaitSync(lock: LWLock, mode: LWLockMode): boolean {
  checkLockAndMode(lock, mode);
  const result = native.lwLockAcquireOrWait(lock.offset, mode);
  if (result < 0) failLock(result, lock);
  return result === 1;
}

/** What {@link lwLockWaitForVar} found. C: the result, and an out-parameter. */
export interface LWLockVar {
  /** Nobody holds the lock exclusively. */
  readonly free: boolean;
  /** The word, where it is not free; else `oldval`. */
  readonly newval: bigint;
}
const found = ({ result, value }: VarResult, oldval: bigint): LWLockVar =>
  result === 1 ? { free: true, newval: oldval } : { free: false, newval: value };

/**
 * Waits until nobody holds the lock exclusively, or its holder has changed a word from `oldval` with {@link lwLockUpdateVar}. A wait of C's for how far somebody
 * has come; the lock is not taken.
 * @param valptr a word that is changed under this lock only
 * @throws TypeError, RangeError; ErrorData where the memory is not attached
 * @example for (let at = 0n; ; ) { const seen = await lwLockWaitForVar(lock, progress, at); if (seen.free || seen.newval >= mine) break; at = seen.newval; }
 * @pg LWLockWaitForVar
 */
export async function lwLockWaitForVar(lock: LWLock, valptr: pg_atomic_uint64, oldval: bigint): Promise<LWLockVar> {
  checkLockAndMode(lock, LW_EXCLUSIVE);
  checkValue(oldval, 'oldval');
  for (;;) {
    const seen = native.lwLockBeginWaitForVar(lock.offset, addressOf(valptr), oldval);
    if (seen.result >= 0) return found(seen, oldval);
    if (seen.result === EINPROGRESS) await woken(Number(seen.value), lock);
    else if (seen.result === EMFILE) await roomToWait(lock);
    else failLock(seen.result, lock);
  }
}

/**
 * As {@link lwLockWaitForVar}, and blocks the thread.
 * @throws ErrorData where this process itself holds the lock
 * @pg LWLockWaitForVar
 */
export function lwLockWaitForVarSync(lock: LWLock, valptr: pg_atomic_uint64, oldval: bigint): LWLockVar {
  checkLockAndMode(lock, LW_EXCLUSIVE);
  const seen = native.lwLockWaitForVar(lock.offset, addressOf(valptr), checkValue(oldval, 'oldval'));
  if (seen.result < 0) failLock(seen.result, lock);
  return found(seen, oldval);
}

/**
 * Writes the word and wakes who waits for that. The lock stays.
 * @throws ErrorData `lock … is not held` where this process does not hold it exclusively
 * @example lwLockUpdateVar(lock, shared.progress, 42n);
 * @pg LWLockUpdateVar
 */
export function lwLockUpdateVar(lock: LWLock, valptr: pg_atomic_uint64, val: bigint): void {
  checkLockAndMode(lock, LW_EXCLUSIVE);
  const result = native.lwLockUpdateVar(lock.offset, addressOf(valptr), checkValue(val, 'val'));
  if (result < 0) failLock(result, lock);
}

/** Releases a lock, and sets the word to a value that says that nobody is at work: who finds the lock free later finds this. @pg LWLockReleaseClearVar */
export function lwLockReleaseClearVar(lock: LWLock, valptr: pg_atomic_uint64, val: bigint): void {
  lwLockUpdateVar(lock, valptr, val);
  lwLockRelease(lock);
}
