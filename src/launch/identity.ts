// Who a process is and what it draws at random, which a fork leaves stale or shared: prepared in the postmaster before user code is loaded, renewed in each
// child before user code runs. docs/fork-safety.md has the numbers I1 to I5.
// PostgreSQL: InitProcessGlobals in src/backend/postmaster/postmaster.c.
//
//  I1  process.pid is a constant that Node wrote at start-up: the child defines its own.
//  I4  process.uptime() counts from the postmaster's start: the child's counts from its own. The zero of performance.now() stays where it is: marks,
//      measures and the time stamps of events have it too, out of reach, and would no longer agree.
//  I2, I3, I5: math-random.ts, entropy.ts.

import { forgetPools, prepareEntropy } from './entropy.js';
import { prepareMathRandom, seedMathRandom } from './math-random.js';
import { setMyProcPid } from '../globals.js';
import { native } from '../native.js';

let born = 0;

/** Postmaster, before any user code is loaded. */
export function prepareIdentity(): void {
  prepareMathRandom();
  prepareEntropy();
  const uptime = process.uptime.bind(process);
  process.uptime = () => uptime() - born;
}

/** Child, first thing: its own pid, its own beginning and its own randomness. */
export function renewIdentity(): void {
  const pid = native.getPid();
  setMyProcPid(pid);
  Object.defineProperty(process, 'pid', { value: pid, enumerable: true, configurable: true });
  born += process.uptime();
  seedMathRandom();
  forgetPools();
}
