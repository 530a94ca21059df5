// Asynchronous waits: who waits, and what ends a wait. Any child of the postmaster; the event loop's part is native/binding/loop.cc.
//
// Several may be under way at once, for one latch or for many. When the loop wakes, each looks for itself: all that wait for a latch that is set end,
// in the order in which they began. A wait does not reset its latch.

import { processSignals, wakeInterruptWaiters } from './signals.js';
import { ERRCODE_INTERNAL_ERROR, ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE } from '../elog/errcodes.js';
import { ErrorData } from '../elog/error-data.js';
import { isUnderPostmaster } from '../globals.js';
import { check, native } from '../native.js';

/** What an asynchronous wait takes besides C's arguments. */
export interface WaitOptions {
  /** Ends the wait: its promise is rejected with the signal's reason; at once where it was aborted before. */
  readonly signal?: AbortSignal | undefined;
}

/** No latch has this name. */
export const NO_LATCH: number = Number.MIN_SAFE_INTEGER;
/** INT_MAX, the longest time that a wait takes. */
export const MAX_TIMEOUT_MS = 0x7fffffff;

/** A wait, as who begins it describes it. */
export interface Wait<T> {
  /** The name of the latch that is waited for, or NO_LATCH. */
  readonly latch: number;
  /** Milliseconds; below 0: for ever. */
  readonly timeoutMs: number;
  readonly options: WaitOptions | undefined;
  /** Called when there is news, and first of all: what has occurred, or null. */
  look(): T | null;
  /** The result of a wait whose latch was set. */
  latchSet(): T;
  /** The result of one whose time is over. */
  timedOut(): T;
  /** It sleeps from here on, and no more. */
  sleeps?(begins: boolean): void;
}

const EPERM = -1;
const ENOTCONN = -107;

const waiters = new Set<Waiter<unknown>>();

/** In a fresh child, before anything waits. @pg InitializeLatchSupport */
export function initializeLatchSupport(): void {
  waiters.clear();
  check(native.waitEventSupportInit(onWake), 'epoll_create1');
}

// On the event loop, once a turn at most. Handlers first, since they set latches.
function onWake(recorded: boolean, dead: boolean): void {
  if (recorded) processSignals();
  if (dead) wakeInterruptWaiters();
  for (const waiter of waiters) waiter.look();
}

/**
 * After a reset that took away a set: who else waits for the latch has its wait ended. What it was set for may have been meant for them, and they
 * have looked before.
 */
export function endWaitsFor(latch: number): void {
  for (const waiter of waiters) if (waiter.wait.latch === latch) waiter.end(waiter.wait.latchSet());
}

/** The result of a native wait, or the error that it is. */
export function checkWaitResult(result: number, syscall: string): number {
  if (result === EPERM) refuseForeignLatch();
  if (result === ENOTCONN) refuseOutsider();
  return check(result, syscall);
}

export function refuseForeignLatch(): never {
  if (!isUnderPostmaster()) refuseOutsider();
  throw waitError('cannot wait on a latch owned by another process');
}

// An application's process owns no latch, and nothing would wake it.
function refuseOutsider(): never {
  throw new ErrorData({
    code: ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
    message: 'cannot wait in a process that is no child of a postmaster',
    hint: 'Call this in a background worker, or in a function that a session calls.',
  });
}

/** Is an asynchronous wait for the latch under way? */
export function isWaitedFor(latch: number): boolean {
  return [...waiters].some(({ wait }) => wait.latch === latch);
}

class Waiter<T> {
  readonly wait: Wait<T>;
  readonly #resolve: (result: T) => void;
  readonly #reject: (reason: unknown) => void;
  readonly #deadline: number;
  #timer: NodeJS.Timeout | undefined;
  #immediate: NodeJS.Immediate | undefined;

  constructor(wait: Wait<T>, resolve: (result: T) => void, reject: (reason: unknown) => void) {
    this.wait = wait;
    this.#resolve = resolve;
    this.#reject = reject;
    this.#deadline = wait.timeoutMs >= 0 ? performance.now() + wait.timeoutMs : Number.POSITIVE_INFINITY;
  }

  begin(): void {
    checkWaitResult(native.waitBegins(this.wait.latch), 'realloc');
    waiters.add(this as Waiter<unknown>);
    this.wait.sleeps?.(true);
    // A time of 0 lasts for one look at everything, which is a turn of the loop.
    if (this.wait.timeoutMs === 0) this.#immediate = setImmediate(this.#timeout);
    else if (this.wait.timeoutMs > 0) this.#timer = setTimeout(this.#timeout, this.wait.timeoutMs);
    this.wait.options?.signal?.addEventListener('abort', this.#abort, { once: true });
  }

  look(): void {
    this.#try(() => {
      const found = this.wait.look();
      if (found !== null) this.end(found);
    });
  }

  end(result: T): void {
    this.#leave();
    this.#resolve(result);
  }

  // Never sooner than was asked for: the loop's clock counts whole milliseconds. Handlers first, as in onWake: the loop serves timers before descriptors,
  // and a wait is a safe point however it ends; a latch that a handler sets is reported, and not the time (L-12).
  readonly #timeout = (): void => {
    const left = this.#deadline - performance.now();
    if (left > 0) this.#timer = setTimeout(this.#timeout, Math.ceil(left));
    else
      this.#try(() => {
        processSignals();
        this.end(this.wait.look() ?? this.wait.timedOut());
      });
  };

  readonly #abort = (): void => {
    this.#leave();
    this.#reject(this.wait.options?.signal?.reason);
  };

  #try(act: () => void): void {
    try {
      act();
    } catch (err) {
      this.#leave();
      this.#reject(err);
    }
  }

  #leave(): void {
    if (!waiters.delete(this as Waiter<unknown>)) return;
    clearTimeout(this.#timer);
    clearImmediate(this.#immediate);
    this.wait.options?.signal?.removeEventListener('abort', this.#abort);
    native.waitEnds(this.wait.latch);
    this.wait.sleeps?.(false);
  }
}

/** Waits without blocking the event loop. What has occurred already ends it without a turn of the loop. What `describe` throws rejects. */
export function waitAsync<T>(describe: () => Wait<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const wait = describe();
    wait.options?.signal?.throwIfAborted();
    const found = wait.look();
    if (found !== null) {
      processSignals(); // every wait is a safe point, also one that need not wait
      resolve(found);
      return;
    }
    new Waiter(wait, resolve, reject).begin();
  });
}

/** The errors that C raises by elog(ERROR), and what it asserts. */
export function waitError(message: string, hint?: string): ErrorData {
  return new ErrorData({ code: ERRCODE_INTERNAL_ERROR, message, ...(hint === undefined ? {} : { hint }) });
}
