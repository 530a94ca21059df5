// What must hold whatever happens, tried with random histories. The world checks every action and every state of rest (see world.ts, and gates.ts for forks):
// no fork behind a closed gate or in a crash cycle, no session but where they are let in, one startup process in its time, no pid published twice, no slot
// lost, doubled or freed twice, every connection answered once, 'fork', 'reinitialise' and 'exit' last, PM_NO_CHILDREN only with an exit.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { changeSettings, type ShutdownMode } from '../../../src/postmaster/state.js';
import { isGated } from './gates.js';
import { anyDescriptor, anyStatus, anyWorld, endings, moves, OFF, pick, play } from './histories.js';
import { descriptor, EXIT, SIGNAL, World } from './world.js';

/** Let the machine do all that is due now, but let no time pass. Interval 0 and dying at once would be no end; here nobody dies. */
function settle(world: World): void {
  world.change();
  for (let turn = 0; turn < 20 && world.deadline !== null && world.deadline <= world.now; turn++) world.timeout(world.now);
}

/**
 * What is under way of a crash, or of a failed start, comes to its end: those that were told to quit die of it, the guard's pause passes, the database stops, and
 * the startup process of the new life says that recovery has finished.
 */
function endCycle(world: World): void {
  const isUnderWay = (): boolean => world.state.exitStatus === null && (world.state.fatalError || world.state.aborting);
  for (let turn = 0; turn < 100 && isUnderWay(); turn++) {
    const { pmState, database, pausedSince } = world.state;
    const pid = pick([...world.alive.keys()], 0);
    if (database === 'stopping' && (world.state.aborting || pid === undefined)) world.tell({ type: 'database stopped' });
    else if (pmState === 'PM_STARTUP') world.tell({ type: 'pmsignal', reason: 'recovery finished' });
    else if (pid !== undefined) world.exit(pid, EXIT(2), false);
    else if (pausedSince !== null) world.timeout(world.deadline ?? world.now);
  }
  expect(isUnderWay(), `a crash cycle stays in ${world.state.pmState}`).toBe(false);
}

/** Was there a reason to end with status 1, where nobody asked for a shutdown? */
function mayEndAfterCrash({ state: { settings, startupStatus, aborting, crashes } }: World): boolean {
  const limit = settings.guard?.crashGiveUpAfter ?? 0;
  return !settings.restartAfterCrash || startupStatus === 'crashed' || aborting || (limit > 0 && crashes >= limit);
}

const params = { numRuns: 400 };

describe('random histories', () => {
  test('keep every invariant of the world, endings included', () => {
    const history = fc.array(fc.oneof({ weight: 12, arbitrary: moves }, { weight: 1, arbitrary: endings }), { maxLength: 60 });
    fc.assert(
      fc.property(anyWorld, history, (make, list) => void play(make, list)),
      params,
    );
  });

  test('every registered worker is unregistered, running, waiting for its restart, or gated', () => {
    fc.assert(
      fc.property(anyWorld, fc.array(moves, { maxLength: 50 }), (make, list) => {
        const world = play(make, list);
        world.forkOutcomes = [];
        endCycle(world);
        settle(world);
        const { state } = world;
        if (state.exitStatus !== null) {
          expect(mayEndAfterCrash(world), 'a postmaster that nobody told to end').toBe(true);
          return;
        }
        for (const worker of state.workers) {
          if (worker.pid !== 0) continue;
          expect(worker.terminate, 'what is terminated and does not run is gone').toBe(false);
          const waits = worker.crashedAt !== null && world.deadline !== null && world.deadline > world.now;
          const gated = isGated(state, worker.descriptor);
          expect(waits || gated, `${worker.descriptor.name} is forgotten in ${state.pmState}`).toBe(true);
        }
      }),
      params,
    );
  });

  test('S-14: every slot in use belongs to a registered worker, once the changes have been looked at', () => {
    fc.assert(
      fc.property(anyWorld, fc.array(moves, { maxLength: 50 }), (make, list) => {
        const world = play(make, list);
        if (world.state.exitStatus !== null) return;
        world.forkOutcomes = [];
        world.change();
        const used = world.slots.flatMap((slot, index) => (slot.inUse ? [index] : []));
        const bySize = (a: number, b: number): number => a - b;
        expect(world.state.workers.map((worker) => worker.slot).toSorted(bySize)).toEqual(used.toSorted(bySize));
      }),
      params,
    );
  });

  test('a restart comes no earlier than its interval, and the deadline that is due for it serves it', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 100 }), fc.nat(200_000), (restartTime, early) => {
        const world = World.running({ workers: [descriptor('w', { restartTime })] });
        world.exit(101, EXIT(1));
        if (restartTime === 0) {
          expect(world.worker('w').pid).toBe(102);
          return;
        }
        const due = world.now + restartTime * 1000;
        expect(world.deadline).toBe(due);
        world.timeout(world.now + (early % (restartTime * 1000)));
        expect(world.worker('w').pid).toBe(0);
        world.timeout(due);
        expect(world.worker('w').pid).toBe(102);
      }),
      params,
    );
  });

  test('whatever has happened, a shutdown ends: when the children and the database are gone, the postmaster exits', () => {
    const mode = fc.constantFrom<ShutdownMode>('smart', 'fast', 'immediate');
    fc.assert(
      fc.property(anyWorld, fc.array(moves, { maxLength: 40 }), mode, anyStatus, (make, list, how, status) => {
        const world = play(make, list);
        world.tell({ type: 'shutdown', mode: how });
        for (let turn = 0; turn < 100 && world.state.exitStatus === null; turn++) {
          // Sessions first: a smart shutdown waits for them. A worker that comes after is one that a smart shutdown still starts.
          const pids = world.state.children.toSorted((a, b) => Number(b.kind === 'backend') - Number(a.kind === 'backend')).map(({ pid }) => pid);
          if (pids[0] !== undefined) world.exit(pids[0], status);
          else if (world.state.database === 'stopping') world.tell({ type: 'database stopped' });
          else break;
        }
        expect(world.state.exitStatus).not.toBeNull();
        expect(world.state.database).not.toBe('running');
      }),
      params,
    );
  });

  test('a crash cycle ends: when the children are gone, the postmaster starts over or exits', () => {
    fc.assert(
      fc.property(anyWorld, fc.array(moves, { maxLength: 40 }), (make, list) => {
        const world = play(make, list);
        world.connect();
        const victim = world.state.children.find((child) => child.kind === 'backend');
        if (victim === undefined || world.state.exitStatus !== null) return;
        world.exit(victim.pid, SIGNAL(11));
        while (world.state.exitStatus === null && world.state.pmState === 'PM_WAIT_BACKENDS') {
          const pid = pick([...world.alive.keys()], 0);
          if (pid === undefined) break;
          world.exit(pid, EXIT(2), false);
        }
        // The guard's pause, if there is one, ends when it said.
        if (world.state.pausedSince !== null && world.deadline !== null) world.timeout(world.deadline);
        if (world.state.database === 'stopping') world.tell({ type: 'database stopped' });
        if (world.state.exitStatus === null) expect(['PM_STARTUP', 'PM_RUN']).toContain(world.state.pmState);
        else expect(mayEndAfterCrash(world)).toBe(true);
      }),
      params,
    );
  });

  test('nobody is told twice to stop by a termination request', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 6 }), (times) => {
        const world = World.running({ workers: [descriptor('w')] });
        const trace = Array.from({ length: times }, () => world.terminate(0)).flat();
        expect(trace).toEqual(['SIGTERM 101']);
      }),
    );
  });

  test('a guard that is off, or switched on and off again, changes nothing', () => {
    fc.assert(
      fc.property(fc.array(anyDescriptor, { maxLength: 3 }), fc.array(moves, { maxLength: 40 }), (workers, list) => {
        const [without, off, toggled] = [{}, { guard: OFF }, { guard: OFF }].map((options) => new World({ workers, ...options })) as [
          World,
          World,
          World,
        ];
        for (const world of [without, off, toggled]) world.tell({ type: 'initialised' });
        for (const { apply } of list) {
          for (const world of [without, off, toggled]) if (world.state.exitStatus === null) apply(world);
          toggled.state = changeSettings(toggled.state, {
            restartAfterCrash: true,
            guard: { ...OFF, workerRestartBackoffMax: 30, crashCycleBackoffMax: 9 },
          });
          toggled.state = changeSettings(toggled.state, { restartAfterCrash: true, guard: OFF });
          for (const world of [off, toggled]) {
            expect(world.slots).toEqual(without.slots);
            expect(world.deadline).toBe(without.deadline);
            expect([...world.alive.keys()]).toEqual([...without.alive.keys()]);
          }
        }
      }),
      { numRuns: 200 },
    );
  });
});
