// A wall clock that the chaos run can put forward and back. Loaded by its library, so by the postmaster before it forks: children inherit it.
//
// A real step would need the privilege to set the machine's clock, and everybody else's would step with it; a time namespace shifts only the clocks that
// do not step, and only at its birth. So the step is made where JavaScript asks for the time: at `Date`. What native code asks for by itself (one line that
// a signal handler writes) and what the kernel does (every wait has a relative timeout or a monotonic one) is not reached, nor need it be.

import { readFileSync } from 'node:fs';

/** In the data directory, where postmaster and children are: by how many milliseconds the clock is wrong. */
export const CLOCK_FILE = 'clock';

const rightNow = Date.now;

function steppedNow(): number {
  try {
    return rightNow() + Number(readFileSync(CLOCK_FILE, 'latin1'));
  } catch {
    return rightNow(); // nobody has stepped it yet
  }
}

export function installClock(): void {
  globalThis.Date = new Proxy(Date, {
    construct: (target, args, newTarget) => Reflect.construct(target, args.length === 0 ? [steppedNow()] : args, newTarget) as Date,
    get: (target, key) => (key === 'now' ? steppedNow : (Reflect.get(target, key) as unknown)),
  });
}

/** Milliseconds of the machine's clock that never steps: the same in every process. */
export const steady = (): number => Number(process.hrtime.bigint() / 1_000_000n);
