// Where everything lies in shared memory. Pure: numbers in, numbers out. Laid out once by the postmaster, before the first fork.
//
// Who may write what, and when it changes hands, stands beside each field. The postmaster takes no lock and trusts nothing that it reads
// here; backends coordinate among themselves with BackgroundWorkerLock. Words are four bytes in the machine's order.

import { BGW_EXTRALEN, BGW_MAXLEN, MAXPGPATH, RLIMITS_SIZE } from '../constants.js';

/** 'BGW1', little endian; and the version of this file's layout. */
export const SHMEM_MAGIC = 0x31574742;
export const SHMEM_VERSION = 4;

// Header. Writer: the postmaster, before it forks anything; then only `pmState`, and `quitReason` before it sends SIGQUIT (readers: the handlers).
// `serverState` is the startup process's: it stores what it sees of the database server, then sends PMSIGNAL_SERVER_STATE, at which the postmaster loads it.
export const HEADER = {
  magic: 0,
  version: 4,
  size: 8,
  postmasterPid: 12,
  pmState: 16,
  totalSlots: 20,
  totalProcs: 24,
  quitReason: 28,
  serverState: 32,
} as const;

// PMSignal flags, one word a reason. Writers: any child stores 1, then sends SIGUSR1; the postmaster, having seen a 1, exchanges it for 0.
export const PMSIGNAL_OFFSET = 64;
export const NUM_PMSIGNALS = 8;

// The locks of the machinery itself, of LWLOCK_SIZE bytes each (native/core/lwlock.h). The postmaster takes none while it has children.
export const LWLOCK_SIZE = 16;
/** A latch; native/core/latch.h says who writes what. */
export const LATCH = { isSet: 0, maybeSleeping: 4, ownerPid: 8 } as const;
export const LATCH_SIZE = 16;
/** native/core/condition_variable.h */
export const CONDITION_VARIABLE_SIZE = 16;
export const BARRIER_SIZE = 40;
export const BARRIER_CV = 24;
/** Where each process waits for locks and condition variables; native/core/waiters.h says who writes what. */
export const WAIT_BLOCK_SIZE = 256;
/** Taken by backends around every change of a slot that they own. */
export const BACKGROUND_WORKER_LOCK_OFFSET = 128;
/** Taken around every look into the index of structures, and around each allocation from the area. */
export const SHMEM_INDEX_LOCK_OFFSET = 160;
/** AddinShmemInitLock: taken by modules while they find or initialise their structures. */
export const ADDIN_SHMEM_INIT_LOCK_OFFSET = 208;

// Unsigned counters that wrap; their difference is the number of parallel workers that live.
//   registered: writers: backends, under the lock.   terminated: writer: the postmaster, without it; may be stale when read.
export const PARALLEL = { registerCount: 192, terminateCount: 196 } as const;

// The area that modules share. Writers: whoever holds ShmemIndexLock.
//   freeOffset   (8 bytes) where the next structure may begin, from the start of the mapping; only grows
//   indexCount   entries in use; entries below it never change again
// And trancheCounter, the next number for a tranche of locks: whoever takes one adds 1, without a lock.
export const AREA = { indexCount: 200, trancheCounter: 204, freeOffset: 240 } as const;
/** Numbers below it are the machinery's own. */
export const FIRST_USER_TRANCHE = 128;
/** One structure: name (NUL-padded), offset from the start of the mapping, size. Writer: its first user, under ShmemIndexLock, before indexCount grows. */
export const INDEX_ENTRY = { name: 0, offset: 48, size: 56 } as const;
export const INDEX_ENTRY_SIZE = 64;
/** As in PostgreSQL: SHMEM_INDEX_KEYSIZE (the NUL included) and SHMEM_INDEX_SIZE. */
export const INDEX_NAME_SIZE = 48;
export const INDEX_ENTRIES = 64;
/** Structures begin at multiples of a cache line's size, and of the one that is fetched with it. */
export const AREA_ALIGN = 128;
/** What is there for structures that nobody has asked room for, and for what alignment takes. As in PostgreSQL (CalculateShmemSize). */
export const AREA_SLACK = 100_000;

/**
 * Names of modules' wait events (src/ipc/wait-event-custom.ts). `lock`: held by who adds one. `count`: how many there are; names below it are whole and never change.
 * Writer of both, and of the names: whoever holds the lock. Readers: any backend, without it.
 */
export const WAIT_EVENT_CUSTOM = { count: 144, lock: 224 } as const;
/** As in PostgreSQL: WAIT_EVENT_EXTENSION_HASH_MAX_SIZE, and NAMEDATALEN. */
export const WAIT_EVENT_CUSTOM_MAX = 128;
export const WAIT_EVENT_NAME_SIZE = 64;

const SLOTS_OFFSET = 256;

/**
 * One background worker slot. `inUse` hands it over: while it is 0 the slot belongs to the backends, while it is 1 to the postmaster.
 *
 * - inUse       0 → 1 backend, last step of a registration, under the lock; 1 → 0 postmaster, when the worker is forgotten
 * - terminate   1: backend under the lock (a request), or the postmaster when it rejects a registration; 0: backend, registration
 * - pid         -1: backend, registration; child pid or 0: postmaster. Readers may find it stale.
 * - generation  backend, +1 a registration; never changes while the slot is in use
 * - the rest    backend, registration; the postmaster copies it out once
 */
export const SLOT = {
  inUse: 0,
  terminate: 4,
  pid: 8,
  generation: 16,
  flags: 24,
  startTime: 28,
  restartTime: 32,
  notifyPid: 36,
  mainArg: 40,
  name: 48,
  type: 144,
  functionName: 240,
  libraryName: 336,
  extra: 1360,
  rlimits: 1488,
} as const;
export const SLOT_SIZE = 1792;

/**
 * One process. An entry belongs to the child that the postmaster assigned it to.
 *
 * - flag        UNUSED → ASSIGNED postmaster, before the fork; → ACTIVE child, when it joins; → ASSIGNED child, last of all when it
 *               leaves; → UNUSED postmaster. Found ACTIVE when the child is reaped: it died dirty.
 * - pid … name  the child, when it joins; read by whoever lists processes
 * - latch       see native/core/latch.h
 * - waitEventInfo  the child, around each sleep (native/core/wait_event.h); read by whoever lists processes
 */
export const PROC = { flag: 0, pid: 4, kind: 8, workerSlot: 12, latch: 16, startedAt: 32, name: 48, type: 144, waitEventInfo: 240 } as const;
export const PROC_SIZE = 256;

/**
 * What a process says that it is doing; one entry for each of the above, under the same index. Writer: the child that has the process's entry, which
 * empties it when it joins. Readers: any backend, at any time; the postmaster, when it has reaped a child that died dirty. `changeCount` is odd while the
 * rest changes: src/ipc/backend-status.ts has the protocol.
 */
export const STATUS = { changeCount: 0, state: 4, stateStart: 8, activityStart: 16, activityLength: 24, activity: 32 } as const;
/** PostgreSQL's default of track_activity_query_size: 1,023 bytes, and a zero. */
export const STATUS_ACTIVITY_SIZE = 1024;
export const STATUS_SIZE = 1088;

/**
 * Dynamic shared memory: native/core/dsm.h has the control structure, and says who writes what. So many segments, as PostgreSQL
 * (PG_DYNSHMEM_FIXED_SLOTS, PG_DYNSHMEM_SLOTS_PER_BACKEND).
 */
const DSM_CONTROL_SIZE = 128;
const DSM_ITEM_SIZE = 32;
export const DSM_FIXED_SLOTS = 64;
export const DSM_SLOTS_PER_BACKEND = 5;

/**
 * One entry of the registry of named segments. Its lock is held by whoever looks at it, so that one process initialises a segment and the others wait.
 * `name` is written once, under the registry's lock, and is then constant: an entry is never freed. The rest: under the entry's lock.
 */
export const DSM_REGISTRY_ENTRY = { lock: 0, handle: 16, size: 24, name: 32 } as const;
export const DSM_REGISTRY_NAME_SIZE = 64;
export const DSM_REGISTRY_ENTRY_SIZE = 96;
/** The registry's own lock stands before its entries. */
export const DSM_REGISTRY_ENTRIES = 64;

export interface ShmemLayout {
  readonly totalSlots: number;
  readonly totalProcs: number;
  readonly slotsOffset: number;
  readonly procsOffset: number;
  readonly statusOffset: number;
  readonly waitBlocksOffset: number;
  readonly dsmControlOffset: number;
  readonly dsmRegistryOffset: number;
  /** How many segments there may be, and how many entries the registry has. */
  readonly dsmMaxItems: number;
  readonly waitEventsOffset: number;
  readonly indexOffset: number;
  /** The area for structures: what was asked for, and the slack. Ends with the mapping. */
  readonly areaOffset: number;
  readonly size: number;
}

const PAGE = 4096;

const roundUp = (value: number, unit: number): number => Math.ceil(value / unit) * unit;

/** The layout for so many worker slots and processes, and an area of so many bytes besides the slack. */
export function layoutShmem(totalSlots: number, totalProcs: number, addinSize: number = 0): ShmemLayout {
  const procsOffset = SLOTS_OFFSET + totalSlots * SLOT_SIZE;
  const dsmMaxItems = DSM_FIXED_SLOTS + DSM_SLOTS_PER_BACKEND * totalProcs;
  const statusOffset = roundUp(procsOffset + totalProcs * PROC_SIZE, 64);
  const waitBlocksOffset = roundUp(statusOffset + totalProcs * STATUS_SIZE, 64);
  const dsmControlOffset = roundUp(waitBlocksOffset + totalProcs * WAIT_BLOCK_SIZE, 64);
  const dsmRegistryOffset = dsmControlOffset + roundUp(DSM_CONTROL_SIZE + dsmMaxItems * DSM_ITEM_SIZE, 64);
  const waitEventsOffset = roundUp(dsmRegistryOffset + DSM_REGISTRY_ENTRIES + dsmMaxItems * DSM_REGISTRY_ENTRY_SIZE, 64);
  const indexOffset = roundUp(waitEventsOffset + WAIT_EVENT_CUSTOM_MAX * WAIT_EVENT_NAME_SIZE, AREA_ALIGN);
  const areaOffset = roundUp(indexOffset + INDEX_ENTRIES * INDEX_ENTRY_SIZE, AREA_ALIGN);
  const size = roundUp(areaOffset + addinSize + AREA_SLACK, PAGE);
  const dsm = { dsmControlOffset, dsmRegistryOffset, dsmMaxItems, waitEventsOffset };
  return { totalSlots, totalProcs, slotsOffset: SLOTS_OFFSET, procsOffset, statusOffset, waitBlocksOffset, ...dsm, indexOffset, areaOffset, size };
}

// What the numbers above were made from; a change of a size must not let fields overlap.
const fits =
  SLOT.type === SLOT.name + BGW_MAXLEN &&
  SLOT.functionName === SLOT.type + BGW_MAXLEN &&
  SLOT.libraryName === SLOT.functionName + BGW_MAXLEN &&
  SLOT.extra === SLOT.libraryName + MAXPGPATH &&
  SLOT.rlimits === SLOT.extra + BGW_EXTRALEN &&
  SLOT.rlimits + RLIMITS_SIZE <= SLOT_SIZE &&
  PROC.type === PROC.name + BGW_MAXLEN &&
  PROC.type + BGW_MAXLEN <= PROC.waitEventInfo &&
  PROC.waitEventInfo + 4 <= PROC_SIZE &&
  STATUS.activity + STATUS_ACTIVITY_SIZE <= STATUS_SIZE &&
  BACKGROUND_WORKER_LOCK_OFFSET + LWLOCK_SIZE <= WAIT_EVENT_CUSTOM.count &&
  WAIT_EVENT_CUSTOM.count + 4 <= SHMEM_INDEX_LOCK_OFFSET &&
  SHMEM_INDEX_LOCK_OFFSET + LWLOCK_SIZE <= PARALLEL.registerCount &&
  ADDIN_SHMEM_INIT_LOCK_OFFSET + LWLOCK_SIZE <= WAIT_EVENT_CUSTOM.lock &&
  WAIT_EVENT_CUSTOM.lock + LWLOCK_SIZE <= AREA.freeOffset &&
  AREA.freeOffset + 8 <= SLOTS_OFFSET;
if (!fits) throw new Error('shared memory layout: fields overlap');
