// The check that both ways of registration make. Pure.
// PostgreSQL: src/backend/postmaster/bgworker.c (SanityCheckBackgroundWorker), contract 1.4: in this order, ending at the first failure.

import type { Descriptor } from './background-worker.js';
import { parseRlimits } from '../guc/rlimits.js';
import {
  BGWORKER_BACKEND_DATABASE_CONNECTION,
  BGWORKER_CLASS_PARALLEL,
  BGWORKER_SHMEM_ACCESS,
  BGW_NEVER_RESTART,
  BgWorkerStart_PostmasterStart,
  MAX_RESTART_TIME,
} from '../constants.js';

/**
 * What is wrong with a descriptor, as PostgreSQL words it after `background worker "…": `; null where nothing is. The caller decides whether
 * that is a line in the log (static registration) or an error (dynamic).
 *
 * DIFFERS FROM POSTGRES: release 15 refuses workers without shared memory access. The chapter has them, so they are accepted unless the
 * setting `allow_workers_without_shmem` is off; then this behaves as release 15.
 */
export function sanityCheckBackgroundWorker(worker: Descriptor, allowWithoutShmem: boolean): string | null {
  const has = (flag: number): boolean => (worker.flags & flag) !== 0;
  if (!has(BGWORKER_SHMEM_ACCESS)) {
    if (!allowWithoutShmem) return 'background workers without shared memory access are not supported';
    if (has(BGWORKER_BACKEND_DATABASE_CONNECTION)) return 'must attach to shared memory in order to request a database connection';
  }
  if (has(BGWORKER_BACKEND_DATABASE_CONNECTION) && worker.startTime === BgWorkerStart_PostmasterStart) {
    return 'cannot request database access if starting at postmaster start';
  }
  if ((worker.restartTime < 0 && worker.restartTime !== BGW_NEVER_RESTART) || worker.restartTime > MAX_RESTART_TIME) {
    return 'invalid restart interval';
  }
  if (has(BGWORKER_CLASS_PARALLEL) && worker.restartTime !== BGW_NEVER_RESTART) return 'parallel workers may not be configured for restart';
  const rlimits = parseRlimits(worker.rlimits); // ours
  return typeof rlimits === 'string' ? `invalid resource limits: ${rlimits}` : null;
}
