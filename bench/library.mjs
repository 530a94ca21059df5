// What the measured postmasters preload: workers' main functions, and the functions that a session calls to measure inside its backend.
import { writeSync } from 'node:fs';
import {
  BGWORKER_SHMEM_ACCESS,
  BGW_NEVER_RESTART,
  BgWorkerStart_RecoveryFinished,
  WL_EXIT_ON_PM_DEATH,
  WL_LATCH_SET,
  backgroundWorkerUnblockSignals,
  myLatch,
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

const library = fileURLToPath(import.meta.url);
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
