// What the soak's postmaster preloads: its own garbage between forks, the workers' main functions, and what sessions call.
//
// The postmaster asks for the time in every turn of its loop: before each wait, and for each event. There it allocates here, so that its heap moves between any
// two forks. Only there: the function does nothing in a child.

import * as bgw from 'bgworker';
import { liveHeapKb } from '../helpers/live-heap.js';
import { workAs, workSmall } from './jobs.js';

const Counts = bgw.shmemStruct({
  /** Workers that came to the end of their work. */
  done: 'pg_atomic_uint32',
  /** Workers that stay, and have done theirs. */
  up: 'pg_atomic_uint32',
});
const shared = () => bgw.shmemInitStruct('soak', Counts).struct;
let counts: ReturnType<typeof shared>;

const postmaster = process.pid;
const OBJECTS_A_TURN = 2000;
const TURNS_KEPT = 10;
let kept: object[] = [];
let turns = 0;

export function _PG_init(): void {
  if (!bgw.processSharedPreloadLibrariesInProgress) return;
  bgw.setShmemRequestHook(() => bgw.requestAddinShmemSpace(Counts.size));
  bgw.setShmemStartupHook(() => {
    counts = shared();
  });
  allocateInEveryTurn();
  bgw.defineCustomStringVariable('soak.collect', {
    shortDesc: 'A number: the postmaster collects its garbage and logs what is left.',
    bootValue: '',
    checkHook: (number) => {
      if (number !== '' && number !== null && process.pid === postmaster) collect(number);
      return true;
    },
  });
}

function allocateInEveryTurn(): void {
  const now = performance.now.bind(performance);
  performance.now = () => {
    if (process.pid === postmaster) {
      const objects = Array.from({ length: OBJECTS_A_TURN }, (_, n) => ({ n, text: `turn ${turns} ${n}`, list: [n] }));
      kept[turns++ % TURNS_KEPT] = objects;
    }
    return now();
  };
}

function collect(number: string): void {
  kept = [];
  bgw.elog(bgw.LOG, `@heap ${number}: ${liveHeapKb()} KB, ${turns} turns`);
}

// --- workers ----------------------------------------------------------------------------------------------------------------------------

/** Works, and ends in one of the ways that are in order. */
export async function brief(arg: bigint): Promise<void> {
  const n = Number(arg);
  bgw.backgroundWorkerUnblockSignals();
  await workAs(n);
  bgw.pgAtomicFetchAddU32(counts.done, 1);
  if (n % 3 === 1) bgw.procExit(0);
  if (n % 3 === 2) process.exit(0);
}

/** Works, and stays until it is told to go. */
export async function stays(): Promise<void> {
  const told = { over: false };
  bgw.pqsignal('SIGTERM', () => {
    told.over = true;
    bgw.setLatch(bgw.myLatch);
  });
  bgw.backgroundWorkerUnblockSignals();
  await workSmall();
  bgw.pgAtomicFetchAddU32(counts.up, 1);
  while (!told.over) {
    await bgw.waitLatch(bgw.myLatch, bgw.WL_LATCH_SET | bgw.WL_EXIT_ON_PM_DEATH);
    bgw.resetLatch(bgw.myLatch);
  }
  bgw.pgAtomicFetchSubU32(counts.up, 1);
  bgw.pgAtomicFetchAddU32(counts.done, 1);
}

// --- called by sessions -----------------------------------------------------------------------------------------------------------------

const library = new URL(import.meta.url).pathname;

function register(functionName: string, n: number): bgw.BackgroundWorkerHandle {
  const handle = bgw.registerDynamicBackgroundWorker({
    name: `${functionName} ${n}`,
    flags: bgw.BGWORKER_SHMEM_ACCESS,
    startTime: bgw.BgWorkerStart_RecoveryFinished,
    restartTime: bgw.BGW_NEVER_RESTART,
    libraryName: library,
    functionName,
    mainArg: n,
    notifyPid: process.pid,
  });
  if (handle === null) throw new Error(`no slot for worker "${functionName} ${n}"`);
  return handle;
}

/** One worker after the other; each is gone before the next is registered. */
export async function forkInTurns(first: number, count: number): Promise<void> {
  for (let n = first; n < first + count; n++) await bgw.waitForBackgroundWorkerShutdown(register('brief', n));
}

let staying: bgw.BackgroundWorkerHandle[] = [];

export async function raise(count: number): Promise<void> {
  staying = Array.from({ length: count }, (_, n) => register('stays', n));
  for (const handle of staying) await bgw.waitForBackgroundWorkerStartup(handle);
}

export async function lower(): Promise<void> {
  for (const handle of staying) bgw.terminateBackgroundWorker(handle);
  for (const handle of staying) await bgw.waitForBackgroundWorkerShutdown(handle);
  staying = [];
}

export function state(): { done: number; up: number } {
  return { done: bgw.pgAtomicReadU32(counts.done), up: bgw.pgAtomicReadU32(counts.up) };
}
