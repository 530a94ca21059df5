// Condition variables: sleeping until another process says that something changed. Backends.
// PostgreSQL: src/backend/storage/lmgr/condition_variable.c, release 15, contract 10.4.
//
//   conditionVariablePrepareToSleep(cv);             // optional; from here on no wake-up is missed
//   while (!condition()) await conditionVariableSleep(cv);
//   conditionVariableCancelSleep(cv);

import { WL_TIMEOUT } from './latch.js';
import { checkForInterrupts, onInterrupt } from './signals.js';
import { waitWokenSync, whenWoken } from './wait-block.js';
import { PG_WAIT_EXTENSION, checkWaitEventInfo } from './wait-event.js';
import { ERRCODE_INTERNAL_ERROR, ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE } from '../elog/errcodes.js';
import { ErrorData } from '../elog/error-data.js';
import { native } from '../native.js';
import { whenRegionGoes } from '../shmem/region.js';
import { sharedMemory } from '../shmem/shmem.js';
import type { SharedObject } from '../shmem/struct-types.js';

/** A condition variable in shared memory; a field of type `'ConditionVariable'`. Zeroed memory is one that nobody waits for. Opaque. @pg ConditionVariable */
export type ConditionVariable = SharedObject;

const EMFILE = -24;

/** Where this process stands in lists, by the variable's address. `sleeping`: who is to be told when that ends. */
interface Place {
  readonly number: number;
  readonly sleeping: Set<() => void>;
}
const places = new Map<number, Place>();

export function checkShared(result: number): number {
  if (result >= 0) return result;
  sharedMemory(); // where there is none, that is what is wrong
  if (result === EMFILE) throw new ErrorData({ code: ERRCODE_INTERNAL_ERROR, message: 'this process waits for too many things at once' });
  throw new ErrorData({ code: ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, message: 'memory is not shared memory that is attached' });
}

/** Makes a condition variable of memory that nobody uses yet. @pg ConditionVariableInit */
export function conditionVariableInit(cv: ConditionVariable): void {
  checkShared(native.conditionVariableInit(cv.offset));
}

/**
 * Enters the variable's list: no signal from now on is missed. Optional, before the first look at the condition; without it the first sleep enters the list and
 * returns at once.
 *
 * DIFFERS FROM POSTGRES: another variable does not cancel this one: each asynchronous task of a process may wait for its own. Up to 14 waits of a process,
 * those for locks included.
 * @throws ErrorData XX000 where the process waits for too many things, or is not attached
 * @pg ConditionVariablePrepareToSleep
 */
export function conditionVariablePrepareToSleep(cv: ConditionVariable): void {
  if (places.has(cv.offset)) return;
  places.set(cv.offset, { number: checkShared(native.conditionVariablePrepare(cv.offset)), sleeping: new Set() });
}

/**
 * Leaves the list. Always after the loop, however it ends; without an argument, all lists of this process. Tasks of this process that sleep on the same variable are
 * woken, and enter it again by themselves.
 * @returns whether a signal had come that nobody acted on; it is passed on
 * @pg ConditionVariableCancelSleep
 */
export function conditionVariableCancelSleep(cv?: ConditionVariable): boolean {
  let signaled = false;
  for (const [offset, place] of places) {
    if (cv !== undefined && cv.offset !== offset) continue;
    places.delete(offset);
    signaled = native.conditionVariableCancel(place.number) === 1 || signaled;
    for (const wake of place.sleeping) wake();
  }
  return signaled;
}

// A segment goes, and variables in it: whoever sleeps there is woken, and finds out by itself.
whenRegionGoes(({ address, size }) => {
  for (const offset of places.keys()) if (offset >= address && offset < address + size) conditionVariableCancelSleep({ offset });
});

// Was it woken? Then everybody who sleeps here in this process is told.
function look(place: Place): boolean {
  if (native.conditionVariableWoken(place.number) !== 1) return false;
  for (const wake of place.sleeping) wake();
  return true;
}

// The first sleep without prepare only enters the list: the condition is to be looked at once more after that.
function enter(cv: ConditionVariable): Place | null {
  const place = places.get(cv.offset);
  if (place !== undefined) return place;
  conditionVariablePrepareToSleep(cv);
  return null;
}

/**
 * Sleeps until the variable is signaled; the event loop goes on. It may end for nothing: look at the condition, and sleep again. Ends the process when the postmaster
 * dies; a cancel or {@link die} ends it with the error.
 * @param waitEventInfo what others see this process wait for
 * @example while (queue.length === 0) await conditionVariableSleep(queue.notEmpty);
 * @pg ConditionVariableSleep
 */
export async function conditionVariableSleep(cv: ConditionVariable, waitEventInfo: number = PG_WAIT_EXTENSION): Promise<void> {
  await conditionVariableTimedSleep(cv, -1, waitEventInfo);
}

/**
 * {@link conditionVariableSleep}, for a time at most.
 * @param timeoutMs milliseconds; below 0: for ever
 * @returns true where the time is over
 * @pg ConditionVariableTimedSleep
 */
export async function conditionVariableTimedSleep(
  cv: ConditionVariable,
  timeoutMs: number,
  waitEventInfo: number = PG_WAIT_EXTENSION,
): Promise<boolean> {
  checkTimeout(timeoutMs);
  checkWaitEventInfo(waitEventInfo);
  const place = enter(cv);
  checkForInterrupts();
  if (place === null || look(place)) return false;
  const timedOut = await new Promise<boolean>((resolve) => {
    let timer: NodeJS.Timeout | undefined;
    const finish = (over: boolean): void => {
      clearTimeout(timer);
      place.sleeping.delete(wake);
      stopWatching();
      stopListening();
      resolve(over);
    };
    const wake = (): void => finish(false);
    place.sleeping.add(wake);
    const stopListening = onInterrupt(wake);
    const stopWatching = whenWoken(() => look(place), waitEventInfo);
    if (timeoutMs >= 0) timer = setTimeout(finish, timeoutMs, true);
  });
  checkForInterrupts();
  return timedOut;
}

/** {@link conditionVariableSleep}, blocking the thread; handlers of signals run. @pg ConditionVariableSleep */
export function conditionVariableSleepSync(cv: ConditionVariable, waitEventInfo: number = PG_WAIT_EXTENSION): void {
  conditionVariableTimedSleepSync(cv, -1, waitEventInfo);
}

/** {@link conditionVariableTimedSleep}, blocking the thread. @pg ConditionVariableTimedSleep */
export function conditionVariableTimedSleepSync(cv: ConditionVariable, timeoutMs: number, waitEventInfo: number = PG_WAIT_EXTENSION): boolean {
  checkTimeout(timeoutMs);
  const place = enter(cv);
  checkForInterrupts();
  if (place === null) return false;
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    if (look(place)) return false;
    const event = waitWokenSync(
      timeoutMs < 0 ? 0 : WL_TIMEOUT,
      timeoutMs < 0 ? -1 : Math.max(0, Math.ceil(deadline - performance.now())),
      waitEventInfo,
    );
    checkForInterrupts();
    if (event === WL_TIMEOUT) return !look(place);
  }
}

function checkTimeout(timeoutMs: number): void {
  if (typeof timeoutMs !== 'number') throw new TypeError(`timeout must be a number of milliseconds, not ${typeof timeoutMs}`);
  if (!(timeoutMs <= 0x7fffffff)) throw new RangeError(`timeout must be up to 2147483647 milliseconds, not ${timeoutMs}`);
}

/** Wakes who has waited longest. Returns at once. @pg ConditionVariableSignal */
export function conditionVariableSignal(cv: ConditionVariable): void {
  checkShared(native.conditionVariableSignal(cv.offset));
}

/** Wakes all who wait now. Returns at once. @pg ConditionVariableBroadcast */
export function conditionVariableBroadcast(cv: ConditionVariable): void {
  checkShared(native.conditionVariableBroadcast(cv.offset));
}
