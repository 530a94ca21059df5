// The database server goes away, comes back, comes back as a standby: who is started meanwhile. PostgreSQL has no such case; its rules are S-23 and S-24.

import { describe, expect, test } from 'vitest';
import { lockFileDatabase, lockFileStatus, type WorkerDescriptor } from '../../../src/postmaster/state.js';
import { descriptor, EXIT, SIGNAL, World } from './world.js';

/** With the database flag, restarted at once. */
const connects = (name: string, fields: Partial<WorkerDescriptor> = {}): WorkerDescriptor =>
  descriptor(name, { flags: 3, restartTime: 0, ...fields });
const consistent = (name: string): WorkerDescriptor => connects(name, { startTime: 1 });

function running(...workers: WorkerDescriptor[]): World {
  const world = World.running({ hasDatabase: true, workers });
  world.tell({ type: 'server state', server: 'primary' });
  return world;
}

const forks = (trace: readonly string[]): string[] => trace.filter((line) => line.startsWith('fork '));

describe('the server is away', () => {
  test('the lock file says so: ready, without its server; in a crash cycle nothing is known of it', () => {
    const said = (world: World): string => `${lockFileStatus(world.state)} ${lockFileDatabase(world.state)}`;
    expect(said(new World({ hasDatabase: true }))).toBe('starting unknown');
    expect(said(World.running({}))).toBe('ready none');
    const world = running(connects('w'));
    expect(said(world)).toBe('ready primary');
    world.tell({ type: 'server state', server: 'away' });
    expect(said(world)).toBe('ready away');
    world.tell({ type: 'server state', server: 'standby' });
    expect(said(world)).toBe('ready standby');
  });

  test('PM_RUN stays, nobody is signalled: who is connected ends by the end of its connection', () => {
    const world = running(connects('w'), descriptor('other'));
    expect(world.tell({ type: 'server state', server: 'away' })).toEqual([]);
    expect(world.state.pmState).toBe('PM_RUN');
  });

  test('a worker with the database flag is not forked against it, whatever its interval; the postmaster sleeps', () => {
    const world = running(connects('w'));
    world.tell({ type: 'server state', server: 'away' });
    expect(forks(world.exit(world.worker('w').pid, EXIT(1)))).toEqual([]);
    expect(world.deadline).toBeNull();
    expect(world.slots[0]).toMatchObject({ inUse: true, pid: 0 });
  });

  test('a worker without the flag starts and restarts as ever', () => {
    const world = running(descriptor('other', { restartTime: 0 }));
    world.tell({ type: 'server state', server: 'away' });
    expect(forks(world.exit(world.worker('other').pid, EXIT(1)))).toEqual(['fork other']);
    expect(forks(world.register(descriptor('new')))).toEqual(['fork new']);
  });

  test('S-24: a registration is taken, and waits', () => {
    const world = running();
    world.tell({ type: 'server state', server: 'away' });
    expect(forks(world.register(connects('late')))).toEqual([]);
    expect(world.slots[0]).toMatchObject({ inUse: true, pid: -1 });
    expect(forks(world.tell({ type: 'server state', server: 'primary' }))).toEqual(['fork late']);
  });

  test('one that is never restarted is forgotten when its connection ended it', () => {
    const world = running(connects('once', { restartTime: -1 }));
    world.tell({ type: 'server state', server: 'away' });
    world.exit(world.worker('once').pid, EXIT(1));
    expect(world.names()).toEqual([]);
  });

  test('the interval goes on meanwhile, and holds: both must have passed', () => {
    const world = running(connects('slow', { restartTime: 60 }), connects('due', { restartTime: 1 }));
    world.tell({ type: 'server state', server: 'away' });
    world.exit(world.worker('slow').pid, EXIT(1));
    world.exit(world.worker('due').pid, EXIT(1));
    world.now += 10_000;
    expect(forks(world.tell({ type: 'server state', server: 'primary' }))).toEqual(['fork due']);
    expect(world.deadline).toBe(61_000);
    expect(forks(world.timeout(61_000))).toEqual(['fork slow']);
  });

  test('the guard does not count what the absence of the server ended', () => {
    const guard = { workerRestartBackoffMax: 60, workerGiveUpAfter: 1, crashCycleBackoffMax: 0, crashGiveUpAfter: 0, logFoldRepeats: false };
    const world = World.running({ hasDatabase: true, guard, workers: [connects('w')] });
    world.tell({ type: 'server state', server: 'away' });
    expect(world.exit(world.worker('w').pid, EXIT(1)).join('\n')).not.toContain('giving up');
    expect(world.worker('w').failures).toBe(0);
  });

  test('S-20: a crash cycle begins with no word about the server', () => {
    const world = running(connects('w'));
    world.tell({ type: 'server state', server: 'away' });
    world.exit(world.session(), SIGNAL(9));
    world.exit(world.worker('w').pid, EXIT(2), false);
    const startup = world.state.children.find(({ kind }) => kind === 'startup')!.pid;
    expect(world.exit(startup, EXIT(2), false)).toContain('fork startup');
    expect(world.state.server).toBeNull();
    expect(forks(world.tell({ type: 'pmsignal', reason: 'recovery finished' }))).toEqual(['fork w']);
  });

  test('before the start has come to its end PM states alone decide', () => {
    const world = new World({ hasDatabase: true, workers: [consistent('early'), connects('late')] });
    world.tell({ type: 'initialised' });
    world.tell({ type: 'pmsignal', reason: 'recovery started' });
    world.tell({ type: 'server state', server: 'standby' });
    expect(forks(world.tell({ type: 'pmsignal', reason: 'begin hot standby' }))).toEqual(['fork early']);
    world.tell({ type: 'server state', server: 'primary' });
    expect(forks(world.tell({ type: 'pmsignal', reason: 'recovery finished' }))).toEqual(['fork late']);
  });
});

describe('it comes back as a standby after PM_RUN', () => {
  test('S-23: PM_RUN stays; ConsistentState workers start, RecoveryFinished ones wait for the promotion', () => {
    const world = running(consistent('reads'), connects('writes'), descriptor('other'));
    world.tell({ type: 'server state', server: 'away' });
    world.exit(world.worker('reads').pid, EXIT(1));
    world.exit(world.worker('writes').pid, EXIT(1));
    expect(forks(world.tell({ type: 'server state', server: 'standby' }))).toEqual(['fork reads']);
    expect([world.state.pmState, world.deadline]).toEqual(['PM_RUN', null]);
    expect(forks(world.tell({ type: 'server state', server: 'primary' }))).toEqual(['fork writes']);
  });

  test('without a moment of absence: who runs is left alone, who ends waits', () => {
    const world = running(connects('writes'));
    expect(world.tell({ type: 'server state', server: 'standby' })).toEqual([]);
    expect(forks(world.exit(world.worker('writes').pid, EXIT(1)))).toEqual([]);
    expect(forks(world.tell({ type: 'server state', server: 'primary' }))).toEqual(['fork writes']);
  });

  test('a standby from the beginning goes away and comes back promoted: PM_RUN', () => {
    const world = new World({ hasDatabase: true, workers: [consistent('reads'), connects('writes')] });
    world.tell({ type: 'initialised' });
    world.tell({ type: 'server state', server: 'standby' });
    world.tell({ type: 'pmsignal', reason: 'recovery started' });
    world.tell({ type: 'pmsignal', reason: 'begin hot standby' });
    world.tell({ type: 'server state', server: 'away' });
    world.exit(world.worker('reads').pid, EXIT(1));
    const trace = [...world.tell({ type: 'server state', server: 'primary' }), ...world.tell({ type: 'pmsignal', reason: 'recovery finished' })];
    expect(forks(trace)).toEqual(['fork reads', 'fork writes']);
    expect(world.state.pmState).toBe('PM_RUN');
  });
});
