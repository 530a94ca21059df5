// Forking a worker, and the machine's protocol with the loop that forks: contract 3.4.

import { describe, expect, test } from 'vitest';
import { newWorkerId, step } from '../../../src/postmaster/state.js';
import { descriptor, World } from './world.js';

describe('launch', () => {
  test('S-50: no child slot: 53400, counted as a failed fork', () => {
    const world = new World({ workers: [descriptor('w', { restartTime: 4 })] });
    world.forkOutcomes = ['no slot'];
    expect(world.tell({ type: 'initialised' })).toContain('LOG 53400 no slot available for new worker process');
    expect(world.worker('w').crashedAt).toBe(world.now);
  });

  test('S-51, S-55: the line, the fork, the slot, and then the signal', () => {
    const world = World.running();
    const notifyPid = world.session();
    expect(world.register(descriptor('w', { notifyPid }))).toEqual([
      'DEBUG registering background worker "w"',
      'DEBUG starting background worker process "w"',
      'fork w',
      'slot 0 pid 102',
      `SIGUSR1 ${notifyPid}`,
    ]);
  });

  test('S-52: a failed fork is logged with its reason', () => {
    const world = new World({ workers: [descriptor('w', { restartTime: 4 })] });
    world.forkOutcomes = ['Cannot allocate memory'];
    expect(world.tell({ type: 'initialised' })).toContain('LOG could not fork worker process: Cannot allocate memory');
  });

  test('S-53: one failed fork ends a never-restart worker: forgotten by the next pass, its registrant signalled', () => {
    const world = World.running();
    const notifyPid = world.session();
    world.forkOutcomes = ['Resource temporarily unavailable'];
    const failed = world.register(descriptor('w', { notifyPid }));
    expect(failed).not.toContain(`SIGUSR1 ${notifyPid}`);
    expect(world.timeout(world.deadline!)).toEqual(['free slot 0', 'DEBUG unregistering background worker "w"', `SIGUSR1 ${notifyPid}`]);
  });

  test('S-54: with an interval it is tried again, and the slot says "not yet started" meanwhile', () => {
    const world = World.running();
    const notifyPid = world.session();
    world.forkOutcomes = ['Resource temporarily unavailable', 'Resource temporarily unavailable'];
    world.register(descriptor('w', { notifyPid, restartTime: 3 }));
    world.timeout(world.now);
    expect(world.slots[0]).toMatchObject({ inUse: true, pid: -1 });
    expect(world.timeout(world.deadline!)).toContain('LOG could not fork worker process: Resource temporarily unavailable');
    world.timeout(world.now);
    expect(world.timeout(world.deadline!)).toEqual([
      'DEBUG starting background worker process "w"',
      'fork w',
      'slot 0 pid 102',
      `SIGUSR1 ${notifyPid}`,
    ]);
    expect(world.now).toBe(1000 + 3000 + 3000);
  });
});

describe('the protocol with the loop', () => {
  const state = step(new World({ workers: [descriptor('w', { startTime: 0 })] }).state, { type: 'initialised', now: 1 }).state;

  test('while a fork is outstanding nothing but its answer is taken', () => {
    expect(() => step(state, { type: 'timeout', now: 2 })).toThrow('unexpected event "timeout"');
    expect(() => step(state, { type: 'forked', target: { kind: 'bgworker', id: 2 }, pid: 5, now: 2 })).toThrow('unexpected event "forked"');
    expect(() => step(state, { type: 'forked', target: { kind: 'startup' }, pid: 5, now: 2 })).toThrow();
    expect(() => step(state, { type: 'forked', target: { kind: 'backend', conn: 1 }, pid: 5, now: 2 })).toThrow();
  });

  test('an answer that nobody waits for is refused', () => {
    const idle = World.running().state;
    expect(() => step(idle, { type: 'forked', target: { kind: 'startup' }, pid: 5, now: 2 })).toThrow('unexpected event "forked"');
    expect(() => step(idle, { type: 'fork failed', target: { kind: 'backend', conn: 1 }, reason: '', now: 2 })).toThrow();
  });

  test('a step leaves the state it began with as it was', () => {
    const before = structuredClone(state);
    step(state, { type: 'forked', target: { kind: 'bgworker', id: 1 }, pid: 5, now: 2 });
    expect(state).toEqual(before);
  });

  test('newWorkerId: one above the highest', () => {
    expect(newWorkerId([])).toBe(1);
    expect(newWorkerId([{ id: 2 }, { id: 7 }, { id: 3 }])).toBe(8);
  });
});
