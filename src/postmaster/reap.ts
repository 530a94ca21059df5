// What the death of a child means. Postmaster only; pure.
//
//   worker   0, detached           finished: unregistered, whatever its interval
//            1, detached           failed: restarted after its interval, or unregistered if it has none (or the guard gives up)
//            0 or 1, not detached  crash
//            2 … 255, a signal     crash
//   backend  0 or 1, detached      a session ended; anything else is a crash
//   startup  see startupExited()
//
// A crash means that shared memory may be damaged: SIGQUIT to everybody, and begin anew when they are gone. A worker without shared memory
// cannot have damaged it, so none of its deaths is a crash.
// PostgreSQL: reaper, CleanupBackgroundWorker, CleanupBackend, HandleChildCrash, LogChildExit in src/backend/postmaster/postmaster.c, REL_15_STABLE.

import { DEBUG1, DEBUG2, LOG } from '../elog/error-data.js';
import { logOfWorker } from './fold.js';
import { afterFailure, givesUpWorker, noteCrash, restartDelay } from './guard.js';
import { findWorker, log, removeChild, setPMState, signalChild, updateWorker, type Draft } from './draft.js';
import { backgroundWorkerStopNotifications, neverRestarts, reportBackgroundWorkerExit } from './registry.js';
import { bgworkerShouldStartNow, enterRun, lacksServer, restartDelayMs } from './schedule.js';
import { abortStartup, isLeaving, startDatabase } from './shutdown.js';
import { strsignal } from './strsignal.js';
import type { Child, Death, ExitStatus, WorkerEntry } from './state-types.js';

const BGWORKER_SHMEM_ACCESS = 0x0001;

/** A pid that is not a child's of ours says nothing. */
export function childExited(d: Draft, death: Death): void {
  const child = d.state.children.find(({ pid }) => pid === death.pid);
  if (child === undefined) return;
  if (child.kind === 'startup') return startupExited(d, death);
  if (child.kind === 'backend') return backendExited(d, child, death);
  const worker = findWorker(d, child.workerId);
  if (worker === undefined) removeChild(d, death.pid);
  else bgworkerExited(d, child, worker, death);
}

/** */
function childExitLine(procname: string, { pid, status: { exitCode, signal } }: Death): string {
  let end = 'exited with unrecognized status 0';
  if (exitCode !== null) end = `exited with exit code ${exitCode}`;
  else if (signal !== null) end = `was terminated by signal ${signal}: ${strsignal(signal)}`;
  return `${procname} (PID ${pid}) ${end}`;
}

/**
 * What it was running is told where it failed and could not empty its entry: leaving in order does that, so an exit 1 after an ERROR or a FATAL has no such
 * DETAIL. As in PostgreSQL it is the last text reported, also of one that had done with it since.
 */
function logChildExit(d: Draft, level: number, procname: string, death: Death): void {
  const { status, detached, activity = '' } = death;
  const isKnown = status.exitCode !== 0 && !detached && activity !== '';
  log(d, level, childExitLine(procname, death), isKnown ? { detail: `Failed process was running: ${activity}` } : {});
}

function exitedInOrder({ exitCode }: ExitStatus): boolean {
  return exitCode === 0 || exitCode === 1;
}

/** X-10 … X-17. 15 records what the status asks for before it finds out whether it was a crash: a dirty exit 0 is unregistered, too. */
function bgworkerExited(d: Draft, child: Child, worker: WorkerEntry, death: Death): void {
  const { status, detached } = death;
  const finished = status.exitCode === 0;
  const procname = `background worker "${worker.descriptor.type}"`;
  updateWorker(d, worker.id, finished ? { crashedAt: null, terminate: true } : { crashedAt: d.now });
  d.state.haveCrashedWorker = true;
  const consequence = finished ? null : workerFailed(d, worker);
  const connected = (worker.descriptor.flags & BGWORKER_SHMEM_ACCESS) !== 0;
  if (connected && !(exitedInOrder(status) && detached)) {
    handleChildCrash(d, procname, death);
  } else {
    forgetChild(d, child);
    reportBackgroundWorkerExit(d, worker.id);
    const line = childExitLine(procname, death);
    if (finished) log(d, DEBUG1, line);
    else logOfWorker(d, worker.id, line, consequence?.detail === undefined ? {} : { detail: consequence.detail });
  }
  if (consequence?.givesUp !== true) return;
  const hint = 'Register it again when the cause has been removed. The limit is set by "worker_give_up_after".';
  log(d, LOG, `giving up ${procname} after ${consequence.failures} ${consequence.failures === 1 ? 'failure' : 'failures in a row'}`, { hint });
}

/**
 * What the guard makes of it; null where it was no failure of the worker's own, or where it is not restarted anyway. Giving up is a termination, so
 * that all follows that follows one: the slot is freed and the registrant told now, or, after a crash, the first pass forgets the entry.
 */
function workerFailed(d: Draft, worker: WorkerEntry): { failures: number; givesUp: boolean; detail?: string } | null {
  const { settings, pmState, fatalError, server } = d.state;
  const wasTold = worker.terminate || fatalError || !bgworkerShouldStartNow(pmState, 0) || lacksServer(server, worker.descriptor);
  if (wasTold || neverRestarts(worker)) return null;
  const record = afterFailure(d.now, worker);
  const { failures } = record;
  const givesUp = givesUpWorker(settings, record);
  updateWorker(d, worker.id, givesUp ? { ...record, terminate: true } : record);
  const interval = restartDelayMs(worker.descriptor.restartTime);
  const delay = restartDelay(settings, record, interval);
  if (givesUp || delay <= interval) return { failures, givesUp };
  const times = failures === 1 ? 'once' : `${failures} times in a row`;
  return { failures, givesUp, detail: `It has failed ${times} and will be restarted in ${delay / 1000} s.` };
}

function backendExited(d: Draft, child: Child, death: Death): void {
  logChildExit(d, DEBUG2, 'server process', death);
  if (!exitedInOrder(death.status) || !death.detached) return handleChildCrash(d, 'server process', death);
  forgetChild(d, child);
}

function forgetChild(d: Draft, child: Child): void {
  removeChild(d, child.pid);
  if (child.wantsNotify) backgroundWorkerStopNotifications(d, child.pid);
}

/**
 * The startup process: 0 means that we are open for business, everything else is fatal to the server, unless we told it to go.
 *
 * DIFFERS FROM POSTGRES: it stays on as the database's watcher and says by signal that recovery has finished, so its exit is not awaited. An
 * exit 0 still opens, or, when we are open already, only ends the watching. In a smart shutdown that waits for sessions it may go, too;
 * PostgreSQL then goes on to PM_WAIT_BACKENDS without having told the workers to stop. And an exit 0 in a crash cycle (the SIGQUIT came too late)
 * ends no cycle: PostgreSQL opens then, and the deaths of those that it has told to quit are its next crash.
 */
function startupExited(d: Draft, death: Death): void {
  const { state } = d;
  const { pid, status } = death;
  const wasSignaled = state.startupStatus === 'signaled';
  if (state.shutdown !== null && exitedInOrder(status)) {
    removeChild(d, pid);
    state.startupStatus = 'not running';
  } else if (status.exitCode === 0) {
    removeChild(d, pid);
    state.startupStatus = 'not running';
    if (state.pmState === 'PM_STARTUP' || state.pmState === 'PM_RECOVERY' || state.pmState === 'PM_HOT_STANDBY') enterRun(d);
  } else if (state.pmState === 'PM_STARTUP') {
    removeChild(d, pid);
    state.startupStatus = 'not running';
    logChildExit(d, LOG, 'startup process', death);
    log(d, LOG, 'aborting startup due to startup process failure');
    abortStartup(d);
  } else {
    // In PM_RUN it is a watcher, and its death a crash like any other: the cycle starts another.
    state.startupStatus = wasSignaled || state.pmState === 'PM_RUN' ? 'not running' : 'crashed';
    handleChildCrash(d, 'startup process', death);
  }
}

/**
 * X-20 … X-22. The first crash is logged and answered; while a cycle or an immediate shutdown is under way only the books are kept. The dead
 * worker's slot is left as it is and nobody is notified: whoever would read it is being killed.
 *
 * DIFFERS FROM POSTGRES: PM_STARTUP goes to PM_WAIT_BACKENDS at once, not only when the startup process has died of its SIGQUIT.
 */
function handleChildCrash(d: Draft, procname: string, death: Death): void {
  const { state } = d;
  const takeAction = !state.fatalError && state.shutdown !== 'immediate';
  if (takeAction) logChildExit(d, LOG, procname, death);
  removeChild(d, death.pid);
  state.workers = state.workers.map((worker) => (worker.pid === death.pid ? { ...worker, pid: 0 } : worker));
  beginCrashCycle(d, takeAction);
}

function beginCrashCycle(d: Draft, takeAction: boolean): void {
  const { state } = d;
  if (takeAction) {
    noteCrash(d);
    log(d, LOG, 'terminating any other active server processes');
    for (const worker of state.workers) if (worker.pid !== 0) signalChild(d, worker.pid, 'SIGQUIT');
    for (const child of state.children) if (child.kind === 'backend') signalChild(d, child.pid, 'SIGQUIT');
    for (const child of state.children) {
      if (child.kind !== 'startup') continue;
      signalChild(d, child.pid, 'SIGQUIT');
      state.startupStatus = 'signaled';
    }
    state.abortStartTime = d.now;
  }
  if (state.shutdown !== 'immediate') state.fatalError = true;
  if (state.pmState !== 'PM_WAIT_DEAD_END' && state.pmState !== 'PM_NO_CHILDREN') setPMState(d, 'PM_WAIT_BACKENDS');
}

/**
 * The owned server went away unasked. PostgreSQL has no such case; to our processes it is what the death of any server process is.
 * Before we were up it is a failed start, so that a server that cannot live is not started for ever.
 */
export function databaseLost(d: Draft, message: string): void {
  const { state } = d;
  const wasAskedToStop = state.database === 'stopping';
  state.database = 'stopped';
  log(d, LOG, message);
  if (wasAskedToStop || state.aborting) return;
  if (state.shutdown === null && (state.pmState === 'PM_INIT' || state.pmState === 'PM_STARTUP')) {
    log(d, LOG, 'aborting startup due to startup process failure');
    return abortStartup(d);
  }
  beginCrashCycle(d, !state.fatalError && state.shutdown !== 'immediate');
  if (!isLeaving(d)) startDatabase(d);
}
