// When a worker is forked. Postmaster only; pure.
//
// The policy, whole:
//   - a worker starts when the server has come as far as its start time asks, and is never stopped because the server went further;
//   - exit 0 or a recorded termination: never again. Exit 1: again after its interval, counted from the moment its death was reaped;
//     interval 0 means at once, with no back-off and no limit, unless the guard is on (guard.ts). Interval -1: never again;
//   - a fork that failed counts as exit 1, and ends the pass: memory or processes are short, so do not insist;
//   - a worker with the database flag waits while the database server is away, and one that asks for the end of recovery while it is a standby
//     (again): see serverLetsIn();
//   - while a crash cycle is unresolved nothing starts; afterwards all start at once, whatever their interval.
// A pass walks the list once, newest registration first. Since each fork is performed and answered outside, the rest of the walk waits
// in state.pass for the answer.
// PostgreSQL: maybe_start_bgworkers, do_start_bgworker, bgworker_should_start_now, DetermineSleepTime in postmaster.c, REL_15_STABLE.

import { ERRCODE_CONFIGURATION_LIMIT_EXCEEDED } from '../elog/errcodes.js';
import { DEBUG1, LOG } from '../elog/error-data.js';
import { foldDeadlines, isFolding, logOfWorker } from './fold.js';
import { noteServing, reinitialiseDelay, restartDelay } from './guard.js';
import { addChild, log, notify, setPMState, updateWorker, type Draft } from './draft.js';
import { forgetBackgroundWorker, neverRestarts, reportBackgroundWorkerPID } from './registry.js';
import type { ForkTarget, Pass, PMState, PostmasterSettings, PostmasterState, ServerState, WorkerDescriptor, WorkerEntry } from './state-types.js';

const BGWORKER_BACKEND_DATABASE_CONNECTION = 0x0002;

/** Forks in one pass; then sessions and exits get their turn. */
export const MAX_BGWORKERS_TO_LAUNCH = 100;
export const SIGKILL_CHILDREN_AFTER_MS = 5000;
/** PostgreSQL's longest sleep. Here it is kept for one case only, see deadline(). */
export const LONGEST_SLEEP_MS = 60_000;

/** By state, the highest start time that may start; -1 = none. BgWorkerStart_PostmasterStart, _ConsistentState, _RecoveryFinished = 0, 1, 2. */
const GATE: Record<PMState, number> = {
  PM_INIT: 0,
  PM_STARTUP: 0,
  PM_RECOVERY: 0,
  PM_HOT_STANDBY: 1,
  PM_RUN: 2,
  PM_STOP_BACKENDS: -1,
  PM_WAIT_BACKENDS: -1,
  PM_SHUTDOWN: -1,
  PM_WAIT_DEAD_END: -1,
  PM_NO_CHILDREN: -1,
};

/** 3.2. A start time that is none of the three is accepted at registration and starts never. */
export function bgworkerShouldStartNow(pmState: PMState, startTime: number): boolean {
  return (startTime === 0 || startTime === 1 || startTime === 2) && startTime <= GATE[pmState];
}

/** By what is seen of the database server, the highest start time that may start with the database flag. */
const SERVER_GATE: Record<ServerState, number> = { away: -1, closed: -1, standby: 1, primary: 2 };

/**
 * May a worker connect, as far as the database server is concerned? Who does not connect is not asked; before the first word PM states decide alone.
 *
 * DIFFERS FROM POSTGRES: a worker of theirs lives in the server, and a crash cycle is the only way back: everything ends, and waits for PM_RUN again. Our
 * server can go away alone. Then those with a connection end by its end, everybody else works on, and those that would connect wait for it here instead
 * of being forked against it by their restart intervals, for 0 means at once.
 */
function serverLetsIn(server: ServerState | null, { flags, startTime }: WorkerDescriptor): boolean {
  return server === null || (flags & BGWORKER_BACKEND_DATABASE_CONNECTION) === 0 || startTime <= SERVER_GATE[server];
}

/** All gates open? Whoever opens one calls for a pass. */
export function mayStart({ pmState, server }: Pick<PostmasterState, 'pmState' | 'server'>, descriptor: WorkerDescriptor): boolean {
  return bgworkerShouldStartNow(pmState, descriptor.startTime) && serverLetsIn(server, descriptor);
}

/** Is this a worker that the absence of the server holds back, or has ended? */
export function lacksServer(server: ServerState | null, descriptor: WorkerDescriptor): boolean {
  return (server === 'away' || server === 'closed') && !serverLetsIn(server, descriptor);
}

/** What the startup process sees has changed. It has logged it. */
export function serverStateChanged(d: Draft, server: ServerState): void {
  const opens = d.state.server !== null && SERVER_GATE[server] > SERVER_GATE[d.state.server];
  d.state.server = server;
  if (opens) d.state.startWorkerNeeded = true;
}

/**
 * The restart interval in milliseconds, in 32 bits as PostgreSQL computes it: above 2 147 483 s the product wraps, and where it
 * wraps below zero (2 500 000 s, say) the restart is due at once. The sleep uses the same number; PostgreSQL's is 64 bits wide there, which
 * does not show since it wakes every minute.
 */
export function restartDelayMs(restartTime: number): number {
  return Math.imul(restartTime, 1000);
}

/**
 * When a worker that must not start yet will be due.
 *
 * DIFFERS FROM POSTGRES: on the monotonic clock. PostgreSQL takes the wall clock, so that setting the time shifts restarts (S-39).
 */
function dueAt(settings: PostmasterSettings, worker: WorkerEntry): number {
  return (worker.crashedAt ?? 0) + restartDelay(settings, worker, restartDelayMs(worker.descriptor.restartTime));
}

/** 3.3. Leaves either a fork outstanding or a finished pass. */
export function maybeStartBgworkers(d: Draft, then: Pass['then'] = 'nothing'): void {
  d.passed = true;
  d.state.startWorkerNeeded = false;
  d.state.haveCrashedWorker = false;
  // S-30: a crash cycle is unresolved. Reaching PM_RUN or hot standby calls for a pass again.
  const queue = d.state.fatalError ? [] : d.state.workers.map((worker) => worker.id);
  d.state.pass = { queue, launched: 0, now: d.now, then };
  continuePass(d);
}

function continuePass(d: Draft): void {
  const { pass } = d.state;
  if (pass === null) return;
  const byId = new Map(d.state.workers.map((worker) => [worker.id, worker]));
  for (const [index, id] of pass.queue.entries()) {
    const worker = byId.get(id);
    if (worker === undefined || !considerWorker(d, worker, pass.now)) continue;
    // S-36. The child slot that S-50 speaks of is the loop's to find: its 'fork failed' says so, one DEBUG1 line later than PostgreSQL would.
    updateWorker(d, id, { crashedAt: null });
    if (!isFolding(d, id)) log(d, DEBUG1, `starting background worker process "${worker.descriptor.name}"`);
    d.state.pass = { ...pass, queue: pass.queue.slice(index + 1) };
    requestFork(d, { kind: 'bgworker', id });
    return;
  }
  finishPass(d);
}

/** Should this one be forked now? If not, S-32 … S-35 say what becomes of it. */
function considerWorker(d: Draft, worker: WorkerEntry, now: number): boolean {
  if (worker.pid !== 0) return false;
  if (worker.terminate) {
    forgetBackgroundWorker(d, worker);
    return false;
  }
  if (worker.crashedAt !== null) {
    if (neverRestarts(worker)) {
      forgetBackgroundWorker(d, worker);
      notify(d, worker.notifyPid);
      return false;
    }
    if (now < dueAt(d.state.settings, worker)) {
      d.state.haveCrashedWorker = true;
      return false;
    }
  }
  return mayStart(d.state, worker.descriptor);
}

function finishPass(d: Draft): void {
  const then = d.state.pass?.then;
  d.state.pass = null;
  if (then === 'enter run') enterRun(d);
  // T-01: 15 forks first and speaks then.
  if (then === 'announce') log(d, LOG, 'database system is ready to accept connections');
}

/** Open for business: a crash cycle, if there was one, is over, and everything that is registered may start. */
export function enterRun(d: Draft): void {
  d.state.fatalError = false;
  d.state.abortStartTime = null;
  d.state.connsAllowed = true;
  noteServing(d);
  setPMState(d, 'PM_RUN');
  maybeStartBgworkers(d, 'announce');
}

export function requestFork(d: Draft, target: ForkTarget): void {
  d.state.forking = target;
  d.actions.push({ type: 'fork', target });
}

export function bgworkerForked(d: Draft, id: number, pid: number): void {
  d.passed = true;
  addChild(d, { pid, kind: 'bgworker', workerId: id, wantsNotify: false });
  updateWorker(d, id, { startedAt: d.now, failed: false });
  reportBackgroundWorkerPID(d, id, pid);
  const { pass } = d.state;
  if (pass === null) return;
  d.state.pass = { ...pass, launched: pass.launched + 1 };
  if (d.state.pass.launched < MAX_BGWORKERS_TO_LAUNCH) return continuePass(d);
  d.state.startWorkerNeeded = true;
  finishPass(d);
}

/** S-37, S-50, S-52: the slot still says that it was not started, and a registrant that waits for the start goes on waiting. */
export function bgworkerForkFailed(d: Draft, id: number, reason: string, noSlot: boolean): void {
  d.passed = true;
  if (noSlot) logOfWorker(d, id, 'no slot available for new worker process', { code: ERRCODE_CONFIGURATION_LIMIT_EXCEEDED });
  else logOfWorker(d, id, `could not fork worker process: ${reason}`);
  updateWorker(d, id, { crashedAt: d.now });
  d.state.startWorkerNeeded = true;
  finishPass(d);
}

/** S-60: what PostgreSQL does on its way to sleep. A pass leaves nothing of the kind, so this is a safety net in both. */
export function forgetBeforeSleep(d: Draft): void {
  if (d.state.shutdown !== null || d.state.startWorkerNeeded || !d.state.haveCrashedWorker) return;
  for (const worker of d.state.workers) {
    if (worker.crashedAt !== null && (neverRestarts(worker) || worker.terminate)) forgetBackgroundWorker(d, worker);
  }
}

/**
 * When the machine wants its next 'timeout', in the events' own milliseconds: a time in the past = at once, null = sleep until something happens.
 *
 * DIFFERS FROM POSTGRES: no waking every 60 s for nothing. With one exception: while a smart shutdown waits for sessions, PostgreSQL does not
 * time restarts that fall due (S-61) but serves them at its next wake-up for another reason, which comes within those 60 s. So that it comes
 * here too, it is asked for then.
 */
export function deadline(state: PostmasterState): number | null {
  if (state.exitStatus !== null || state.forking !== null || state.pmState === 'PM_INIT') return null;
  const wanted = foldDeadlines(state);
  if (state.pausedSince !== null) wanted.push(state.pausedSince + reinitialiseDelay(state));
  if (state.abortStartTime !== null) wanted.push(state.abortStartTime + SIGKILL_CHILDREN_AFTER_MS);
  if ((state.startWorkerNeeded || state.haveCrashedWorker) && GATE[state.pmState] >= 0) {
    if (state.shutdown !== null) wanted.push(state.lastWakeup + LONGEST_SLEEP_MS);
    else if (state.startWorkerNeeded) wanted.push(state.lastWakeup);
    else for (const worker of state.workers) if (isWaitingForRestart(state, worker)) wanted.push(dueAt(state.settings, worker));
  }
  return wanted.length === 0 ? null : Math.min(...wanted);
}

/** An entry behind a closed gate is not waited for: the gate's opening brings a pass of its own. */
function isWaitingForRestart(state: PostmasterState, worker: WorkerEntry): boolean {
  return worker.pid === 0 && worker.crashedAt !== null && mayStart(state, worker.descriptor);
}
