// Signals to the postmaster, and how it ends: contract 5.2, 5.3.

import { describe, expect, test } from 'vitest';
import type { ShutdownMode } from '../../../src/postmaster/state.js';
import { descriptor, EXIT, SIGNAL, World } from './world.js';

const shutdown = (world: World, mode: ShutdownMode): string[] => world.tell({ type: 'shutdown', mode });
const END = ['PM_SHUTDOWN', 'PM_WAIT_DEAD_END', 'PM_NO_CHILDREN', 'LOG database system is shut down', 'exit 0'];

/** One static worker (101) and one session (102). */
function busy(): World {
  const world = World.running({ workers: [descriptor('w', { restartTime: 60 })] });
  world.session();
  return world;
}

describe('smart', () => {
  test('T-20: workers run on and new ones start until the last session ends; then SIGTERM to all, and the end', () => {
    const world = busy();
    expect(shutdown(world, 'smart')).toEqual(['LOG received smart shutdown request']);
    expect(world.state.pmState).toBe('PM_RUN');
    expect(world.register(descriptor('late'))).toContain('fork late');
    expect(world.exit(102)).toEqual([
      'DEBUG server process (PID 102) exited with exit code 0',
      'PM_STOP_BACKENDS',
      'SIGTERM 103 and group',
      'SIGTERM 101 and group',
      'PM_WAIT_BACKENDS',
    ]);
    world.exit(101, EXIT(1));
    expect(world.exit(103, EXIT(1)).slice(-5)).toEqual(END);
  });

  test('T-20: without a session it is like fast', () => {
    const world = World.running({ workers: [descriptor('w')] });
    expect(shutdown(world, 'smart')).toEqual([
      'LOG received smart shutdown request',
      'PM_STOP_BACKENDS',
      'SIGTERM 101 and group',
      'PM_WAIT_BACKENDS',
    ]);
  });

  test('T-20: from hot standby likewise', () => {
    const world = new World({ hasDatabase: true });
    world.tell({ type: 'initialised' });
    world.tell({ type: 'pmsignal', reason: 'recovery started' });
    world.tell({ type: 'pmsignal', reason: 'begin hot standby' });
    world.session();
    shutdown(world, 'smart');
    expect(world.state.pmState).toBe('PM_HOT_STANDBY');
    expect(world.tell({ type: 'pmsignal', reason: 'recovery finished' })).toEqual([]);
    expect(world.exit(102)).toContain('SIGTERM 101 and group');
  });

  test.each(['smart', 'fast'] as const)('T-21: %s while starting up stops at once, and says nothing of transactions', (mode) => {
    const world = new World({ hasDatabase: true, workers: [descriptor('w', { startTime: 0 })] });
    world.tell({ type: 'initialised' });
    expect(shutdown(world, mode)).toEqual([
      `LOG received ${mode} shutdown request`,
      'PM_STOP_BACKENDS',
      'SIGTERM 102 and group',
      'SIGTERM 101 and group',
      'PM_WAIT_BACKENDS',
    ]);
    world.exit(102, EXIT(1));
    expect(world.exit(101, EXIT(1))).toEqual(END);
  });

  test('T-21: in recovery likewise', () => {
    const world = new World({ hasDatabase: true });
    world.tell({ type: 'initialised' });
    world.tell({ type: 'pmsignal', reason: 'recovery started' });
    expect(shutdown(world, 'smart')).toContain('PM_STOP_BACKENDS');
  });

  test.each(['smart', 'fast', 'immediate'] as const)('%s before there is anything: the end', (mode) => {
    const world = new World();
    expect(shutdown(world, mode).at(-1)).toBe('exit 0');
    expect(world.tell({ type: 'initialised' })).toEqual([]);
  });
});

describe('fast', () => {
  test('T-22: two lines, SIGTERM to everybody', () => {
    expect(shutdown(busy(), 'fast')).toEqual([
      'LOG received fast shutdown request',
      'LOG aborting any active transactions',
      'PM_STOP_BACKENDS',
      'SIGTERM 102 and group',
      'SIGTERM 101 and group',
      'PM_WAIT_BACKENDS',
    ]);
  });

  test('T-24: nothing escalates: no deadline, however long it takes', () => {
    const world = busy();
    shutdown(world, 'fast');
    expect(world.deadline).toBeNull();
    expect(world.timeout(3_600_000)).toEqual([]);
  });

  test('T-32: a worker that exits 1 on its SIGTERM leaves one line and is not restarted', () => {
    const world = World.running({ workers: [descriptor('w', { restartTime: 0 })] });
    shutdown(world, 'fast');
    expect(world.exit(101, EXIT(1))).toEqual(['slot 0 pid 0', 'LOG background worker "w" (PID 101) exited with exit code 1', ...END]);
  });

  test('T-31: never-started entries that somebody waits for are forgotten first, and he is told', () => {
    const world = World.running({ maxWorkerProcesses: 8 });
    const notifyPid = world.session();
    world.register(descriptor('waited for', { startTime: 9, notifyPid }));
    world.register(descriptor('not waited for', { startTime: 9 }));
    world.register(descriptor('waiting for its restart', { notifyPid, restartTime: 60 }));
    world.exit(102, EXIT(1));
    const trace = shutdown(world, 'fast');
    expect(trace.slice(2, 6)).toEqual([
      'PM_STOP_BACKENDS',
      'free slot 0',
      'DEBUG unregistering background worker "waited for"',
      `SIGUSR1 ${notifyPid}`,
    ]);
    expect(world.names()).toEqual(['waiting for its restart', 'not waited for']);
  });

  test('T-31: so is one whose fork has failed, since its slot still says that it was never started', () => {
    const world = World.running();
    const notifyPid = world.session();
    world.forkOutcomes = ['Cannot allocate memory'];
    world.register(descriptor('w', { notifyPid, restartTime: 60 }));
    expect(shutdown(world, 'fast')).toContain('DEBUG unregistering background worker "w"');
  });

  test('a crash in a fast shutdown: the others get SIGQUIT, and the end is abnormal', () => {
    const world = busy();
    shutdown(world, 'fast');
    expect(world.exit(101, EXIT(2))).toEqual([
      'LOG background worker "w" (PID 101) exited with exit code 2',
      'LOG terminating any other active server processes',
      'SIGQUIT 102 and group',
    ]);
    expect(world.exit(102, EXIT(2), false).slice(1)).toEqual([
      'PM_WAIT_DEAD_END',
      'PM_NO_CHILDREN',
      'LOG abnormal database system shutdown',
      'LOG database system is shut down',
      'exit 1',
    ]);
  });

  test('a crash while a smart shutdown waits ends the server, too', () => {
    const world = busy();
    shutdown(world, 'smart');
    expect(world.exit(101, SIGNAL(9))).toContain('SIGQUIT 102 and group');
    expect(world.exit(102, EXIT(2), false).slice(-3)).toEqual([
      'LOG abnormal database system shutdown',
      'LOG database system is shut down',
      'exit 1',
    ]);
  });

  test('the startup process killed in a shutdown is a crash like any other', () => {
    const world = World.running({ hasDatabase: true });
    shutdown(world, 'fast');
    expect(world.exit(101, SIGNAL(9)).slice(-2)).toEqual(['LOG database system is shut down', 'exit 1']);
  });
});

describe('immediate', () => {
  test('T-23: SIGQUIT to everybody; exits are not logged; status 0', () => {
    const world = busy();
    expect(shutdown(world, 'immediate')).toEqual([
      'LOG received immediate shutdown request',
      'SIGQUIT 102 and group',
      'SIGQUIT 101 and group',
      'PM_WAIT_BACKENDS',
    ]);
    expect(world.exit(101, EXIT(2), false)).toEqual([]);
    expect(world.exit(102, EXIT(2), false).slice(1)).toEqual(['PM_WAIT_DEAD_END', 'PM_NO_CHILDREN', 'LOG database system is shut down', 'exit 0']);
  });

  test('T-23: after 5 s SIGKILL', () => {
    const world = busy();
    shutdown(world, 'immediate');
    expect(world.deadline).toBe(6000);
    expect(world.timeout(6000)).toEqual(['LOG issuing SIGKILL to recalcitrant children', 'SIGKILL 102 and group', 'SIGKILL 101 and group']);
  });

  test('T-24: it ends a fast shutdown that hangs', () => {
    const world = busy();
    shutdown(world, 'fast');
    world.now += 60_000;
    expect(shutdown(world, 'immediate')).toContain('SIGQUIT 101 and group');
    expect(world.deadline).toBe(world.now + 5000);
  });

  test('in a crash cycle: SIGQUIT again, the stopwatch anew, and an abnormal end', () => {
    const world = busy();
    world.exit(102, SIGNAL(9));
    world.now += 3000;
    expect(shutdown(world, 'immediate')).toContain('SIGQUIT 101 and group');
    expect(world.deadline).toBe(world.now + 5000);
    expect(world.exit(101, EXIT(2), false).slice(-3)).toEqual([
      'LOG abnormal database system shutdown',
      'LOG database system is shut down',
      'exit 1',
    ]);
  });

  test('T-34: an invalid lock file: a line, and an immediate shutdown', () => {
    const world = busy();
    expect(world.tell({ type: 'lock file invalid' }).slice(0, 2)).toEqual([
      'LOG performing immediate shutdown because data directory lock file is invalid',
      'LOG received immediate shutdown request',
    ]);
    expect(world.tell({ type: 'lock file invalid' })).toHaveLength(1);
  });
});

test('T-11: a request no more severe than the one under way is ignored', () => {
  const order = ['smart', 'fast', 'immediate'] as const;
  for (const [severity, first] of order.entries()) {
    for (const second of order.slice(0, severity + 1)) {
      const world = busy();
      shutdown(world, first);
      expect(shutdown(world, second)).toEqual([]);
    }
  }
});

test('T-11: a more severe one takes over', () => {
  const world = busy();
  shutdown(world, 'smart');
  expect(shutdown(world, 'fast').slice(0, 2)).toEqual(['LOG received fast shutdown request', 'LOG aborting any active transactions']);
});

test('T-13: only signals that end a process go to its group', () => {
  const world = busy();
  expect(world.tell({ type: 'reload' })).toEqual([
    'LOG received SIGHUP, reloading configuration files',
    'reload configuration',
    'SIGHUP 102',
    'SIGHUP 101',
  ]);
});

test('5.2: SIGHUP is served in a smart shutdown, and ignored in a fast one', () => {
  const world = busy();
  shutdown(world, 'smart');
  expect(world.tell({ type: 'reload' })).toHaveLength(4);
  shutdown(world, 'fast');
  expect(world.tell({ type: 'reload' })).toEqual([]);
});

test('after "exit" nothing is answered', () => {
  const world = World.running();
  shutdown(world, 'fast');
  expect(world.tell({ type: 'timeout' })).toEqual([]);
  expect(world.connect()).toEqual([]);
  expect(world.deadline).toBeNull();
});
