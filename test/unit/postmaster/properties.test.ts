// What must hold whatever happens, tried with random histories. The world checks every action and every state of rest (see world.ts):
// no fork behind a closed gate or in a crash cycle, no pid published twice, no slot lost, doubled or freed twice, every connection answered once,
// 'fork', 'reinitialise' and 'exit' last, PM_NO_CHILDREN only with an exit.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { mayStart } from '../../../src/postmaster/schedule.js';
import { changeSettings, type GuardSettings, type ShutdownMode, type WorkerDescriptor } from '../../../src/postmaster/state.js';
import { descriptor, EXIT, SIGNAL, World } from './world.js';

/** One thing that happens; fast-check shows a counterexample by these names. */
interface Move {
  readonly apply: (world: World) => void;
  readonly [fc.toStringMethod]: () => string;
}
const move = (name: string, apply: (world: World) => unknown): Move => ({ apply: (world) => void apply(world), [fc.toStringMethod]: () => name });

const pick = <T>(list: readonly T[], seed: number): T | undefined => (list.length === 0 ? undefined : list[seed % list.length]);
const seed = fc.nat(1000);

const anyDescriptor: fc.Arbitrary<WorkerDescriptor> = fc
  .record({
    name: fc.constantFrom('a', 'b', 'c', 'd'),
    flags: fc.constantFrom(0, 1, 3, 0x11),
    startTime: fc.constantFrom(0, 1, 2, 2, 2, 7),
    restartTime: fc.constantFrom(-1, -1, 0, 1, 3, 60, 2_500_000),
  })
  .map(({ name, ...fields }) => descriptor(name, fields));

const anyStatus = fc.constantFrom(EXIT(0), EXIT(0), EXIT(1), EXIT(1), EXIT(1), EXIT(2), EXIT(255), SIGNAL(9), SIGNAL(15));

/** Registered, perhaps with somebody to notify, perhaps without telling the postmaster yet, perhaps taken back at once. */
const registering = fc.record({ each: anyDescriptor, who: seed, tell: fc.boolean(), takenBack: fc.boolean() }).map((values) => {
  const { each, who, tell, takenBack } = values;
  return move(`register ${JSON.stringify(values)}`, (world) => {
    const notifyPid = who % 3 === 0 ? (pick([...world.alive.keys()], who) ?? 0) : who % 3 === 1 ? 4242 : 0;
    const slot = world.fillSlot({ ...each, notifyPid });
    if (slot >= 0 && takenBack) world.slots[slot]!.terminate = true;
    if (tell) world.change();
  });
});

const terminating = seed.map((n) => move(`terminate slot ${n}`, (world) => world.terminate(n % world.slots.length)));

const dying = fc.record({ n: seed, status: anyStatus, dirty: fc.boolean() }).map(({ n, status, dirty }) => {
  return move(`child ${n} dies ${JSON.stringify(status)}`, (world) => {
    const pid = pick([...world.alive.keys()], n);
    if (pid !== undefined) world.exit(pid, status, status.signal === null && !(dirty && n % 4 === 0));
  });
});

const dyingTogether = fc.record({ n: seed, statuses: fc.array(anyStatus, { minLength: 2, maxLength: 5 }) }).map(({ n, statuses }) => {
  return move(`${statuses.length} children from ${n} die in one turn ${JSON.stringify(statuses)}`, (world) => {
    const pids = [...world.alive.keys()];
    const deaths = statuses.flatMap((status, index) => {
      const pid = index < pids.length ? pids[(n + index) % pids.length] : undefined;
      return pid === undefined ? [] : [{ pid, status }];
    });
    world.exitTogether(deaths);
  });
});

const signalling = fc
  .constantFrom('recovery started' as const, 'begin hot standby' as const, 'recovery finished' as const)
  .map((reason) => move(reason, (world) => world.state.settings.hasDatabase && world.tell({ type: 'pmsignal', reason })));

const seeing = fc
  .constantFrom('away' as const, 'standby' as const, 'primary' as const)
  .map((server) => move(`server ${server}`, (world) => world.state.settings.hasDatabase && world.tell({ type: 'server state', server })));

const moves: fc.Arbitrary<Move> = fc.oneof(
  { weight: 6, arbitrary: registering },
  { weight: 3, arbitrary: terminating },
  { weight: 8, arbitrary: dying },
  { weight: 2, arbitrary: dyingTogether },
  { weight: 3, arbitrary: signalling },
  { weight: 2, arbitrary: seeing },
  { weight: 3, arbitrary: fc.constant(move('connect', (world) => world.connect())) },
  {
    weight: 4,
    arbitrary: fc.constant(move('deadline', (world) => world.deadline !== null && world.timeout(Math.max(world.now, world.deadline)))),
  },
  { weight: 2, arbitrary: fc.nat(7000).map((ms) => move(`${ms} ms`, (world) => world.timeout(world.now + ms))) },
  {
    weight: 2,
    arbitrary: fc.constantFrom('Cannot allocate memory', 'no slot', null).map((how) => move(`fork: ${how}`, (world) => world.forkOutcomes.push(how))),
  },
  { weight: 1, arbitrary: fc.constant(move('reload', (world) => world.tell({ type: 'reload' }))) },
);

const endings: fc.Arbitrary<Move> = fc.oneof(
  fc.constantFrom<ShutdownMode>('smart', 'fast', 'immediate').map((mode) => move(mode, (world) => world.tell({ type: 'shutdown', mode }))),
  fc.constant(move('lock file invalid', (world) => world.tell({ type: 'lock file invalid' }))),
  fc.constant(move('database lost', (world) => world.state.database === 'running' && world.tell({ type: 'database lost', message: 'it died' }))),
  fc.constant(move('database stopped', (world) => world.state.database === 'stopping' && world.tell({ type: 'database stopped' }))),
);

const OFF: GuardSettings = { workerRestartBackoffMax: 0, workerGiveUpAfter: 0, crashCycleBackoffMax: 0, crashGiveUpAfter: 0, logFoldRepeats: false };
const anyGuard: fc.Arbitrary<GuardSettings> = fc.record({
  workerRestartBackoffMax: fc.constantFrom(0, 1, 30),
  workerGiveUpAfter: fc.constantFrom(0, 1, 3),
  crashCycleBackoffMax: fc.constantFrom(0, 4),
  crashGiveUpAfter: fc.constantFrom(0, 0, 3),
  logFoldRepeats: fc.boolean(),
});

const anyWorld = fc
  .record({
    workers: fc.array(anyDescriptor, { maxLength: 4 }),
    maxWorkerProcesses: fc.integer({ min: 4, max: 7 }),
    maxConnections: fc.integer({ min: 0, max: 3 }),
    restartAfterCrash: fc.boolean(),
    hasDatabase: fc.boolean(),
    ownedDatabase: fc.boolean(),
    guard: fc.option(anyGuard, { nil: OFF }),
  })
  .map((options) => () => new World({ ...options, ownedDatabase: options.hasDatabase && options.ownedDatabase }));

function play(make: () => World, history: readonly Move[]): World {
  const world = make();
  world.tell({ type: 'initialised' });
  for (const { apply } of history) if (world.state.exitStatus === null) apply(world);
  return world;
}

/** Let the machine do all that is due now, but let no time pass. Interval 0 and dying at once would be no end; here nobody dies. */
function settle(world: World): void {
  world.change();
  for (let turn = 0; turn < 20 && world.deadline !== null && world.deadline <= world.now; turn++) world.timeout(world.now);
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
        settle(world);
        const { state } = world;
        if (state.exitStatus !== null || state.fatalError) return;
        for (const worker of state.workers) {
          if (worker.pid !== 0) continue;
          expect(worker.terminate, 'what is terminated and does not run is gone').toBe(false);
          const waits = worker.crashedAt !== null && world.deadline !== null && world.deadline > world.now;
          const gated = !mayStart(state, worker.descriptor);
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
        else {
          const { settings, startupStatus, aborting, crashes } = world.state;
          const limit = settings.guard?.crashGiveUpAfter ?? 0;
          const gaveUp = limit > 0 && crashes >= limit;
          expect(settings.restartAfterCrash && startupStatus !== 'crashed' && !aborting && !gaveUp).toBe(false);
        }
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
