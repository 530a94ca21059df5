// Both ways of registering a worker: static, while the postmaster preloads; dynamic, from any backend.
// PostgreSQL: src/backend/postmaster/bgworker.c (RegisterBackgroundWorker, RegisterDynamicBackgroundWorker), contract 1.5 and 1.6.

import { type BackgroundWorker, type Descriptor, toDescriptor } from './background-worker.js';
import type { BackgroundWorkerHandle } from './handle.js';
import { findExport } from './library.js';
import { sanityCheckBackgroundWorker } from './sanity-check.js';
import { activeParallelWorkers, fillSlot, slotInUse, totalSlots } from './slots.js';
import { BGWORKER_CLASS_PARALLEL } from '../constants.js';
import {
  ERRCODE_CONFIGURATION_LIMIT_EXCEEDED,
  ERRCODE_FEATURE_NOT_SUPPORTED,
  ERRCODE_INVALID_PARAMETER_VALUE,
  ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
} from '../elog/errcodes.js';
import { DEBUG1, ERROR, LOG } from '../elog/error-data.js';
import { ereport } from '../elog/elog.js';
import { isUnderPostmaster, myBackendType } from '../globals.js';
import { getConfigOption } from '../guc/guc.js';
import { withBackgroundWorkerLock } from '../ipc/lwlock.js';
import { PMSIGNAL_BACKGROUND_WORKER_CHANGE, sendPostmasterSignal } from '../ipc/pmsignal.js';

// --- static -----------------------------------------------------------------------------------------------------------------------

// The postmaster's private list while it preloads: newest first, since each accepted worker is pushed at the head.
const staticWorkers: Descriptor[] = [];
let acceptedCount = 0;
/** Are the modules of `shared_preload_libraries` being loaded? In a backend that loads a module later this is false. @pg process_shared_preload_libraries_in_progress */
export let processSharedPreloadLibrariesInProgress = false;

/** Postmaster: registrations are taken only between these two. */
export function beginPreload(): void {
  processSharedPreloadLibrariesInProgress = true;
}
export function endPreload(): readonly Descriptor[] {
  processSharedPreloadLibrariesInProgress = false;
  return staticWorkers;
}

// Fills an empty type with the name, in the caller's object too.
function fillType(worker: BackgroundWorker, descriptor: Descriptor): Descriptor {
  if (descriptor.type !== '') return descriptor;
  worker.type = descriptor.name;
  return { ...descriptor, type: descriptor.name };
}

function check(descriptor: Descriptor): string | null {
  const complaint = sanityCheckBackgroundWorker(descriptor, getConfigOption('allow_workers_without_shmem'));
  return complaint === null ? null : `background worker "${descriptor.name}": ${complaint}`;
}

/**
 * Registers a worker that the postmaster starts by itself. Call it from `_PG_init()` of a module that is listed in
 * `shared_preload_libraries`. Nothing is returned: a worker that is refused is one line in the log, and the server starts without it.
 * Called in a backend it is ignored, as in release 15.
 *
 * @param worker see {@link BackgroundWorker}; copied. An empty `type` is filled with the name.
 * @throws TypeError, RangeError for a malformed object; ErrorData 0A000 in a process that belongs to no postmaster
 * @example
 * export function _PG_init() {
 *   registerBackgroundWorker({ name: 'rollup', flags: BGWORKER_SHMEM_ACCESS, startTime: BgWorkerStart_RecoveryFinished, restartTime: 10, main });
 * }
 * @pg RegisterBackgroundWorker
 */
export function registerBackgroundWorker(worker: BackgroundWorker): void {
  if (isUnderPostmaster()) return;
  if (myBackendType !== 'postmaster' || !processSharedPreloadLibrariesInProgress) {
    ereport(myBackendType === 'postmaster' ? LOG : ERROR, {
      code: ERRCODE_FEATURE_NOT_SUPPORTED,
      message: `background worker "${worker.name}": must be registered in shared_preload_libraries`,
      hint: 'List the module in "shared_preload_libraries" and register from its _PG_init function.',
    });
    return;
  }
  const descriptor = toDescriptor(worker);
  ereport(DEBUG1, { message: `registering background worker "${descriptor.name}"` });
  const complaint = check(descriptor);
  if (complaint !== null) {
    ereport(LOG, { code: ERRCODE_INVALID_PARAMETER_VALUE, message: complaint });
    return;
  }
  const filled = fillType(worker, descriptor);
  if (filled.notifyPid !== 0) {
    const message = `background worker "${filled.name}": only dynamic background workers can request notification`;
    ereport(LOG, { code: ERRCODE_FEATURE_NOT_SUPPORTED, message });
    return;
  }
  const limit = getConfigOption('max_worker_processes');
  acceptedCount++; // never lowered, also not for one that is refused next
  if (acceptedCount > limit) {
    ereport(LOG, {
      code: ERRCODE_CONFIGURATION_LIMIT_EXCEEDED,
      message: 'too many background workers',
      detail: `Up to ${limit} background ${limit === 1 ? 'worker' : 'workers'} can be registered with the current settings.`,
      hint: 'Consider increasing the configuration parameter "max_worker_processes".',
    });
    return;
  }
  staticWorkers.unshift(filled);
}

// --- dynamic ----------------------------------------------------------------------------------------------------------------------

// A function cannot travel to the postmaster; what travels is where it is exported.
function nameMain(descriptor: Descriptor): Descriptor {
  if (descriptor.main === null) return descriptor;
  const place = findExport(descriptor.main);
  if (place === undefined) {
    ereport(ERROR, {
      code: ERRCODE_INVALID_PARAMETER_VALUE,
      message: `background worker "${descriptor.name}": main function is not an export of a preloaded module`,
      detail: 'The worker is forked from the postmaster, which has only what its preloaded modules export.',
      hint: 'Export the function from a module in "shared_preload_libraries", or give libraryName and functionName.',
    });
    throw new Error('unreachable');
  }
  return { ...descriptor, main: null, ...place };
}

function claimSlot(descriptor: Descriptor): BackgroundWorkerHandle | null {
  if ((descriptor.flags & BGWORKER_CLASS_PARALLEL) !== 0 && activeParallelWorkers() >= getConfigOption('max_parallel_workers')) {
    return null;
  }
  for (let slot = 0; slot < totalSlots(); slot++) {
    if (!slotInUse(slot)) return Object.freeze({ slot, generation: fillSlot(slot, descriptor) });
  }
  return null;
}

/**
 * Registers a worker from a backend: a session's function, or another worker. Returns at once; a handle means "the request is stored", not
 * that the worker has started or will succeed. Not transactional.
 *
 * @param worker see {@link BackgroundWorker}; `notifyPid: myProcPid` to be signalled and to be able to wait. `main` must be an export of a
 * preloaded module; else give `libraryName` and `functionName`.
 * @returns a handle; null where no slot is free (`max_worker_processes`), too many parallel workers live, or the caller is the postmaster
 * @throws ErrorData 22023 for a descriptor that fails the sanity check; TypeError, RangeError for a malformed object
 * @example
 * const handle = registerDynamicBackgroundWorker({
 *   name: 'import 7', flags: BGWORKER_SHMEM_ACCESS, startTime: BgWorkerStart_ConsistentState, restartTime: BGW_NEVER_RESTART,
 *   libraryName: './import.js', functionName: 'main', mainArg: 7n, notifyPid: myProcPid,
 * });
 * if (handle === null) throw new Error('all worker slots are taken');
 * @pg RegisterDynamicBackgroundWorker
 */
export function registerDynamicBackgroundWorker(worker: BackgroundWorker): BackgroundWorkerHandle | null {
  if (myBackendType === 'postmaster') return null;
  if (!isUnderPostmaster()) {
    ereport(ERROR, {
      code: ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
      message: 'background workers can be registered only in a process of a postmaster',
      hint: "In an application use connect(dir) and the session's registerDynamicBackgroundWorker().",
    });
  }
  const descriptor = toDescriptor(worker);
  const complaint = check(descriptor);
  if (complaint !== null) ereport(ERROR, { code: ERRCODE_INVALID_PARAMETER_VALUE, message: complaint });
  const stored = nameMain(fillType(worker, descriptor));
  const handle = withBackgroundWorkerLock(() => claimSlot(stored));
  if (handle !== null) sendPostmasterSignal(PMSIGNAL_BACKGROUND_WORKER_CHANGE);
  return handle;
}
