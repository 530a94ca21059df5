// How the postmaster ends, and how it begins again after a crash. Postmaster only; pure.
//
//   smart      no new sessions; when the last has gone, like fast. Workers run on and new ones start meanwhile.
//   fast       SIGTERM to everybody, and wait for as long as it takes: nothing escalates.
//   immediate  SIGQUIT to everybody, SIGKILL after 5 s.
//   crash      as immediate, then start over; or end with status 1 when told to shut down, or not to restart.
//
// An owned database is stopped after the last child has gone, for workers may still write in their exit callbacks (T-33).
// PostgreSQL: pmdie, PostmasterStateMachine, TerminateChildren in src/backend/postmaster/postmaster.c, REL_15_STABLE.

import { LOG } from '../elog/error-data.js';
import { log, setPMState, signalChild, type Draft } from './draft.js';
import { givesUpServer, reinitialiseDelay } from './guard.js';
import { forgetUnstartedBackgroundWorkers, resetBackgroundWorkerCrashTimes } from './registry.js';
import { SIGKILL_CHILDREN_AFTER_MS } from './schedule.js';
import type { DatabaseStatus, PostmasterState, PostmasterStatus, ShutdownMode } from './state-types.js';

const SEVERITY: Record<ShutdownMode, number> = { smart: 1, fast: 2, immediate: 3 };

/** T-11, T-20 … T-24. A request no more severe than the one under way is dropped without a word. postmasterStateMachine() does the rest. */
export function requestShutdown(d: Draft, mode: ShutdownMode): void {
  if (d.state.shutdown !== null && SEVERITY[d.state.shutdown] >= SEVERITY[mode]) return;
  d.state.shutdown = mode;
  log(d, LOG, `received ${mode} shutdown request`);
  const { pmState } = d.state;
  if (mode === 'immediate') {
    terminateChildren(d, 'SIGQUIT');
    stopDatabase(d, 'immediate');
    setPMState(d, 'PM_WAIT_BACKENDS');
    d.state.abortStartTime = d.now;
  } else if (pmState === 'PM_RUN' || pmState === 'PM_HOT_STANDBY') {
    if (mode === 'smart') d.state.connsAllowed = false;
    else {
      log(d, LOG, 'aborting any active transactions');
      setPMState(d, 'PM_STOP_BACKENDS');
    }
  } else if (pmState === 'PM_INIT' || pmState === 'PM_STARTUP' || pmState === 'PM_RECOVERY') {
    // No session can exist yet.
    setPMState(d, 'PM_STOP_BACKENDS');
  }
}

/** Everybody, the startup process too; it then dies because we said so, which is no reason to give up. */
function terminateChildren(d: Draft, signal: 'SIGQUIT' | 'SIGKILL'): void {
  for (const child of d.state.children) signalChild(d, child.pid, signal);
  if (d.state.children.some((child) => child.kind === 'startup')) d.state.startupStatus = 'signaled';
}

/** Once: a child that outlives SIGKILL sits in the kernel and would outlive the next one as well. */
export function checkStopwatch(d: Draft): void {
  const { abortStartTime, shutdown, fatalError } = d.state;
  if (abortStartTime === null || d.now - abortStartTime < SIGKILL_CHILDREN_AFTER_MS) return;
  d.state.abortStartTime = null;
  if (shutdown !== 'immediate' && !fatalError) return;
  if (d.state.children.length === 0) return;
  log(d, LOG, 'issuing SIGKILL to recalcitrant children');
  terminateChildren(d, 'SIGKILL');
}

/**
 * Take every step that the state of things allows. Safe to call at any time: it does nothing twice.
 *
 * DIFFERS FROM POSTGRES: the place of the checkpointer is taken by the owned database. In an orderly shutdown it is stopped in PM_SHUTDOWN;
 * when we end because of a crash it is still stopped in order, in PM_WAIT_DEAD_END, since a crash of ours does not touch it.
 */
export function postmasterStateMachine(d: Draft): void {
  const { state } = d;
  if (state.aborting) return exitWhenDatabaseIsDown(d);
  const serving = state.pmState === 'PM_RUN' || state.pmState === 'PM_HOT_STANDBY';
  if (serving && !state.connsAllowed && !state.children.some((child) => child.kind === 'backend')) setPMState(d, 'PM_STOP_BACKENDS');
  if (state.pmState === 'PM_STOP_BACKENDS') stopBackends(d);
  if (state.pmState === 'PM_WAIT_BACKENDS' && state.children.length === 0) {
    if (state.shutdown === 'immediate' || state.fatalError) setPMState(d, 'PM_WAIT_DEAD_END');
    else {
      setPMState(d, 'PM_SHUTDOWN');
      stopDatabase(d, 'fast');
    }
  }
  if (state.pmState === 'PM_SHUTDOWN' && state.database !== 'stopping') setPMState(d, 'PM_WAIT_DEAD_END');
  if (state.pmState === 'PM_WAIT_DEAD_END' && state.children.length === 0) {
    if (isLeaving(d)) stopDatabase(d, 'fast');
    if (state.database !== 'stopping' && !pauses(d)) setPMState(d, 'PM_NO_CHILDREN');
  }
  if (state.pmState === 'PM_NO_CHILDREN' && !state.reinitialising) endOrReinitialise(d);
}

/** PM_STOP_BACKENDS lasts no longer than this: the ways into a shutdown meet here. */
function stopBackends(d: Draft): void {
  forgetUnstartedBackgroundWorkers(d);
  for (const child of d.state.children) if (child.kind !== 'startup') signalChild(d, child.pid, 'SIGTERM');
  for (const child of d.state.children) if (child.kind === 'startup') signalChild(d, child.pid, 'SIGTERM');
  setPMState(d, 'PM_WAIT_BACKENDS');
}

/** Once the children are gone, do we end rather than begin again? */
export function isLeaving({ state }: { readonly state: PostmasterState }): boolean {
  const { shutdown, startupStatus, settings } = state;
  return shutdown !== null || startupStatus === 'crashed' || !settings.restartAfterCrash || givesUpServer(state);
}

/**
 * What `postmaster.pid` says: `stopping` from the request on, whatever is waited for.
 *
 * DIFFERS FROM POSTGRES: in a crash cycle it says `starting`. There it goes on saying `ready`; but a cycle of ours may pause (the guard), and who asks
 * should not be told that it could connect.
 */
export function lockFileStatus(state: PostmasterState): PostmasterStatus {
  if (state.aborting || state.shutdown !== null) return 'stopping';
  if (state.pmState === 'PM_RUN') return 'ready';
  // A standby that lets nobody in will not come further: who waits for its start need not go on (sigusr1_handler, PMSIGNAL_RECOVERY_STARTED).
  if (state.pmState === 'PM_HOT_STANDBY' || (state.pmState === 'PM_RECOVERY' && state.server === 'closed')) return 'standby';
  const begins = state.pmState === 'PM_INIT' || state.pmState === 'PM_STARTUP' || state.pmState === 'PM_RECOVERY';
  return begins || !isLeaving({ state }) ? 'starting' : 'stopping';
}

/** What the lock file says of the database server. A postmaster is `ready` without it: sessions, and workers that do not connect, go on. */
export function lockFileDatabase({ settings, server }: PostmasterState): DatabaseStatus {
  return settings.hasDatabase ? (server ?? 'unknown') : 'none';
}

/** The guard has us wait before we begin again. Everybody has gone, but the owned database, which may be told to stop meanwhile. */
function pauses(d: Draft): boolean {
  const { state } = d;
  const delay = isLeaving(d) ? 0 : reinitialiseDelay(state);
  if (delay > 0 && state.pausedSince === null) {
    log(d, LOG, `reinitializing in ${delay / 1000} s after ${state.crashes} crashes in a row`);
    state.pausedSince = d.now;
    state.abortStartTime = null;
  }
  if (state.pausedSince !== null && d.now < state.pausedSince + delay) return true;
  state.pausedSince = null;
  return false;
}

function endOrReinitialise(d: Draft): void {
  const { state } = d;
  if (state.shutdown !== null) {
    if (!state.fatalError) return exitPostmaster(d, 0);
    log(d, LOG, 'abnormal database system shutdown');
    return exitPostmaster(d, 1);
  }
  if (state.startupStatus === 'crashed') {
    log(d, LOG, 'shutting down due to startup process failure');
    return exitPostmaster(d, 1);
  }
  if (!state.settings.restartAfterCrash) {
    log(d, LOG, 'shutting down because restart_after_crash is off');
    return exitPostmaster(d, 1);
  }
  if (givesUpServer(state)) {
    const hint = 'The lines before say what crashed. The limit is set by "crash_give_up_after".';
    log(d, LOG, `shutting down after ${state.crashes} ${state.crashes === 1 ? 'crash' : 'crashes in a row'}`, { hint });
    return exitPostmaster(d, 1);
  }
  log(d, LOG, 'all server processes terminated; reinitializing');
  resetBackgroundWorkerCrashTimes(d);
  // Only when restart_after_crash was switched on while we were leaving because of it.
  if (state.database === 'stopped') startDatabase(d);
  state.abortStartTime = null;
  state.reinitialising = true;
  d.actions.push({ type: 'reinitialise', workers: state.workers });
}

function stopDatabase(d: Draft, mode: 'fast' | 'immediate'): void {
  const escalates = d.state.database === 'stopping' && mode === 'immediate';
  if (d.state.database !== 'running' && !escalates) return;
  d.state.database = 'stopping';
  d.actions.push({ type: 'stop database', mode });
}

export function startDatabase(d: Draft): void {
  d.state.database = 'running';
  d.actions.push({ type: 'start database' });
}

/**
 * The startup process could not be forked, or failed before anybody depended on it: end at once. PostmasterStart workers are left to notice
 * that their postmaster is gone, as PostgreSQL leaves them; what must not be left running is the owned database.
 */
export function abortStartup(d: Draft): void {
  d.state.aborting = true;
  stopDatabase(d, 'fast');
  if (d.state.database === 'stopping') setPMState(d, 'PM_WAIT_DEAD_END');
}

function exitWhenDatabaseIsDown(d: Draft): void {
  if (d.state.database !== 'stopping') exitPostmaster(d, 1);
}

/** The last line comes with the removal of the lock file, so in PostgreSQL every ending has it, the abnormal ones too. */
function exitPostmaster(d: Draft, status: 0 | 1): void {
  log(d, LOG, 'database system is shut down');
  d.state.exitStatus = status;
  d.actions.push({ type: 'exit', status });
}
