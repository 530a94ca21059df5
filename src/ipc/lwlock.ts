// Locks between backends: shared or exclusive, blocking or asynchronous. The postmaster takes one only in its start-up hooks, before it has children.
// PostgreSQL: src/backend/storage/lmgr/lwlock.c, release 15. The protocol is in native/core/lwlock.c.
//
// A lock belongs to the process. From an acquisition to its release interrupts are held, over every await: SIGTERM acts when the last lock is released,
// whichever handler it has, and checkForInterrupts() does nothing. So hold one for a moment. Asynchronous waits do not hold them: a process that is
// terminated while it waits leaves the queue.

import { procExit } from './exit.js';
import { type LWLock, lwLockName } from './lwlock-tranche.js';
import { leaveIfDying } from './signals.js';
import { askWaiters, whenWoken } from './wait-block.js';
import { PG_WAIT_LWLOCK } from './wait-event.js';
import { ERRCODE_INTERNAL_ERROR, ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE } from '../elog/errcodes.js';
import { ErrorData } from '../elog/error-data.js';
import { native, systemError } from '../native.js';
import { BACKGROUND_WORKER_LOCK_OFFSET } from '../shmem/layout.js';
import { whenRegionGoes } from '../shmem/region.js';
import { sharedMemory } from '../shmem/shmem.js';

/** How a lock is taken. */
export type LWLockMode = typeof LW_EXCLUSIVE | typeof LW_SHARED;
/** By one process alone. @pg LW_EXCLUSIVE */
export const LW_EXCLUSIVE = 0;
/** By as many as want to share it. @pg LW_SHARED */
export const LW_SHARED = 1;

const EPERM = -1;
const EAGAIN = -11;
const EFAULT = -14;
const EMFILE = -24;
const ENOSPC = -28;
const EDEADLK = -35;
const ENOTCONN = -107;
const EOWNERDEAD = -130;

/** The error that a native result is. */
export function failLock(errno: number, lock: LWLock): never {
  sharedMemory(); // where there is none, that is what is wrong
  const code = ERRCODE_INTERNAL_ERROR;
  const name = lwLockName(lock);
  switch (errno) {
    case EPERM:
      throw new ErrorData({ code, message: `lock ${name} is not held` });
    case EDEADLK:
      throw new ErrorData({ code, message: `lock ${name} is already held by this process`, detail: 'To wait for it would be to wait for ever.' });
    case ENOSPC:
      throw new ErrorData({ code, message: 'too many LWLocks taken' });
    case EAGAIN:
    case ENOTCONN:
      throw new ErrorData({ code, message: `cannot wait for lock ${name} in this process` });
    case EFAULT:
      throw new ErrorData({ code: ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, message: 'lock is not in shared memory that is attached' });
    case EOWNERDEAD:
      return procExit(1); // the postmaster died, and with it whoever would clean up after a dead holder
    default:
      throw systemError(errno, 'lwLockAcquire');
  }
}

export function checkLockAndMode(lock: LWLock, mode: LWLockMode): void {
  if (typeof lock?.offset !== 'number') throw new TypeError('lock must be a lock in shared memory');
  if (mode !== LW_EXCLUSIVE && mode !== LW_SHARED) throw new RangeError(`mode must be LW_EXCLUSIVE or LW_SHARED, not ${String(mode)}`);
}

// --- asynchronous waits ------------------------------------------------------------------------------------------------------------

const RETRY_MS = 10;

/** What others see this process wait for. */
const waitEvent = (lock: LWLock): number => PG_WAIT_LWLOCK + native.lwLockTranche(lock.offset);

/** Those under way, by the waiter's number. */
const waits = new Map<number, { readonly address: number; readonly abandon: (reason: Error) => void }>();

/** Waits until the waiter was woken, and has its lock (1) or has seen it free (2). */
export function woken(waiter: number, lock: LWLock): Promise<number> {
  return new Promise((resolve, reject) => {
    const stop = whenWoken(() => {
      const result = native.lwLockContinue(waiter);
      if (result === 0) return false;
      waits.delete(waiter);
      resolve(result);
      return true;
    }, waitEvent(lock));
    const abandon = (reason: Error): void => {
      waits.delete(waiter);
      stop();
      native.lwLockCancel(waiter);
      reject(reason);
    };
    waits.set(waiter, { address: lock.offset, abandon });
  });
}

/**
 * As many tasks of this process wait as there are places: the next one that is woken makes room. Or nobody is, because they wait for what we would do if we had the
 * lock: so it is tried again and again, without a place in the queue.
 */
export function roomToWait(lock: LWLock): Promise<void> {
  return new Promise((resolve) => {
    const finish = (): boolean => {
      clearTimeout(timer);
      resolve();
      return true;
    };
    const stop = whenWoken(finish, waitEvent(lock));
    const timer = setTimeout(() => {
      stop();
      finish();
    }, RETRY_MS);
  });
}

// A segment goes, and locks in it: who waits for one of them hears of it. Those that are held are released by native code, with the segment.
whenRegionGoes(({ address, size }, reason) => {
  for (const wait of waits.values()) if (wait.address >= address && wait.address < address + size) wait.abandon(reason);
  askWaiters();
});

// --- acquiring ---------------------------------------------------------------------------------------------------------------------

/**
 * Takes a lock and blocks until it has it: nothing of JavaScript runs meanwhile, no handler either.
 * @returns true where it was to be had at once
 * @throws ErrorData XX000 where this process holds it already (but shared and shared), or holds 200 others
 * @example lwLockAcquireSync(lock, LW_EXCLUSIVE); try { counters.n += 1; } finally { lwLockRelease(lock); }
 * @pg LWLockAcquire
 */
export function lwLockAcquireSync(lock: LWLock, mode: LWLockMode): boolean {
  checkLockAndMode(lock, mode);
  const result = native.lwLockAcquire(lock.offset, mode);
  if (result < 0) failLock(result, lock);
  return result === 0;
}

/**
 * Takes a lock; the event loop goes on until it is to be had. Another task of the same process may hold it: this one waits for that, too.
 * @returns true where it was to be had at once
 * @throws ErrorData XX000 where this process holds 200 others
 * @example await lwLockAcquire(lock, LW_SHARED); try { read(); } finally { lwLockRelease(lock); }
 * @pg LWLockAcquire
 */
export function lwLockAcquire(lock: LWLock, mode: LWLockMode): Promise<boolean> {
  return acquireInSteps(lock, mode, (address) => native.lwLockBegin(address, mode));
}

/** `begin` is the first step: 0, it was to be had at once; above 0, the waiter by which it will be. */
export async function acquireInSteps(lock: LWLock, mode: LWLockMode, begin: (address: number) => number): Promise<boolean> {
  checkLockAndMode(lock, mode);
  for (;;) {
    const result = begin(lock.offset);
    if (result === 0) return true;
    if (result > 0) {
      await woken(result, lock);
      return false;
    }
    if (result !== EMFILE) failLock(result, lock);
    await roomToWait(lock);
  }
}

/**
 * Takes a lock where that is possible at once.
 * @returns whether it has it
 * @pg LWLockConditionalAcquire
 */
export function lwLockConditionalAcquire(lock: LWLock, mode: LWLockMode): boolean {
  checkLockAndMode(lock, mode);
  const result = native.lwLockConditionalAcquire(lock.offset, mode);
  if (result < 0) failLock(result, lock);
  return result === 1;
}

/**
 * Releases a lock. With the last one a SIGTERM that came meanwhile acts.
 * @throws ErrorData XX000 `lock … is not held`
 * @pg LWLockRelease
 */
export function lwLockRelease(lock: LWLock): void {
  const left = native.lwLockRelease(lock.offset);
  if (left < 0) failLock(left, lock);
  if (left === 0) leaveIfDying();
}

/**
 * Releases all locks that this process holds, and takes it out of the queues in which it waits. Every end of a process does this first; so does an error that
 * ends a session's call where no other call of that session is under way.
 * @pg LWLockReleaseAll
 */
export function lwLockReleaseAll(): void {
  native.lwLockReleaseAll();
  leaveIfDying();
}

/** Does this process hold the lock? @pg LWLockHeldByMe */
export function lwLockHeldByMe(lock: LWLock): boolean {
  return native.lwLockHeldByMe(lock.offset, -1) === 1;
}

/** Does this process hold the lock in this mode? @pg LWLockHeldByMeInMode */
export function lwLockHeldByMeInMode(lock: LWLock, mode: LWLockMode): boolean {
  checkLockAndMode(lock, mode);
  return native.lwLockHeldByMe(lock.offset, mode) === 1;
}

/** Does this process hold one of these locks? C: an array in memory, its length and its stride. @pg LWLockAnyHeldByMe */
export function lwLockAnyHeldByMe(locks: Iterable<LWLock>): boolean {
  for (const lock of locks) if (lwLockHeldByMe(lock)) return true;
  return false;
}

/** Runs `work` under BackgroundWorkerLock, which is held for microseconds. */
export function withBackgroundWorkerLock<T>(work: () => T): T {
  return withLWLockAt(BACKGROUND_WORKER_LOCK_OFFSET, work);
}

/** The same under the lock at an offset of shared memory. */
export function withLWLockAt<T>(offset: number, work: () => T): T {
  sharedMemory(); // a clear error where there is none
  lwLockAcquireSync({ offset }, LW_EXCLUSIVE);
  try {
    return work();
  } finally {
    lwLockRelease({ offset });
  }
}
