// Random histories for the postmaster's state machine: what may happen to it, and worlds to which it happens. The properties are in properties.test.ts.

import fc from 'fast-check';
import type { ExitStatus, GuardSettings, ShutdownMode, WorkerDescriptor } from '../../../src/postmaster/state.js';
import { descriptor, EXIT, SIGNAL, World } from './world.js';

/** One thing that happens; fast-check shows a counterexample by these names. */
export interface Move {
  readonly apply: (world: World) => void;
  readonly [fc.toStringMethod]: () => string;
}
const move = (name: string, apply: (world: World) => unknown): Move => ({ apply: (world) => void apply(world), [fc.toStringMethod]: () => name });

export const pick = <T>(list: readonly T[], seed: number): T | undefined => (list.length === 0 ? undefined : list[seed % list.length]);
const seed = fc.nat(1000);

export const anyDescriptor: fc.Arbitrary<WorkerDescriptor> = fc
  .record({
    name: fc.constantFrom('a', 'b', 'c', 'd'),
    flags: fc.constantFrom(0, 1, 3, 0x11),
    startTime: fc.constantFrom(0, 1, 2, 2, 2, 7),
    restartTime: fc.constantFrom(-1, -1, 0, 1, 3, 60, 2_500_000),
  })
  .map(({ name, ...fields }) => descriptor(name, fields));

export const anyStatus: fc.Arbitrary<ExitStatus> = fc.constantFrom(
  EXIT(0),
  EXIT(0),
  EXIT(1),
  EXIT(1),
  EXIT(1),
  EXIT(2),
  EXIT(255),
  SIGNAL(9),
  SIGNAL(15),
);

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
  .constantFrom('away' as const, 'closed' as const, 'standby' as const, 'primary' as const)
  .map((server) => move(`server ${server}`, (world) => world.state.settings.hasDatabase && world.tell({ type: 'server state', server })));

export const moves: fc.Arbitrary<Move> = fc.oneof(
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

export const endings: fc.Arbitrary<Move> = fc.oneof(
  fc.constantFrom<ShutdownMode>('smart', 'fast', 'immediate').map((mode) => move(mode, (world) => world.tell({ type: 'shutdown', mode }))),
  fc.constant(move('lock file invalid', (world) => world.tell({ type: 'lock file invalid' }))),
  fc.constant(move('database lost', (world) => world.state.database === 'running' && world.tell({ type: 'database lost', message: 'it died' }))),
  fc.constant(move('database stopped', (world) => world.state.database === 'stopping' && world.tell({ type: 'database stopped' }))),
);

export const OFF: GuardSettings = {
  workerRestartBackoffMax: 0,
  workerGiveUpAfter: 0,
  crashCycleBackoffMax: 0,
  crashGiveUpAfter: 0,
  logFoldRepeats: false,
};
const anyGuard: fc.Arbitrary<GuardSettings> = fc.record({
  workerRestartBackoffMax: fc.constantFrom(0, 1, 30),
  workerGiveUpAfter: fc.constantFrom(0, 1, 3),
  crashCycleBackoffMax: fc.constantFrom(0, 4),
  crashGiveUpAfter: fc.constantFrom(0, 0, 3),
  logFoldRepeats: fc.boolean(),
});

export const anyWorld: fc.Arbitrary<() => World> = fc
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

export function play(make: () => World, history: readonly Move[]): World {
  const world = make();
  world.tell({ type: 'initialised' });
  for (const { apply } of history) if (world.state.exitStatus === null) apply(world);
  return world;
}
