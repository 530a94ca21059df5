// How the short-lived postmasters of the chaos run end: a function of the seed, of a stream of its own, so that it does not depend on how many actions came
// before. Pure.

import { Random } from './random.js';

export type ShutdownMode = 'smart' | 'fast' | 'immediate';

export interface Ending {
  /** Of the schedule that goes on before, during and after the requests. */
  readonly seed: number;
  readonly busyMs: number;
  /** Each so long after the one before. */
  readonly requests: readonly { readonly afterMs: number; readonly mode: ShutdownMode }[];
  /** After the last request: when who is stopped is continued, when the applications leave, when nobody does anything any more. */
  readonly continueAfterMs: number;
  readonly leaveAfterMs: number;
  readonly calmAfterMs: number;
}

/** Each mode alone, every escalation, and requests that are not heard because a more severe one has come. */
const REQUESTS: readonly (readonly ShutdownMode[])[] = [
  ['smart'],
  ['fast'],
  ['immediate'],
  ['smart', 'fast'],
  ['smart', 'immediate'],
  ['fast', 'immediate'],
  ['smart', 'fast', 'immediate'],
  ['fast', 'smart'],
  ['smart', 'smart'],
];

/** Another stream than the schedule's of the same seed. */
const STREAM = 0x5bd1e995;

export class Endings {
  readonly #random: Random;

  constructor(seed: number) {
    this.#random = new Random(seed ^ STREAM);
  }

  next(): Ending {
    const random = this.#random;
    return {
      seed: random.int(0, 2 ** 31),
      busyMs: random.int(0, 2500),
      requests: random.pick(REQUESTS).map((mode) => ({ afterMs: random.chance(0.3) ? 0 : random.int(0, 400), mode })),
      continueAfterMs: random.int(0, 1500),
      leaveAfterMs: random.int(0, 1500),
      calmAfterMs: random.int(0, 1500),
    };
  }
}
