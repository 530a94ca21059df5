// Whether all is as it should be, at a quiet point: nobody acts, everybody runs, no crash cycle is under way.
//
// Things still move then: workers end, others are restarted. So what does not hold is looked at again until it does, and is a violation only where it
// never did within the time that it may take.

import { dirname } from 'node:path';
import type { ActivityEntry } from '../../dist/session/activity.js';
import { marked, type Mark } from '../helpers/leftovers.js';
import { describeProcess, parentOf, titleOf, zombiesOf } from '../helpers/processes.js';
import { waitUntil } from '../helpers/wait-until.js';
import { register, terminate } from './actions.js';
import { NEVER_STARTS } from './behaviours.js';
import type { WorkerPlan } from './schedule.js';
import { condition } from './vitals.js';
import type { KnownHandle, OpenSession, World } from './world.js';

const STARTED = 0;
const NOT_YET_STARTED = 1;
const STOPPED = 2;
/** A crash cycle takes five seconds where somebody is stopped; then there is the machine, which others use too. */
const CRASH_CYCLE_MS = 20_000;
const SETTLE_MS = 10_000;
/** The longest restart interval, the longest resistance to SIGTERM, and some. */
const STUCK_MS = 12_000;
/** How long a registration may take to become a worker, and that worker to be gone. */
const SERVICE_MS = 5000;
const PAUSE_MS = 40;

/** null: it holds; else what does not. */
type Look = () => string | null | Promise<string | null>;

export async function quietPoint(world: World): Promise<void> {
  world.note('quiet point');
  world.count('quiet points');
  world.continuePostmaster();
  // Who is stopped stays so until a crash cycle is over: the postmaster has to get rid of it.
  const opened = await sessionAfterCrash(world);
  world.continueAll();
  if (opened === null) return;
  if (!world.audit.inCrashCycle) world.endedWithoutReason().forEach((text) => world.violation(text));
  await eventually(world, 'operations under way end', SETTLE_MS, () => list(world.underWay()));
  await eventually(world, 'sessions of killed applications end', SETTLE_MS, () =>
    list(world.applications.backendsOfTheDead(world.children('backend')).map(describeProcess)),
  );
  await eventually(world, 'no zombie is left', SETTLE_MS, () => list(zombiesOf(world.pm.pid).map(describeProcess)));
  await eventually(world, 'no orphan is left', SETTLE_MS, () => list(orphans(world).map(describeProcess)));
  await eventually(world, 'nobody stays in a state that ends', STUCK_MS, stuck(world, opened));
  await eventually(world, 'slots, processes and log agree', SETTLE_MS, async () => disagreements(world, await opened.session.activity()));
  for (const known of world.currentHandles()) {
    if (known.era !== opened.era) continue;
    await eventually(world, `the handle of "${known.plan.name}" is truthful`, SETTLE_MS, () => lie(world, opened, known));
  }
  await startsAWorker(world, opened);
  await world.close(opened);
  world.takeAuditViolations();
}

/** Called before what a series of checks needs is made: a crash from here on makes it void. */
export function beginChecks(world: World): void {
  world.tail.read();
  world.checkedSince = world.audit.counts.crashCycles;
}

const isOver = (world: World): boolean => world.audit.counts.crashCycles !== world.checkedSince;

/** Looks until it holds. What a late crash interrupts ends without a verdict: the next quiet point comes. */
export async function eventually(world: World, what: string, timeoutMs: number, look: Look): Promise<void> {
  let trouble: string | null = null;
  const holds = async (): Promise<boolean> => {
    world.tail.read();
    if (world.fatal !== null) return true;
    if (isOver(world)) {
      world.count('checks that a crash interrupted');
      return true;
    }
    try {
      trouble = await look();
    } catch (err) {
      trouble = (err as Error).message;
    }
    return trouble === null;
  };
  world.count('checks');
  await waitUntil(holds, { timeoutMs, pauseMs: PAUSE_MS, what }).catch(() => world.violation(`it is not so that ${what}: ${trouble}`));
}

export const list = (lines: readonly string[]): string | null => (lines.length === 0 ? null : lines.join('; '));

/** A session of the checks' own, as soon as the postmaster gives one. */
export async function sessionAfterCrash(world: World): Promise<OpenSession | null> {
  let last = '';
  const attempt = async (): Promise<OpenSession | 'over' | null> => {
    world.tail.read();
    if (world.fatal !== null) return 'over';
    try {
      if (world.audit.inCrashCycle) return null;
      beginChecks(world);
      return await world.open();
    } catch (err) {
      last = (err as Error).message;
      return null;
    }
  };
  const opened = await waitUntil(attempt, { timeoutMs: CRASH_CYCLE_MS, pauseMs: PAUSE_MS, what: 'a session' }).catch(() => 'none' as const);
  if (opened === 'none') world.violation(`no session within ${CRASH_CYCLE_MS} ms: ${last}`);
  return typeof opened === 'string' ? null : opened;
}

function orphans({ pm }: World): number[] {
  const top = dirname(pm.dir);
  const mark: Mark = { variable: `BGWORKER_TEST_POSTMASTER=${top}`, dir: top };
  // Looked at twice: a child that ends between the two questions has another parent in the end.
  return marked(mark, [pm.pid]).filter((pid) => ![pm.pid, null].includes(parentOf(pid)));
}

/** Slots that do not move: a restart that is due and never comes, a worker that nobody starts, one that does not go. */
function stuck({ audit }: World, { session }: OpenSession): Look {
  let still: { text: string; name: string; pid: number | null }[] | null = null;
  const mayStay = ({ state, name }: ActivityEntry): boolean =>
    state === 'running' || (state === 'waiting to start' && audit.planOf(name)?.startTime === NEVER_STARTS);
  return async () => {
    const workers = (await session.activity()).filter(({ kind, slot }) => kind === 'background worker' && slot !== null);
    const now = workers
      .filter((entry) => !mayStay(entry))
      .map(({ name, state, pid }) => ({ text: `"${name}" is ${state}, started ${audit.startsOf(name)} times`, name, pid }));
    still = still === null ? now : still.filter((one) => now.some(({ text }) => text === one.text));
    return list(still.map(({ text, name, pid }) => `${text}: ${JSON.stringify(audit.planOf(name))}${pid === null ? '' : `\n${condition(pid)}`}`));
  };
}

/** Three accounts of one thing: slots and processes in shared memory, the kernel's children of the postmaster, and the log. */
function disagreements(world: World, activity: readonly ActivityEntry[]): string | null {
  const { audit } = world;
  const troubles: string[] = [];
  const differ = <T>(what: string, a: Iterable<T>, b: Iterable<T>): void => {
    const [left, right] = [new Set(a), new Set(b)];
    const only = (one: Set<T>, other: Set<T>): string => [...one].filter((item) => !other.has(item)).join(', ');
    if (left.size !== right.size || only(left, right) !== '') troubles.push(`${what}: [${only(left, right)}] against [${only(right, left)}]`);
  };
  world.tail.read();
  const workers = activity.filter(({ kind }) => kind === 'background worker');
  const running = workers.filter(({ pid }) => pid !== null);
  const names = workers.map(({ name }) => name);
  const pids = activity.flatMap(({ kind, pid }) => (kind === 'postmaster' || pid === null ? [] : [pid]));
  differ('processes in shared memory, and children', pids, world.children('any'));
  differ('slots, and the log', names, audit.registered);
  differ(
    'running workers, and the log',
    running.map(({ name }) => name),
    audit.running.keys(),
  );
  if (new Set(names).size !== names.length) troubles.push(`a worker has two slots: ${names.join(', ')}`);
  for (const { name, pid } of running as (ActivityEntry & { pid: number })[]) {
    if (!titleOf(pid).includes(`: ${name} `)) troubles.push(`"${name}" is ${describeProcess(pid)}`);
    const logged = audit.running.get(name) ?? pid;
    if (logged !== pid) troubles.push(`"${name}" is ${pid} in its slot and ${logged} in the log`);
  }
  return list(troubles);
}

/** Does a handle say something else than the kernel? */
async function lie(world: World, { session }: OpenSession, known: KnownHandle): Promise<string | null> {
  const { name, startTime } = known.plan;
  const { status, pid } = await session.getBackgroundWorkerPid(known.handle);
  const bears = (child: number): boolean => titleOf(child).includes(`: ${name} `);
  if (status === STARTED && pid !== undefined) {
    return bears(pid) && parentOf(pid) === world.pm.pid ? null : `it says that it runs as ${pid}, which is ${describeProcess(pid)}`;
  }
  const child = world.children('any').find(bears);
  if (child !== undefined) return `it says ${status}, and ${describeProcess(child)} runs`;
  if (status === NOT_YET_STARTED) return startTime === NEVER_STARTS ? null : 'it says that it was not started yet';
  // Nobody will ask again.
  if (!world.audit.registered.has(name)) world.forgetHandle(known);
  return status === STOPPED ? null : `it says ${status}`;
}

let probes = 0;

/** Where all slots are taken, some are made free first. */
async function startsAWorker(world: World, opened: OpenSession): Promise<void> {
  const plan = (): WorkerPlan => ({
    name: `probe${++probes}`,
    type: '',
    behaviour: 'returns',
    arg: 0,
    flags: 1,
    restartTime: -1,
    startTime: 2,
    notify: true,
    lifeMs: 60_000,
  });
  await eventually(world, 'a worker finds a slot', STUCK_MS, async () => {
    const known = await register(world, opened, plan());
    if (known !== null) {
      const began = performance.now();
      const { status } = await opened.session.waitForBackgroundWorkerStartup(known.handle);
      const end = await opened.session.waitForBackgroundWorkerShutdown(known.handle);
      const ms = performance.now() - began;
      world.slowest('worker of a quiet point, ms', ms);
      if (ms > SERVICE_MS || end !== STOPPED || ![STARTED, STOPPED].includes(status)) {
        world.violation(`a worker was started (${status}) and ended (${end}) after ${ms.toFixed(0)} ms`);
      }
      return null;
    }
    const used = (await opened.session.activity()).filter(({ slot }) => slot !== null).length;
    if (used < world.workers) world.count('refusals with slots free a moment later');
    for (const other of world.currentHandles().slice(0, 8)) terminate(world, opened, other);
    return `all ${used} slots are taken`;
  });
}
