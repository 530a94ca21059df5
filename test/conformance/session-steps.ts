// The steps of sessions: registering, handles, SIGUSR1, SQL. Runs in the judge.

import { setTimeout as sleep } from 'node:timers/promises';
import { BGWH_NOT_YET_STARTED, BGWH_POSTMASTER_DIED, BGWH_STARTED } from '../../dist/constants.js';
import type { Session } from '../../dist/session/client.js';
import { caughtUp, hasSpoken, livesOfWorker, patience, seenAsRecorded } from './patience.js';
import { within } from './polling.js';
import type { Operation, Step } from './language.js';
import { LIBRARY, registrationOf, type Registration } from './registration.js';
import type { RegisteredWorker, ScenarioRun, StepAction } from './scenario-run.js';
import type { OracleSession } from './sessions.js';
import { countSignals } from './signal-count.js';
import { isLook, isPlain, runSql } from './sql-steps.js';

const OPEN_MS = 8000;
const ANSWER_MS = 8000;
const WAIT_MS = 5000;
const POLL_MS = 20;

interface Status {
  readonly status: number;
  readonly pid?: number;
}

function statusText({ status, pid }: Status): string {
  if (status === BGWH_STARTED) return `STARTED ${pid}`;
  if (status === BGWH_NOT_YET_STARTED) return 'NOT_YET_STARTED';
  return status === BGWH_POSTMASTER_DIED ? 'POSTMASTER_DIED' : 'STOPPED';
}

/** The session, opened where it is not. Null, with a line that says why, where it cannot be. */
async function opened(run: ScenarioRun, { s, on, timeout }: Step): Promise<OracleSession | null> {
  const session = run.session(s, on);
  if (session.isOpen) return session;
  const refusal = await session.open(timeout ?? OPEN_MS, run.signal);
  if (refusal === null) return session;
  run.say(`${session.name}: connect -> ${refusal}`);
  return null;
}

/** Writes the answer down, or, after the time is over, that there is none yet. */
async function answer(run: ScenarioRun, session: OracleSession, what: string, options: { asked: Promise<string>; timeoutMs: number }): Promise<void> {
  const { asked, timeoutMs } = options;
  const late = `${session.name}: ${what} -> (still waiting)`;
  const done = await within(asked, patience(run, timeoutMs, late), run.signal);
  if (done !== null) run.say(`${session.name}: ${done.value}`);
  else {
    session.pending.push(asked);
    run.say(late);
  }
}

// --- registering ------------------------------------------------------------------------------------------------------------------

/** What the session's own backend gets as its notify pid is the backend's business. */
function notifyPid(run: ScenarioRun, { notify }: Registration): number | 'self' {
  if (notify === 'self') return 'self';
  if (typeof notify === 'string' && notify.startsWith('sess:')) return run.pidOf(notify) ?? 0;
  return Number(notify);
}

async function register(run: ScenarioRun, step: Step): Promise<void> {
  const w = step.w as string;
  const name = step.s ?? 's1';
  const session = await opened(run, step);
  if (session === null) {
    run.workers.set(w, { session: run.session(step.s, step.on), handle: null, askedMs: Date.now() });
    run.say(`${name}: register ${w} -> (no session)`);
    return;
  }
  const registration = registrationOf(run.scenario.id, step);
  const askedMs = Date.now();
  run.workers.set(w, { session, handle: null, askedMs });
  const asked = session.ask(`register ${w}`, async (backend) => {
    const { flags, start, restart, lib, func, arg, extra, type } = registration;
    const handle = await backend.registerDynamicBackgroundWorker({
      name: registration.name,
      ...(type === undefined ? {} : { type }),
      flags,
      startTime: start,
      restartTime: restart,
      libraryName: lib,
      functionName: func,
      mainArg: arg,
      extra,
      notifyPid: notifyPid(run, registration),
    });
    if (handle !== null) {
      run.workers.set(w, { session, handle, askedMs });
      session.handles.push(handle);
    }
    return String(handle !== null);
  });
  if (step.async) session.pending.push(asked);
  else await answer(run, session, `register ${w}`, { asked, timeoutMs: step.timeout ?? ANSWER_MS });
}

// --- handles ----------------------------------------------------------------------------------------------------------------------

type HandleCall = (backend: Session, worker: RegisteredWorker & { handle: NonNullable<RegisteredWorker['handle']> }) => Promise<string>;

/** A call with a worker's handle, from the session that registered it. */
function handleStep(label: string, timeoutMs: number, call: HandleCall): StepAction {
  return async (run, step) => {
    const what = `${label} ${step.w}`;
    const worker = run.workers.get(step.w as string);
    const handle = worker?.handle ?? null;
    if (worker === undefined || handle === null) run.say(`${what} -> (no handle)`);
    else if (!worker.session.isOpen) run.say(`${what} -> (session gone)`);
    else {
      const asked = worker.session.ask(what, (backend) => call(backend, { ...worker, handle }));
      if (step.async) worker.session.pending.push(asked);
      else await answer(run, worker.session, what, { asked, timeoutMs: step.timeout ?? timeoutMs });
    }
  };
}

/** The C function that the oracle's sessions waited in wrote this to the event file. */
function tellDeath(run: ScenarioRun, session: OracleSession, status: number, name: string): void {
  if (status === BGWH_POSTMASTER_DIED) run.sayEvent(session.name, `${name} returned POSTMASTER_DIED`);
}

/** Processes of a worker that began and ended, by the log, after a look and before now. Contract H-22: a status may go from not yet started to stopped. */
function endedSince(run: ScenarioRun, w: string, lookedMs: number): number[] {
  return livesOfWorker(run, w).flatMap(({ startedMs, pid }) => (pid !== null && startedMs >= lookedMs ? [pid] : []));
}

/** Every change of the status is written down, but not the first look at a worker that has not been started. */
async function waitStatus(run: ScenarioRun, step: Step): Promise<void> {
  const { w, is = '', timeout = ANSWER_MS } = step;
  const worker = run.workers.get(w as string);
  const handle = worker?.handle ?? null;
  if (worker === undefined || handle === null) {
    run.say(`status ${w} -> (no handle)`);
    return;
  }
  const { session } = worker;
  const late = (status: string): string => `${session.name}: status ${w} is ${status}, not ${is}, after ${timeout} ms`;
  const deadline = performance.now() + patience(run, timeout, `${session.name}: status ${w} is `);
  let lookedMs = worker.askedMs;
  for (let last = ''; ;) {
    const looksMs = Date.now();
    const asked = await session.ask(`status ${w}`, async (backend) => statusText(await backend.getBackgroundWorkerPid(handle)));
    const status = asked.slice(asked.indexOf(' -> ') + 4);
    if (!session.isOpen) {
      run.say(`${session.name}: ${asked}`);
      return;
    }
    const line = `${session.name}: status ${w} becomes ${status}`;
    // Nor twice in a row, where one wait follows the other.
    if (status !== last && status !== 'NOT_YET_STARTED' && run.lastSaid !== line) {
      for (const pid of endedSince(run, w as string, lookedMs)) run.sayUnseen(`${session.name}: status ${w} becomes STARTED ${pid}`);
      run.say(line);
    }
    last = status;
    lookedMs = looksMs;
    if (status.startsWith(is)) return;
    if (performance.now() > deadline) {
      run.say(late(status));
      return;
    }
    await sleep(POLL_MS, undefined, { signal: run.signal });
  }
}

// --- calls of the library ---------------------------------------------------------------------------------------------------------

/** A function of the worker library, in the session's backend. */
function libraryStep(label: (step: Step) => string, fn: string, text: (result: unknown) => string | null): StepAction {
  return async (run, step) => {
    const session = await opened(run, step);
    if (session === null) return;
    let result: unknown;
    const asked = await session.ask(label(step), async (backend) => {
      result = await backend.call(LIBRARY, fn, ...(fn === 'registerStatic' ? [registrationOf(run.scenario.id, step)] : []));
      return 'returned';
    });
    const line = asked.endsWith(' -> returned') ? text(result) : asked;
    if (line !== null) run.say(`${session.name}: ${line === 'returned' ? asked : line}`);
  };
}

export type SessionOperation = Extract<
  Operation,
  | ('open' | 'close' | 'reg' | 'reg_static' | 'sql' | 'hook_usr1' | 'usr1' | 'await')
  | ('status' | 'wait_status' | 'terminate' | 'handle' | 'wait_startup' | 'wait_shutdown')
>;

export const SESSION_STEPS: Readonly<Record<SessionOperation, StepAction>> = {
  open: async (run, step) => {
    const session = run.session(step.s, step.on);
    if (session.isOpen) return;
    const refusal = await session.open(step.once ? 0 : (step.timeout ?? OPEN_MS), run.signal);
    run.say(refusal === null ? `${session.name}: connected` : `${session.name}: connect -> ${refusal}`);
  },
  close: async (run, step) => {
    const session = run.session(step.s, step.on);
    await session.close();
    run.say(`${session.name}: disconnected`);
  },
  reg: register,
  reg_static: libraryStep(
    ({ w }) => `RegisterBackgroundWorker ${w}`,
    'registerStatic',
    () => 'returned',
  ),
  status: async (run, step) => {
    await caughtUp(run, [step.w as string]);
    await handleStep('status', ANSWER_MS, (backend, { session, handle }) => {
      const look = async (): Promise<string> => statusText(await backend.getBackgroundWorkerPid(handle));
      return seenAsRecorded(run, `${session.name}: status ${step.w} -> `, look);
    })(run, step);
  },
  terminate: async (run, step) => {
    await hasSpoken(run, step.w as string);
    const terminate = handleStep('Terminate', ANSWER_MS, async (backend, { handle }) => {
      await backend.terminateBackgroundWorker(handle);
      return 'ok';
    });
    await terminate(run, step);
  },
  // The generation counts what happened in the server before: nobody can say what it must be.
  handle: handleStep('handle', ANSWER_MS, async (_, { handle }) => `slot=${handle.slot} generation=N`),
  wait_startup: (run, step) =>
    handleStep('WaitForStartup', WAIT_MS, async (backend, { session, handle }) => {
      const status = await backend.waitForBackgroundWorkerStartup(handle);
      tellDeath(run, session, status.status, 'WaitForBackgroundWorkerStartup');
      return statusText(status);
    })(run, step),
  wait_shutdown: (run, step) =>
    handleStep('WaitForShutdown', WAIT_MS, async (backend, { session, handle }) => {
      const status = await backend.waitForBackgroundWorkerShutdown(handle);
      tellDeath(run, session, status, 'WaitForBackgroundWorkerShutdown');
      return statusText({ status });
    })(run, step),
  wait_status: waitStatus,
  await: async (run, step) => {
    const session = run.session(step.s, step.on);
    const pending = session.pending.shift();
    if (pending === undefined) return;
    const late = `${session.name}: still waiting`;
    const done = await within(pending, patience(run, step.timeout ?? ANSWER_MS, late), run.signal);
    if (done === null) session.pending.unshift(pending);
    run.say(done === null ? late : `${session.name}: finished: ?${done.value.slice(done.value.indexOf(' -> '))}`);
  },
  hook_usr1: libraryStep(
    () => 'hook SIGUSR1',
    'hookUsr1',
    () => null,
  ),
  usr1: (run, step) =>
    countSignals(run, step, (say) =>
      libraryStep(
        () => 'SIGUSR1',
        'usr1Count',
        (result) => say(Number(result)),
      )(run, step),
    ),
  sql: async (run, step) => {
    const session = await opened(run, step);
    if (session === null) return;
    const label = step.label ?? step.sql ?? '';
    const sql = step.sql ?? '';
    const question = (backend: Session): Promise<string> => {
      const answers = (): Promise<string> => runSql(run, session, backend, sql);
      return isLook(sql) ? seenAsRecorded(run, `${session.name}: ${label} -> `, answers) : answers();
    };
    const asked = session.ask(label, question, { plain: isPlain(sql) });
    if (step.async) session.pending.push(asked);
    else await answer(run, session, label, { asked, timeoutMs: step.timeout ?? ANSWER_MS });
  },
};
