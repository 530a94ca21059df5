// From PM_INIT to PM_RUN, and the startup process: contract 5.1, X-29c.

import { describe, expect, test } from 'vitest';
import { step } from '../../../src/postmaster/state.js';
import { descriptor, EXIT, SIGNAL, World } from './world.js';

const READY = 'LOG database system is ready to accept connections';

describe('without a database', () => {
  test('T-01: PM_STARTUP, its pass, PM_RUN, its pass, and only then the line', () => {
    const world = new World({ workers: [descriptor('run'), descriptor('early', { startTime: 0 })] });
    expect(world.tell({ type: 'initialised' })).toEqual([
      'PM_STARTUP',
      'DEBUG starting background worker process "early"',
      'fork early',
      'slot 1 pid 101',
      'PM_RUN',
      'DEBUG starting background worker process "run"',
      'fork run',
      'slot 0 pid 102',
      READY,
    ]);
  });

  test('S-37: a fork that fails in the first pass does not keep the server from PM_RUN', () => {
    const world = new World({ workers: [descriptor('run'), descriptor('early', { startTime: 0, restartTime: 5 })] });
    world.forkOutcomes = ['Cannot allocate memory'];
    expect(world.tell({ type: 'initialised' }).slice(-4)).toEqual([
      'DEBUG starting background worker process "run"',
      'fork run',
      'slot 0 pid 101',
      READY,
    ]);
  });
});

describe('with one', () => {
  const world = (): World => new World({ hasDatabase: true, workers: [descriptor('run'), descriptor('early', { startTime: 0 })] });

  test('5.1: the startup process is forked first, then the first pass runs', () => {
    expect(world().tell({ type: 'initialised' })).toEqual([
      'PM_STARTUP',
      'fork startup',
      'DEBUG starting background worker process "early"',
      'fork early',
      'slot 1 pid 102',
    ]);
  });

  test('5.1: PM_RUN comes by signal, and the startup process stays', () => {
    const w = world();
    w.tell({ type: 'initialised' });
    expect(w.tell({ type: 'pmsignal', reason: 'recovery finished' }).slice(-2)).toEqual(['slot 0 pid 103', READY]);
    expect(w.state.children.map((child) => child.kind)).toEqual(['bgworker', 'bgworker', 'startup']);
    expect(w.tell({ type: 'pmsignal', reason: 'recovery finished' })).toEqual([]);
  });

  test('5.1: or by its exit 0, as in PostgreSQL', () => {
    const w = world();
    w.tell({ type: 'initialised' });
    expect(w.exit(101, EXIT(0))).toContain('PM_RUN');
  });

  test('5.1: recovery, hot standby: the line, then the state', () => {
    const w = world();
    w.tell({ type: 'initialised' });
    expect(w.tell({ type: 'pmsignal', reason: 'begin hot standby' })).toEqual([]);
    expect(w.tell({ type: 'pmsignal', reason: 'recovery started' })).toEqual(['PM_RECOVERY']);
    expect(w.tell({ type: 'pmsignal', reason: 'begin hot standby' })).toEqual([
      'LOG database system is ready to accept read-only connections',
      'PM_HOT_STANDBY',
    ]);
    expect(w.tell({ type: 'pmsignal', reason: 'recovery started' })).toEqual([]);
  });

  test('it cannot be forked: status 1', () => {
    const w = new World({ hasDatabase: true });
    w.forkOutcomes = ['Cannot allocate memory'];
    expect(w.tell({ type: 'initialised' })).toEqual([
      'PM_STARTUP',
      'fork startup',
      'LOG could not fork startup process: Cannot allocate memory',
      'LOG database system is shut down',
      'exit 1',
    ]);
  });

  test.each([EXIT(1), EXIT(3), SIGNAL(9)])('it fails in PM_STARTUP: status 1 at once (%o)', (status) => {
    const w = world();
    w.tell({ type: 'initialised' });
    const trace = w.exit(101, status);
    expect(trace[0]).toMatch(/^LOG startup process \(PID 101\) /);
    expect(trace.slice(1)).toEqual(['LOG aborting startup due to startup process failure', 'LOG database system is shut down', 'exit 1']);
  });

  test('it fails in PM_STARTUP, and the database is ours: stopped first', () => {
    const w = new World({ hasDatabase: true, ownedDatabase: true });
    w.tell({ type: 'initialised' });
    expect(w.exit(101, EXIT(1)).slice(1)).toEqual(['LOG aborting startup due to startup process failure', 'stop database fast', 'PM_WAIT_DEAD_END']);
    expect(w.connect()).toEqual(['refuse 57P03 the database system is shutting down']);
    expect(w.tell({ type: 'shutdown', mode: 'immediate' })).toContain('stop database immediate');
    expect(w.tell({ type: 'pmsignal', reason: 'recovery finished' })).toEqual([]);
    expect(w.tell({ type: 'database lost', message: 'it died' })).toEqual(['LOG it died', 'LOG database system is shut down', 'exit 1']);
  });

  test('it fails in PM_STARTUP after a crash: no second try', () => {
    const w = World.running({ hasDatabase: true });
    w.exit(w.session(), SIGNAL(9));
    w.exit(101, EXIT(2), false);
    expect(w.state).toMatchObject({ pmState: 'PM_STARTUP', startupStatus: 'running' });
    expect(w.exit(103, EXIT(1)).at(-1)).toBe('exit 1');
  });

  test.each(['PM_RECOVERY', 'PM_HOT_STANDBY'] as const)('X-29c: it fails in %s: everybody is stopped, status 1', (pmState) => {
    const w = world();
    w.tell({ type: 'initialised' });
    w.tell({ type: 'pmsignal', reason: 'recovery started' });
    if (pmState === 'PM_HOT_STANDBY') w.tell({ type: 'pmsignal', reason: 'begin hot standby' });
    expect(w.state.pmState).toBe(pmState);
    expect(w.exit(101, EXIT(1)).slice(0, 2)).toEqual([
      'LOG startup process (PID 101) exited with exit code 1',
      'LOG terminating any other active server processes',
    ]);
    const trace = [...w.alive.keys()].flatMap((pid) => w.exit(pid, EXIT(2), false));
    expect(trace.slice(-3)).toEqual(['LOG shutting down due to startup process failure', 'LOG database system is shut down', 'exit 1']);
  });

  test('in PM_RUN it is a watcher: its failure is a crash cycle, and another is started', () => {
    const w = World.running({ hasDatabase: true });
    expect(w.exit(101, EXIT(1)).slice(0, 2)).toEqual([
      'LOG startup process (PID 101) exited with exit code 1',
      'LOG terminating any other active server processes',
    ]);
    expect(w.state).toMatchObject({ pmState: 'PM_STARTUP', startupStatus: 'running', exitStatus: null });
  });

  test('its exit 0 in PM_RUN only ends the watching', () => {
    const w = World.running({ hasDatabase: true });
    expect(w.exit(101, EXIT(0))).toEqual([]);
    expect(w.state.pmState).toBe('PM_RUN');
  });

  test('in a smart shutdown that waits for sessions it may go', () => {
    const w = World.running({ hasDatabase: true });
    w.session();
    w.tell({ type: 'shutdown', mode: 'smart' });
    expect(w.exit(101, EXIT(1))).toEqual([]);
    expect(w.exit(102).at(-1)).toBe('exit 0');
  });
});

describe('events out of their time', () => {
  test('a second "initialised", a "reinitialised" that nobody asked for', () => {
    const world = World.running();
    expect(world.tell({ type: 'initialised' })).toEqual([]);
    expect(world.tell({ type: 'reinitialised' })).toEqual([]);
  });

  test.each([true, false])('a shutdown between "reinitialise" and its answer (owned database: %s)', (ownedDatabase) => {
    const world = World.running({ hasDatabase: true, ownedDatabase });
    world.exit(world.session(), SIGNAL(9));
    const { state: waiting, actions } = step(world.state, { type: 'exited', pid: 101, status: EXIT(2), detached: false, now: 2000 });
    expect(actions.at(-1)?.type).toBe('reinitialise');
    const { state } = step(waiting, { type: 'shutdown', mode: 'smart', now: 2001 });
    const after = step(state, { type: 'reinitialised', now: 2002 });
    expect(after.actions.at(-1)).toEqual(ownedDatabase ? { type: 'stop database', mode: 'fast' } : { type: 'exit', status: 1 });
    if (ownedDatabase) expect(step(after.state, { type: 'database stopped', now: 2003 }).actions.at(-1)).toEqual({ type: 'exit', status: 1 });
  });
});
