// What the measured postmasters preload: workers' main functions, and the functions that a session calls to measure inside its backend.
import { readFileSync, writeSync } from 'node:fs';
import {
  BGWORKER_SHMEM_ACCESS,
  BGW_NEVER_RESTART,
  BgWorkerStart_RecoveryFinished,
  WL_EXIT_ON_PM_DEATH,
  WL_LATCH_SET,
  backgroundWorkerUnblockSignals,
  myLatch,
  postmasterIsAlive,
  pqsignal,
  registerDynamicBackgroundWorker,
  resetLatch,
  terminateBackgroundWorker,
  waitForBackgroundWorkerShutdown,
  waitForBackgroundWorkerStartup,
  setLatch,
  waitLatch,
  waitLatchSync,
} from 'bgworker';
import { fileURLToPath } from 'node:url';

export const library = fileURLToPath(import.meta.url);
/** An image of a size of one's choice: live objects, as an application's would be, in megabytes. */
export const ballast = [];
for (let mb = Number(process.env.BENCH_BALLAST_MB ?? 0); mb > 0; mb--)
  ballast.push(Array.from({ length: 8192 }, (_, i) => ({ i, mb, text: `${mb}:${i}`, list: [i, mb] })));

// The clock is read in main's first statement; what comes after it tells the one who measures.
export function firstLine() {
  const at = process.hrtime.bigint();
  writeSync(3, `${at}\n`);
}

export async function idle() {
  backgroundWorkerUnblockSignals();
  for (;;) {
    await waitLatch(myLatch, WL_LATCH_SET | WL_EXIT_ON_PM_DEATH);
    resetLatch(myLatch);
  }
}

/** Says when its handler of SIGUSR2 ran, each time: in a wait that blocks, or, with argument 1, in one that lets the event loop run. */
export async function handlesSignals(asynchronous) {
  pqsignal('SIGUSR2', () => {
    const at = process.hrtime.bigint();
    setLatch(myLatch);
    writeSync(3, `${at}\n`);
  });
  backgroundWorkerUnblockSignals();
  writeSync(3, 'ready\n');
  for (;;) {
    if (asynchronous === 1n) await waitLatch(myLatch, WL_LATCH_SET | WL_EXIT_ON_PM_DEATH);
    else waitLatchSync(myLatch, WL_LATCH_SET | WL_EXIT_ON_PM_DEATH);
    resetLatch(myLatch);
  }
}

/** Nanoseconds that one look at the postmaster takes, many times over. Called by a session. */
export function looksAtPostmaster(rounds) {
  const LOOKS = 100_000;
  const times = [];
  for (let round = 0; round < rounds; round++) {
    const begin = process.hrtime.bigint();
    for (let i = 0; i < LOOKS; i++) if (!postmasterIsAlive()) throw new Error('it is not dead');
    times.push(Number(process.hrtime.bigint() - begin) / LOOKS);
  }
  return times;
}

/** System calls that so many looks made, as `strace` would count them: what the kernel has counted of this process's reads (/proc/self/io, syscr). */
export function readsOfLooks(looks) {
  const reads = () => Number(/^syscr: (\d+)$/m.exec(readFileSync('/proc/self/io', 'latin1'))[1]);
  const cost = -reads() + reads(); // of looking at the count itself
  const before = reads();
  for (let i = 0; i < looks; i++) postmasterIsAlive();
  return reads() - before - cost;
}

export function descriptor(functionName, notifyPid) {
  return {
    name: `bench ${functionName}`,
    flags: BGWORKER_SHMEM_ACCESS,
    startTime: BgWorkerStart_RecoveryFinished,
    restartTime: BGW_NEVER_RESTART,
    libraryName: library,
    functionName,
    notifyPid,
  };
}

// --- called by sessions -------------------------------------------------------------------------------------------------------------------

/** register → BGWH_STARTED, and → STOPPED, which is when the slot is free. Nanoseconds; the first line itself comes over descriptor 3. */
export async function startOne() {
  const registered = process.hrtime.bigint();
  const handle = registerDynamicBackgroundWorker(descriptor('firstLine', process.pid));
  const started = waitForBackgroundWorkerStartup(handle).then(() => process.hrtime.bigint());
  await waitForBackgroundWorkerShutdown(handle);
  return { registered, started: await started, stopped: process.hrtime.bigint() };
}

/** STARTED alone: a worker that stays, and is terminated afterwards. */
export async function startAndTerminate() {
  const registered = process.hrtime.bigint();
  const handle = registerDynamicBackgroundWorker(descriptor('idle', process.pid));
  await waitForBackgroundWorkerStartup(handle);
  const started = process.hrtime.bigint();
  terminateBackgroundWorker(handle);
  await waitForBackgroundWorkerShutdown(handle);
  return { registered, started, stopped: process.hrtime.bigint() };
}
