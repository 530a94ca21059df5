// The list and its slots: contract 3.1, 4.4, 4.5.

import { describe, expect, test } from 'vitest';
import { descriptor, EXIT, SIGNAL, World } from './world.js';

const PARALLEL = 0x10;

/** A session that registers, and a worker of its own that runs: pids 101 and 102. */
function registrant(fields: Parameters<typeof descriptor>[1] = {}): World {
  const world = World.running();
  const notifyPid = world.session();
  world.register(descriptor('w', { notifyPid, ...fields }));
  return world;
}

describe('BackgroundWorkerStateChange', () => {
  test('S-01: another number of slots than ours is logged, and nothing is read', () => {
    const world = World.running();
    world.fillSlot(descriptor('w'));
    const trace = world.tell({ type: 'slots', totalSlots: 9, slots: world.views() });
    expect(trace).toEqual(['LOG inconsistent background worker state (max_worker_processes=8, total_slots=9)']);
    expect(world.names()).toEqual([]);
  });

  test('S-02: a slot not in use is skipped, whatever it says', () => {
    const world = World.running();
    world.slots[3] = { inUse: false, terminate: true, generation: 5n, notifyPid: 7, pid: 9, descriptor: descriptor('ghost') };
    expect(world.change()).toEqual([]);
  });

  test.each([-1, 8])('a slot numbered %s is none', (slot) => {
    const world = World.running();
    const views = [{ ...world.views()[0]!, inUse: true, descriptor: descriptor('w'), slot }];
    expect(world.tell({ type: 'slots', totalSlots: 8, slots: views })).toEqual([]);
  });

  test('S-03: a termination request sends SIGTERM to the worker alone, not to its group', () => {
    expect(registrant().terminate(0)).toEqual(['SIGTERM 102']);
  });

  test('S-04: known but not running: pid 0 and one SIGUSR1; the pass that follows forgets it without a second', () => {
    const world = registrant({ restartTime: 60 });
    world.exit(102, EXIT(1));
    expect(world.terminate(0)).toEqual(['slot 0 pid 0', 'SIGUSR1 101', 'free slot 0', 'DEBUG unregistering background worker "w"']);
  });

  test('S-05: SIGTERM is never repeated', () => {
    const world = registrant();
    world.terminate(0);
    expect(world.change()).toEqual([]);
    expect(world.change()).toEqual([]);
  });

  test('S-06: a request that comes while we stop is turned away, and its registrant told', () => {
    const world = registrant();
    world.tell({ type: 'shutdown', mode: 'fast' });
    expect(world.register(descriptor('late', { notifyPid: 101 }))).toEqual(['slot 1 terminate', 'slot 1 pid 0', 'free slot 1', 'SIGUSR1 101']);
    expect(world.slots[1]).toMatchObject({ inUse: false, terminate: true, pid: 0 });
  });

  test('S-06, T-20: a smart shutdown that waits for sessions still takes requests', () => {
    const world = registrant();
    world.tell({ type: 'shutdown', mode: 'smart' });
    expect(world.register(descriptor('late'))).toContain('fork late');
  });

  test('S-07: terminated before we saw it: never in the list; its registrant is told', () => {
    const world = World.running();
    const notifyPid = world.session();
    world.slots[world.fillSlot(descriptor('w', { notifyPid }))]!.terminate = true;
    expect(world.change()).toEqual(['slot 0 pid 0', 'free slot 0', `SIGUSR1 ${notifyPid}`]);
  });

  test.each([0, -1, -4242, 4242])('S-07: a raw notify pid of %s is not signalled: it is no child of ours', (notifyPid) => {
    const world = World.running();
    world.slots[world.fillSlot(descriptor('w', { notifyPid }))]!.terminate = true;
    expect(world.change()).toEqual(['slot 0 pid 0', 'free slot 0']);
  });

  test('S-07: a parallel worker counts as terminated before its slot is free', () => {
    const world = World.running();
    world.slots[world.fillSlot(descriptor('w', { flags: 3 | PARALLEL }))]!.terminate = true;
    expect(world.change()).toEqual(['count terminated parallel worker', 'slot 0 pid 0', 'free slot 0']);
  });

  test('S-08: the newest is pushed at the head of the list', () => {
    const world = new World({ workers: [descriptor('static')], hasDatabase: true });
    world.tell({ type: 'initialised' });
    world.register(descriptor('a'));
    world.register(descriptor('b'));
    expect(world.names()).toEqual(['b', 'a', 'static']);
  });

  test('P-11, S-08: two that came with one signal are taken in slot order', () => {
    const world = new World({ hasDatabase: true });
    world.tell({ type: 'initialised' });
    world.fillSlot(descriptor('a'));
    world.fillSlot(descriptor('b'));
    expect(world.change().filter((line) => line.includes('registering'))).toEqual([
      'DEBUG registering background worker "a"',
      'DEBUG registering background worker "b"',
    ]);
    expect(world.names()).toEqual(['b', 'a']);
  });

  test('S-09: a descriptor that could not be read stays in its slot and is looked at again', () => {
    const world = World.running();
    world.slots[world.fillSlot(descriptor('w'))]!.descriptor = null;
    expect(world.change()).toEqual([]);
    world.slots[0]!.descriptor = descriptor('w');
    expect(world.change()).toContain('fork w');
  });

  test('S-11: values are taken raw; the sanity check is not repeated', () => {
    const world = World.running();
    expect(world.register(descriptor('', { flags: -1, startTime: 77, restartTime: -5 }))).toContain('DEBUG registering background worker ""');
  });

  test('S-12: a new entry is not running, has not crashed, is not terminated', () => {
    const world = new World({ hasDatabase: true });
    world.tell({ type: 'initialised' });
    world.register(descriptor('w'));
    expect(world.worker('w')).toMatchObject({ pid: 0, crashedAt: null, terminate: false, slot: 0 });
  });

  test('S-13: a notify pid that is no child of ours is replaced by 0', () => {
    const world = World.running();
    const trace = world.register(descriptor('w', { notifyPid: 4242 }));
    expect(trace.slice(0, 2)).toEqual(['DEBUG worker notification PID 4242 is not valid', 'DEBUG registering background worker "w"']);
    expect(world.worker('w').notifyPid).toBe(0);
    expect(trace).not.toContain('SIGUSR1 4242');
  });

  test('S-13: so is 0 itself, with the same line', () => {
    expect(World.running().register(descriptor('w'))[0]).toBe('DEBUG worker notification PID 0 is not valid');
  });

  test('S-13: a worker may be notified, and so may any other child; the startup process may not', () => {
    const world = World.running({ hasDatabase: true, workers: [descriptor('boss')] });
    const [startup, boss] = [101, world.worker('boss').pid];
    expect(world.register(descriptor('a', { notifyPid: boss }))).toContain(`SIGUSR1 ${boss}`);
    expect(world.register(descriptor('b', { notifyPid: startup }))).toContain('DEBUG worker notification PID 101 is not valid');
    expect(world.state.children.find((child) => child.pid === boss)).toMatchObject({ wantsNotify: true });
  });
});

describe('4.5: who is notified, and when', () => {
  test('forked: at every start, with the pid in the slot', () => {
    const world = registrant({ restartTime: 0 });
    expect(world.exit(102, EXIT(1))).toEqual([
      'slot 0 pid 0',
      'SIGUSR1 101',
      'LOG background worker "w" (PID 102) exited with exit code 1',
      'DEBUG starting background worker process "w"',
      'fork w',
      'slot 0 pid 103',
      'SIGUSR1 101',
    ]);
  });

  test('clean exit that will be restarted: slot in use, pid 0', () => {
    const world = registrant({ restartTime: 60 });
    expect(world.exit(102, EXIT(1))).toContain('SIGUSR1 101');
    expect(world.slots[0]).toMatchObject({ inUse: true, pid: 0 });
  });

  test('clean exit that is final: slot not in use', () => {
    expect(registrant().exit(102, EXIT(1)).slice(0, 4)).toEqual([
      'slot 0 pid 0',
      'free slot 0',
      'DEBUG unregistering background worker "w"',
      'SIGUSR1 101',
    ]);
  });

  test('termination requested, worker running: not before its exit', () => {
    const world = registrant();
    expect(world.terminate(0)).not.toContain('SIGUSR1 101');
    expect(world.exit(102, EXIT(1))).toContain('SIGUSR1 101');
  });

  test('crash exit and crash reset: nobody', () => {
    const world = registrant({ restartTime: 5 });
    expect(world.exit(102, SIGNAL(9))).not.toContain('SIGUSR1 101');
    expect(world.exit(101, SIGNAL(3), false).join('\n')).not.toContain('SIGUSR1');
  });

  test('P-15, X-24: when the registrant dies only the private copy is cleared, and the worker runs on', () => {
    const world = registrant({ restartTime: 0 });
    expect(world.exit(101)).toEqual(['DEBUG server process (PID 101) exited with exit code 0']);
    expect(world.worker('w')).toMatchObject({ notifyPid: 0, pid: 102, descriptor: { notifyPid: 101 } });
    expect(world.slots[0]!.notifyPid).toBe(101);
    expect(world.exit(102, EXIT(1)).filter((line) => line.startsWith('SIGUSR1'))).toEqual([]);
  });

  test('X-11: a worker that had registered another one counts as a registrant too', () => {
    const world = World.running({ workers: [descriptor('boss')] });
    world.register(descriptor('a', { notifyPid: 101 }));
    world.register(descriptor('b'));
    world.exit(101, EXIT(0));
    expect(world.worker('a').notifyPid).toBe(0);
  });
});

describe('ForgetBackgroundWorker', () => {
  test('X-30: the parallel count, the slot, the line, in this order', () => {
    const world = World.running();
    world.register(descriptor('p', { flags: 3 | PARALLEL }));
    expect(world.exit(101, EXIT(1))).toEqual([
      'slot 0 pid 0',
      'count terminated parallel worker',
      'free slot 0',
      'DEBUG unregistering background worker "p"',
      'LOG background worker "p" (PID 101) exited with exit code 1',
    ]);
  });

  test('X-14: a slot freed at exit can be used again at once, by an entry of its own', () => {
    const world = World.running({ maxWorkerProcesses: 1 });
    world.register(descriptor('a'));
    const { id } = world.worker('a');
    world.exit(101, EXIT(0));
    world.register(descriptor('b'));
    expect(world.worker('b')).toMatchObject({ slot: 0, pid: 102 });
    expect(world.worker('b').id).toBeGreaterThan(id);
    expect(world.slots[0]!.generation).toBe(2n);
  });
});
