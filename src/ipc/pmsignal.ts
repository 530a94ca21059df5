// Signalling the postmaster for a reason: a flag in shared memory, then SIGUSR1. Backends send, the postmaster reads.
// PostgreSQL: src/backend/storage/ipc/pmsignal.c (SendPostmasterSignal, CheckPostmasterSignal), contract P-11.

import { constants } from 'node:os';

import { postmasterPid } from '../globals.js';
import { native } from '../native.js';
import { PMSIGNAL_OFFSET } from '../shmem/layout.js';
import { sharedMemory } from '../shmem/shmem.js';

/** Reasons. The number is the flag's place. */
export const PMSIGNAL_RECOVERY_STARTED = 0;
export const PMSIGNAL_BEGIN_HOT_STANDBY = 1;
export const PMSIGNAL_BACKGROUND_WORKER_CHANGE = 2;
/** Ours: PostgreSQL's startup process says this by exiting with status 0; ours stays on as a watcher. */
export const PMSIGNAL_RECOVERY_FINISHED = 3;
/** Ours: the startup process sees another state of the database server; which one is in server-state.ts. */
export const PMSIGNAL_SERVER_STATE = 4;

function flag(reason: number): number {
  return PMSIGNAL_OFFSET + 4 * reason;
}

/** Raises a reason. Several raises before the postmaster looks are one. */
export function sendPostmasterSignal(reason: number): void {
  // Publish: what the reason is about was stored before. Pairs with the exchange in checkPostmasterSignal().
  sharedMemory().store(flag(reason), 1);
  native.kill(postmasterPid, constants.signals.SIGUSR1);
}

/** Postmaster: was it raised since the last look? The flag is cleared only where it was seen set. */
export function checkPostmasterSignal(reason: number): boolean {
  const memory = sharedMemory();
  if (memory.load(flag(reason)) === 0) return false;
  memory.exchange(flag(reason), 0);
  return true;
}
