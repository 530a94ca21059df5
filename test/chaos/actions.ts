// The actions of the schedule, done. Nothing here waits: what takes time is started, and its result is looked at when it comes.

import { renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { extraOf } from './behaviours.js';
import { CLOCK_FILE, steady } from './clock.js';
import { select } from './random.js';
import type { Action, WorkerPlan } from './schedule.js';
import type { KnownHandle, OpenSession, World } from './world.js';

export const LIBRARY: string = fileURLToPath(new URL('library.js', import.meta.url));
/** The postmaster takes three more: the quiet points need one, an application that is killed has two. */
const MOST_SESSIONS = 9;

const STARTED = 0;
const NOT_YET_STARTED = 1;
const STOPPED = 2;

type SessionAction = Exclude<Action, { do: 'open' | 'application' | 'signal' | 'stop' | 'stop postmaster' | 'signal postmaster' | 'step clock' }>;

type Descriptor = Parameters<OpenSession['session']['registerDynamicBackgroundWorker']>[0];

/** The descriptor of a plan, whose life begins now. The audit is told first: it may read of the worker before anything else happens here. */
export function descriptorOf(world: World, plan: WorkerPlan): Descriptor {
  const { name, type, behaviour, arg, flags, restartTime, startTime, notify, lifeMs } = plan;
  const endOfLife = steady() + lifeMs;
  world.audit.willRegister(plan, endOfLife);
  return {
    name,
    type,
    flags,
    restartTime,
    startTime,
    libraryName: LIBRARY,
    functionName: behaviour,
    mainArg: arg,
    extra: extraOf(endOfLife),
    ...(notify ? { notifyPid: 'self' as const } : {}),
  };
}

export function perform(world: World, action: Action): void {
  world.count(action.do);
  switch (action.do) {
    case 'open':
      for (let n = 0; n < action.count; n++) open(world);
      return world.note(`open ${action.count}`);
    case 'application':
      return runApplication(world, action);
    case 'signal': {
      const pid = select(world.children(action.whom), action.child);
      world.note(`${action.signal} to ${action.whom} ${pid ?? '(none)'}`);
      return pid === undefined ? undefined : world.signal(pid, action.signal);
    }
    case 'stop': {
      const pid = select(world.children(action.whom), action.child);
      world.note(`stop ${action.whom} ${pid ?? '(none)'} for ${action.ms} ms`);
      return pid === undefined ? undefined : world.stop(pid, action.ms);
    }
    case 'stop postmaster':
      world.note(`stop postmaster for ${action.ms} ms`);
      return world.stopPostmaster(action.ms);
    case 'signal postmaster':
      world.note(`${action.signal} to postmaster`);
      if (action.signal === 'SIGHUP') writeFileSync(join(world.pm.dir, 'bgworker.conf'), `chaos.reloads = ${world.counts['signal postmaster']}\n`);
      return world.pm.signal(action.signal);
    case 'step clock':
      world.note(`step clock to ${action.ms} ms`);
      // By a rename: who reads it meanwhile must not find half of a number.
      writeFileSync(join(world.pm.dir, `${CLOCK_FILE}.new`), String(action.ms));
      return renameSync(join(world.pm.dir, `${CLOCK_FILE}.new`), join(world.pm.dir, CLOCK_FILE));
    default: {
      const opened = select(world.sessions, action.session);
      // A crash cycle ends them all: the next is opened as soon as one can be.
      if (opened === undefined) return open(world);
      return performInSession(world, opened, action);
    }
  }
}

/** One at a time. Of its worker nobody here has a handle: its life, and the end of everybody, end it. */
function runApplication(world: World, { sessions, workers, killAfterMs }: Extract<Action, { do: 'application' }>): void {
  if (world.leaving || world.applications.alive > 0) return world.note('no application');
  world.note(`application with ${sessions} sessions and worker "${workers.map(({ name }) => name).join(' ')}", killed after ${killAfterMs} ms`);
  world.count('applications killed');
  const descriptors = workers.map((plan) => descriptorOf(world, plan));
  world.start('application', world.applications.run({ dir: world.pm.dir, sessions, workers: descriptors, killAfterMs }));
}

function open(world: World): void {
  if (!world.leaving && world.sessions.length + world.opening < MOST_SESSIONS) world.start('open', world.open());
}

function performInSession(world: World, opened: OpenSession, action: SessionAction): void {
  const { session, era } = opened;
  const handles = world.currentHandles().filter((known) => known.era === era);
  switch (action.do) {
    case 'register':
      for (const plan of action.workers) world.start(`register "${plan.name}"`, register(world, opened, plan));
      return;
    case 'register badly':
      return world.start(`register badly ${action.fault}`, registerBadly(world, opened, action.fault));
    case 'register in backend':
      return world.start(`register in backend "${action.worker.name}"`, registerInBackend(world, opened, action));
    case 'close':
      world.note(`close session ${session.backendPid}`);
      return world.start('close', world.close(opened));
    case 'activity':
      return world.start('activity', session.activity());
    case 'type by pid': {
      const pid = select(world.children('any'), action.child) ?? 1;
      return world.start(`type by pid ${pid}`, session.getBackgroundWorkerTypeByPid(pid));
    }
    case 'terminate many': {
      const from = Math.floor(action.from * handles.length);
      for (const known of handles.slice(from, from + action.count)) terminate(world, opened, known);
      return;
    }
    default: {
      const known = select(handles, action.handle);
      if (known === undefined) return;
      if (action.do === 'terminate') terminate(world, opened, known);
      else if (action.do === 'poll') world.start(`poll "${known.plan.name}"`, poll(world, opened, known));
      // Only whom the postmaster notifies may wait.
      else if (known.waiter !== null && world.sessions.includes(known.waiter)) wait(world, known.waiter, known, action.do);
    }
  }
}

export async function register(world: World, opened: OpenSession, plan: WorkerPlan): Promise<KnownHandle | null> {
  const { behaviour, arg, flags, restartTime, startTime } = plan;
  world.note(`register "${plan.name}" ${behaviour}(${arg}) flags ${flags} restart ${restartTime} start ${startTime} in ${opened.session.backendPid}`);
  const handle = await opened.session.registerDynamicBackgroundWorker(descriptorOf(world, plan));
  world.count(handle === null ? 'registrations without a slot' : 'registrations');
  if (handle === null) return null;
  const known: KnownHandle = { handle, plan, era: opened.era, waiter: plan.notify ? opened : null };
  world.handles.push(known);
  return known;
}

/** Each must be refused, with its SQLSTATE or as a malformed object, and leave nothing. */
async function registerBadly(world: World, { session }: OpenSession, fault: number): Promise<void> {
  const good = { name: 'bad', flags: 1, startTime: 2, restartTime: -1, libraryName: LIBRARY, functionName: 'returns' };
  const faults = [
    { ...good, restartTime: -2 },
    { ...good, flags: 2 },
    { ...good, flags: 0x11, restartTime: 1 },
    { ...good, restartTime: 86_400_001 },
    { ...good, name: 4711 as unknown as string },
    { ...good, bgw_name: 'x' },
  ];
  try {
    await session.registerDynamicBackgroundWorker(faults[fault] as typeof good);
  } catch (err) {
    // 22023 for what the sanity check refuses; a TypeError arrives as an internal error.
    const { code } = err as { code?: string };
    if (code !== '22023' && code !== 'XX000') throw err;
    return;
  }
  world.violation(`bad registration ${fault} was accepted`);
}

async function registerInBackend(world: World, opened: OpenSession, { worker, sync }: { worker: WorkerPlan; sync: boolean }): Promise<void> {
  world.note(`register in backend "${worker.name}"${sync ? ', sync' : ''} in ${opened.session.backendPid}`);
  world.audit.willTerminate(worker.name);
  const { notifyPid: _, ...fields } = descriptorOf(world, worker);
  const status = await opened.session.call(LIBRARY, 'wholeLife', fields, sync);
  if (status !== STOPPED && status !== -1) world.violation(`the whole life of worker "${worker.name}" ended with ${String(status)}`);
}

export function terminate(world: World, { session }: OpenSession, known: KnownHandle): void {
  world.note(`terminate "${known.plan.name}" in ${session.backendPid}`);
  world.audit.willTerminate(known.plan.name);
  world.start(`terminate "${known.plan.name}"`, session.terminateBackgroundWorker(known.handle));
}

async function poll(world: World, { session }: OpenSession, { handle, plan }: KnownHandle): Promise<void> {
  const { status, pid } = await session.getBackgroundWorkerPid(handle);
  world.count(`status ${status}`);
  const isPid = typeof pid === 'number' && pid > 0;
  if (![STARTED, NOT_YET_STARTED, STOPPED].includes(status) || isPid !== (status === STARTED)) {
    world.violation(`the status of worker "${plan.name}" is ${status}, its pid ${pid}`);
  }
}

function wait(world: World, { session }: OpenSession, { handle, plan }: KnownHandle, action: 'wait startup' | 'wait shutdown'): void {
  world.note(`${action} of "${plan.name}" in ${session.backendPid}`);
  const result = action === 'wait startup' ? session.waitForBackgroundWorkerStartup(handle) : session.waitForBackgroundWorkerShutdown(handle);
  const look = (answer: number | { status: number }): void => {
    const status = typeof answer === 'number' ? answer : answer.status;
    if (status !== STOPPED && !(action === 'wait startup' && status === STARTED))
      world.violation(`${action} of worker "${plan.name}" gave ${status}`);
  };
  world.start(`${action} "${plan.name}"`, result.then(look), { settles: false });
}
