// The guard against crash cycles in a row: src/postmaster/guard.ts, and the pause in src/postmaster/shutdown.ts.
import { describe, expect, test } from 'vitest';
import { changeSettings, type GuardSettings } from '../../../src/postmaster/state.js';
import { descriptor, EXIT, SIGNAL, World, type WorldOptions } from './world.js';

const OFF: GuardSettings = { workerRestartBackoffMax: 0, workerGiveUpAfter: 0, crashCycleBackoffMax: 0, crashGiveUpAfter: 0, logFoldRepeats: false };

function guarded(guard: Partial<GuardSettings>, options: WorldOptions = {}): World {
  return World.running({ guard: { ...OFF, ...guard }, workers: [descriptor('w', { restartTime: 60 })], ...options });
}

const crash = (world: World): string[] => world.exit(world.worker('w').pid, SIGNAL(11));

/** Crashes so many times; how long each pause was, in seconds. Everything is up again afterwards. */
function pauses(world: World, times: number): number[] {
  return Array.from({ length: times }, () => {
    const died = world.now;
    crash(world);
    if (world.state.pmState !== 'PM_RUN') world.timeout(world.deadline!);
    expect(world.state.pmState).toBe('PM_RUN');
    return (world.now - died) / 1000;
  });
}

describe('crash_cycle_backoff_max', () => {
  test('the first crash is answered at once, then the pause doubles from a second up to the maximum', () => {
    expect(pauses(guarded({ crashCycleBackoffMax: 10 }), 7)).toEqual([0, 1, 2, 4, 8, 10, 10]);
  });

  test('off: no pause, however often', () => expect(pauses(guarded({}), 5)).toEqual([0, 0, 0, 0, 0]));

  test('a minute of service makes the next crash the first', () => {
    const world = guarded({ crashCycleBackoffMax: 10 });
    expect(pauses(world, 3)).toEqual([0, 1, 2]);
    world.now += 59_999;
    expect(pauses(world, 1)).toEqual([4]);
    world.now += 60_000;
    expect(pauses(world, 2)).toEqual([0, 1]);
  });

  test('service begins with a hot standby, and goes on when that is promoted', () => {
    const world = new World({
      guard: { ...OFF, crashCycleBackoffMax: 10 },
      hasDatabase: true,
      workers: [descriptor('w', { startTime: 1, restartTime: 0 })],
    });
    world.tell({ type: 'initialised' });
    for (const reason of ['recovery started', 'begin hot standby'] as const) world.tell({ type: 'pmsignal', reason });
    world.now += 30_000;
    world.tell({ type: 'pmsignal', reason: 'recovery finished' });
    expect(world.state.servingSince).toBe(1000);
  });

  test('while it waits nobody is let in, nothing starts, registrations are turned away, and one deadline stands', () => {
    const world = guarded({ crashCycleBackoffMax: 10 });
    pauses(world, 1);
    expect(crash(world)).toEqual([
      'LOG background worker "w" (PID 102) was terminated by signal 11: Segmentation fault',
      'LOG terminating any other active server processes',
      'PM_WAIT_BACKENDS',
      'PM_WAIT_DEAD_END',
      'LOG reinitializing in 1 s after 2 crashes in a row',
    ]);
    expect(world.connect()).toEqual(['refuse 57P03 the database system is in recovery mode']);
    expect(world.register(descriptor('late'))).toContain('free slot 1');
    expect(world.timeout(1999)).toEqual([]);
    expect(world.deadline).toBe(2000);
    expect(world.timeout(2000).slice(0, 3)).toEqual(['PM_NO_CHILDREN', 'LOG all server processes terminated; reinitializing', 'reinitialise w']);
    expect(world.deadline).toBeNull();
  });

  test('it begins when the last child has gone', () => {
    const world = guarded({ crashCycleBackoffMax: 10 });
    pauses(world, 1);
    const session = world.session();
    crash(world);
    world.now += 3000;
    world.exit(session, EXIT(2), false);
    expect(world.deadline).toBe(world.now + 1000);
  });

  test.each(['smart', 'fast', 'immediate'] as const)('a %s shutdown ends it, and the server with status 1', (mode) => {
    const world = guarded({ crashCycleBackoffMax: 10 }, { hasDatabase: true, ownedDatabase: true });
    world.exit(world.worker('w').pid, SIGNAL(11));
    world.exit(world.state.children[0]!.pid, EXIT(2));
    world.tell({ type: 'pmsignal', reason: 'recovery finished' });
    crash(world);
    world.exit(world.state.children[0]!.pid, EXIT(2));
    expect(world.state).toMatchObject({ pmState: 'PM_WAIT_DEAD_END', database: 'running' });
    const trace = world.tell({ type: 'shutdown', mode });
    expect(trace).toContain(`stop database ${mode === 'immediate' ? 'immediate' : 'fast'}`);
    expect(world.tell({ type: 'database stopped' })).toEqual([
      'PM_NO_CHILDREN',
      'LOG abnormal database system shutdown',
      'LOG database system is shut down',
      'exit 1',
    ]);
  });

  test('a reload may end it', () => {
    const world = guarded({ crashCycleBackoffMax: 10 });
    pauses(world, 4);
    crash(world);
    expect(world.deadline).toBe(world.now + 8000);
    world.state = changeSettings(world.state, { restartAfterCrash: true, guard: OFF });
    expect(world.deadline).toBe(world.now);
    expect(world.timeout(world.now)).toContain('fork w');
  });
});

describe('crash_give_up_after', () => {
  test('so many crashes in a row end the server with status 1', () => {
    const world = guarded({ crashGiveUpAfter: 3 });
    expect(pauses(world, 2)).toEqual([0, 0]);
    expect(crash(world).slice(-5)).toEqual([
      'PM_WAIT_DEAD_END',
      'PM_NO_CHILDREN',
      'LOG shutting down after 3 crashes in a row',
      'LOG database system is shut down',
      'exit 1',
    ]);
  });

  test('with an owned database, which is stopped in order', () => {
    const world = guarded({ crashGiveUpAfter: 1, crashCycleBackoffMax: 10 }, { hasDatabase: true, ownedDatabase: true });
    crash(world);
    expect(world.exit(world.state.children[0]!.pid, EXIT(2))).toEqual(['PM_WAIT_DEAD_END', 'stop database fast']);
    expect(world.tell({ type: 'database stopped' })).toEqual([
      'PM_NO_CHILDREN',
      'LOG shutting down after 1 crash',
      'LOG database system is shut down',
      'exit 1',
    ]);
  });

  test('a lost database counts as a crash, and is not started again by a server that gives up', () => {
    const world = guarded({ crashGiveUpAfter: 1 }, { hasDatabase: true, ownedDatabase: true });
    expect(world.tell({ type: 'database lost', message: 'it died' })).not.toContain('start database');
  });

  test('a minute of service begins the count anew', () => {
    const world = guarded({ crashGiveUpAfter: 2 });
    for (let n = 0; n < 4; n++) {
      world.now += 60_000;
      expect(pauses(world, 1)).toEqual([0]);
    }
    expect(crash(world).at(-1)).toBe('exit 1');
  });

  test('a limit that a reload sets below the crashes of the past counts from the next one', () => {
    const world = guarded({});
    pauses(world, 3);
    world.state = changeSettings(world.state, { restartAfterCrash: true, guard: { ...OFF, crashGiveUpAfter: 1 } });
    expect(world.timeout(world.now + 1)).toEqual([]);
    expect(world.state.exitStatus).toBeNull();
  });
});
