// The script command L: WaitLatch and ResetLatch, until the time is over. Runs in workers.

import { setTimeout as sleep } from 'node:timers/promises';
import {
  checkForInterrupts,
  myLatch,
  procExit,
  resetLatch,
  waitLatch,
  WL_EXIT_ON_PM_DEATH,
  WL_LATCH_SET,
  WL_POSTMASTER_DEATH,
  WL_TIMEOUT,
} from 'bgworker';
import { oracle } from './oracle.js';

export interface LatchLoop {
  /** Letters: see the language. */
  readonly flags: string;
  /** In all; below zero: for ever. */
  readonly ms: number;
  readonly tell: (text: string) => void;
  readonly sigtermFlag: () => boolean;
}

const WITHOUT_LATCH_WAIT_SET = /^(?:9|1[0-3])\./;
/** The longest that one wait, or one timer, takes. */
const FOREVER_MS = 0x7fffffff;

export async function latchLoop({ flags, ms, tell, sigtermFlag }: LatchLoop): Promise<void> {
  const has = (flag: string): boolean => flags.includes(flag);
  const deadline = ms < 0 ? Number.POSITIVE_INFINITY : performance.now() + ms;
  const left = (): number => Math.min(FOREVER_MS, Math.max(0, Math.ceil(deadline - performance.now())));
  // One of the two must be asked for. A script that asks for neither is told of the death by 14 and later, whose set of events for WaitLatch always has it
  // (InitializeLatchWaitSet); before that it was not, and slept on.
  const isTold = has('d') || !WITHOUT_LATCH_WAIT_SET.test(oracle().release);
  const death = has('x') ? WL_EXIT_ON_PM_DEATH : WL_POSTMASTER_DEATH;
  const events = WL_LATCH_SET | death | (ms < 0 ? 0 : WL_TIMEOUT);
  for (let wakes = 1; ; wakes++) {
    const event = await waitLatch(myLatch, events, left());
    if (event === WL_POSTMASTER_DEATH && !isTold) {
      await sleep(left());
      tell(`latch loop timeout wakes=${wakes}`);
      return;
    }
    if (event === WL_POSTMASTER_DEATH) {
      tell('WaitLatch returned WL_POSTMASTER_DEATH');
      if (!has('n')) procExit(1);
      await sleep(left());
      tell("went on after the postmaster's death");
      return;
    }
    resetLatch(myLatch);
    if (has('c')) checkForInterrupts();
    if (has('q') && sigtermFlag()) {
      tell('leaving latch loop: SIGTERM flag');
      return;
    }
    if (event === WL_TIMEOUT) {
      tell(`latch loop timeout wakes=${wakes}`);
      return;
    }
    if (has('1')) return;
  }
}
