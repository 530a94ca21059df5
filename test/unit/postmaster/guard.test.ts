// The guard against what fails again and again: each rule of src/postmaster/guard.ts.
import { describe, expect, test } from 'vitest';
import { changeSettings, step, type GuardSettings, type WorkerDescriptor } from '../../../src/postmaster/state.js';
import { descriptor, EXIT, SIGNAL, World } from './world.js';

const OFF: GuardSettings = { workerRestartBackoffMax: 0, workerGiveUpAfter: 0, crashCycleBackoffMax: 0, crashGiveUpAfter: 0, logFoldRepeats: false };
const guarded = (guard: Partial<GuardSettings>, ...workers: WorkerDescriptor[]): World => World.running({ guard: { ...OFF, ...guard }, workers });

/** Lets a worker die at once, again and again; what each restart was late by. It is running again afterwards. */
function delays(world: World, name: string, times: number): number[] {
  return Array.from({ length: times }, () => {
    const died = world.now;
    world.exit(world.worker(name).pid, EXIT(1));
    if (world.worker(name).pid === 0) world.timeout(world.deadline!);
    expect(world.worker(name).pid).not.toBe(0);
    return (world.now - died) / 1000;
  });
}

describe('worker_restart_backoff_max', () => {
  test.each([
    ['0, from a second on', 0, 30, [1, 2, 4, 8, 16, 30, 30]],
    ['1', 1, 30, [1, 2, 4, 8, 16, 30, 30]],
    ['5', 5, 30, [5, 10, 20, 30, 30]],
    ['60, which is more than the maximum: never less than the interval', 60, 30, [60, 60, 60]],
  ])('the delay doubles up to the maximum: interval %s', (_, restartTime, workerRestartBackoffMax, expected) => {
    const world = guarded({ workerRestartBackoffMax }, descriptor('w', { restartTime }));
    expect(delays(world, 'w', expected.length)).toEqual(expected);
  });

  test('off: its interval, however often it fails', () => {
    expect(delays(guarded({}, descriptor('w', { restartTime: 5 })), 'w', 5)).toEqual([5, 5, 5, 5, 5]);
  });

  test('the line says how long it takes, where that is longer than the interval', () => {
    const world = guarded({ workerRestartBackoffMax: 30 }, descriptor('w', { restartTime: 5 }));
    const details: unknown[] = [];
    for (let n = 0; n < 2; n++) {
      const { pid } = world.worker('w');
      const { actions } = step(world.state, { type: 'exited', pid, status: EXIT(1), detached: true, now: world.now });
      details.push(actions.find(({ type }) => type === 'log'));
      delays(world, 'w', 1);
    }
    const exited = (pid: number): object => ({ type: 'log', level: 15, message: `background worker "w" (PID ${pid}) exited with exit code 1` });
    expect(details).toEqual([exited(101), { ...exited(102), detail: 'It has failed 2 times in a row and will be restarted in 10 s.' }]);
  });

  test('a minute of life, from the fork, makes the next failure the first', () => {
    const world = guarded({ workerRestartBackoffMax: 300 }, descriptor('w', { restartTime: 1 }));
    expect(delays(world, 'w', 4)).toEqual([1, 2, 4, 8]);
    world.timeout(world.now + 59_999);
    expect(delays(world, 'w', 1)).toEqual([16]);
    world.timeout(world.now + 60_000);
    expect(delays(world, 'w', 2)).toEqual([1, 2]);
  });

  test('one worker’s failures are not another’s', () => {
    const world = guarded({ workerRestartBackoffMax: 300 }, descriptor('v', { restartTime: 1 }), descriptor('w', { restartTime: 1 }));
    expect(delays(world, 'v', 3)).toEqual([1, 2, 4]);
    expect(delays(world, 'w', 2)).toEqual([1, 2]);
  });

  test('a worker without shared memory fails by any status', () => {
    const world = guarded({ workerRestartBackoffMax: 300 }, descriptor('w', { restartTime: 1, flags: 0 }));
    for (const [status, delay] of [
      [SIGNAL(9), 1],
      [EXIT(7), 2],
      [SIGNAL(11), 4],
    ] as const) {
      // prettier-ignore
      world.exit(world.worker('w').pid, status, false);
      expect(world.deadline).toBe(world.now + delay * 1000);
      world.timeout(world.deadline!);
    }
  });

  test('a fork that failed is tried again after a second at least, and is no failure of the worker’s', () => {
    const world = guarded({ workerRestartBackoffMax: 300, workerGiveUpAfter: 2 }, descriptor('w', { restartTime: 0 }));
    world.forkOutcomes = ['no memory', 'no memory', 'no memory'];
    world.exit(101, EXIT(1));
    for (let n = 0; n < 3; n++) {
      expect(world.deadline).toBe(world.now + 1000);
      world.timeout(world.deadline!);
      world.timeout(world.now); // "start needed": the pass after a fork that failed
    }
    expect(world.worker('w')).toMatchObject({ failures: 1, pid: 0 });
    world.timeout(world.deadline!);
    expect(world.worker('w').pid).toBe(102);
  });

  test('a crash of its own is followed by its delay, when all the others start at once', () => {
    const world = guarded({ workerRestartBackoffMax: 300 }, descriptor('v', { restartTime: 60 }), descriptor('w', { restartTime: 2 }));
    for (const delay of [2, 4, 8]) {
      world.exit(world.worker('w').pid, SIGNAL(11));
      const trace = world.exit(world.worker('v').pid, EXIT(2), false);
      expect(trace).toContain('fork v');
      expect(trace).not.toContain('fork w');
      expect(world.deadline).toBe(world.now + delay * 1000);
      expect(world.timeout(world.deadline!)).toContain('fork w');
    }
  });

  test('a delay lasts through a crash of somebody else, who is not excused either', () => {
    const world = guarded({ workerRestartBackoffMax: 300 }, descriptor('v', { restartTime: 60 }), descriptor('w', { restartTime: 8 }));
    world.exit(world.worker('w').pid, EXIT(1));
    const due = world.deadline!;
    world.now += 1000;
    expect(world.exit(world.worker('v').pid, SIGNAL(9))).not.toContain('fork w');
    expect(world.deadline).toBe(due);
  });

  test('deaths that we ordered do not count: of a crash cycle, of a shutdown', () => {
    const world = guarded({ workerRestartBackoffMax: 300, workerGiveUpAfter: 1 }, descriptor('w', { restartTime: 60 }));
    world.exit(world.session(), SIGNAL(9));
    expect(world.exit(101, EXIT(1))).toContain('fork w');
    expect(world.worker('w')).toMatchObject({ failures: 0, failed: false });
    world.session();
    world.tell({ type: 'shutdown', mode: 'fast' });
    world.exit(world.worker('w').pid, EXIT(1));
    expect(world.worker('w')).toMatchObject({ failures: 0 });
  });

  test('switched off by a reload, the next look finds the interval again; switched on, the delay', () => {
    const world = guarded({ workerRestartBackoffMax: 300 }, descriptor('w', { restartTime: 2 }));
    delays(world, 'w', 4);
    world.exit(world.worker('w').pid, EXIT(1));
    expect(world.deadline).toBe(world.now + 32_000);
    world.state = changeSettings(world.state, { restartAfterCrash: true, guard: OFF });
    expect(world.deadline).toBe(world.now + 2000);
    world.state = changeSettings(world.state, { restartAfterCrash: true, guard: { ...OFF, workerRestartBackoffMax: 10 } });
    expect(world.deadline).toBe(world.now + 10_000);
  });
});

describe('worker_give_up_after', () => {
  test('after so many failures in a row it is unregistered, and its registrant notified as of a final exit', () => {
    const world = guarded({ workerGiveUpAfter: 3 });
    const notifyPid = world.session();
    world.register(descriptor('w', { restartTime: 0, notifyPid, type: 'kind' }));
    world.exit(102, EXIT(1));
    world.exit(103, EXIT(1));
    expect(world.exit(104, EXIT(1))).toEqual([
      'slot 0 pid 0',
      'free slot 0',
      'DEBUG unregistering background worker "w"',
      `SIGUSR1 ${notifyPid}`,
      'LOG background worker "kind" (PID 104) exited with exit code 1',
      'LOG giving up background worker "kind" after 3 failures in a row',
    ]);
    expect(world.names()).toEqual([]);
    expect(world.deadline).toBeNull();
  });

  test('a minute of life begins the count anew', () => {
    const world = guarded({ workerGiveUpAfter: 2 }, descriptor('w', { restartTime: 1 }));
    for (let n = 0; n < 5; n++) {
      world.now += 60_000;
      expect(delays(world, 'w', 1)).toEqual([1]);
    }
    expect(world.exit(world.worker('w').pid, EXIT(1))).toContain('LOG giving up background worker "w" after 2 failures in a row');
  });

  test('a crash counts; the entry is forgotten when the cycle ends', () => {
    const world = guarded({ workerGiveUpAfter: 2 }, descriptor('v', { restartTime: 0 }), descriptor('w', { restartTime: 0 }));
    world.exit(world.worker('w').pid, SIGNAL(11));
    world.exit(world.worker('v').pid, EXIT(2), false);
    expect(world.exit(world.worker('w').pid, EXIT(255))).toEqual([
      'LOG background worker "w" (PID 104) exited with exit code 255',
      'LOG terminating any other active server processes',
      'SIGQUIT 103 and group',
      'PM_WAIT_BACKENDS',
      'LOG giving up background worker "w" after 2 failures in a row',
    ]);
    world.exit(world.worker('v').pid, EXIT(2), false);
    expect(world.names()).toEqual(['v']);
  });

  test('of 1: the first failure is the last', () => {
    const world = guarded({ workerGiveUpAfter: 1 }, descriptor('w', { restartTime: 60 }));
    expect(world.exit(101, EXIT(1)).at(-1)).toBe('LOG giving up background worker "w" after 1 failure');
  });

  test('a worker that is never restarted, or was told to end, goes without the line', () => {
    const world = guarded({ workerGiveUpAfter: 1 }, descriptor('v', { restartTime: 60 }), descriptor('w'));
    expect(world.exit(102, EXIT(1)).join('\n')).not.toContain('giving up');
    world.terminate(0);
    expect(world.exit(101, EXIT(1)).join('\n')).not.toContain('giving up');
    expect(world.names()).toEqual([]);
  });
});
