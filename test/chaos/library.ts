// The library of the chaos run: main functions of workers, one for each behaviour, and functions that sessions call. Preloaded by its postmasters.
//
// Each worker says in the log that it is there, so that the log knows which pid was whose.

import { pbkdf2 } from 'node:crypto';
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import * as bgw from 'bgworker';
import { liveHeapKb } from '../helpers/live-heap.js';
import { FINISH_FILE, STATIC_WORKERS, extraOf } from './behaviours.js';
import { installClock, steady } from './clock.js';

const { WL_EXIT_ON_PM_DEATH, WL_LATCH_SET, WL_TIMEOUT, pqsignal, procExit, resetLatch, waitLatch, waitLatchSync } = bgw;
const open = bgw.backgroundWorkerUnblockSignals;
const EVENTS = WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH;

export function _PG_init(): void {
  if (!bgw.processSharedPreloadLibrariesInProgress) return;
  installClock();
  const postmaster = process.pid;
  bgw.defineCustomStringVariable('chaos.collect', {
    shortDesc: 'A number: the postmaster collects its garbage and logs what is left.',
    bootValue: '',
    checkHook: (number) => {
      if (number !== '' && number !== null && process.pid === postmaster) collect(number);
      return true;
    },
  });
  for (const fields of STATIC_WORKERS) bgw.registerBackgroundWorker({ ...fields, startTime: 2, main: staticMain });
}

function collect(number: string): void {
  bgw.elog(bgw.LOG, `@heap ${number}: ${liveHeapKb()} KB`);
}

const milliseconds = (arg: bigint): number => Number(arg);
const now = (): number => performance.now();

type Main = (arg: bigint) => void | Promise<void>;

/** A main function: it says so, and where its time is over it returns. */
const worker = (main: Main): Main => {
  return (arg) => {
    const entry = bgw.myBgworkerEntry as NonNullable<typeof bgw.myBgworkerEntry>;
    bgw.elog(bgw.LOG, `@${entry.name} start`);
    const endOfLife = Number(Buffer.from(entry.extra).toString('latin1').split('\0')[0]);
    if (existsSync(FINISH_FILE) || (endOfLife !== 0 && steady() > endOfLife)) return;
    return main(arg);
  };
};

async function idleFor(ms: number): Promise<void> {
  for (const end = now() + ms; now() < end;) {
    await waitLatch(bgw.myLatch, EVENTS, Math.max(0, Math.ceil(end - now())));
    resetLatch(bgw.myLatch);
    bgw.checkForInterrupts();
  }
}

function idleForSync(ms: number): void {
  for (const end = now() + ms; now() < end;) {
    waitLatchSync(bgw.myLatch, EVENTS, Math.max(0, Math.ceil(end - now())));
    resetLatch(bgw.myLatch);
    bgw.checkForInterrupts();
  }
}

function computeFor(ms: number): void {
  for (const end = now() + ms; now() < end;);
}

// --- they stay --------------------------------------------------------------------------------------------------------------------------

const staticMain: Main = worker(() => {
  open();
  return idleFor(0x7fffffff);
});

export const idles: Main = worker((arg) => {
  open();
  return idleFor(milliseconds(arg));
});
export const waitsSync: Main = worker((arg) => {
  open();
  idleForSync(milliseconds(arg));
});
export const sleepsBlocked: Main = worker(async (arg) => {
  await sleep(milliseconds(arg));
});
export const blocksAgain: Main = worker(async (arg) => {
  for (const end = now() + milliseconds(arg); now() < end;) {
    bgw.backgroundWorkerBlockSignals();
    await sleep(7);
    open();
    await sleep(1);
  }
});
export const busy: Main = worker((arg) => {
  open();
  computeFor(milliseconds(arg));
});
export const busyBlocked: Main = worker((arg) => computeFor(milliseconds(arg)));
export const ignoresTerm: Main = worker((arg) => {
  pqsignal('SIGTERM', () => {});
  open();
  return idleFor(milliseconds(arg));
});
export const polite: Main = worker((arg) => {
  pqsignal('SIGTERM', bgw.die);
  open();
  return idleFor(milliseconds(arg));
});
export const timers: Main = worker(async (arg) => {
  open();
  let ticks = 0;
  const intervals = [1, 2, 3, 5, 7].map((ms) => setInterval(() => ticks++, ms));
  await sleep(milliseconds(arg));
  intervals.forEach(clearInterval);
});
/** Node's threads: files and hashes, in a process that was forked without any. */
export const pool: Main = worker(async (arg) => {
  open();
  const hash = (): Promise<void> => new Promise((resolve, reject) => pbkdf2('a', 'b', 2000, 32, 'sha256', (err) => (err ? reject(err) : resolve())));
  await Promise.all(Array.from({ length: milliseconds(arg) }, () => Promise.all([hash(), readFile('/proc/self/stat')])));
});
export const mixesWaits: Main = worker(async (arg) => {
  open();
  for (const end = now() + milliseconds(arg); now() < end;) {
    await idleFor(20);
    idleForSync(20);
    bgw.setLatch(bgw.myLatch);
  }
});

/** Connects, and asks small things. */
export const queries: Main = worker(async (arg) => {
  open();
  await bgw.backgroundWorkerInitializeConnection('postgres', null);
  for (const end = now() + milliseconds(arg); now() < end;) {
    await bgw.startTransactionCommand();
    bgw.spiConnect();
    await bgw.spiExecute('SELECT pg_catalog.pg_sleep(0.01)');
    bgw.spiFinish();
    await bgw.commitTransactionCommand();
  }
});

// --- they end ---------------------------------------------------------------------------------------------------------------------------

export const returns: Main = worker(() => {});
export const procExits: Main = worker((arg) => procExit(Number(arg)));
export const processExits: Main = worker((arg) => process.exit(Number(arg)));
export const exitsDirty: Main = worker((arg) => procExit(Number(arg)));
export const callsBack: Main = worker((arg) => {
  let seen = 0;
  for (const register of [bgw.onProcExit, bgw.onShmemExit, bgw.beforeShmemExit]) register(() => void seen++);
  open();
  procExit(Number(arg));
});
export const throws: Main = worker(() => {
  throw new Error('chaos: thrown');
});
export const rejects: Main = worker(async (arg) => {
  await sleep(milliseconds(arg));
  throw new Error('chaos: rejected');
});
export const throwsLater: Main = worker((arg) => {
  open();
  setTimeout(() => {
    throw new Error('chaos: uncaught');
  }, milliseconds(arg));
  return idleFor(0x7fffffff);
});
export const rejectsUnhandled: Main = worker(() => {
  open();
  void Promise.reject(new Error('chaos: unhandled'));
  return idleFor(0x7fffffff);
});
export const reportsFatal: Main = worker(() => bgw.ereport(bgw.FATAL, { message: 'chaos: fatal' }));
export const neverSettles: Main = worker(() => new Promise(() => {}));
export const aborts: Main = worker(() => process.abort());
export const killsItself: Main = worker(() => void process.kill(process.pid, 'SIGKILL'));
export const segfaults: Main = worker(() => {
  process.kill(process.pid, 'SIGSEGV');
  computeFor(10_000);
});

// --- they register others -----------------------------------------------------------------------------------------------------------------

/** A child of a worker: its name holds the pid of the parent, which a restart changes. */
function child(): bgw.BackgroundWorker {
  const { name, libraryName } = bgw.myBgworkerEntry as NonNullable<typeof bgw.myBgworkerEntry>;
  const extra = extraOf(steady() + 3000);
  const fields = { flags: 1, startTime: 2, restartTime: -1, libraryName, functionName: 'idles', mainArg: 3000, notifyPid: process.pid };
  return { name: `${name}.${process.pid}`, extra, ...fields };
}

/** By the argument: leaves the child, waits for its start, ends it, ends it and waits. */
export const parent: Main = worker(async (arg) => {
  pqsignal('SIGUSR1', bgw.procsignalSigusr1Handler);
  open();
  const handle = bgw.registerDynamicBackgroundWorker(child());
  if (handle === null) return;
  if (arg >= 1n) await bgw.waitForBackgroundWorkerStartup(handle);
  if (arg >= 2n) bgw.terminateBackgroundWorker(handle);
  if (arg >= 3n) await bgw.waitForBackgroundWorkerShutdown(handle);
});
export const parentSync: Main = worker((arg) => {
  pqsignal('SIGUSR1', bgw.procsignalSigusr1Handler);
  open();
  const handle = bgw.registerDynamicBackgroundWorker(child());
  if (handle === null) return;
  if (arg >= 1n) bgw.waitForBackgroundWorkerStartupSync(handle);
  if (arg >= 2n) bgw.terminateBackgroundWorker(handle);
  if (arg >= 3n) bgw.waitForBackgroundWorkerShutdownSync(handle);
});

// --- in session backends --------------------------------------------------------------------------------------------------------------------

/** From registration to the end, in one of the two forms. -1: there was no slot. */
export async function wholeLife(fields: bgw.BackgroundWorker, sync: boolean): Promise<number> {
  const handle = bgw.registerDynamicBackgroundWorker({ ...fields, notifyPid: bgw.myProcPid });
  if (handle === null) return -1;
  if (sync) bgw.waitForBackgroundWorkerStartupSync(handle);
  else await bgw.waitForBackgroundWorkerStartup(handle);
  bgw.terminateBackgroundWorker(handle);
  return sync ? bgw.waitForBackgroundWorkerShutdownSync(handle) : bgw.waitForBackgroundWorkerShutdown(handle);
}

/** For the orphans' run: many in one call, as fast as they can be registered. How many found a slot. */
export function registerAll(workers: readonly bgw.BackgroundWorker[]): (bgw.BackgroundWorkerHandle | null)[] {
  return workers.map((fields) => bgw.registerDynamicBackgroundWorker({ ...fields, notifyPid: bgw.myProcPid }));
}

/** Never ends by itself. */
export const busyForEver: Main = worker(() => {
  open();
  for (;;);
});
export const busyForEverBlocked: Main = worker(() => {
  for (;;);
});
export const sleepsForEverBlocked: Main = worker(() => sleep(0x7fffffff));
export const idlesForEver: Main = worker(() => {
  open();
  return idleFor(0x7fffffff);
});
export const waitsForEverSync: Main = worker(() => {
  open();
  idleForSync(0x7fffffff);
});
export const ignoresAdvice: Main = worker(async () => {
  open();
  for (;;) await sleep(1000);
});
