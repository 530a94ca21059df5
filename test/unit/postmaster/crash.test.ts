// The crash cycle: contract 4.3.

import { describe, expect, test } from 'vitest';
import { descriptor, EXIT, SIGNAL, World } from './world.js';

describe('4.3: the crash cycle', () => {
  /** Workers a (60 s), b (never), a session and the watcher; b = 103 crashes. */
  function crashed(): World {
    const world = World.running({ hasDatabase: true, workers: [descriptor('a', { restartTime: 60 }), descriptor('b')] });
    world.session();
    expect(world.exit(103, SIGNAL(11))).toEqual([
      'LOG background worker "b" (PID 103) was terminated by signal 11: Segmentation fault',
      'LOG terminating any other active server processes',
      'SIGQUIT 102 and group',
      'SIGQUIT 104 and group',
      'SIGQUIT 101 and group',
      'PM_WAIT_BACKENDS',
    ]);
    return world;
  }

  test('X-20: the first crash: two lines, SIGQUIT to everybody and their groups, PM_WAIT_BACKENDS, the stopwatch', () => {
    expect(crashed().deadline).toBe(1000 + 5000);
  });

  test('X-21: further crashes only keep the books', () => {
    const world = crashed();
    expect(world.exit(102, EXIT(2), false)).toEqual([]);
    expect(world.exit(104, SIGNAL(3), false)).toEqual(['DEBUG server process (PID 104) was terminated by signal 3: Quit']);
  });

  test('X-21: a clean exit in a cycle is what it always is', () => {
    const world = crashed();
    expect(world.exit(102, EXIT(1))).toEqual(['slot 0 pid 0', 'LOG background worker "a" (PID 102) exited with exit code 1']);
  });

  test('X-22: the slot of the crashed worker is left as it is', () => {
    expect(crashed().slots[1]).toMatchObject({ inUse: true, pid: 103 });
  });

  test('X-23: after 5 s SIGKILL, once', () => {
    const world = crashed();
    expect(world.timeout(5999)).toEqual([]);
    expect(world.timeout(6000)).toEqual([
      'LOG issuing SIGKILL to recalcitrant children',
      'SIGKILL 104 and group',
      'SIGKILL 102 and group',
      'SIGKILL 101 and group',
    ]);
    expect(world.deadline).toBeNull();
    expect(world.exit(102, SIGNAL(9))).toEqual([]);
    expect(world.timeout(60_000)).toEqual([]);
    expect(world.exit(101, SIGNAL(9))).toEqual([]);
    expect(world.exit(104, SIGNAL(9))).toContain('LOG all server processes terminated; reinitializing');
  });

  test('X-25, X-26: all gone: never-restart entries forgotten, the rest in new slots, PM_STARTUP, the startup process', () => {
    const world = crashed();
    world.exit(102, EXIT(2), false);
    world.exit(104, EXIT(2), false);
    expect(world.exit(101, EXIT(2), false)).toEqual([
      'PM_WAIT_DEAD_END',
      'PM_NO_CHILDREN',
      'LOG all server processes terminated; reinitializing',
      'free slot 1',
      'DEBUG unregistering background worker "b"',
      'reinitialise a',
      'PM_STARTUP',
      'fork startup',
    ]);
    expect(world.worker('a')).toMatchObject({ pid: 0, slot: 0, crashedAt: null, notifyPid: 0 });
    expect(world.slots[0]).toMatchObject({ pid: -1, generation: 0n });
    expect(world.deadline).toBeNull();
  });

  test('X-26: they start when the gate opens, whatever their interval', () => {
    const world = crashed();
    for (const pid of [102, 104, 101]) world.exit(pid, EXIT(2), false);
    expect(world.tell({ type: 'pmsignal', reason: 'recovery finished' })).toEqual([
      'PM_RUN',
      'DEBUG starting background worker process "a"',
      'fork a',
      'slot 0 pid 106',
      'LOG database system is ready to accept connections',
    ]);
  });

  test('X-26: a never-restart worker that had not been started is forgotten as well', () => {
    const world = World.running({ hasDatabase: true, workers: [descriptor('w', { startTime: 9 })] });
    world.exit(world.session(), SIGNAL(9));
    expect(world.exit(101, EXIT(2), false)).toContain('DEBUG unregistering background worker "w"');
  });

  test('X-27: a dynamic worker with an interval survives, perhaps in another slot, with nobody to notify', () => {
    const world = World.running();
    const notifyPid = world.session();
    world.register(descriptor('never', { notifyPid }));
    world.register(descriptor('again', { notifyPid, restartTime: 5 }));
    expect(world.worker('again').slot).toBe(1);
    world.exit(notifyPid, SIGNAL(9));
    world.exit(102, EXIT(2), false);
    world.exit(103, EXIT(2), false);
    expect(world.worker('again')).toMatchObject({ slot: 0, notifyPid: 0, pid: 104 });
    expect(world.slots[0]!.generation).toBe(0n);
  });

  test('X-28: a worker that always dies with status 2 keeps the server in cycles without a pause', () => {
    const world = World.running({ workers: [descriptor('w', { restartTime: 3600 })] });
    for (let pid = 101; pid < 151; pid++) expect(world.exit(pid, EXIT(2))).toContain('fork w');
  });

  test('X-29: a termination recorded before the cycle survives it, and the first pass forgets the entry', () => {
    const world = World.running({ workers: [descriptor('w', { restartTime: 5 })] });
    world.session();
    world.terminate(0);
    world.exit(102, SIGNAL(9));
    const trace = world.exit(101, EXIT(2), false);
    expect(trace.slice(trace.indexOf('reinitialise w'))).toEqual([
      'reinitialise w',
      'PM_STARTUP',
      'PM_RUN',
      'free slot 0',
      'DEBUG unregistering background worker "w"',
      'LOG database system is ready to accept connections',
    ]);
  });

  test('X-29a: with restart_after_crash off the postmaster ends with status 1', () => {
    const world = World.running({ restartAfterCrash: false, workers: [descriptor('w')] });
    expect(world.exit(101, SIGNAL(9)).slice(-3)).toEqual([
      'LOG shutting down because restart_after_crash is off',
      'LOG database system is shut down',
      'exit 1',
    ]);
  });

  test('S-20: PostmasterStart workers, too, wait for the end of the cycle', () => {
    const world = World.running({ hasDatabase: true, workers: [descriptor('w', { startTime: 0, restartTime: 0 })] });
    world.exit(102, SIGNAL(9));
    const reinitialised = world.exit(101, EXIT(2), false);
    expect(reinitialised.at(-1)).toBe('fork startup');
    expect(world.change()).toEqual([]);
    expect(world.tell({ type: 'pmsignal', reason: 'recovery finished' })).toContain('fork w');
  });

  test('S-20: redo ends the cycle, but calls for no pass of its own (S-25)', () => {
    const world = World.running({ hasDatabase: true, workers: [descriptor('w', { startTime: 0, restartTime: 0 })] });
    world.exit(102, SIGNAL(9));
    world.exit(101, EXIT(2), false);
    expect(world.tell({ type: 'pmsignal', reason: 'recovery started' })).toEqual(['PM_RECOVERY']);
    expect(world.state.fatalError).toBe(false);
    expect(world.change()).toContain('fork w');
  });

  test('S-30: a pass in a cycle starts nothing and wants nothing', () => {
    const world = crashed();
    world.change();
    expect(world.state).toMatchObject({ startWorkerNeeded: false, haveCrashedWorker: false });
  });

  test('a crash of a PostmasterStart worker takes the startup process with it, and both begin again', () => {
    const world = new World({ hasDatabase: true, workers: [descriptor('w', { startTime: 0, restartTime: 60 })] });
    world.tell({ type: 'initialised' });
    expect(world.exit(102, SIGNAL(9)).filter((line) => line.startsWith('SIG'))).toEqual(['SIGQUIT 101 and group']);
    expect(world.state.pmState).toBe('PM_WAIT_BACKENDS');
    expect(world.tell({ type: 'pmsignal', reason: 'recovery finished' })).toEqual([]);
    expect(world.exit(101, SIGNAL(3))).toContain('fork startup');
  });

  test('T-30: a registration during a cycle is turned away', () => {
    const world = crashed();
    expect(world.register(descriptor('late', { notifyPid: 104 }))).toContain('slot 2 terminate');
  });
});
