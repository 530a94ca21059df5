// Who is let in: contract T-03.

import { describe, expect, test } from 'vitest';
import { lockFileDatabase, lockFileStatus } from '../../../src/postmaster/state.js';
import { descriptor, EXIT, SIGNAL, World } from './world.js';

test('T-03: in PM_RUN a backend is forked, and the postmaster lets go of the socket', () => {
  expect(World.running().connect()).toEqual(['fork backend', 'DEBUG forked new backend, pid=101 socket=1', 'close connection']);
});

describe('T-03: refused', () => {
  test('before there is a server', () => {
    expect(new World().connect()).toEqual(['refuse 57P03 the database system is starting up']);
  });

  test('in PM_STARTUP', () => {
    const world = new World({ hasDatabase: true });
    world.tell({ type: 'initialised' });
    expect(world.connect()).toEqual(['refuse 57P03 the database system is starting up']);
  });

  test('in PM_RECOVERY, and let in at hot standby', () => {
    const world = new World({ hasDatabase: true });
    world.tell({ type: 'initialised' });
    world.tell({ type: 'pmsignal', reason: 'recovery started' });
    expect(world.connect()).toEqual(['refuse 57P03 the database system is not yet accepting connections']);
    world.tell({ type: 'pmsignal', reason: 'begin hot standby' });
    expect(world.connect()).toContain('fork backend');
  });

  test('in PM_RECOVERY, by a standby that lets nobody in (hot_standby = off)', () => {
    const world = new World({ hasDatabase: true });
    world.tell({ type: 'initialised' });
    world.tell({ type: 'server state', server: 'closed' });
    world.tell({ type: 'pmsignal', reason: 'recovery started' });
    expect(world.connect()).toEqual(['refuse 57P03 the database system is not accepting connections']);
    expect([lockFileStatus(world.state), lockFileDatabase(world.state)]).toEqual(['standby', 'closed']);
    world.tell({ type: 'server state', server: 'standby' });
    expect(world.connect()).toEqual(['refuse 57P03 the database system is not yet accepting connections']);
  });

  test.each(['smart', 'fast', 'immediate'] as const)('in a %s shutdown', (mode) => {
    const world = World.running();
    world.session();
    world.tell({ type: 'shutdown', mode });
    expect(world.connect()).toEqual(['refuse 57P03 the database system is shutting down']);
  });

  test('in a crash cycle, until PM_RUN', () => {
    const world = World.running({ hasDatabase: true });
    world.exit(world.session(), SIGNAL(9));
    expect(world.connect()).toEqual(['refuse 57P03 the database system is in recovery mode']);
    world.exit(101, EXIT(2), false);
    expect(world.state.pmState).toBe('PM_STARTUP');
    expect(world.connect()).toEqual(['refuse 57P03 the database system is in recovery mode']);
    world.tell({ type: 'pmsignal', reason: 'recovery finished' });
    expect(world.connect()).toContain('fork backend');
  });

  test('when max_connections sessions are there; workers do not count, and are not refused', () => {
    const world = World.running({ maxConnections: 2, workers: [descriptor('w')] });
    world.session();
    const second = world.session();
    expect(world.connect()).toEqual(['refuse 53300 sorry, too many clients already']);
    expect(world.register(descriptor('dynamic'))).toContain('fork dynamic');
    world.exit(second);
    expect(world.connect()).toContain('fork backend');
  });
});

test('a backend that cannot be forked: logged, and the client is told', () => {
  const world = World.running();
  world.forkOutcomes = ['Cannot allocate memory'];
  const text = 'could not fork new process for connection: Cannot allocate memory';
  expect(world.connect()).toEqual(['fork backend', `LOG ${text}`, `refuse 58000 ${text}`]);
});

test('no child slot for a backend: too many clients', () => {
  const world = World.running();
  world.forkOutcomes = ['no slot'];
  expect(world.connect()).toEqual(['fork backend', 'refuse 53300 sorry, too many clients already']);
});
