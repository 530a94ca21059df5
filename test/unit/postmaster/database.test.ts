// The owned database: stopped last, started again when it is lost. PostgreSQL has no such child; nearest are T-33 and X-20.

import { describe, expect, test } from 'vitest';
import { changeSettings } from '../../../src/postmaster/state.js';
import { descriptor, EXIT, SIGNAL, World } from './world.js';

const owned = { hasDatabase: true, ownedDatabase: true } as const;

describe('it is stopped', () => {
  test('T-33: it is stopped when every worker has gone, and waited for', () => {
    const world = World.running({ ...owned, workers: [descriptor('w')] });
    world.tell({ type: 'shutdown', mode: 'fast' });
    expect(world.exit(101, EXIT(1))).toEqual([]);
    expect(world.exit(102, EXIT(1)).slice(-2)).toEqual(['PM_SHUTDOWN', 'stop database fast']);
    expect(world.tell({ type: 'database stopped' })).toEqual(['PM_WAIT_DEAD_END', 'PM_NO_CHILDREN', 'LOG database system is shut down', 'exit 0']);
  });

  test('T-23: an immediate shutdown stops it together with the children', () => {
    const world = World.running(owned);
    expect(world.tell({ type: 'shutdown', mode: 'immediate' }).slice(1)).toEqual([
      'SIGQUIT 101 and group',
      'stop database immediate',
      'PM_WAIT_BACKENDS',
    ]);
    expect(world.exit(101, EXIT(2), false)).toEqual(['PM_WAIT_DEAD_END']);
    expect(world.tell({ type: 'database stopped' }).at(-1)).toBe('exit 0');
  });

  test('an immediate shutdown hurries a stop that is under way', () => {
    const world = World.running(owned);
    world.tell({ type: 'shutdown', mode: 'fast' });
    world.exit(101, EXIT(1));
    expect(world.tell({ type: 'shutdown', mode: 'immediate' })).toContain('stop database immediate');
    expect(world.state.exitStatus).toBeNull();
    expect(world.tell({ type: 'database stopped' }).at(-1)).toBe('exit 0');
  });

  test('an abnormal end stops it in order', () => {
    const world = World.running(owned);
    world.session();
    world.tell({ type: 'shutdown', mode: 'smart' });
    world.exit(102, SIGNAL(9));
    expect(world.exit(101, EXIT(2), false)).toEqual(['PM_WAIT_DEAD_END', 'stop database fast']);
    expect(world.tell({ type: 'database stopped' }).at(-1)).toBe('exit 1');
  });

  test('a crash cycle does not touch it', () => {
    const world = World.running(owned);
    world.exit(world.session(), SIGNAL(9));
    expect(world.exit(101, EXIT(2), false).join('\n')).not.toContain('stop database');
  });

  test('restart_after_crash switched on while it is being stopped because it was off: it is started again', () => {
    const world = World.running({ ...owned, restartAfterCrash: false });
    world.exit(world.session(), SIGNAL(9));
    expect(world.exit(101, EXIT(2), false)).toContain('stop database fast');
    world.state = changeSettings(world.state, { restartAfterCrash: true });
    const trace = world.tell({ type: 'database stopped' });
    expect(trace.filter((line) => /database$|startup|reinit/.test(line))).toEqual([
      'LOG all server processes terminated; reinitializing',
      'start database',
      'reinitialise',
      'fork startup',
    ]);
  });

  test('a word that it has stopped means nothing where it is not ours', () => {
    const world = World.running();
    expect(world.tell({ type: 'database stopped' })).toEqual([]);
    expect(world.state.database).toBe('none');
  });
});

describe('it goes away', () => {
  test('while we run: a crash cycle, and it is started again', () => {
    const world = World.running({ ...owned, workers: [descriptor('w', { restartTime: 60 })] });
    expect(world.tell({ type: 'database lost', message: 'it died' })).toEqual([
      'LOG it died',
      'LOG terminating any other active server processes',
      'SIGQUIT 102 and group',
      'SIGQUIT 101 and group',
      'PM_WAIT_BACKENDS',
      'start database',
    ]);
    world.exit(102, EXIT(2), false);
    expect(world.exit(101, EXIT(2), false)).toContain('fork startup');
  });

  test('again during the cycle: only started again', () => {
    const world = World.running(owned);
    world.tell({ type: 'database lost', message: 'it died' });
    expect(world.tell({ type: 'database lost', message: 'again' })).toEqual(['LOG again', 'start database']);
  });

  test('before we were up: the start has failed, status 1', () => {
    const world = new World(owned);
    world.tell({ type: 'initialised' });
    expect(world.tell({ type: 'database lost', message: 'it died' })).toEqual([
      'LOG it died',
      'LOG aborting startup due to startup process failure',
      'LOG database system is shut down',
      'exit 1',
    ]);
  });

  test('with restart_after_crash off it is not started again', () => {
    const world = World.running({ ...owned, restartAfterCrash: false });
    expect(world.tell({ type: 'database lost', message: 'it died' })).not.toContain('start database');
    expect(world.exit(101, EXIT(2), false).slice(-3)).toEqual([
      'LOG shutting down because restart_after_crash is off',
      'LOG database system is shut down',
      'exit 1',
    ]);
  });

  test('in a fast shutdown: abnormal', () => {
    const world = World.running(owned);
    world.tell({ type: 'shutdown', mode: 'fast' });
    expect(world.tell({ type: 'database lost', message: 'it died' })).not.toContain('start database');
    expect(world.exit(101, EXIT(2), false).slice(-3)).toEqual([
      'LOG abnormal database system shutdown',
      'LOG database system is shut down',
      'exit 1',
    ]);
  });

  test('while it was being stopped: that is how it stopped', () => {
    const world = World.running(owned);
    world.tell({ type: 'shutdown', mode: 'fast' });
    world.exit(101, EXIT(1));
    expect(world.tell({ type: 'database lost', message: 'it died' }).at(-1)).toBe('exit 0');
  });
});
