// What happens in one turn of the loop, and in which order: contract T-10, T-12; and what the lock file says meanwhile.

import { describe, expect, test } from 'vitest';
import { lockFileStatus, type ServerState } from '../../../src/postmaster/state.js';
import { descriptor, EXIT, SIGNAL, World } from './world.js';

/** a (101), b (102) and c (103). */
const three = (restartTime: number): World => World.running({ workers: ['a', 'b', 'c'].map((name) => descriptor(name, { restartTime })) });

describe('several deaths in one turn', () => {
  test('T-10: all are reaped before anybody is started: one of them crashed, and the other is not restarted to be killed', () => {
    const trace = three(0).exitTogether([
      { pid: 101, status: EXIT(1) },
      { pid: 102, status: SIGNAL(9) },
    ]);
    expect(trace).not.toContain('fork a');
    expect(trace).toContain('SIGQUIT 103 and group');
  });

  test('T-10: after all of them comes one pass, newest registration first', () => {
    const world = three(0);
    world.register(descriptor('d', { restartTime: 0 }));
    const trace = world.exitTogether([101, 104, 102].map((pid) => ({ pid, status: EXIT(1) })));
    expect(trace.filter((line) => line.startsWith('fork '))).toEqual(['fork d', 'fork a', 'fork b']);
    expect(trace.findIndex((line) => line.startsWith('fork '))).toBeGreaterThan(trace.findLastIndex((line) => line.includes('exited with')));
  });

  test('X-21: two crashes in one turn are one cycle', () => {
    const trace = three(0).exitTogether([
      { pid: 101, status: SIGNAL(9) },
      { pid: 102, status: EXIT(3) },
    ]);
    expect(trace.filter((line) => line.startsWith('LOG '))).toEqual([
      'LOG background worker "a" (PID 101) was terminated by signal 9: Killed',
      'LOG terminating any other active server processes',
    ]);
    expect(trace).toContain('SIGQUIT 102 and group'); // it was a child still, as far as anybody knew
  });

  test('the last session and the last worker in a smart shutdown: the end, with status 0', () => {
    const world = World.running({ workers: [descriptor('w')] });
    const session = world.session();
    world.tell({ type: 'shutdown', mode: 'smart' });
    expect(world.exitTogether([{ pid: session }, { pid: 101, status: EXIT(1) }]).at(-1)).toBe('exit 0');
  });

  test('all of a crash cycle’s children: reinitialised once', () => {
    const world = three(5);
    world.exit(101, SIGNAL(11));
    const trace = world.exitTogether([
      { pid: 102, status: EXIT(2) },
      { pid: 103, status: EXIT(2) },
    ]);
    expect(trace.filter((line) => line.startsWith('reinitialise'))).toHaveLength(1);
    expect(trace.filter((line) => line.startsWith('fork '))).toHaveLength(3);
  });
});

describe('what the lock file says', () => {
  const status = (world: World): string => lockFileStatus(world.state);

  test('starting, ready; starting through a crash cycle, and its pause; ready', () => {
    const guard = { workerRestartBackoffMax: 0, workerGiveUpAfter: 0, crashCycleBackoffMax: 60, crashGiveUpAfter: 0, logFoldRepeats: false };
    const world = new World({ workers: [descriptor('w', { restartTime: 0 })], guard });
    expect(status(world)).toBe('starting');
    world.tell({ type: 'initialised' });
    expect(status(world)).toBe('ready');
    for (let crashes = 0; world.state.pausedSince === null && crashes < 5; crashes++) world.exit(world.worker('w').pid, SIGNAL(9));
    expect(world.state.pausedSince).not.toBeNull();
    expect(status(world)).toBe('starting');
    world.timeout(world.deadline as number);
    expect(status(world)).toBe('ready');
  });

  test('standby, then ready', () => {
    const world = new World({ hasDatabase: true });
    world.tell({ type: 'initialised' });
    world.tell({ type: 'pmsignal', reason: 'recovery started' });
    expect(status(world)).toBe('starting');
    world.tell({ type: 'pmsignal', reason: 'begin hot standby' });
    expect(status(world)).toBe('standby');
    world.tell({ type: 'pmsignal', reason: 'recovery finished' });
    expect(status(world)).toBe('ready');
  });

  test.each(['smart', 'fast', 'immediate'] as const)('stopping from the request on: %s', (mode) => {
    const world = World.running({ workers: [descriptor('w')] });
    world.session();
    world.tell({ type: 'shutdown', mode });
    expect(status(world)).toBe('stopping');
  });

  test('stopping in a crash cycle that ends the server', () => {
    const world = World.running({ workers: [descriptor('w'), descriptor('other')], restartAfterCrash: false });
    world.exit(101, SIGNAL(9));
    expect(status(world)).toBe('stopping');
  });
});

describe('promotion', () => {
  test('T-02: PM_HOT_STANDBY goes to PM_RUN, and who waited for it starts', () => {
    const world = new World({ hasDatabase: true, workers: [descriptor('early', { startTime: 1 }), descriptor('late', { startTime: 2 })] });
    world.tell({ type: 'initialised' });
    world.tell({ type: 'server state', server: 'standby' satisfies ServerState });
    world.tell({ type: 'pmsignal', reason: 'recovery started' });
    expect(world.tell({ type: 'pmsignal', reason: 'begin hot standby' })).toContain('fork early');
    world.tell({ type: 'server state', server: 'primary' satisfies ServerState });
    const trace = world.tell({ type: 'pmsignal', reason: 'recovery finished' });
    expect(trace[0]).toBe('PM_RUN');
    expect(trace.filter((line) => line.startsWith('fork '))).toEqual(['fork late']);
  });
});

describe('the books of a worker that ended', () => {
  test('X-10, X-13: no child any more; pid 0 in the slot and in the entry', () => {
    const world = World.running({ workers: [descriptor('w', { restartTime: 60 })] });
    expect(world.exit(101, EXIT(1))).toContain('slot 0 pid 0');
    expect(world.worker('w').pid).toBe(0);
    expect(world.state.children).toEqual([]);
  });

  test('S-34: it has crashed and is never restarted: the pass forgets it, and tells its registrant', () => {
    const world = World.running();
    const notifyPid = world.session();
    world.forkOutcomes = ['Cannot allocate memory'];
    world.register(descriptor('w', { notifyPid }));
    const told = ['free slot 0', 'DEBUG unregistering background worker "w"', `SIGUSR1 ${notifyPid}`];
    expect(world.timeout(world.deadline as number)).toEqual(told);
    expect(world.names()).toEqual([]);
  });

  test('P-12: a crash cycle gives slots 0, 1, 2 … from the head of the list, pid -1, generation 0, nobody to notify', () => {
    const world = World.running({ workers: [descriptor('static', { restartTime: 1 })] });
    const notifyPid = world.session();
    world.register(descriptor('gone', { notifyPid }));
    world.register(descriptor('kept', { notifyPid, restartTime: 9, startTime: 7 }));
    world.exit(notifyPid, SIGNAL(9));
    world.exitTogether([101, 103].map((pid) => ({ pid, status: EXIT(2) })));
    expect(world.state.workers.map(({ descriptor: { name }, slot, notifyPid: pid }) => [name, slot, pid])).toEqual([
      ['kept', 0, 0],
      ['static', 1, 0],
    ]);
    expect(world.slots[0]).toMatchObject({ inUse: true, terminate: false, pid: -1, generation: 0n, notifyPid: 0 });
    expect(world.slots[2]).toMatchObject({ inUse: false });
  });
});
