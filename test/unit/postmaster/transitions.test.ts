// The table of states, cell by cell: contract 5.1. From which state, by what, through which states, and who is told by which signal. The lines that are
// logged on the way, and what the rules say beside the table, are in startup.test.ts, shutdown.test.ts and crash.test.ts.

import { describe, expect, test } from 'vitest';
import type { PMState, ShutdownMode, WorkerDescriptor } from '../../../src/postmaster/state.js';
import { descriptor, EXIT, SIGNAL, World } from './world.js';

const STARTUP = 101;
const WORKER = 102;
const SESSION = 103;

const EVENTS = {
  initialised: (world: World) => world.tell({ type: 'initialised' }),
  'recovery has begun': (world: World) => world.tell({ type: 'pmsignal', reason: 'recovery started' }),
  'recovery is consistent': (world: World) => world.tell({ type: 'pmsignal', reason: 'begin hot standby' }),
  'recovery has ended': (world: World) => world.tell({ type: 'pmsignal', reason: 'recovery finished' }),
  'the startup process exits 0': (world: World) => world.exit(STARTUP, EXIT(0)),
  smart: (world: World) => world.tell({ type: 'shutdown', mode: 'smart' }),
  fast: (world: World) => world.tell({ type: 'shutdown', mode: 'fast' }),
  immediate: (world: World) => world.tell({ type: 'shutdown', mode: 'immediate' }),
  'smart, and the last session ends': (world: World) => {
    expect(world.tell({ type: 'shutdown', mode: 'smart' })).toEqual(['LOG received smart shutdown request']);
    return world.exit(SESSION, EXIT(0));
  },
  'a worker crashes': (world: World) => world.exit(WORKER, SIGNAL(11)),
  'a session crashes': (world: World) => world.exit(SESSION, SIGNAL(11)),
  'the startup process crashes': (world: World) => world.exit(STARTUP, SIGNAL(11)),
  'the last child ends in order': (world: World) => [...world.alive.keys()].flatMap((pid) => world.exit(pid, EXIT(1))),
  'the last child ends after a crash': (world: World) => [...world.alive.keys()].flatMap((pid) => world.exit(pid, EXIT(2), false)),
  'the database has stopped': (world: World) => world.tell({ type: 'database stopped' }),
} as const;

type Event = keyof typeof EVENTS;

const OPEN: readonly Event[] = ['initialised', 'recovery has ended'];
/** How to come to each state and rest in it. PM_STOP_BACKENDS is passed through, PM_NO_CHILDREN is the end. */
const WAY = {
  PM_INIT: [],
  PM_STARTUP: ['initialised'],
  PM_RECOVERY: ['initialised', 'recovery has begun'],
  PM_HOT_STANDBY: ['initialised', 'recovery has begun', 'recovery is consistent'],
  PM_RUN: OPEN,
  PM_WAIT_BACKENDS: [...OPEN, 'fast'],
  PM_SHUTDOWN: [...OPEN, 'fast', 'the last child ends in order'],
  PM_WAIT_DEAD_END: [...OPEN, 'fast', 'a worker crashes', 'the last child ends after a crash'],
} as const satisfies Partial<Record<PMState, readonly Event[]>>;

type From = keyof typeof WAY;

/** A startup process (101), a worker (102), a database of its own; and a session (103) from where on there may be one. */
function reach(state: From, more: readonly WorkerDescriptor[] = []): World {
  const worker = descriptor('w', { startTime: 0, restartTime: 60 });
  const world = new World({ hasDatabase: true, ownedDatabase: true, workers: [worker, ...more] });
  for (const event of WAY[state]) {
    EVENTS[event](world);
    if (event === 'recovery is consistent' || event === 'recovery has ended') expect(world.session()).toBe(SESSION);
  }
  expect(world.state.pmState).toBe(state);
  return world;
}

const states = (trace: readonly string[]): string => trace.filter((line) => line.startsWith('PM_')).join(', ') || STAYS;
const signals = (trace: readonly string[]): string[] => trace.filter((line) => line.startsWith('SIG')).toSorted();
/** Everybody who lives, each with his group. */
const everybody = (world: World, signal: string): string[] => [...world.alive.keys()].map((pid) => `${signal} ${pid} and group`).toSorted();

const STAYS = 'stays';
const STOPPING = 'PM_STOP_BACKENDS, PM_WAIT_BACKENDS';
const WAITING = 'PM_WAIT_BACKENDS';

/** From, by what, through which states to which, and what everybody who is left gets. */
const TABLE: readonly (readonly [From, Event, string, 'SIGTERM' | 'SIGQUIT' | 'nothing'])[] = [
  ['PM_INIT', 'initialised', 'PM_STARTUP', 'nothing'],

  ['PM_STARTUP', 'recovery has begun', 'PM_RECOVERY', 'nothing'],
  ['PM_STARTUP', 'recovery is consistent', STAYS, 'nothing'],
  ['PM_STARTUP', 'recovery has ended', 'PM_RUN', 'nothing'],
  ['PM_STARTUP', 'the startup process exits 0', 'PM_RUN', 'nothing'],
  ['PM_STARTUP', 'smart', STOPPING, 'SIGTERM'],
  ['PM_STARTUP', 'fast', STOPPING, 'SIGTERM'],
  ['PM_STARTUP', 'immediate', WAITING, 'SIGQUIT'],
  ['PM_STARTUP', 'a worker crashes', WAITING, 'SIGQUIT'],
  ['PM_STARTUP', 'the startup process crashes', 'PM_WAIT_DEAD_END', 'nothing'], // until the owned database is down

  ['PM_RECOVERY', 'recovery has begun', STAYS, 'nothing'],
  ['PM_RECOVERY', 'recovery is consistent', 'PM_HOT_STANDBY', 'nothing'],
  ['PM_RECOVERY', 'recovery has ended', 'PM_RUN', 'nothing'],
  ['PM_RECOVERY', 'the startup process exits 0', 'PM_RUN', 'nothing'],
  ['PM_RECOVERY', 'smart', STOPPING, 'SIGTERM'],
  ['PM_RECOVERY', 'fast', STOPPING, 'SIGTERM'],
  ['PM_RECOVERY', 'immediate', WAITING, 'SIGQUIT'],
  ['PM_RECOVERY', 'a worker crashes', WAITING, 'SIGQUIT'],
  ['PM_RECOVERY', 'the startup process crashes', WAITING, 'SIGQUIT'],

  ['PM_HOT_STANDBY', 'recovery has begun', STAYS, 'nothing'],
  ['PM_HOT_STANDBY', 'recovery is consistent', STAYS, 'nothing'],
  ['PM_HOT_STANDBY', 'recovery has ended', 'PM_RUN', 'nothing'],
  ['PM_HOT_STANDBY', 'the startup process exits 0', 'PM_RUN', 'nothing'],
  ['PM_HOT_STANDBY', 'smart', STAYS, 'nothing'],
  ['PM_HOT_STANDBY', 'smart, and the last session ends', STOPPING, 'SIGTERM'],
  ['PM_HOT_STANDBY', 'fast', STOPPING, 'SIGTERM'],
  ['PM_HOT_STANDBY', 'immediate', WAITING, 'SIGQUIT'],
  ['PM_HOT_STANDBY', 'a worker crashes', WAITING, 'SIGQUIT'],
  ['PM_HOT_STANDBY', 'a session crashes', WAITING, 'SIGQUIT'],
  ['PM_HOT_STANDBY', 'the startup process crashes', WAITING, 'SIGQUIT'],

  ['PM_RUN', 'recovery has begun', STAYS, 'nothing'],
  ['PM_RUN', 'recovery is consistent', STAYS, 'nothing'],
  ['PM_RUN', 'recovery has ended', STAYS, 'nothing'],
  ['PM_RUN', 'the startup process exits 0', STAYS, 'nothing'],
  ['PM_RUN', 'smart', STAYS, 'nothing'],
  ['PM_RUN', 'smart, and the last session ends', STOPPING, 'SIGTERM'],
  ['PM_RUN', 'fast', STOPPING, 'SIGTERM'],
  ['PM_RUN', 'immediate', WAITING, 'SIGQUIT'],
  ['PM_RUN', 'a worker crashes', WAITING, 'SIGQUIT'],
  ['PM_RUN', 'a session crashes', WAITING, 'SIGQUIT'],
  ['PM_RUN', 'the startup process crashes', WAITING, 'SIGQUIT'],

  ['PM_WAIT_BACKENDS', 'immediate', STAYS, 'SIGQUIT'],
  ['PM_WAIT_BACKENDS', 'a worker crashes', STAYS, 'SIGQUIT'],
  ['PM_WAIT_BACKENDS', 'a session crashes', STAYS, 'SIGQUIT'],
  ['PM_WAIT_BACKENDS', 'the last child ends in order', 'PM_SHUTDOWN', 'nothing'],

  ['PM_SHUTDOWN', 'immediate', 'PM_WAIT_BACKENDS, PM_WAIT_DEAD_END', 'nothing'],
  ['PM_SHUTDOWN', 'the database has stopped', 'PM_WAIT_DEAD_END, PM_NO_CHILDREN', 'nothing'],

  ['PM_WAIT_DEAD_END', 'immediate', 'PM_WAIT_BACKENDS, PM_WAIT_DEAD_END', 'nothing'],
  ['PM_WAIT_DEAD_END', 'the database has stopped', 'PM_NO_CHILDREN', 'nothing'],
];

describe('5.1: the table', () => {
  test.each(TABLE)('%s, %s: %s (everybody gets: %s)', (from, event, to, signal) => {
    const world = reach(from);
    const trace = EVENTS[event](world);
    expect(states(trace)).toBe(to);
    expect(signals(trace)).toEqual(signal === 'nothing' ? [] : everybody(world, signal));
  });

  test.each(['PM_STARTUP', 'PM_RECOVERY', 'PM_HOT_STANDBY'] as const)(
    'T-01: from %s the exit 0 of the startup process opens the server as its signal does: who waited is forked, then the line',
    (from) => {
      const late = descriptor('late');
      const trace = EVENTS['the startup process exits 0'](reach(from, [late]));
      expect(trace).toEqual(EVENTS['recovery has ended'](reach(from, [late])));
      expect(trace).toContain('fork late');
      expect(trace.at(-1)).toBe('LOG database system is ready to accept connections');
    },
  );
});

describe('5.1: how it ends from there', () => {
  const BEFORE = ['PM_STARTUP', 'PM_RECOVERY', 'PM_HOT_STANDBY', 'PM_RUN'] as const;

  test.each(BEFORE)('T-22: fast from %s: status 0; only where sessions could be, transactions are spoken of', (from) => {
    const world = reach(from);
    const aborts = EVENTS.fast(world).includes('LOG aborting any active transactions');
    expect(aborts).toBe(from === 'PM_HOT_STANDBY' || from === 'PM_RUN');
    expect(states(EVENTS['the last child ends in order'](world))).toBe('PM_SHUTDOWN');
    expect(EVENTS['the database has stopped'](world).at(-1)).toBe('exit 0');
  });

  test.each([...BEFORE, 'PM_WAIT_BACKENDS'] as const)('T-23: immediate from %s: the stopwatch, deaths without a line, status 0', (from) => {
    const world = reach(from);
    EVENTS.immediate(world);
    expect(world.deadline).toBe(world.now + 5000);
    const trace = EVENTS['the last child ends after a crash'](world);
    expect(trace.filter((line) => line.startsWith('LOG '))).toEqual([]);
    expect(states(trace)).toBe('PM_WAIT_DEAD_END');
    expect(EVENTS['the database has stopped'](world).at(-1)).toBe('exit 0');
  });

  test('T-23: immediate from PM_WAIT_DEAD_END, after a crash: hurried, and abnormal', () => {
    const world = reach('PM_WAIT_DEAD_END');
    expect(EVENTS.immediate(world)).toContain('stop database immediate');
    expect(EVENTS['the database has stopped'](world).slice(-3)).toEqual([
      'LOG abnormal database system shutdown',
      'LOG database system is shut down',
      'exit 1',
    ]);
  });

  const CRASHES = [
    ...BEFORE.map((from) => [from, 'a worker crashes'] as const),
    ['PM_HOT_STANDBY', 'a session crashes'],
    ['PM_RUN', 'a session crashes'],
    ['PM_RUN', 'the startup process crashes'],
  ] as const;
  test.each(CRASHES)('X-25: %s, %s: the stopwatch; when all are gone it begins again, with a startup process of its own', (from, event) => {
    const world = reach(from);
    EVENTS[event](world);
    expect(world.state.fatalError).toBe(true);
    expect(world.deadline).toBe(world.now + 5000);
    const trace = EVENTS['the last child ends after a crash'](world);
    expect(states(trace)).toBe('PM_WAIT_DEAD_END, PM_NO_CHILDREN, PM_STARTUP');
    expect(trace.at(-1)).toBe('fork startup');
    expect(world.state).toMatchObject({ startupStatus: 'running', exitStatus: null, database: 'running' });
  });

  test.each(BEFORE)('X-25: %s, and the startup process exits 0 in the cycle of a worker: it is not the end of the cycle', (from) => {
    const world = reach(from);
    EVENTS['a worker crashes'](world);
    const trace = EVENTS['the startup process exits 0'](world).filter((line) => line.startsWith('PM_'));
    // In PM_STARTUP and PM_RECOVERY it was the last.
    if (world.state.pmState === 'PM_WAIT_BACKENDS') trace.push(...EVENTS['the last child ends after a crash'](world));
    expect(states(trace)).toBe('PM_WAIT_DEAD_END, PM_NO_CHILDREN, PM_STARTUP');
  });
});

describe('5.1: no shutdown pending', () => {
  const WORDS = { PM_STARTUP: 'recovery has begun', PM_RECOVERY: 'recovery is consistent', PM_HOT_STANDBY: 'recovery has ended' } as const;
  const cells = (['PM_STARTUP', 'PM_RECOVERY', 'PM_HOT_STANDBY'] as const).flatMap((from) =>
    (['smart', 'fast', 'immediate'] as const).flatMap((mode) =>
      [...new Set<Event>([WORDS[from], 'recovery has ended', 'the startup process exits 0'])].map((event): [From, ShutdownMode, Event] => [
        from,
        mode,
        event,
      ]),
    ),
  );

  test.each(cells)('%s, told to stop (%s): %s, and nothing comes of it', (from, mode, event) => {
    const world = reach(from);
    EVENTS[mode](world);
    const { pmState } = world.state;
    expect(pmState).toBe(from === 'PM_HOT_STANDBY' && mode === 'smart' ? 'PM_HOT_STANDBY' : 'PM_WAIT_BACKENDS');
    expect(EVENTS[event](world)).toEqual([]);
    expect(world.state.pmState).toBe(pmState);
  });

  test.each([EXIT(0), EXIT(1)])(
    'in hot standby a smart shutdown outlives the startup process: the workers are told when the last session ends (%o)',
    (status) => {
      const world = reach('PM_HOT_STANDBY');
      EVENTS.smart(world);
      expect(world.exit(STARTUP, status)).toEqual([]);
      const trace = world.exit(SESSION, EXIT(0));
      expect(states(trace)).toBe(STOPPING);
      expect(signals(trace)).toEqual([`SIGTERM ${WORKER} and group`]);
    },
  );
});
