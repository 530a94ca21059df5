// Tranches: names for groups of locks, and locks that modules ask for by name. Postmaster while it starts, and every backend.
// PostgreSQL: src/backend/storage/lmgr/lwlock.c (RequestNamedLWLockTranche, GetNamedLWLockTranche, LWLockNewTrancheId), release 15.

import { checkRequestsInProgress, onShmemRequested } from './ipci.js';
import { shmemInitStruct } from './shmem-index.js';
import { ERRCODE_INVALID_NAME, ERRCODE_PROGRAM_LIMIT_EXCEEDED } from '../elog/errcodes.js';
import { ErrorData } from '../elog/error-data.js';
import { check, native } from '../native.js';
import {
  ADDIN_SHMEM_INIT_LOCK_OFFSET,
  AREA,
  AREA_ALIGN,
  BACKGROUND_WORKER_LOCK_OFFSET,
  FIRST_USER_TRANCHE,
  SHMEM_INDEX_LOCK_OFFSET,
} from '../shmem/layout.js';
import { sharedMemory } from '../shmem/shmem.js';
import type { SharedObject } from '../shmem/struct-types.js';

/** A lock in shared memory: a field of type `'LWLock'`, or one of a named tranche. Opaque. @pg LWLock */
export type LWLock = SharedObject;

/** Held by modules while they find or initialise their structures. @pg AddinShmemInitLock */
export const addinShmemInitLock: LWLock = Object.freeze({ offset: ADDIN_SHMEM_INIT_LOCK_OFFSET });

/** The machinery's own. */
const INDIVIDUAL_LOCKS: Readonly<Record<number, string>> = {
  [BACKGROUND_WORKER_LOCK_OFFSET]: 'BackgroundWorker',
  [SHMEM_INDEX_LOCK_OFFSET]: 'ShmemIndex',
  [ADDIN_SHMEM_INIT_LOCK_OFFSET]: 'AddinShmemInit',
};
const NAMEDATALEN = 64;
const MAX_TRANCHE = 0xffff;

const names = new Map<number, string>();
interface Request {
  readonly name: string;
  readonly count: number;
  locks: readonly LWLock[];
}
const requests: Request[] = [];

/** How messages name a lock. */
export function lwLockName(lock: LWLock): string {
  const individual = INDIVIDUAL_LOCKS[lock.offset];
  if (individual !== undefined) return individual;
  return names.get(native.lwLockTranche(lock.offset)) ?? 'extension';
}

/** How a listing names the lock that somebody waits for: this process may not know the name that another registered. C: GetLWTrancheName. */
export const lwLockTrancheName = (tranche: number): string => names.get(tranche) ?? 'extension';

function checkName(name: string): void {
  if (typeof name !== 'string') throw new TypeError(`the name of a tranche must be a string, not ${typeof name}`);
  const bytes = Buffer.byteLength(name);
  if (bytes > 0 && bytes < NAMEDATALEN) return;
  const message = bytes === 0 ? 'tranche name cannot be empty' : `tranche name "${name}" is too long`;
  throw new ErrorData({ code: ERRCODE_INVALID_NAME, message, detail: `Names have 1 to ${NAMEDATALEN - 1} bytes.` });
}

/**
 * Asks for locks, which `getNamedLWLockTranche` then gives to every process.
 * @param name 1 to 63 bytes
 * @param numLwlocks 1 or more
 * @throws ErrorData FATAL anywhere but in the function that was given to `setShmemRequestHook`; 42602 for the name; RangeError
 * @example setShmemRequestHook(() => requestNamedLWLockTranche('my queue', 4));
 * @pg RequestNamedLWLockTranche
 */
export function requestNamedLWLockTranche(name: string, numLwlocks: number): void {
  checkRequestsInProgress('LWLocks');
  checkName(name);
  if (!Number.isInteger(numLwlocks) || numLwlocks < 1 || numLwlocks > 2 ** 31 - 1) {
    throw new RangeError(`the number of locks must be an integer from 1 to 2147483647, not ${String(numLwlocks)}`);
  }
  requests.push({ name, count: numLwlocks, locks: [] });
}

// A cache line each, as in PostgreSQL: neighbours that are taken by turns would slow each other down.
onShmemRequested({
  size: () => requests.reduce((sum, { count }) => sum + count * AREA_ALIGN, 0),
  startup: () => {
    sharedMemory().store(AREA.trancheCounter, FIRST_USER_TRANCHE);
    names.clear();
    const count = requests.reduce((sum, request) => sum + request.count, 0);
    if (count === 0) return;
    let { address } = shmemInitStruct('MainLWLockArray', count * AREA_ALIGN).region;
    for (const request of requests) {
      const tranche = lwLockNewTrancheId();
      names.set(tranche, request.name);
      request.locks = Array.from({ length: request.count }, () => {
        const lock = Object.freeze({ offset: address });
        address += AREA_ALIGN;
        lwLockInitialize(lock, tranche);
        return lock;
      });
    }
  },
});

/**
 * The locks that were asked for under a name.
 * @throws ErrorData XX000 `requested tranche is not registered`
 * @example const [headLock, tailLock] = getNamedLWLockTranche('my queue');
 * @pg GetNamedLWLockTranche
 */
export function getNamedLWLockTranche(name: string): readonly LWLock[] {
  const request = requests.find((candidate) => candidate.name === name);
  if (request === undefined) throw new ErrorData({ message: 'requested tranche is not registered' });
  return request.locks;
}

/**
 * A number for a tranche of your own, for locks in structures of your own. Make one, keep it in shared memory, register its name in each process.
 * @throws ErrorData 54000 when all 65,535 are used
 * @pg LWLockNewTrancheId
 */
export function lwLockNewTrancheId(): number {
  const memory = sharedMemory();
  const id = memory.fetchAdd(AREA.trancheCounter, 1);
  if (id >= FIRST_USER_TRANCHE && id <= MAX_TRANCHE) return id;
  memory.store(AREA.trancheCounter, MAX_TRANCHE + 1);
  throw new ErrorData({ code: ERRCODE_PROGRAM_LIMIT_EXCEEDED, message: 'too many LWLock tranches' });
}

/**
 * Says how this process's messages name the locks of a tranche. Children inherit what the postmaster registered.
 * @param trancheId from `lwLockNewTrancheId`
 * @pg LWLockRegisterTranche
 */
export function lwLockRegisterTranche(trancheId: number, trancheName: string): void {
  checkName(trancheName);
  if (trancheId >= FIRST_USER_TRANCHE) names.set(trancheId, trancheName);
}

/**
 * Makes a free lock of memory that nobody uses yet. Zeroed memory is one already, of no tranche.
 * @example lwLockInitialize(counters.lock, lwLockNewTrancheId());
 * @pg LWLockInitialize
 */
export function lwLockInitialize(lock: LWLock, trancheId: number): void {
  if (!Number.isInteger(trancheId) || trancheId < 0 || trancheId > MAX_TRANCHE) {
    throw new RangeError(`the tranche must be an integer from 0 to ${MAX_TRANCHE}, not ${String(trancheId)}`);
  }
  sharedMemory();
  check(native.lwLockInitialize(lock.offset, trancheId), 'lwLockInitialize');
}
