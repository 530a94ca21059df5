// Waiting for a latch or one socket: a wait event set for one call. Any child of the postmaster.
// PostgreSQL: src/backend/storage/ipc/latch.c (WaitLatchOrSocket), REL_15_STABLE.

import { type Latch, WL_EXIT_ON_PM_DEATH, WL_LATCH_SET, WL_POSTMASTER_DEATH, WL_TIMEOUT, checkWait } from './latch.js';
import {
  PGINVALID_SOCKET,
  WL_SOCKET_MASK,
  type WaitEvent,
  type WaitEventSet,
  addWaitEventToSet,
  createWaitEventSet,
  freeWaitEventSet,
  type pgsocket,
  waitEventSetWait,
  waitEventSetWaitSync,
} from './wait-event-set.js';
import type { BlockingWaitOptions, WaitOptions } from './waiters.js';

function latchOrSocketSet(latch: Latch | null, wakeEvents: number, sock: pgsocket): WaitEventSet {
  const set = createWaitEventSet(3);
  try {
    if ((wakeEvents & WL_LATCH_SET) !== 0) addWaitEventToSet(set, WL_LATCH_SET, PGINVALID_SOCKET, latch);
    // DIFFERS FROM POSTGRES: one of the two, exit first (L-16). Release 15 adds both, and fails: the same pipe cannot be in a set twice.
    addWaitEventToSet(set, (wakeEvents & WL_EXIT_ON_PM_DEATH) !== 0 ? WL_EXIT_ON_PM_DEATH : WL_POSTMASTER_DEATH);
    if ((wakeEvents & WL_SOCKET_MASK) !== 0) addWaitEventToSet(set, wakeEvents & WL_SOCKET_MASK, sock);
    return set;
  } catch (err) {
    freeWaitEventSet(set);
    throw err;
  }
}

const firstOf = (events: readonly WaitEvent[]): number => events[0]?.events ?? WL_TIMEOUT;

/**
 * Waits for a latch or a socket, without blocking the event loop. Makes a set for each call: who waits often makes one and keeps it.
 *
 * @param latch as for `waitLatch`
 * @param wakeEvents as for `waitLatch`, and WL_SOCKET_… bits
 * @param sock a file descriptor; PGINVALID_SOCKET without WL_SOCKET_… bits
 * @returns one of WL_LATCH_SET, WL_TIMEOUT, WL_POSTMASTER_DEATH; or those WL_SOCKET_… bits that hold
 * @throws ErrorData XX000, RangeError, TypeError
 * @example const event = await waitLatchOrSocket(myLatch, WL_LATCH_SET | WL_SOCKET_READABLE | WL_EXIT_ON_PM_DEATH, fd);
 * @pg WaitLatchOrSocket
 */
export async function waitLatchOrSocket(
  latch: Latch | null,
  wakeEvents: number,
  sock: pgsocket,
  timeoutMs: number = -1,
  options?: WaitOptions,
): Promise<number> {
  checkWait(latch, wakeEvents, timeoutMs);
  const set = latchOrSocketSet(latch, wakeEvents, sock);
  try {
    return firstOf(await waitEventSetWait(set, (wakeEvents & WL_TIMEOUT) !== 0 ? timeoutMs : -1, 1, options));
  } finally {
    freeWaitEventSet(set);
  }
}

/**
 * Waits for a latch or a socket, and blocks the thread. Parameters, results and errors as {@link waitLatchOrSocket}.
 * @example const event = waitLatchOrSocketSync(null, WL_SOCKET_WRITEABLE | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, fd, 1000);
 * @pg WaitLatchOrSocket
 */
export function waitLatchOrSocketSync(
  latch: Latch | null,
  wakeEvents: number,
  sock: pgsocket,
  timeoutMs: number = -1,
  options?: BlockingWaitOptions,
): number {
  checkWait(latch, wakeEvents, timeoutMs);
  const set = latchOrSocketSet(latch, wakeEvents, sock);
  try {
    return firstOf(waitEventSetWaitSync(set, (wakeEvents & WL_TIMEOUT) !== 0 ? timeoutMs : -1, 1, options));
  } finally {
    freeWaitEventSet(set);
  }
}
