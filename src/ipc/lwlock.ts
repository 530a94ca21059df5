// Locks between backends. The postmaster takes none.
// PostgreSQL: src/backend/storage/lmgr/lwlock.c.

import { check, native } from '../native.js';
import { BACKGROUND_WORKER_LOCK_OFFSET } from '../shmem/layout.js';
import { sharedMemory } from '../shmem/shmem.js';

/**
 * Runs `work` under BackgroundWorkerLock. Blocks while another backend holds it, which is for microseconds; interrupts are held meanwhile, so
 * that a backend that is terminated leaves the slot whole and the lock free.
 */
export function withBackgroundWorkerLock<T>(work: () => T): T {
  return withLWLockAt(BACKGROUND_WORKER_LOCK_OFFSET, work);
}

/** The same under the lock at an offset of shared memory. */
export function withLWLockAt<T>(offset: number, work: () => T): T {
  sharedMemory(); // a clear error where there is none
  check(native.lwLockAcquire(offset), 'lwLockAcquire');
  try {
    return work();
  } finally {
    native.lwLockRelease(offset);
  }
}
