// The postmaster's state machine: step(state, event) gives the next state and what is to be done. Postmaster only.
//
// Pure: it reads no clock, forks nothing, signals nobody; the loop does, and tells the machine what became of it. Decisions are here and in the
// rooms beside it: when a worker starts (schedule.ts), the list and its slots (registry.ts), what a death means (reap.ts), how it all ends
// (shutdown.ts), who is let in (connections.ts).
// PostgreSQL: src/backend/postmaster/postmaster.c, REL_15_STABLE: its signal handlers are our events, its globals our state.

import { LOG } from '../elog/error-data.js';
import { backendForked, backendForkFailed, connectionRequested } from './connections.js';
import { addChild, log, openDraft, setPMState, signalChild, type Draft } from './draft.js';
import { closeExpiredFolds } from './fold.js';
import { noteServing } from './guard.js';
import { childExited, databaseLost } from './reap.js';
import { assignSlots, backgroundWorkerStateChange } from './registry.js';
import { bgworkerForked, bgworkerForkFailed, enterRun, forgetBeforeSleep, maybeStartBgworkers, requestFork, serverStateChanged } from './schedule.js';
import { abortStartup, checkStopwatch, postmasterStateMachine, requestShutdown } from './shutdown.js';
import type { ForkTarget, PostmasterEvent, PostmasterSettings, PostmasterState, RegisteredBgWorker, StepResult } from './state-types.js';

export type * from './state-types.js';
export { deadline } from './schedule.js';
export { lockFileDatabase, lockFileStatus } from './shutdown.js';

export type ReloadableSettings = Pick<PostmasterSettings, 'restartAfterCrash' | 'guard'>;

/** An id for the next static worker, while the list is being made; none is ever taken off it then. Later ids are the machine's own. */
export function newWorkerId(workers: readonly Pick<RegisteredBgWorker, 'id'>[]): number {
  return workers.reduce((highest, worker) => Math.max(highest, worker.id), 0) + 1;
}

/** Before shared memory exists. `staticWorkers` in list order: the last registered comes first, and gets slot 0. An owned database runs. */
export function initialState(settings: PostmasterSettings, staticWorkers: readonly RegisteredBgWorker[]): PostmasterState {
  return {
    settings,
    pmState: 'PM_INIT',
    shutdown: null,
    fatalError: false,
    connsAllowed: true,
    abortStartTime: null,
    startupStatus: 'not running',
    startWorkerNeeded: true,
    haveCrashedWorker: false,
    workers: assignSlots(staticWorkers),
    children: [],
    nextWorkerId: newWorkerId(staticWorkers),
    forking: null,
    pass: null,
    database: settings.ownedDatabase ? 'running' : 'none',
    server: null,
    aborting: false,
    reinitialising: false,
    crashes: 0,
    servingSince: null,
    pausedSince: null,
    folds: [],
    lastWakeup: 0,
    exitStatus: null,
  };
}

/** After 'reload configuration': the settings of the machine's that a reload may change. */
export function changeSettings(state: PostmasterState, changed: ReloadableSettings): PostmasterState {
  return { ...state, settings: { ...state.settings, ...changed } };
}

/**
 * One event. After it the machine goes as far as it can: steps of a shutdown or a crash cycle, the stopwatch, a scheduling pass if one is wanted;
 * PostgreSQL's order within a turn of its loop. A pass stops at each fork and goes on in the step that brings the answer.
 *
 * @throws Error when the loop breaks the protocol: an event while a fork is outstanding, or an answer that nobody waits for.
 */
export function step(state: PostmasterState, event: PostmasterEvent): StepResult {
  if (state.exitStatus !== null) return { state, actions: [] };
  const isAnswer = event.type === 'forked' || event.type === 'fork failed';
  if (isAnswer ? !sameTarget(state.forking, event.target) : state.forking !== null) {
    throw new Error(`postmaster state machine: unexpected event "${event.type}"`);
  }
  const d = openDraft(state, event.now);
  if (isAnswer) d.state.forking = null;
  closeExpiredFolds(d);
  handle(d, event);
  if (d.state.forking === null) settle(d, event.more ?? false);
  return { state: d.state, actions: d.actions };
}

function settle(d: Draft, more: boolean): void {
  postmasterStateMachine(d);
  if (d.state.exitStatus !== null || d.state.reinitialising) return;
  checkStopwatch(d);
  if (more) return;
  const wanted = d.state.startWorkerNeeded || d.state.haveCrashedWorker;
  if (wanted && !d.passed && d.state.pmState !== 'PM_INIT') maybeStartBgworkers(d);
  if (d.state.forking === null) forgetBeforeSleep(d);
}

function sameTarget(expected: ForkTarget | null, answered: ForkTarget): boolean {
  if (expected === null || expected.kind !== answered.kind) return false;
  if (expected.kind === 'bgworker') return answered.kind === 'bgworker' && expected.id === answered.id;
  return expected.kind === 'startup' || (answered.kind === 'backend' && expected.conn === answered.conn);
}

function handle(d: Draft, event: PostmasterEvent): void {
  switch (event.type) {
    case 'initialised':
      return d.state.pmState === 'PM_INIT' ? beginStartup(d) : undefined;
    case 'reinitialised':
      return d.state.reinitialising ? reinitialised(d) : undefined;
    case 'pmsignal':
      return startupSignalled(d, event.reason);
    case 'server state':
      return serverStateChanged(d, event.server);
    case 'slots': {
      // S-06: the gate that turns late requests away. Any state before PM_STOP_BACKENDS is open, a smart shutdown's wait included.
      const allowNew = ['PM_INIT', 'PM_STARTUP', 'PM_RECOVERY', 'PM_HOT_STANDBY', 'PM_RUN'].includes(d.state.pmState);
      backgroundWorkerStateChange(d, event.totalSlots, event.slots, allowNew);
      d.state.startWorkerNeeded = true;
      return;
    }
    case 'connection':
      return connectionRequested(d, event.conn);
    case 'forked':
      return forked(d, event.target, event.pid);
    case 'fork failed':
      return forkFailed(d, event.target, event.reason, event.noSlot ?? false);
    case 'exited':
      return childExited(d, event);
    case 'shutdown':
      return requestShutdown(d, event.mode);
    case 'reload':
      return reload(d);
    case 'database stopped':
      if (d.state.database !== 'none') d.state.database = 'stopped';
      return;
    case 'database lost':
      return databaseLost(d, event.message);
    case 'lock file invalid':
      // T-34: the line first, then an immediate shutdown as if SIGQUIT had come.
      log(d, LOG, 'performing immediate shutdown because data directory lock file is invalid');
      return requestShutdown(d, 'immediate');
    case 'timeout':
      return;
  }
}

/** PM_INIT or the end of a crash cycle → PM_STARTUP. Without a database nothing has to be recovered, and PM_RUN follows the first pass. */
function beginStartup(d: Draft): void {
  setPMState(d, 'PM_STARTUP');
  d.state.server = null;
  if (d.state.settings.hasDatabase) requestFork(d, { kind: 'startup' });
  else maybeStartBgworkers(d, 'enter run');
}

/** A shutdown that came in between is not worth a recovery first: on to the end, with what is still to be stopped. */
function reinitialised(d: Draft): void {
  d.state.reinitialising = false;
  if (d.state.shutdown === null) beginStartup(d);
  else setPMState(d, 'PM_WAIT_DEAD_END');
}

/** What the startup process reports. In a state where it makes no sense, or while shutting down, it is ignored, as in PostgreSQL. */
function startupSignalled(d: Draft, reason: 'recovery started' | 'begin hot standby' | 'recovery finished'): void {
  const { state } = d;
  if (state.shutdown !== null || state.aborting) return;
  if (reason === 'recovery started' && state.pmState === 'PM_STARTUP') {
    // Redo has begun: the crash cycle is over (S-20). No pass is called for (S-25).
    state.fatalError = false;
    state.abortStartTime = null;
    setPMState(d, 'PM_RECOVERY');
  } else if (reason === 'begin hot standby' && state.pmState === 'PM_RECOVERY') {
    log(d, LOG, 'database system is ready to accept read-only connections');
    setPMState(d, 'PM_HOT_STANDBY');
    state.connsAllowed = true;
    state.startWorkerNeeded = true;
    noteServing(d);
  } else if (reason === 'recovery finished' && ['PM_STARTUP', 'PM_RECOVERY', 'PM_HOT_STANDBY'].includes(state.pmState)) {
    // DIFFERS FROM POSTGRES: there this is the startup process's exit 0. Ours stays on and watches the database.
    enterRun(d);
  }
}

function forked(d: Draft, target: ForkTarget, pid: number): void {
  if (target.kind === 'bgworker') return bgworkerForked(d, target.id, pid);
  if (target.kind === 'backend') return backendForked(d, target.conn, pid);
  addChild(d, { pid, kind: 'startup', wantsNotify: false });
  d.state.startupStatus = 'running';
}

function forkFailed(d: Draft, target: ForkTarget, reason: string, noSlot: boolean): void {
  if (target.kind === 'bgworker') return bgworkerForkFailed(d, target.id, reason, noSlot);
  if (target.kind === 'backend') return backendForkFailed(d, target.conn, reason, noSlot);
  log(d, LOG, `could not fork startup process: ${reason}`);
  abortStartup(d);
}

/** 5.2: ignored once a fast or immediate shutdown is under way. */
function reload(d: Draft): void {
  if (d.state.shutdown === 'fast' || d.state.shutdown === 'immediate') return;
  log(d, LOG, 'received SIGHUP, reloading configuration files');
  d.actions.push({ type: 'reload configuration' });
  for (const child of d.state.children) signalChild(d, child.pid, 'SIGHUP');
}
