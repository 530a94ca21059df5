// Barriers: processes that go from phase to phase together. Backends. PostgreSQL: src/backend/storage/ipc/barrier.c, release 15, contract 10.4.
//
// A static barrier has a fixed number of participants; a dynamic one (0 at its beginning) has those that attach and detach.

import {
  type ConditionVariable,
  checkShared,
  conditionVariableCancelSleep,
  conditionVariablePrepareToSleep,
  conditionVariableSleep,
  conditionVariableSleepSync,
} from './condition-variable.js';
import { PG_WAIT_EXTENSION } from './wait-event.js';
import { ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE } from '../elog/errcodes.js';
import { ErrorData } from '../elog/error-data.js';
import { type BarrierResult, native } from '../native.js';
import { BARRIER_CV } from '../shmem/layout.js';
import type { SharedObject } from '../shmem/struct-types.js';

/** A barrier in shared memory; a field of type `'Barrier'`. Must be initialised. Opaque. @pg Barrier */
export type Barrier = SharedObject;

const EPERM = -1;

function checked(result: BarrierResult): BarrierResult {
  if (result.error === EPERM) {
    throw new ErrorData({ code: ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, message: 'participants of this barrier cannot attach or detach' });
  }
  checkShared(result.error);
  return result;
}

/**
 * Makes a barrier of memory that nobody uses yet.
 * @param participants how many, for good; 0: whoever attaches
 * @pg BarrierInit
 */
export function barrierInit(barrier: Barrier, participants: number): void {
  if (!Number.isInteger(participants) || participants < 0 || participants > 0x7fffffff) {
    throw new RangeError(`participants must be an integer from 0 to 2147483647, not ${String(participants)}`);
  }
  checkShared(native.barrierInit(barrier.offset, participants));
}

const conditionOf = (barrier: Barrier): ConditionVariable => ({ offset: barrier.offset + BARRIER_CV });

/**
 * Says that this participant has come to the end of the phase, and waits for all others.
 * @param waitEventInfo what others see this process wait for
 * @returns true in exactly one participant of each phase
 * @pg BarrierArriveAndWait
 */
export async function barrierArriveAndWait(barrier: Barrier, waitEventInfo: number = PG_WAIT_EXTENSION): Promise<boolean> {
  const arrival = checked(native.barrierArrive(barrier.offset));
  if (arrival.done) return arrival.elected;
  const cv = conditionOf(barrier);
  conditionVariablePrepareToSleep(cv);
  try {
    for (;;) {
      const now = native.barrierLook(barrier.offset, arrival.phase);
      if (now.done) return now.elected;
      await conditionVariableSleep(cv, waitEventInfo);
    }
  } finally {
    conditionVariableCancelSleep(cv);
  }
}

/** {@link barrierArriveAndWait}, blocking the thread. @pg BarrierArriveAndWait */
export function barrierArriveAndWaitSync(barrier: Barrier, waitEventInfo: number = PG_WAIT_EXTENSION): boolean {
  const arrival = checked(native.barrierArrive(barrier.offset));
  if (arrival.done) return arrival.elected;
  const cv = conditionOf(barrier);
  conditionVariablePrepareToSleep(cv);
  try {
    for (;;) {
      const now = native.barrierLook(barrier.offset, arrival.phase);
      if (now.done) return now.elected;
      conditionVariableSleepSync(cv, waitEventInfo);
    }
  } finally {
    conditionVariableCancelSleep(cv);
  }
}

/** Arrives without waiting, and takes part no more. Returns true for the last one that detaches. @pg BarrierArriveAndDetach */
export function barrierArriveAndDetach(barrier: Barrier): boolean {
  return checked(native.barrierDetach(barrier.offset, true)).elected;
}

/** Arrives without waiting and detaches, unless it is the last participant: then it stays, and true is returned. @pg BarrierArriveAndDetachExceptLast */
export function barrierArriveAndDetachExceptLast(barrier: Barrier): boolean {
  return checked(native.barrierDetachExceptLast(barrier.offset)).elected;
}

/** Takes part from now on. Returns the phase that it is in. @pg BarrierAttach */
export function barrierAttach(barrier: Barrier): number {
  return checked(native.barrierAttach(barrier.offset)).phase;
}

/** Takes part no more; the others may go on by that. Returns true for the last one. @pg BarrierDetach */
export function barrierDetach(barrier: Barrier): boolean {
  return checked(native.barrierDetach(barrier.offset, false)).elected;
}

/** The phase. Only a participant, which has not arrived, can be sure that it does not change meanwhile. @pg BarrierPhase */
export function barrierPhase(barrier: Barrier): number {
  return checked(native.barrierPhase(barrier.offset)).phase;
}

/** How many take part now. @pg BarrierParticipants */
export function barrierParticipants(barrier: Barrier): number {
  return checkShared(native.barrierParticipants(barrier.offset));
}
