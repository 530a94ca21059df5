// How modules get shared memory of their own: they ask for room while it is not there yet, and initialise it once it is. Postmaster.
// PostgreSQL: src/backend/storage/ipc/ipci.c (RequestAddinShmemSpace), src/backend/utils/init/miscinit.c (process_shmem_requests), release 15.
//
//   modules are preloaded            _PG_init sets the hooks
//   processShmemRequests()           shmem_request_hook: requestAddinShmemSpace, requestNamedLWLockTranche
//   shared memory is created
//   processShmemStartup()            shmem_startup_hook: shmemInitStruct; again after every crash cycle

import { ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, ERRCODE_PROGRAM_LIMIT_EXCEEDED } from '../elog/errcodes.js';
import { ErrorData, FATAL } from '../elog/error-data.js';
import { ereport } from '../elog/elog.js';
import { myBackendType } from '../globals.js';
import { native } from '../native.js';

/** Synchronous: the postmaster waits for nothing. What it throws ends the start of the server, or the server. */
export type ShmemHook = () => void;

/** The most that modules can have: an address is 40 bits within its region. */
const MAX_SHMEM_SIZE = 2 ** 40 - 2 ** 32;

let requestHook: ShmemHook | null = null;
let startupHook: ShmemHook | null = null;
let requestsInProgress = false;
let totalAddinRequest = 0;

function checkHook(hook: ShmemHook | null): ShmemHook | null {
  if (hook !== null && typeof hook !== 'function') throw new TypeError(`the hook must be a function or null, not ${typeof hook}`);
  return hook;
}

/**
 * Sets the function that asks for shared memory: it is called once, when all modules have been loaded, and is the only place for
 * `requestAddinShmemSpace` and `requestNamedLWLockTranche`. Returns the function that was set before, which yours must call: another module's.
 *
 * Call it from `_PG_init` of a preloaded module. Where it comes too late (in a worker, in a session's backend) it changes nothing, as in C.
 *
 * @param hook synchronous
 * @throws TypeError for what is no function
 * @example
 * export function _PG_init() {
 *   const previous = setShmemRequestHook(() => { previous?.(); requestAddinShmemSpace(Counters.size); });
 * }
 * @pg shmem_request_hook
 */
export function setShmemRequestHook(hook: ShmemHook | null): ShmemHook | null {
  const previous = requestHook;
  requestHook = checkHook(hook);
  return previous;
}

/**
 * Sets the function that initialises shared memory: it is called in the postmaster before it forks anything, and again after every crash cycle, when all
 * of shared memory is new. Returns the function that was set before, which yours must call. See {@link setShmemRequestHook}.
 *
 * @example
 * let counters;
 * const previous = setShmemStartupHook(() => { previous?.(); counters = shmemInitStruct('counters', Counters).struct; });
 * @pg shmem_startup_hook
 */
export function setShmemStartupHook(hook: ShmemHook | null): ShmemHook | null {
  const previous = startupHook;
  startupHook = checkHook(hook);
  return previous;
}

/** FATAL ends a child here and now; in the postmaster whoever loads modules reports it, with what it was doing. */
function fatal(fields: { code?: string; message: string; hint?: string }): void {
  if (myBackendType === 'postmaster' || myBackendType === 'application') throw new ErrorData({ ...fields, severity: 'FATAL' });
  ereport(FATAL, fields);
}

/** What may be done in the request hook only. `what` as PostgreSQL has it. */
export function checkRequestsInProgress(what: string): void {
  if (requestsInProgress) return;
  fatal({
    message: `cannot request additional ${what} outside shmem_request_hook`,
    hint: 'Call it from the function that is given to setShmemRequestHook.',
  });
}

/** Sizes of memory, as C's size_t would have them. @throws TypeError, ErrorData 22023 or 54000 */
export function checkShmemSize(size: number, what: string): number {
  if (typeof size !== 'number') throw new TypeError(`the size of ${what} must be a number of bytes, not ${typeof size}`);
  if (size > MAX_SHMEM_SIZE) throw new ErrorData({ code: ERRCODE_PROGRAM_LIMIT_EXCEEDED, message: 'requested shared memory size overflows size_t' });
  if (!Number.isInteger(size) || size < 0) throw new RangeError(`the size of ${what} must be a whole number of bytes, 0 or more, not ${size}`);
  return size;
}

/**
 * Asks for room in the shared memory area, for `shmemInitStruct` to find later. Requests add up. There are about 100 kB besides that nobody asked for, as in
 * PostgreSQL, for alignment (each structure begins at a multiple of 128 bytes) and for small things.
 *
 * @param size bytes
 * @throws ErrorData FATAL anywhere but in the function that was given to {@link setShmemRequestHook}; 54000 where the sum overflows; TypeError, RangeError
 * @example setShmemRequestHook(() => requestAddinShmemSpace(Counters.size));
 * @pg RequestAddinShmemSpace
 */
export function requestAddinShmemSpace(size: number): void {
  checkRequestsInProgress('shared memory');
  totalAddinRequest = checkShmemSize(totalAddinRequest + checkShmemSize(size, 'the request'), 'all requests');
}

function runHook(hook: ShmemHook | null, name: string): void {
  const result = hook?.() as unknown;
  if (typeof (result as Promise<unknown> | undefined)?.then !== 'function') return;
  (result as Promise<unknown>).then(undefined, () => undefined);
  throw new ErrorData({
    severity: 'FATAL',
    code: ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
    message: `${name} must not be asynchronous`,
    detail: 'It returned a promise, and the postmaster waits for none.',
  });
}

/** What this package itself has in the area, by what modules asked of it. */
interface OwnRequest {
  readonly size: () => number;
  readonly startup: () => void;
}
const ownRequests: OwnRequest[] = [];

/** For modules of this package, while they are loaded: room to be added to the request, and what is to be done before the start-up hooks. */
export function onShmemRequested(request: OwnRequest): void {
  ownRequests.push(request);
}

/** Postmaster, when the modules are loaded: how many bytes they want. */
export function processShmemRequests(): number {
  requestsInProgress = true;
  try {
    runHook(requestHook, 'shmem_request_hook');
  } finally {
    requestsInProgress = false;
  }
  return ownRequests.reduce((sum, { size }) => checkShmemSize(sum + size(), 'all requests'), totalAddinRequest);
}

/** Postmaster, when shared memory is new: at start, and in each crash cycle. */
export function processShmemStartup(): void {
  for (const { startup } of ownRequests) startup();
  runHook(startupHook, 'shmem_startup_hook');
  if (native.lwLockHeldCount() === 0) return;
  throw new ErrorData({
    severity: 'FATAL',
    code: ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
    message: 'shmem_startup_hook must release the locks that it takes',
  });
}
