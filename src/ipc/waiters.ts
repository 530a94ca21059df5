// Asynchronous waits: who waits, and what ends a wait. Any child of the postmaster; the event loop's part is native/binding/loop.cc.
//
// Several may be under way at once, for one latch or for many. When the loop wakes, each looks for itself: all that wait for a latch that is set end,
// in the order in which they began. A wait does not reset its latch.

import { EBADMSG, deathPipeFailed } from './postmaster-death.js';
import { lingeringWait, postmasterDeathSeen, setLingeringWait } from './own-words.js';
import { hideWait, showWait } from './shown-waits.js';
import { processSignals, wakeInterruptWaiters } from './signals.js';
import { checkWaitEventInfo } from './wait-event.js';
import { ERRCODE_INTERNAL_ERROR, ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE } from '../elog/errcodes.js';
import { ErrorData } from '../elog/error-data.js';
import { isUnderPostmaster } from '../globals.js';
import { check, native } from '../native.js';

/** What a wait takes besides C's arguments. */
export interface WaitOptions {
  /** Ends an asynchronous wait: its promise is rejected with the signal's reason; at once where it was aborted before. */
  readonly signal?: AbortSignal | undefined;
  /** What others see this process wait for: C's last argument. PG_WAIT_EXTENSION where it is not given; 0: nothing that is shown. */
  readonly waitEventInfo?: number | undefined;
}

/** The same, of a wait that blocks: nothing could abort it. */
export type BlockingWaitOptions = Pick<WaitOptions, 'waitEventInfo'>;

/** No latch has this name. */
export const NO_LATCH: number = Number.MIN_SAFE_INTEGER;
/** INT_MAX, the longest time that a wait takes. */
export const MAX_TIMEOUT_MS = 0x7fffffff;
/** Names from here on are of latches in memory that may be detached; native/binding/args.h has the same number. */
const FIRST_OTHER_REGION = 2 ** 40;

const EPERM = -1;
const ENOTCONN = -107;

/** After so many waits on end that ended on the spot the next one is not looked longer for, but left to the event loop, which has timers and sockets to serve. */
const MOST_ON_THE_SPOT = 16;
/**
 * After so many it takes a turn of the loop even where its latch is set already: a worker whose latch is set whenever it comes to wait would do nothing else.
 * More than the others, since a partner that looks for our answer (native/core/latch_poll.c) has no patience for a turn of ours.
 */
const MOST_WITHOUT_TURN = 64;

const waiters = new Set<Waiter<unknown>>();
let onTheSpot = 0;

/** In a fresh child, before anything waits. @pg InitializeLatchSupport */
export function initializeLatchSupport(): void {
  waiters.clear();
  check(native.waitEventSupportInit(onWake), 'epoll_create1');
}

// On the event loop, once a turn at most. Handlers first, since they set latches.
function onWake(pipeError: number): void {
  if (pipeError < 0) deathPipeFailed(pipeError);
  processSignals();
  if (postmasterDeathSeen()) wakeInterruptWaiters();
  for (const waiter of waiters) waiter.lookAgain();
}

/**
 * After a reset that took away a set: who else waits for the latch has its wait ended. What it was set for may have been meant for them, and they
 * have looked before.
 */
export function endWaitsFor(latch: number): void {
  for (const waiter of waiters) if (waiter.latch === latch) waiter.end(waiter.latchSet());
}

/** The result of a native wait, or the error that it is. */
export function checkWaitResult(result: number, syscall: string): number {
  if (result === EPERM) refuseForeignLatch();
  if (result === ENOTCONN) refuseOutsider();
  if (result === EBADMSG) deathPipeFailed(result);
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
  return [...waiters].some((waiter) => waiter.latch === latch);
}

/** Before this process gives up the latch: no sleep of the event loop's may be announced in it any more. */
export function forgetWaitFor(latch: number): void {
  if (lingeringWait() !== latch) return;
  setLingeringWait(null);
  native.waitEnds(latch);
}

// Who waits for the same latch again and again, as everybody does, registers it once: the registration of a wait that is over stays until the event loop
// is about to sleep (native/binding/loop.cc), and a wait that begins before takes it over. Not for latches in memory that may be detached.
function register(latch: number): void {
  if (lingeringWait() === latch) setLingeringWait(null);
  else checkWaitResult(native.waitBegins(latch), 'realloc');
}

function unregister(latch: number): void {
  if (lingeringWait() === null && latch < FIRST_OTHER_REGION) setLingeringWait(latch);
  else native.waitEnds(latch);
}

/** An asynchronous wait. Who begins one says what is looked at, and what the results are. */
export abstract class Waiter<T> {
  /** The name of the latch that is waited for, or NO_LATCH. */
  readonly latch: number;
  readonly waitEventInfo: number;
  readonly #timeoutMs: number;
  readonly #signal: AbortSignal | undefined;
  #deadline = 0;
  #timer: NodeJS.Timeout | undefined;
  #immediate: NodeJS.Immediate | undefined;
  #abort: (() => void) | undefined;
  #resolve: ((result: T) => void) | undefined;
  #reject: ((reason: unknown) => void) | undefined;

  /** `timeoutMs` below 0: for ever. */
  constructor(latch: number, timeoutMs: number, options: WaitOptions | undefined) {
    this.latch = latch;
    this.#timeoutMs = timeoutMs;
    this.#signal = options?.signal;
    this.waitEventInfo = checkWaitEventInfo(options?.waitEventInfo);
  }

  /** Called when there is news, and first of all: what has occurred, or null. */
  abstract look(): T | null;
  /** The result of a wait whose latch was set. */
  abstract latchSet(): T;
  /** The result of one whose time is over. */
  abstract timedOut(): T;
  /** It sleeps from here on, and no more. */
  sleeps(_begins: boolean): void {}

  /** Waits without blocking the event loop. What has occurred already ends it without a turn of the loop. */
  wait(): Promise<T> {
    this.#signal?.throwIfAborted();
    const found = this.look() ?? this.#lookLonger();
    if (found === null) {
      onTheSpot = 0;
      return new Promise((resolve, reject) => {
        this.#resolve = resolve;
        this.#reject = reject;
        this.#begin();
      });
    }
    processSignals(); // every wait is a safe point, also one that need not wait
    if (onTheSpot++ < MOST_WITHOUT_TURN) return Promise.resolve(found);
    onTheSpot = 0;
    return new Promise((resolve) => void setImmediate(resolve, found));
  }

  // A partner that answers within microseconds (native/core/latch_poll.c) is waited for here, where that costs neither a turn of the loop nor a callback:
  // only while nobody else waits, and so many times.
  #lookLonger(): T | null {
    const may = waiters.size === 0 && this.latch !== NO_LATCH && this.#timeoutMs !== 0 && onTheSpot < MOST_ON_THE_SPOT;
    return may && native.pollLatch(this.latch) ? this.look() : null;
  }

  lookAgain(): void {
    try {
      const found = this.look();
      if (found !== null) this.end(found);
    } catch (err) {
      this.#fail(err);
    }
  }

  end(result: T): void {
    this.#leave();
    this.#resolve?.(result);
  }

  #fail(reason: unknown): void {
    this.#leave();
    this.#reject?.(reason);
  }

  #begin(): void {
    register(this.latch);
    waiters.add(this as Waiter<unknown>);
    showWait(this);
    this.sleeps(true);
    // A time of 0 lasts for one look at everything, which is a turn of the loop.
    if (this.#timeoutMs === 0) this.#immediate = setImmediate(() => this.#timeOut());
    else if (this.#timeoutMs > 0) {
      this.#deadline = performance.now() + this.#timeoutMs;
      this.#timer = setTimeout(() => this.#timeOut(), this.#timeoutMs);
    }
    if (this.#signal === undefined) return;
    this.#abort = () => this.#fail(this.#signal?.reason);
    this.#signal.addEventListener('abort', this.#abort, { once: true });
  }

  // Never sooner than was asked for: the loop's clock counts whole milliseconds. Handlers first, as in onWake: the loop serves timers before descriptors,
  // and a wait is a safe point however it ends; a latch that a handler sets is reported, and not the time (L-12).
  #timeOut(): void {
    const left = this.#deadline - performance.now();
    if (left > 0) {
      this.#timer = setTimeout(() => this.#timeOut(), Math.ceil(left));
      return;
    }
    try {
      processSignals();
      this.end(this.look() ?? this.timedOut());
    } catch (err) {
      this.#fail(err);
    }
  }

  #leave(): void {
    if (!waiters.delete(this as Waiter<unknown>)) return;
    if (this.#timer !== undefined) clearTimeout(this.#timer);
    if (this.#immediate !== undefined) clearImmediate(this.#immediate);
    if (this.#abort !== undefined) this.#signal?.removeEventListener('abort', this.#abort);
    unregister(this.latch);
    hideWait(this);
    this.sleeps(false);
  }
}

/** A wait, from its description on. What that throws rejects. */
export function waitAsync<T>(describe: () => Waiter<T>): Promise<T> {
  try {
    return describe().wait();
  } catch (err) {
    return Promise.reject(err);
  }
}

/** The errors that C raises by elog(ERROR), and what it asserts. */
export function waitError(message: string, hint?: string): ErrorData {
  return new ErrorData({ code: ERRCODE_INTERNAL_ERROR, message, ...(hint === undefined ? {} : { hint }) });
}
