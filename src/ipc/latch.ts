// Latches, and waiting for one, blocking and asynchronous. Any child of the postmaster.
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
import { latchWord, resetLatchWord, setLatchWord } from './latch-word.js';
import { postmasterDeathSeen, whileWaitingFor } from './own-words.js';
import { noteProcDie, processSignals, type SignalHandler } from './signals.js';
import { checkWaitEventInfo } from './wait-event.js';
import {
  MAX_TIMEOUT_MS,
  NO_LATCH,
  type BlockingWaitOptions,
  type WaitOptions,
  Waiter,
  checkWaitResult,
  endWaitsFor,
  forgetWaitFor,
  isWaitedFor,
  waitAsync,
  waitError,
} from './waiters.js';
import { ERRCODE_INTERNAL_ERROR } from '../elog/errcodes.js';
import { PANIC } from '../elog/error-data.js';
import { ereport } from '../elog/elog.js';
import { check, native } from '../native.js';

/** The latch was set. @pg WL_LATCH_SET */
export const WL_LATCH_SET = 1;
/** The time is over. @pg WL_TIMEOUT */
export const WL_TIMEOUT = 8;
/** The postmaster died; reported to the caller. @pg WL_POSTMASTER_DEATH */
export const WL_POSTMASTER_DEATH = 16;
/** The postmaster died; the wait ends the process with status 1. @pg WL_EXIT_ON_PM_DEATH */
export const WL_EXIT_ON_PM_DEATH = 32;

/** A latch: a flag that any process may set and its owner waits for. Opaque; objects with the same offset are the same latch. @pg Latch */
export interface Latch {
  /** An address in shared memory, valid in this process only; below 0: in its own memory. */
  readonly offset: number;
}

const EPERM = -1;
/** In the result of a native wait: signals were recorded. */
export const RECORDED: number = 1 << 30;

/** This process's latch: what `setLatch(myLatch)` in a signal handler sets, and what notifications set. @pg MyLatch */
export let myLatch: Latch = Object.freeze({ offset: -1 });

export function setMyLatch(offset: number): void {
  myLatch = Object.freeze({ offset });
}

/** A latch's name for the addon. */
export function latchName(latch: Latch): number {
  const offset = (latch as Latch | null | undefined)?.offset;
  if (typeof offset !== 'number') throw new TypeError(`latch must be a Latch, not ${latch === null ? 'null' : typeof latch}`);
  return offset;
}

const abandoned = new FinalizationRegistry<number>((name) => native.freeLatch(name));

/**
 * Makes a private latch: clear, and owned by this process. Other processes cannot set it; its use is inside of one process, such as for a part of the
 * program that is not to be woken by whatever sets {@link myLatch}.
 * @example const latch = initLatch(); setTimeout(() => setLatch(latch), 10);
 * @pg InitLatch
 */
export function initLatch(): Latch {
  const latch = Object.freeze({ offset: native.initLatch() });
  abandoned.register(latch, latch.offset);
  return latch;
}

function sharedName(latch: Latch): number {
  const name = latchName(latch);
  if (name < 0) throw waitError('latch is not in shared memory');
  return name;
}

/**
 * Makes a latch in shared memory: clear, and owned by nobody. The latch is a field of type `'Latch'` of a structure that processes share. Do this once,
 * before others know of it; its owner calls {@link ownLatch}. Memory that is zero is such a latch already.
 * @throws ErrorData XX000 for a private latch
 * @example initSharedLatch(struct.latch);
 * @pg InitSharedLatch
 */
export function initSharedLatch(latch: Latch): void {
  check(native.initLatch(sharedName(latch)), 'initLatch');
}

/**
 * Takes a shared latch that nobody owns, to wait for it. One that has an owner is a PANIC, as in C: two processes that both believe to own a latch
 * lose wake-ups. Whoever may compete for it must be kept apart by other means.
 * @example ownLatch(struct.latch); onShmemExit(() => disownLatch(struct.latch));
 * @pg OwnLatch
 */
export function ownLatch(latch: Latch): void {
  const owner = check(native.ownLatch(sharedName(latch)), 'ownLatch');
  if (owner !== 0) ereport(PANIC, { code: ERRCODE_INTERNAL_ERROR, message: `latch already owned by PID ${owner}` });
}

/**
 * Gives up a shared latch. Only its owner may, and while it does not wait for it. Who sets it then wakes nobody; it stays set for the next owner.
 * @throws ErrorData XX000
 * @pg DisownLatch
 */
export function disownLatch(latch: Latch): void {
  const name = sharedName(latch);
  if (isWaitedFor(name)) throw waitError('cannot disown a latch while waiting on it');
  forgetWaitFor(name);
  const result = native.disownLatch(name);
  if (result === EPERM) throw waitError('cannot disown a latch owned by another process');
  check(result, 'disownLatch');
}

/**
 * Sets a latch and wakes its owner. Costs no system call where the latch is set already or its owner is awake. Any process, any handler. Never throws
 * for a latch of ours.
 * @example setLatch(myLatch);
 * @pg SetLatch
 */
export function setLatch(latch: Latch): void {
  check(setLatchWord(latchName(latch)), 'setLatch');
}

/**
 * Clears a latch. Only its owner may. Look for work after it, not before.
 *
 * Other asynchronous waits of this process on the same latch end when this clears one that was set: what it was set for may have been meant for
 * them, and they have looked before. (C has one wait at a time; where it has not, who consumes a latch sets it again, L-23.)
 * @throws ErrorData XX000 for another process's latch
 * @example resetLatch(myLatch);
 * @pg ResetLatch
 */
export function resetLatch(latch: Latch): void {
  const wasSet = resetLatchWord(latchName(latch));
  if (wasSet === EPERM) throw waitError('cannot reset a latch owned by another process');
  if (check(wasSet, 'resetLatch') === 1) endWaitsFor(latch.offset);
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

// --- waiting --------------------------------------------------------------------------------------------------------------------------

/** What all waits ask of their arguments. Returns the latch's name, or NO_LATCH where the events do not ask for it (L-17). */
export function checkWait(latch: Latch | null, wakeEvents: number, timeoutMs: number): number {
  if (!Number.isInteger(wakeEvents)) throw new TypeError(`wakeEvents must be WL_… bits, not ${String(wakeEvents)}`);
  if ((wakeEvents & (WL_POSTMASTER_DEATH | WL_EXIT_ON_PM_DEATH)) === 0) {
    throw waitError('cannot wait without watching the postmaster', 'Pass WL_EXIT_ON_PM_DEATH or WL_POSTMASTER_DEATH.');
  }
  if ((wakeEvents & WL_TIMEOUT) !== 0) checkTimeout(timeoutMs);
  if ((wakeEvents & WL_LATCH_SET) === 0) return NO_LATCH;
  if (latch === null) throw waitError('cannot wait on latch without a specified latch');
  return latchName(latch);
}

export function checkTimeout(timeoutMs: number): void {
  if (!(timeoutMs >= 0 && timeoutMs <= MAX_TIMEOUT_MS)) throw new RangeError(`timeout must be 0 to 2147483647 milliseconds, not ${timeoutMs}`);
}

/** A dead postmaster may end the process. */
export function postmasterDied(wakeEvents: number): number {
  if ((wakeEvents & WL_EXIT_ON_PM_DEATH) !== 0) procExit(1);
  return WL_POSTMASTER_DEATH;
}

/**
 * Waits for a latch without blocking the event loop. Several waits may be under way, for the same latch too: all end when it is set.
 *
 * @param latch a latch that this process owns, mostly `myLatch`; null without WL_LATCH_SET
 * @param wakeEvents bits of WL_LATCH_SET, WL_TIMEOUT, and WL_EXIT_ON_PM_DEATH or WL_POSTMASTER_DEATH (one of the two is required)
 * @param timeoutMs milliseconds, 0 to 2,147,483,647; without WL_TIMEOUT it is ignored
 * @param options `signal` ends the wait: the promise is rejected with its reason; `waitEventInfo`: what others see it wait for
 * @returns exactly one of WL_LATCH_SET, WL_TIMEOUT, WL_POSTMASTER_DEATH; a set latch is reported first, even with timeout 0
 * @throws ErrorData XX000 for another process's latch, and without a death flag; RangeError, TypeError
 * @example await waitLatch(myLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, 1000); resetLatch(myLatch);
 * @pg WaitLatch
 */
export function waitLatch(latch: Latch | null, wakeEvents: number, timeoutMs: number = -1, options?: WaitOptions): Promise<number> {
  return waitAsync(() => new LatchWaiter(latch, wakeEvents, timeoutMs, options));
}

class LatchWaiter extends Waiter<number> {
  readonly #wakeEvents: number;

  constructor(latch: Latch | null, wakeEvents: number, timeoutMs: number, options: WaitOptions | undefined) {
    super(checkWait(latch, wakeEvents, timeoutMs), (wakeEvents & WL_TIMEOUT) !== 0 ? timeoutMs : -1, options);
    this.#wakeEvents = wakeEvents;
  }

  override look(): number | null {
    if (this.latch !== NO_LATCH && checkWaitResult(latchWord(this.latch), 'latchIsSet') === 1) return WL_LATCH_SET;
    return postmasterDeathSeen() ? postmasterDied(this.#wakeEvents) : null;
  }

  override latchSet(): number {
    return WL_LATCH_SET;
  }

  override timedOut(): number {
    return WL_TIMEOUT;
  }
}

/**
 * Waits for a latch and blocks the thread: nothing else of JavaScript runs, except handlers of signals. The default SIGTERM action still
 * ends the process at once. Parameters, results and errors as {@link waitLatch}; there is no signal to abort it.
 * @example waitLatchSync(myLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, 1000); resetLatch(myLatch);
 * @pg WaitLatch
 */
export function waitLatchSync(latch: Latch | null, wakeEvents: number, timeoutMs: number = -1, options?: BlockingWaitOptions): number {
  const name = checkWait(latch, wakeEvents, timeoutMs);
  const events = wakeEvents | ((wakeEvents & WL_EXIT_ON_PM_DEATH) !== 0 ? WL_POSTMASTER_DEATH : 0);
  const deadline = (wakeEvents & WL_TIMEOUT) !== 0 ? performance.now() + timeoutMs : -1;
  const info = checkWaitEventInfo(options?.waitEventInfo);
  for (let left = Math.ceil(timeoutMs); ; left = Math.max(0, Math.ceil(deadline - performance.now()))) {
    const result = checkWaitResult(
      whileWaitingFor(info, () => native.waitLatch(name, events, left)),
      'epoll_wait',
    );
    // A signal is recorded, and its handler may set the latch; the time is over the whole call, however often it is interrupted (L-12).
    if ((result & RECORDED) !== 0) processSignals();
    const event = result & ~RECORDED;
    if (event === 0) continue;
    return event === WL_POSTMASTER_DEATH ? postmasterDied(wakeEvents) : event;
  }
}
