// Wait events of modules: a number for a name, the same in every process; and the names of all events. Backends.
// PostgreSQL: src/backend/utils/activity/wait_event.c (WaitEventExtensionNew, GetWaitEventExtensionIdentifier, pgstat_get_wait_event) as of release 17: 15
// has PG_WAIT_EXTENSION for all of them.

import { LW_EXCLUSIVE, lwLockAcquireSync, lwLockRelease } from './lwlock.js';
import { lwLockTrancheName } from './lwlock-tranche.js';
import { PG_WAIT_EXTENSION, PG_WAIT_LWLOCK, builtinWaitEvent, waitEventClass } from './wait-event.js';
import { ERRCODE_INTERNAL_ERROR, ERRCODE_PROGRAM_LIMIT_EXCEEDED } from '../elog/errcodes.js';
import { ErrorData } from '../elog/error-data.js';
import { WAIT_EVENT_CUSTOM, WAIT_EVENT_CUSTOM_MAX, WAIT_EVENT_NAME_SIZE } from '../shmem/layout.js';
import { type SharedMemory, sharedMemory } from '../shmem/shmem.js';

/** Below it PG_WAIT_EXTENSION itself. */
const FIRST_ID = 1;

const nameAt = (memory: SharedMemory, at: number): string =>
  memory.loadText(memory.layout.waitEventsOffset + at * WAIT_EVENT_NAME_SIZE, WAIT_EVENT_NAME_SIZE);

// Whatever is there, it is no more than there is room for.
const countOf = (memory: SharedMemory): number => Math.min(memory.load(WAIT_EVENT_CUSTOM.count) >>> 0, WAIT_EVENT_CUSTOM_MAX);

function findWaitEvent(memory: SharedMemory, name: string): number {
  // Pairs with the store in waitEventExtensionNew: names below the count are whole, and never change.
  const count = countOf(memory);
  for (let at = 0; at < count; at++) if (nameAt(memory, at) === name) return at;
  return -1;
}

/**
 * The wait event of a name: to be passed as `waitEventInfo` to waits, which `bgworker ps` and the session's activity() then show under it. The first process that
 * asks makes it; every other gets the same. Up to 128; they stay until the postmaster ends, or begins again after a crash.
 *
 * @param waitEventName 1 to 63 bytes, such as 'WorkerSpiMain'
 * @throws ErrorData XX000 for a longer name, 54000 `too many custom wait events`; TypeError; RangeError for an empty one
 * @example
 * const waitEventInfo = waitEventExtensionNew('RollupMain');
 * await waitLatch(myLatch, WL_LATCH_SET | WL_EXIT_ON_PM_DEATH, -1, { waitEventInfo });
 * @pg WaitEventExtensionNew
 */
export function waitEventExtensionNew(waitEventName: string): number {
  if (typeof waitEventName !== 'string') throw new TypeError(`the name of a wait event must be a string, not ${typeof waitEventName}`);
  const bytes = Buffer.from(waitEventName);
  if (bytes.length === 0 || bytes.includes(0)) throw new RangeError('the name of a wait event must have characters, and no NUL among them');
  if (bytes.length >= WAIT_EVENT_NAME_SIZE) {
    const message = `cannot use custom wait event string longer than ${WAIT_EVENT_NAME_SIZE - 1} characters`;
    throw new ErrorData({ code: ERRCODE_INTERNAL_ERROR, message });
  }
  const memory = sharedMemory();
  const known = findWaitEvent(memory, waitEventName);
  if (known >= 0) return PG_WAIT_EXTENSION + FIRST_ID + known;
  const lock = { offset: WAIT_EVENT_CUSTOM.lock };
  lwLockAcquireSync(lock, LW_EXCLUSIVE);
  try {
    const meanwhile = findWaitEvent(memory, waitEventName);
    return PG_WAIT_EXTENSION + FIRST_ID + (meanwhile >= 0 ? meanwhile : append(memory, bytes));
  } finally {
    lwLockRelease(lock);
  }
}

function append(memory: SharedMemory, name: Uint8Array): number {
  const at = countOf(memory);
  if (at === WAIT_EVENT_CUSTOM_MAX) throw new ErrorData({ code: ERRCODE_PROGRAM_LIMIT_EXCEEDED, message: 'too many custom wait events' });
  memory.storeBytes(memory.layout.waitEventsOffset + at * WAIT_EVENT_NAME_SIZE, WAIT_EVENT_NAME_SIZE, name);
  memory.store(WAIT_EVENT_CUSTOM.count, at + 1); // Pairs with the load in findWaitEvent
  return at;
}

/**
 * The name of an event, as a listing shows it; null for 0, where nobody waits.
 * @example pgstatGetWaitEvent(PG_WAIT_EXTENSION) // 'Extension'
 * @pg pgstat_get_wait_event
 */
export function pgstatGetWaitEvent(waitEventInfo: number): string | null {
  const builtin = builtinWaitEvent(waitEventInfo);
  if (builtin !== null || waitEventInfo === 0) return builtin;
  const event = waitEventInfo - waitEventClass(waitEventInfo);
  if (waitEventClass(waitEventInfo) === PG_WAIT_LWLOCK) return lwLockTrancheName(event);
  if (waitEventClass(waitEventInfo) !== PG_WAIT_EXTENSION) return 'unknown wait event';
  const memory = sharedMemory();
  const at = event - FIRST_ID;
  return at < countOf(memory) ? nameAt(memory, at) : 'unknown wait event';
}
