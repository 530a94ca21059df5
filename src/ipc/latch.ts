// Latches and waiting, blocking and asynchronous, on one wait set. Any child of the postmaster.
// PostgreSQL: src/include/storage/latch.h, src/backend/storage/ipc/latch.c, contract section L.
//
// The canonical loop; nothing that another process changes may be looked at between the wait and the reset:
//
//   for (;;) {
//     resetLatch(myLatch);
//     checkForInterrupts();
//     if (workToDo()) doIt();
//     await waitLatch(myLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, 10_000);
//   }

import { procExit } from './exit.js';
import { noteProcDie, processSignals, type SignalHandler, wakeInterruptWaiters } from './signals.js';
import { ERRCODE_INTERNAL_ERROR } from '../elog/errcodes.js';
import { ErrorData } from '../elog/error-data.js';
import { check, native } from '../native.js';

/** The latch was set. @pg WL_LATCH_SET */
export const WL_LATCH_SET = 1;
/** The time is over. @pg WL_TIMEOUT */
export const WL_TIMEOUT = 8;
/** The postmaster died; reported to the caller. @pg WL_POSTMASTER_DEATH */
export const WL_POSTMASTER_DEATH = 16;
/** The postmaster died; the wait ends the process with status 1. @pg WL_EXIT_ON_PM_DEATH */
export const WL_EXIT_ON_PM_DEATH = 32;

/** A latch: a flag that any process may set and its owner waits for. Opaque. @pg Latch */
export interface Latch {
  /** Byte offset in shared memory, or -1: the process's own. */
  readonly offset: number;
}

/** This process's latch: what `setLatch(myLatch)` in a signal handler sets, and what notifications set. @pg MyLatch */
export let myLatch: Latch = Object.freeze({ offset: -1 });

export function setMyLatch(offset: number): void {
  myLatch = Object.freeze({ offset });
}

/**
 * Sets a latch and wakes its owner. Costs no system call where the latch is set already or its owner is awake. Never throws for a latch of ours.
 * @pg SetLatch
 */
export function setLatch(latch: Latch): void {
  check(native.setLatch(latch.offset), 'setLatch');
}

/**
 * Clears a latch. Only its owner may. Look for work after it, not before.
 *
 * Other asynchronous waits of this process on the same latch end when this clears one that was set: what it was set for may have been meant for
 * them, and they have looked before. (C has one wait at a time; where it has not, who consumes a latch sets it again, L-23.)
 * @pg ResetLatch
 */
export function resetLatch(latch: Latch): void {
  const wasSet = check(native.resetLatch(latch.offset), 'resetLatch') === 1;
  if (!wasSet) return;
  for (const waiter of waiters) {
    if (waiter.latch.offset === latch.offset && (waiter.events & WL_LATCH_SET) !== 0) waiter.finish(WL_LATCH_SET);
  }
}

/**
 * A SIGTERM handler that does not end the process at once: it notes the request and sets the latch; `checkForInterrupts` then ends the
 * process in order. `pqsignal('SIGTERM', die)`.
 * @pg die
 */
export const die: SignalHandler = () => {
  noteProcDie();
  setLatch(myLatch);
};

// --- asynchronous waits -------------------------------------------------------------------------------------------------------------

interface Waiter {
  readonly latch: Latch;
  readonly events: number;
  readonly finish: (event: number) => void;
}

const waiters = new Set<Waiter>();

/** In a fresh child, before anything waits: the wait set, watched by the event loop. */
export function initializeLatchSupport(): void {
  waiters.clear();
  check(native.waitSetInit(onWake), 'epoll_create1');
}

// On the event loop: something became readable. Handlers first, since they set latches.
function onWake(result: number): void {
  check(result, 'epoll_wait');
  processSignals();
  const dead = native.postmasterDeathSeen();
  if (dead) wakeInterruptWaiters();
  for (const waiter of waiters) {
    if ((waiter.events & WL_LATCH_SET) !== 0 && native.latchIsSet(waiter.latch.offset) === 1) waiter.finish(WL_LATCH_SET);
    else if (dead && (waiter.events & (WL_POSTMASTER_DEATH | WL_EXIT_ON_PM_DEATH)) !== 0) waiter.finish(WL_POSTMASTER_DEATH);
  }
}

function removeWaiter(waiter: Waiter): void {
  waiters.delete(waiter);
  if (![...waiters].some((other) => other.latch.offset === waiter.latch.offset)) native.latchWake(waiter.latch.offset);
  if (waiters.size === 0) native.waitSetRef(false);
}

function checkEvents(wakeEvents: number, timeoutMs: number): void {
  if ((wakeEvents & (WL_POSTMASTER_DEATH | WL_EXIT_ON_PM_DEATH)) === 0) {
    throw new ErrorData({
      code: ERRCODE_INTERNAL_ERROR,
      message: 'cannot wait without watching the postmaster',
      hint: 'Pass WL_EXIT_ON_PM_DEATH or WL_POSTMASTER_DEATH.',
    });
  }
  if ((wakeEvents & WL_TIMEOUT) !== 0 && !(timeoutMs >= 0 && timeoutMs <= 0x7fffffff)) {
    throw new RangeError(`timeout must be 0 to 2147483647 milliseconds, not ${timeoutMs}`);
  }
}

/** What both kinds of wait return at their end: handlers have run, and a dead postmaster may end the process. */
function waitResult(event: number, wakeEvents: number): number {
  if (event === WL_POSTMASTER_DEATH && (wakeEvents & WL_EXIT_ON_PM_DEATH) !== 0) procExit(1);
  return event;
}

/**
 * Waits for a latch without blocking the event loop.
 *
 * @param latch a latch that this process owns, mostly `myLatch`
 * @param wakeEvents bits of WL_LATCH_SET, WL_TIMEOUT, and WL_EXIT_ON_PM_DEATH or WL_POSTMASTER_DEATH (one of the two is required)
 * @param timeoutMs milliseconds, 0 to 2,147,483,647; without WL_TIMEOUT it is ignored
 * @returns exactly one of WL_LATCH_SET, WL_TIMEOUT, WL_POSTMASTER_DEATH; a set latch is reported first, even with timeout 0
 * @example await waitLatch(myLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, 1000); resetLatch(myLatch);
 * @pg WaitLatch
 */
export function waitLatch(latch: Latch, wakeEvents: number, timeoutMs: number = -1): Promise<number> {
  return new Promise((resolve) => {
    checkEvents(wakeEvents, timeoutMs);
    let timer: NodeJS.Timeout | undefined;
    const waiter: Waiter = {
      latch,
      events: wakeEvents,
      finish: (event) => {
        clearTimeout(timer);
        removeWaiter(waiter);
        resolve(waitResult(event, wakeEvents));
      },
    };
    // Announce first, look second: a setter that misses the announcement is seen by the look. Pairs with the second fence in BgwSetLatch.
    if ((wakeEvents & WL_LATCH_SET) !== 0 && native.latchPrepareSleep(latch.offset) === 1) {
      processSignals(); // every wait is a safe point, also one that need not wait
      resolve(WL_LATCH_SET);
      return;
    }
    waiters.add(waiter);
    if (native.postmasterDeathSeen()) {
      waiter.finish(WL_POSTMASTER_DEATH);
      return;
    }
    native.waitSetRef(true);
    if ((wakeEvents & WL_TIMEOUT) !== 0) timer = setTimeout(() => waiter.finish(WL_TIMEOUT), timeoutMs);
  });
}

/**
 * Waits for a latch and blocks the thread: nothing else of JavaScript runs, except handlers of signals. The default SIGTERM action still
 * ends the process at once. Parameters and results as {@link waitLatch}.
 * @pg WaitLatch
 */
export function waitLatchSync(latch: Latch, wakeEvents: number, timeoutMs: number = -1): number {
  checkEvents(wakeEvents, timeoutMs);
  const events = wakeEvents | ((wakeEvents & WL_EXIT_ON_PM_DEATH) !== 0 ? WL_POSTMASTER_DEATH : 0);
  const timed = (wakeEvents & WL_TIMEOUT) !== 0;
  const deadline = timed ? performance.now() + timeoutMs : 0;
  for (;;) {
    const left = timed ? Math.max(0, Math.ceil(deadline - performance.now())) : -1;
    const event = check(native.waitLatch(latch.offset, events, left), 'epoll_wait');
    processSignals();
    if (event !== 0) return waitResult(event, wakeEvents);
  }
}
