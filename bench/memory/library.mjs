// What the measured postmasters preload, for bench/memory.mjs: a worker that does some work, says so on descriptor 3, and sleeps. Workers.
import { writeSync } from 'node:fs';
import { WL_EXIT_ON_PM_DEATH, WL_LATCH_SET, backgroundWorkerUnblockSignals, myLatch, resetLatch, waitLatch } from 'bgworker';
import { WORK } from './work.mjs';

/** Live objects, as an application's would be, in megabytes. */
export const ballast = [];
for (let mb = Number(process.env.BENCH_BALLAST_MB ?? 0); mb > 0; mb--)
  ballast.push(Array.from({ length: 8192 }, (_, i) => ({ i, mb, text: `${mb}:${i}`, list: [i, mb] })));

export async function works(number) {
  backgroundWorkerUnblockSignals();
  WORK[Number(number)][1]();
  writeSync(3, 'ready\n');
  for (;;) {
    await waitLatch(myLatch, WL_LATCH_SET | WL_EXIT_ON_PM_DEATH);
    resetLatch(myLatch);
  }
}
