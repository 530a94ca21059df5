// What a death means: contract 4.1, 4.2.

import { describe, expect, test } from 'vitest';
import { levelName } from '../../../src/elog/error-data.js';
import { step, type Death } from '../../../src/postmaster/state.js';
import { strsignal } from '../../../src/postmaster/strsignal.js';
import { descriptor, EXIT, SIGNAL, World } from './world.js';

const NEVER = -1;

/** One static worker, running as pid 101. */
const one = (fields: Parameters<typeof descriptor>[1] = {}): World => World.running({ workers: [descriptor('w', { type: 'kind', ...fields })] });

describe('4.1: classification of a worker', () => {
  test.each([NEVER, 0, 60])('exit 0, detached, interval %s: finished, and forgotten', (restartTime) => {
    const world = one({ restartTime });
    expect(world.exit(101, EXIT(0))).toEqual([
      'slot 0 pid 0',
      'free slot 0',
      'DEBUG unregistering background worker "w"',
      'DEBUG background worker "kind" (PID 101) exited with exit code 0',
    ]);
    expect(world.deadline).toBeNull();
  });

  test('exit 1, detached, interval -1: failed, and forgotten', () => {
    const world = one({ restartTime: NEVER });
    expect(world.exit(101, EXIT(1))).toContain('DEBUG unregistering background worker "w"');
  });

  test('exit 1, detached, interval 60: failed, restarted after it', () => {
    const world = one({ restartTime: 60 });
    expect(world.exit(101, EXIT(1))).toEqual(['slot 0 pid 0', 'LOG background worker "kind" (PID 101) exited with exit code 1']);
    expect(world.worker('w')).toMatchObject({ pid: 0, crashedAt: 1000, terminate: false });
  });

  test.each([
    ['exit 0, not detached', EXIT(0), false, 'exited with exit code 0'],
    ['exit 1, not detached', EXIT(1), false, 'exited with exit code 1'],
    ['exit 2', EXIT(2), true, 'exited with exit code 2'],
    ['exit 255', EXIT(255), true, 'exited with exit code 255'],
    ['SIGTERM', SIGNAL(15), true, 'was terminated by signal 15: Terminated'],
    ['SIGSEGV', SIGNAL(11), false, 'was terminated by signal 11: Segmentation fault'],
    ['neither exit nor signal', { exitCode: null, signal: null }, true, 'exited with unrecognized status 0'],
  ])('%s: a crash, logged at LOG', (_, status, detached, text) => {
    const world = one({ restartTime: 60 });
    const trace = world.exit(101, status, detached);
    expect(trace.slice(0, 3)).toEqual([
      `LOG background worker "kind" (PID 101) ${text}`,
      'LOG terminating any other active server processes',
      'PM_WAIT_BACKENDS',
    ]);
    expect(trace).toContain('LOG all server processes terminated; reinitializing');
  });

  test.each([EXIT(2), EXIT(255), SIGNAL(9), SIGNAL(11)])('X-02: without shared memory no death is a crash: %o', (status) => {
    const world = one({ restartTime: 60, flags: 0 });
    const trace = world.exit(101, status, false);
    expect(trace[0]).toBe('slot 0 pid 0');
    expect(trace[1]).toMatch(/^LOG background worker "kind" \(PID 101\) (exited with exit code|was terminated by signal)/);
    expect(world.state).toMatchObject({ pmState: 'PM_RUN', fatalError: false });
    expect(world.deadline).toBe(61_000);
  });

  test('X-02: nor is its exit 0 without detaching', () => {
    expect(one({ restartTime: 60, flags: 0 }).exit(101, EXIT(0), false)).toContain('DEBUG unregistering background worker "w"');
  });

  test('X-01: signals are called as the C library calls them', () => {
    expect([1, 6, 9, 31, 34, 64, 32, 99].map(strsignal)).toEqual([
      'Hangup',
      'Aborted',
      'Killed',
      'Bad system call',
      'Real-time signal 0',
      'Real-time signal 30',
      'Unknown signal 32',
      'Unknown signal 99',
    ]);
  });

  test('X-12: 15 records an exit 0 before it finds it dirty, so the cycle ends with the worker unregistered', () => {
    const world = one({ restartTime: 60 });
    world.exit(101, EXIT(0), false);
    expect(world.names()).toEqual([]);
  });

  test('X-17: every exit calls for a pass', () => {
    const world = World.running({ workers: [descriptor('w', { restartTime: 0 }), descriptor('v')] });
    expect(world.exit(102, EXIT(0))).not.toContain('fork w');
    expect(world.exit(101, EXIT(1))).toContain('fork w');
  });

  test('H-18: termination beats restart', () => {
    const world = one({ restartTime: 0 });
    world.terminate(0);
    expect(world.exit(101, EXIT(1))).toEqual([
      'slot 0 pid 0',
      'free slot 0',
      'DEBUG unregistering background worker "w"',
      'LOG background worker "kind" (PID 101) exited with exit code 1',
    ]);
  });

  test('O-02: the "unregistering" line comes before the "exited" line', () => {
    const lines = one()
      .exit(101, EXIT(0))
      .filter((line) => line.startsWith('DEBUG'));
    expect(lines.map((line) => line.split(' ')[1])).toEqual(['unregistering', 'background']);
  });

  test('a pid that is none of our children says nothing', () => {
    expect(one().exit(4242, SIGNAL(9))).toEqual([]);
  });
});

describe('session backends', () => {
  test.each([0, 1])('exit %s, detached: a session ended, seen at DEBUG2 only', (exitCode) => {
    const world = World.running();
    world.session();
    expect(world.exit(101, EXIT(exitCode))).toEqual([`DEBUG server process (PID 101) exited with exit code ${exitCode}`]);
  });

  test.each([
    ['killed', SIGNAL(9), true, 'was terminated by signal 9: Killed'],
    ['exit 2', EXIT(2), true, 'exited with exit code 2'],
    ['exit 1, not detached', EXIT(1), false, 'exited with exit code 1'],
  ])('%s: a crash', (_, status, detached, text) => {
    const world = World.running({ workers: [descriptor('w')] });
    world.session();
    expect(world.exit(102, status, detached).slice(1)).toEqual([
      `LOG server process (PID 102) ${text}`,
      'LOG terminating any other active server processes',
      'SIGQUIT 101 and group',
      'PM_WAIT_BACKENDS',
    ]);
  });
});

describe('X-01: what a process was running is told where it failed, and left without emptying its entry', () => {
  const DETAIL = 'Failed process was running: select 1';
  /** The lines about the exit, with their DETAIL. */
  const lines = (world: World, death: Death): string[] =>
    step(world.state, { type: 'exited', now: world.now, activity: 'select 1', ...death }).actions.flatMap((action) =>
      action.type === 'log' && action.message.includes('(PID') ? [`${levelName(action.level)} ${action.detail ?? 'without a DETAIL'}`] : [],
    );

  test.each([
    ['killed', SIGNAL(9), false, DETAIL],
    ['exit 2, without callbacks', EXIT(2), false, DETAIL],
    ['exit 1, without callbacks', EXIT(1), false, DETAIL],
    ['exit 0, without callbacks: it did not fail', EXIT(0), false, 'without a DETAIL'],
    ['exit 1 in order', EXIT(1), true, 'without a DETAIL'],
    ['exit 3 in order', EXIT(3), true, 'without a DETAIL'],
  ])('a worker: %s', (_, status, detached, detail) => {
    expect(lines(one({ restartTime: 60 }), { pid: 101, status, detached })).toEqual([`LOG ${detail}`]);
  });

  test('a worker that has reported nothing', () => {
    expect(lines(one(), { pid: 101, status: SIGNAL(9), detached: false, activity: '' })).toEqual(['LOG without a DETAIL']);
  });

  test('a session’s backend, at both levels', () => {
    const world = World.running();
    world.session();
    expect(lines(world, { pid: 101, status: SIGNAL(9), detached: false })).toEqual([`DEBUG ${DETAIL}`, `LOG ${DETAIL}`]);
    expect(lines(world, { pid: 101, status: EXIT(1), detached: true })).toEqual(['DEBUG without a DETAIL']);
  });
});
