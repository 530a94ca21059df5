// A background worker, from its first line to its exit status. Runs in the worker's own process.
// PostgreSQL: src/backend/postmaster/bgworker.c (StartBackgroundWorker), contract 7.1 to 7.3.
//
// The main function begins with signals blocked. However it ends, it ends through procExit: returning is status 0 (forget me), an error is a
// line in the log and status 1 (start me again after the interval).

import { type BgworkerMain, type Descriptor, setMyBgworkerEntry } from '../bgworker/background-worker.js';
import { loadExternalFunction, loadedLibrary, libraryFunction } from '../bgworker/library.js';
import { applyRlimits } from './rlimits.js';
import { BGWORKER_BACKEND_DATABASE_CONNECTION, BGWORKER_SHMEM_ACCESS } from '../constants.js';
import { ERRCODE_INTERNAL_ERROR } from '../elog/errcodes.js';
import { ERROR, ErrorData, FATAL } from '../elog/error-data.js';
import { emitErrorReport } from '../elog/elog.js';
import { myProcPid, procExitInprogress, setMyBackendType } from '../globals.js';
import { procExit } from '../ipc/exit.js';
import { floatExceptionHandler, procsignalSigusr1Handler, statementCancelHandler } from '../ipc/interrupt.js';
import { myLatch, setLatch, setMyLatch } from '../ipc/latch.js';
import { initProcess } from '../ipc/proc.js';
import { postAuthDelay } from '../ipc/post-auth-delay.js';
import { initPsDisplay } from '../ipc/ps-status.js';
import { SIG_DFL, SIG_IGN, armLastWords, bgworkerDie, pqsignal } from '../ipc/signals.js';
import { native } from '../native.js';
import { detachSharedMemory } from '../shmem/shmem.js';

/** As contract 7.2 has it; main may change any. */
function installSignalHandlers(descriptor: Descriptor): void {
  const connects = (descriptor.flags & BGWORKER_BACKEND_DATABASE_CONNECTION) !== 0;
  armLastWords();
  pqsignal('SIGTERM', bgworkerDie);
  pqsignal('SIGINT', connects ? statementCancelHandler : SIG_IGN);
  // Without the flag SIGUSR1 is ignored (H-15): such a worker that waits for others installs procsignalSigusr1Handler.
  pqsignal('SIGUSR1', connects ? procsignalSigusr1Handler : SIG_IGN);
  pqsignal('SIGCHLD', SIG_DFL);
  pqsignal('SIGFPE', connects ? floatExceptionHandler : SIG_IGN);
  pqsignal('SIGALRM', () => setLatch(myLatch));
  pqsignal('SIGPWR', () => undefined);
  for (const signal of ['SIGHUP', 'SIGUSR2', 'SIGPIPE', 'SIGTTIN', 'SIGTTOU', 'SIGXFSZ'] as const) pqsignal(signal, SIG_IGN);
}

function joinSharedMemory(descriptor: Descriptor, procIndex: number, slot: number): void {
  if ((descriptor.flags & BGWORKER_SHMEM_ACCESS) === 0) {
    detachSharedMemory();
    setMyLatch(-1);
    native.ownLatch(-1);
    return;
  }
  const { name, type } = descriptor;
  setMyLatch(initProcess(procIndex, { pid: myProcPid, kind: 'background worker', name, type, workerSlot: slot }));
  // Set once on purpose (C-09): whatever was to be seen before we owned it is looked for in the first round.
  setLatch(myLatch);
}

/** C-28: signals are unblocked, the error is reported, the process ends with status 1. There is no way back into main. */
function errorExit(err: unknown): never {
  native.unblockSignals();
  emitErrorReport(err, err instanceof ErrorData && err.severity === 'FATAL' ? FATAL : ERROR);
  return procExit(1);
}

function watchForStrayErrors(descriptor: Descriptor): void {
  process.on('uncaughtException', errorExit);
  process.on('unhandledRejection', errorExit);
  // The loop has nothing left to do, and main has not settled: it waits for something that cannot happen any more.
  process.on('beforeExit', () => {
    if (procExitInprogress) return;
    errorExit(
      new ErrorData({
        code: ERRCODE_INTERNAL_ERROR,
        message: `main function of background worker "${descriptor.name}" will never settle`,
        detail: 'It waits for a promise, and nothing is left in the event loop that could resolve it.',
      }),
    );
  });
}

// Preloaded libraries are found without a turn of the event loop.
function findMain(descriptor: Descriptor): BgworkerMain | Promise<BgworkerMain> {
  if (descriptor.main !== null) return descriptor.main;
  const { libraryName, functionName } = descriptor;
  if (libraryName !== 'postgres') {
    const library = loadedLibrary(libraryName);
    if (library !== undefined) return libraryFunction(library, functionName) as BgworkerMain;
  }
  return loadExternalFunction(libraryName, functionName) as Promise<BgworkerMain>;
}

async function run(descriptor: Descriptor): Promise<void> {
  applyRlimits(descriptor); // the first thing that may fail, and the last before the user's code
  const found = findMain(descriptor);
  const main = found instanceof Promise ? await found : found;
  await main(descriptor.mainArg);
}

/** Runs in a fresh child, for its whole life. */
export function backgroundWorkerMain(descriptor: Descriptor, slot: number, procIndex: number): void {
  setMyBgworkerEntry(descriptor);
  setMyBackendType('background worker', descriptor.type);
  initPsDisplay(descriptor.name);
  postAuthDelay();
  installSignalHandlers(descriptor);
  watchForStrayErrors(descriptor);
  joinSharedMemory(descriptor, procIndex, slot);
  run(descriptor).then(() => procExit(0), errorExit);
}
