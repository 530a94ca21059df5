// When a worker is forked: contract 3.2, 3.3, 3.5.

import { describe, expect, test } from 'vitest';
import { bgworkerShouldStartNow, LONGEST_SLEEP_MS, MAX_BGWORKERS_TO_LAUNCH, restartDelayMs } from '../../../src/postmaster/schedule.js';
import { deadline, step, type PMState } from '../../../src/postmaster/state.js';
import { descriptor, EXIT, World } from './world.js';

const forks = (trace: readonly string[]): string[] => trace.filter((line) => line.startsWith('fork '));

describe('the gate', () => {
  const table: [PMState, boolean, boolean, boolean][] = [
    ['PM_INIT', true, false, false],
    ['PM_STARTUP', true, false, false],
    ['PM_RECOVERY', true, false, false],
    ['PM_HOT_STANDBY', true, true, false],
    ['PM_RUN', true, true, true],
    ['PM_STOP_BACKENDS', false, false, false],
    ['PM_WAIT_BACKENDS', false, false, false],
    ['PM_SHUTDOWN', false, false, false],
    ['PM_WAIT_DEAD_END', false, false, false],
    ['PM_NO_CHILDREN', false, false, false],
  ];
  test.each(table)('3.2: in %s the start times 0, 1, 2 may start: %s, %s, %s', (state, ...expected) => {
    expect([0, 1, 2].map((startTime) => bgworkerShouldStartNow(state, startTime))).toEqual(expected);
  });

  test.each([-1, 3, 0.5, 99])('R-10: start time %s is none, and starts in no state', (startTime) => {
    for (const [state] of table) expect(bgworkerShouldStartNow(state, startTime)).toBe(false);
  });

  test('S-21: a primary goes from PM_STARTUP to PM_RUN, and start times 1 and 2 start together, in list order', () => {
    const workers = [descriptor('c', { startTime: 2 }), descriptor('b', { startTime: 1 }), descriptor('a', { startTime: 0 })];
    const world = new World({ hasDatabase: true, workers });
    expect(forks(world.tell({ type: 'initialised' }))).toEqual(['fork startup', 'fork a']);
    expect(forks(world.tell({ type: 'pmsignal', reason: 'recovery finished' }))).toEqual(['fork c', 'fork b']);
  });

  test('S-22: without hot standby a ConsistentState worker waits for PM_RUN', () => {
    const world = new World({ hasDatabase: true, workers: [descriptor('w', { startTime: 1 })] });
    world.tell({ type: 'initialised' });
    expect(forks(world.tell({ type: 'pmsignal', reason: 'recovery started' }))).toEqual([]);
    expect(forks(world.tell({ type: 'pmsignal', reason: 'recovery finished' }))).toEqual(['fork w']);
  });

  test('S-23: promotion neither stops nor restarts anybody, and starts those still missing', () => {
    const world = new World({ hasDatabase: true, workers: [descriptor('late'), descriptor('early', { startTime: 1 })] });
    world.tell({ type: 'initialised' });
    world.tell({ type: 'pmsignal', reason: 'recovery started' });
    expect(forks(world.tell({ type: 'pmsignal', reason: 'begin hot standby' }))).toEqual(['fork early']);
    const promoted = world.tell({ type: 'pmsignal', reason: 'recovery finished' });
    expect(forks(promoted)).toEqual(['fork late']);
    expect(promoted.filter((line) => line.startsWith('SIG'))).toEqual([]);
  });

  test('S-24: behind a closed gate a worker keeps its slot, says "not yet started" and costs no wake-up', () => {
    const world = new World({ hasDatabase: true });
    world.tell({ type: 'initialised' });
    world.tell({ type: 'pmsignal', reason: 'recovery started' });
    world.tell({ type: 'pmsignal', reason: 'begin hot standby' });
    expect(forks(world.register(descriptor('w')))).toEqual([]);
    expect(world.slots[0]).toMatchObject({ inUse: true, pid: -1 });
    expect(world.deadline).toBeNull();
  });

  test('S-25: PM_RECOVERY alone calls for no pass', () => {
    const world = new World({ hasDatabase: true });
    world.tell({ type: 'initialised' });
    world.tell({ type: 'pmsignal', reason: 'recovery started' });
    expect(world.state).toMatchObject({ startWorkerNeeded: false, pass: null });
  });
});

describe('the pass', () => {
  test('S-31: the newest registration is looked at first', () => {
    const world = new World({ hasDatabase: true });
    world.tell({ type: 'initialised' });
    for (const name of ['a', 'b', 'c']) world.register(descriptor(name));
    expect(forks(world.tell({ type: 'pmsignal', reason: 'recovery finished' }))).toEqual(['fork c', 'fork b', 'fork a']);
  });

  test('R-32: static workers get slots 0, 1, 2 … from the head of the list', () => {
    const world = World.running({ workers: [descriptor('third'), descriptor('second'), descriptor('first')] });
    expect(['third', 'second', 'first'].map((name) => world.worker(name).slot)).toEqual([0, 1, 2]);
    expect(['third', 'second', 'first'].map((name) => world.worker(name).pid)).toEqual([101, 102, 103]);
  });

  test('S-32: a running worker is skipped', () => {
    const world = World.running({ workers: [descriptor('w')] });
    expect(world.change()).toEqual([]);
  });

  test('S-33: an entry marked terminate is forgotten, and nobody is signalled for it', () => {
    const world = new World({ hasDatabase: true });
    world.tell({ type: 'initialised' });
    world.register(descriptor('w'));
    expect(world.terminate(0)).toEqual(['slot 0 pid 0', 'free slot 0', 'DEBUG unregistering background worker "w"']);
    expect(world.names()).toEqual([]);
  });

  test('S-35: before its interval is over a worker is skipped; when exactly it is over, it is due', () => {
    const world = World.running({ workers: [descriptor('w', { restartTime: 3 })] });
    world.exit(101, EXIT(1));
    expect(world.deadline).toBe(world.now + 3000);
    const due = world.now + 3000;
    expect(world.timeout(due - 1)).toEqual([]);
    expect(forks(world.timeout(due))).toEqual(['fork w']);
  });

  test('S-36: a worker that is forked has crashed no more', () => {
    const world = World.running({ workers: [descriptor('w', { restartTime: 0 })] });
    world.exit(101, EXIT(1));
    expect(world.worker('w')).toMatchObject({ pid: 102, crashedAt: null });
  });

  test('S-37: a failed fork ends the pass; the rest is served on the next turn of the loop', () => {
    const world = new World({ workers: [descriptor('a', { restartTime: 5 }), descriptor('b')] });
    world.forkOutcomes = ['Resource temporarily unavailable'];
    const trace = world.tell({ type: 'initialised' });
    expect(forks(trace)).toEqual(['fork a']);
    expect(world.state.startWorkerNeeded).toBe(true);
    expect(world.deadline).toBeLessThanOrEqual(world.now);
    expect(forks(world.timeout(world.now))).toEqual(['fork b']);
    expect(world.deadline).toBe(world.now + 5000);
  });

  test('S-38: 100 forks end a pass, and the loop comes straight back', () => {
    const workers = Array.from({ length: 205 }, (_, index) => descriptor(`w${index}`));
    const world = new World({ maxWorkerProcesses: 205, workers });
    expect(forks(world.tell({ type: 'initialised' }))).toHaveLength(MAX_BGWORKERS_TO_LAUNCH);
    expect(world.deadline).toBeLessThanOrEqual(world.now);
    expect(forks(world.timeout(world.now))).toHaveLength(MAX_BGWORKERS_TO_LAUNCH);
    expect(forks(world.timeout(world.now))).toHaveLength(5);
    expect(world.deadline).toBeNull();
  });

  test('S-38: other events are served between two passes', () => {
    const workers = Array.from({ length: 101 }, (_, index) => descriptor(`w${index}`));
    const world = new World({ maxWorkerProcesses: 101, workers });
    world.tell({ type: 'initialised' });
    expect(forks(world.connect())).toEqual(['fork backend', 'fork w100']);
  });

  test('S-39: the interval counts from the moment the death was reaped, not from the start', () => {
    const world = World.running({ workers: [descriptor('w', { restartTime: 2 })] });
    world.now = 50_000;
    world.exit(101, EXIT(1));
    expect(world.deadline).toBe(52_000);
  });

  test('S-40: interval 0 restarts at once, without back-off and without end', () => {
    const world = World.running({ workers: [descriptor('w', { restartTime: 0 })] });
    for (let pid = 101; pid < 201; pid++) expect(forks(world.exit(pid, EXIT(1)))).toEqual(['fork w']);
    expect(world.deadline).toBeNull();
  });

  test.each([
    [1, 1000],
    [2_147_483, 2_147_483_000],
    [2_147_484, -2_147_483_296],
    [2_500_000, -1_794_967_296],
    [3_000_000, -1_294_967_296],
    [5_000_000, 705_032_704],
    [86_400_000, 500_654_080],
  ])('R-09: an interval of %s s is %s ms in 32 bits', (seconds, ms) => {
    expect(restartDelayMs(seconds)).toBe(ms);
  });

  test('R-09: where the product wraps below zero the restart is immediate', () => {
    const world = World.running({ workers: [descriptor('w', { restartTime: 2_500_000 })] });
    expect(forks(world.exit(101, EXIT(1)))).toEqual(['fork w']);
  });
});

describe('sleep', () => {
  test('3.5: nothing to do means no deadline at all', () => {
    expect(new World().deadline).toBeNull();
    expect(World.running({ workers: [descriptor('w')] }).deadline).toBeNull();
  });

  test('3.5: the earliest restart that is due decides', () => {
    const world = World.running({ workers: [descriptor('a', { restartTime: 9 }), descriptor('b', { restartTime: 2 }), descriptor('c')] });
    world.exit(101, EXIT(1));
    world.now += 500;
    world.exit(102, EXIT(1));
    expect(world.deadline).toBe(world.now + 2000);
    world.timeout(world.deadline!);
    expect(world.deadline).toBe(1000 + 9000);
  });

  test('3.5: while a fork is outstanding only its answer is waited for', () => {
    const { state } = step(new World({ workers: [descriptor('w', { startTime: 0 })] }).state, { type: 'initialised', now: 1 });
    expect(state.forking).toEqual({ kind: 'bgworker', id: 1 });
    expect(deadline(state)).toBeNull();
  });

  test.each([
    ['never-restart', { restartTime: -1 }, { terminate: false }],
    ['marked terminate', { restartTime: 9 }, { terminate: true }],
  ])('S-60: an entry that crashed and is %s is forgotten silently on the way to sleep', (_, fields, mark) => {
    const world = World.running();
    const notifyPid = world.session();
    world.register(descriptor('w', { ...fields, notifyPid }));
    world.alive.delete(102);
    const { children, workers } = world.state;
    // No sequence of events leads here, neither in PostgreSQL: a pass leaves nothing of the kind. So the state is made by hand, during a pass
    // that has gone by it.
    world.state = {
      ...world.state,
      children: children.filter((child) => child.pid !== 102),
      workers: workers.map((worker) => ({ ...worker, ...mark, pid: 0, crashedAt: world.now })),
      haveCrashedWorker: true,
      forking: { kind: 'bgworker', id: 99 },
      pass: { queue: [], launched: 0, now: world.now, then: 'nothing' },
    };
    world.alive.set(999, { kind: 'bgworker', id: 99 });
    const trace = world.tell({ type: 'forked', target: { kind: 'bgworker', id: 99 }, pid: 999 });
    expect(trace).toEqual(['free slot 0', 'DEBUG unregistering background worker "w"']);
  });

  test('S-61: in a smart shutdown a restart that falls due waits for another wake-up, or for 60 s', () => {
    const world = World.running({ workers: [descriptor('w', { restartTime: 2 })] });
    const backend = world.session();
    world.tell({ type: 'shutdown', mode: 'smart' });
    world.exit(101, EXIT(1));
    expect(world.deadline).toBe(world.now + LONGEST_SLEEP_MS);
    world.now += 4000;
    expect(forks(world.connect())).toEqual(['fork w']);
    world.exit(backend);
  });

  test('S-61: after 60 s it is served in any case', () => {
    const world = World.running({ workers: [descriptor('w', { restartTime: 2 })] });
    world.session();
    world.tell({ type: 'shutdown', mode: 'smart' });
    world.exit(101, EXIT(1));
    expect(forks(world.timeout(world.deadline!))).toEqual(['fork w']);
    expect(world.deadline).toBeNull();
  });
});
