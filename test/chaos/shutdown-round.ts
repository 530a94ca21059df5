// A postmaster that lives for some seconds, has as much to do as the long-lived one, and is shut down in the midst of it. Runs in the process of the chaos run.
//
// What must hold: it ends, within the time that its slowest child may resist; its status says whether it ended in order; no child survives it; nobody is
// started after a fast or an immediate request; every end has a reason, and its last line says that it is down.

import { setTimeout as sleep } from 'node:timers/promises';
import { type PostmasterOptions, startPostmaster } from '../helpers/postmaster.js';
import { describeProcess } from '../helpers/processes.js';
import { waitUntil } from '../helpers/wait-until.js';
import { perform } from './actions.js';
import type { Ending } from './endings.js';
import { Schedule } from './schedule.js';
import { World } from './world.js';

const SIGNAL = { smart: 'SIGTERM', fast: 'SIGINT', immediate: 'SIGQUIT' } as const;
/** The longest resistance to SIGTERM, a crash cycle with its five seconds, and the machine, which others use too. */
const END_MS = 25_000;

export interface Round {
  readonly options: PostmasterOptions;
  readonly workers: number;
  readonly ending: Ending;
  /** It has a database server of its own, so its startup process and that server are targets, too. */
  readonly withDatabase: boolean;
}

export async function shutdownRound({ options, workers, ending, withDatabase }: Round): Promise<World> {
  // end() finds it down, and looks whether anybody is left.
  const { pm, end } = await startPostmaster(options);
  const world = new World(pm, workers);
  let status: number | null = null;
  pm.exited.then((code) => (status = code)).catch(() => {});
  const isDown = (): boolean => status !== null;
  try {
    await play(world, ending, new Schedule(ending.seed, withDatabase), isDown);
    await waitUntil(isDown, { timeoutMs: END_MS, what: 'the end' }).catch(() => world.violation(`the postmaster did not end; ${remains(world)}`));
    if (isDown()) await expectEnd(world, status);
  } finally {
    world.fatal ??= 'ended';
    world.applications.killAll();
    world.tail.close();
    await end().catch((err: unknown) => world.violation(String(err)));
  }
  return world;
}

async function play(world: World, ending: Ending, schedule: Schedule, isDown: () => boolean): Promise<void> {
  const began = performance.now();
  const sinceBegin = (): number => performance.now() - began;
  const events: { atMs: number; happen: () => void }[] = [];
  let atMs = ending.busyMs;
  for (const { afterMs, mode } of ending.requests) {
    atMs += afterMs;
    events.push({ atMs, happen: () => request(world, mode) });
  }
  events.push({ atMs: atMs + ending.continueAfterMs, happen: () => world.continueAll() });
  events.push({ atMs: atMs + ending.leaveAfterMs, happen: () => leave(world) });
  const calmAtMs = atMs + Math.max(ending.calmAfterMs, ending.leaveAfterMs, ending.continueAfterMs);
  while (!isDown() && world.violations.length === 0 && (events.length > 0 || sinceBegin() < calmAtMs)) {
    const { pauseMs, action } = schedule.next();
    // Its last breath: a signal to it could meet nobody.
    await sleep(pauseMs);
    world.tail.read();
    for (const event of events.splice(0).toSorted((a, b) => a.atMs - b.atMs)) {
      if (event.atMs > sinceBegin()) events.push(event);
      else if (!isDown()) event.happen();
    }
    if (isDown()) break;
    world.count('actions');
    perform(world, action);
  }
  // Whoever came after the others had left goes now: a smart shutdown waits for it.
  if (isDown()) return;
  world.continueAll();
  leave(world);
}

function request(world: World, mode: keyof typeof SIGNAL): void {
  world.note(`${mode} shutdown`);
  world.count(`shutdown ${mode}`);
  world.leaving = true;
  world.pm.signal(SIGNAL[mode]);
}

function leave(world: World): void {
  world.note('the applications leave');
  world.leaving = true;
  world.hasLeft = true;
  for (const opened of world.sessions) world.start('close', world.close(opened));
}

function remains(world: World): string {
  return `its children: ${world.children('any').map(describeProcess).join('; ')}; sessions: ${world.sessions.map(({ session }) => session.backendPid).join(' ')}`;
}

async function expectEnd(world: World, status: number | null): Promise<void> {
  // What children said last may come after the postmaster's end; there are none by then.
  world.tail.read();
  const { audit } = world;
  const expected = audit.abnormal ? 1 : 0;
  if (status !== expected) world.violation(`the postmaster ended with status ${status}, not ${expected}`);
  if (!audit.isDown) world.violation('the last line of the postmaster does not say that it is down');
  if (!audit.inCrashCycle && audit.running.size > 0) world.violation(`the log has no end of ${[...audit.running.keys()].join(', ')}`);
  await waitUntil(() => world.underWay().length === 0, { timeoutMs: 5000, what: 'the applications to be told' }).catch(() =>
    world.violation(`operations do not end with the postmaster: ${world.underWay().join('; ')}`),
  );
  world.takeAuditViolations();
}
