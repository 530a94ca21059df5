// Handles: asking after a worker, waiting for it, ending it. Backends: workers and session backends.
// PostgreSQL: src/backend/postmaster/bgworker.c (GetBackgroundWorkerPid and below), contract section H.

import { slotGeneration, slotInUse, slotPid, slotType, setSlotTerminate, totalSlots } from './slots.js';
import { BGWH_NOT_YET_STARTED, BGWH_POSTMASTER_DIED, BGWH_STARTED, BGWH_STOPPED, InvalidPid } from '../constants.js';
import { WL_LATCH_SET, WL_POSTMASTER_DEATH, myLatch, resetLatch, waitLatch, waitLatchSync } from '../ipc/latch.js';
import { withBackgroundWorkerLock } from '../ipc/lwlock.js';
import { PMSIGNAL_BACKGROUND_WORKER_CHANGE, sendPostmasterSignal } from '../ipc/pmsignal.js';
import { checkForInterrupts } from '../ipc/signals.js';
import { WAIT_EVENT_BGWORKER_SHUTDOWN, WAIT_EVENT_BGWORKER_STARTUP } from '../ipc/wait-event.js';

/**
 * Names one registration of one worker. Opaque; stays truthful until the postmaster begins anew after a crash, also when the slot has another worker since. (Every
 * backend that holds one dies in the crash; an application should drop its own when its session ends.)
 * @pg BackgroundWorkerHandle
 */
export interface BackgroundWorkerHandle {
  readonly slot: number;
  readonly generation: bigint;
}

/** A status, with the pid where it is BGWH_STARTED. */
export interface BackgroundWorkerStatus {
  readonly status: number;
  readonly pid?: number;
}

function checkHandle(handle: BackgroundWorkerHandle): void {
  const { slot, generation } = handle ?? {};
  if (typeof slot !== 'number' || !Number.isInteger(slot) || slot < 0 || slot >= totalSlots() || typeof generation !== 'bigint') {
    throw new TypeError('handle must be a background worker handle, as registerDynamicBackgroundWorker returns it');
  }
}

/**
 * The status of a worker. Does not wait.
 *
 * @returns `{ status }`: BGWH_NOT_YET_STARTED; BGWH_STARTED, with `pid`; BGWH_STOPPED, which also a worker has that waits for its restart, one
 * that was never started and is unregistered, and whoever a stale handle names
 * @throws TypeError for what is no handle
 * @example const { status, pid } = getBackgroundWorkerPid(handle);
 * @pg GetBackgroundWorkerPid
 */
export function getBackgroundWorkerPid(handle: BackgroundWorkerHandle): BackgroundWorkerStatus {
  checkHandle(handle);
  const pid = withBackgroundWorkerLock(() =>
    slotGeneration(handle.slot) !== handle.generation || !slotInUse(handle.slot) ? 0 : slotPid(handle.slot),
  );
  if (pid === 0) return { status: BGWH_STOPPED };
  if (pid === InvalidPid) return { status: BGWH_NOT_YET_STARTED };
  return { status: BGWH_STARTED, pid };
}

// The body of the waits' loops, up to the sleep. Interrupts are served here (H-19).
function look(handle: BackgroundWorkerHandle, done: (status: BackgroundWorkerStatus) => boolean): BackgroundWorkerStatus | null {
  checkForInterrupts();
  const status = getBackgroundWorkerPid(handle);
  return done(status) ? status : null;
}

const started = ({ status }: BackgroundWorkerStatus): boolean => status !== BGWH_NOT_YET_STARTED;
const stopped = ({ status }: BackgroundWorkerStatus): boolean => status === BGWH_STOPPED;

async function waitFor(handle: BackgroundWorkerHandle, done: typeof started, waitEventInfo: number): Promise<BackgroundWorkerStatus> {
  for (;;) {
    const status = look(handle, done);
    if (status !== null) return status;
    const event = await waitLatch(myLatch, WL_LATCH_SET | WL_POSTMASTER_DEATH, -1, { waitEventInfo });
    if (event === WL_POSTMASTER_DEATH) return { status: BGWH_POSTMASTER_DIED };
    resetLatch(myLatch);
  }
}

function waitForSync(handle: BackgroundWorkerHandle, done: typeof started, waitEventInfo: number): BackgroundWorkerStatus {
  for (;;) {
    const status = look(handle, done);
    if (status !== null) return status;
    const event = waitLatchSync(myLatch, WL_LATCH_SET | WL_POSTMASTER_DEATH, -1, { waitEventInfo });
    if (event === WL_POSTMASTER_DEATH) return { status: BGWH_POSTMASTER_DIED };
    resetLatch(myLatch);
  }
}

/**
 * Waits until the postmaster has tried to start the worker, or is gone. The event loop goes on.
 *
 * The worker must have been registered with `notifyPid: myProcPid`, and this process must take SIGUSR1 (session backends and workers with
 * BGWORKER_BACKEND_DATABASE_CONNECTION do; another worker installs `pqsignal('SIGUSR1', procsignalSigusr1Handler)` first). Without them nothing
 * ends the wait, as in PostgreSQL.
 *
 * @returns BGWH_STARTED with the pid; BGWH_STOPPED, also for a worker that has finished meanwhile; BGWH_POSTMASTER_DIED
 * @example const { status, pid } = await waitForBackgroundWorkerStartup(handle);
 * @pg WaitForBackgroundWorkerStartup
 */
export function waitForBackgroundWorkerStartup(handle: BackgroundWorkerHandle): Promise<BackgroundWorkerStatus> {
  return waitFor(handle, started, WAIT_EVENT_BGWORKER_STARTUP);
}

/** As {@link waitForBackgroundWorkerStartup}, and blocks the thread. @pg WaitForBackgroundWorkerStartup */
export function waitForBackgroundWorkerStartupSync(handle: BackgroundWorkerHandle): BackgroundWorkerStatus {
  return waitForSync(handle, started, WAIT_EVENT_BGWORKER_STARTUP);
}

/**
 * Waits until the worker is not running, or the postmaster is gone. It returns at the first exit, even where a restart is due. The same
 * conditions as for {@link waitForBackgroundWorkerStartup}.
 * @returns BGWH_STOPPED or BGWH_POSTMASTER_DIED
 * @example terminateBackgroundWorker(handle); await waitForBackgroundWorkerShutdown(handle);
 * @pg WaitForBackgroundWorkerShutdown
 */
export async function waitForBackgroundWorkerShutdown(handle: BackgroundWorkerHandle): Promise<number> {
  return (await waitFor(handle, stopped, WAIT_EVENT_BGWORKER_SHUTDOWN)).status;
}

/** As {@link waitForBackgroundWorkerShutdown}, and blocks the thread. @pg WaitForBackgroundWorkerShutdown */
export function waitForBackgroundWorkerShutdownSync(handle: BackgroundWorkerHandle): number {
  return waitForSync(handle, stopped, WAIT_EVENT_BGWORKER_SHUTDOWN).status;
}

/**
 * Asks the postmaster to end a worker: SIGTERM if it runs, and unregistered as soon as it does not, whatever its restart time. Returns at
 * once. A handle whose worker is gone is no error and does nothing.
 * @throws TypeError for what is no handle
 * @pg TerminateBackgroundWorker
 */
export function terminateBackgroundWorker(handle: BackgroundWorkerHandle): void {
  checkHandle(handle);
  const signal = withBackgroundWorkerLock(() => {
    if (slotGeneration(handle.slot) !== handle.generation) return false;
    setSlotTerminate(handle.slot);
    return true;
  });
  // Outside of the lock: the postmaster looks at slots without it.
  if (signal) sendPostmasterSignal(PMSIGNAL_BACKGROUND_WORKER_CHANGE);
}

/**
 * The type of the worker that runs under this pid; null where there is none.
 * @pg GetBackgroundWorkerTypeByPid
 */
export function getBackgroundWorkerTypeByPid(pid: number): string | null {
  if (!Number.isInteger(pid)) throw new TypeError(`pid must be an integer, not ${String(pid)}`);
  if (pid <= 0) return null;
  return withBackgroundWorkerLock(() => {
    for (let slot = 0; slot < totalSlots(); slot++) {
      if (slotPid(slot) === pid) return slotType(slot);
    }
    return null;
  });
}
