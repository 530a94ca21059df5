// Handles: statuses, generations, and the waits in both forms. Contract section H.
import { describe, expect, test } from 'vitest';
import { isAlive, waitUntil } from '../helpers/index.js';
import { BGWH_STARTED } from '../../src/constants.js';
import { CALLS, NOT_YET_STARTED, STOPPED, end, errorOf, launch, openSession, register, sharedPostmaster, waitForSaid, worker } from './support.js';

const pm = sharedPostmaster({ settings: { log_min_messages: 'debug1' } });

describe('getBackgroundWorkerPid', () => {
  test('H-01: not yet started, started with the pid, stopped', async () => {
    const session = await openSession(pm);
    const never = await register(session, worker('returns', { startTime: 9 }));
    expect(await session.getBackgroundWorkerPid(never)).toEqual(NOT_YET_STARTED);
    const { handle, pid } = await launch(session, worker('idle', { name: 'h01' }));
    expect((await waitForSaid(pm, 'h01', 'ready')).pid).toBe(pid);
    expect(await session.getBackgroundWorkerPid(handle)).toEqual({ status: 0, pid });
    for (const which of [never, handle]) {
      await end(session, which);
      expect(await session.getBackgroundWorkerPid(which)).toEqual(STOPPED);
    }
  });

  test('H-11, H-21: a stale handle says STOPPED, while the slot has another worker', async () => {
    const session = await openSession(pm);
    const old = await launch(session, worker('quietlyIdle'));
    await end(session, old.handle);
    const young = await launch(session, worker('quietlyIdle'));
    expect(young.handle).toEqual({ slot: old.handle.slot, generation: old.handle.generation + 1n });
    expect(await session.getBackgroundWorkerPid(old.handle)).toEqual(STOPPED);
    expect(await session.waitForBackgroundWorkerStartup(old.handle)).toEqual(STOPPED);
    expect(await session.waitForBackgroundWorkerShutdown(old.handle)).toBe(2);
    await session.terminateBackgroundWorker(old.handle); // H-04: nothing at all
    expect(await session.getBackgroundWorkerPid(young.handle)).toEqual({ status: 0, pid: young.pid });
    expect(isAlive(young.pid)).toBe(true);
    await end(session, young.handle);
  });

  test('H-16: ending the worker of a slot that is free harms nobody who takes it afterwards', async () => {
    const session = await openSession(pm);
    const old = await launch(session, worker('quietlyIdle'));
    await end(session, old.handle);
    await session.terminateBackgroundWorker(old.handle);
    const young = await launch(session, worker('idle', { name: 'h16' }));
    expect(young.handle.slot).toBe(old.handle.slot);
    await waitForSaid(pm, 'h16', 'ready');
    await end(session, young.handle);
  });

  test('a handle is good in any session, and says STOPPED when it names nobody', async () => {
    const [session, other] = [await openSession(pm), await openSession(pm)];
    const { handle, pid } = await launch(session, worker('quietlyIdle'));
    expect(await other.getBackgroundWorkerPid({ ...handle })).toEqual({ status: 0, pid });
    expect(await other.getBackgroundWorkerPid({ slot: 7, generation: 999n })).toEqual(STOPPED);
    await end(session, handle);
  });

  test.each([
    [null],
    [{}],
    [{ slot: 0, generation: 1 }],
    [{ slot: -1, generation: 1n }],
    [{ slot: 8, generation: 1n }],
    [{ slot: 0.5, generation: 1n }],
    ['0'],
  ])('%s is no handle, for any of the calls', async (value) => {
    const session = await openSession(pm);
    const handle = value as never;
    const message = 'handle must be a background worker handle, as registerDynamicBackgroundWorker returns it';
    for (const call of [
      'getBackgroundWorkerPid',
      'waitForBackgroundWorkerStartup',
      'waitForBackgroundWorkerShutdown',
      'terminateBackgroundWorker',
    ] as const) {
      expect(await errorOf(session[call](handle))).toMatchObject({ message });
    }
  });
});

describe('waits', () => {
  test('H-02: the startup wait lasts until the start, and gives the pid', async () => {
    const session = await openSession(pm);
    pm.signal('SIGSTOP');
    const handle = await register(session, worker('idle'));
    const wait = session.waitForBackgroundWorkerStartup(handle);
    expect(await session.getBackgroundWorkerPid(handle)).toEqual(NOT_YET_STARTED);
    pm.signal('SIGCONT');
    const started = await wait;
    expect(started).toEqual({ status: 0, pid: expect.any(Number) as number });
    expect(await session.getBackgroundWorkerPid(handle)).toEqual(started);
    await end(session, handle);
  });

  test('H-03: several waits for several workers at once, each with its own end', async () => {
    const session = await openSession(pm);
    const workers = await Promise.all([1, 2, 3].map(() => launch(session, worker('quietlyIdle'))));
    const ended: number[] = [];
    const waits = workers.map(async ({ handle }, n) => {
      await session.waitForBackgroundWorkerShutdown(handle);
      ended.push(n);
    });
    for (const n of [2, 0, 1]) {
      await session.terminateBackgroundWorker(workers[n]!.handle);
      await waits[n];
    }
    expect(ended).toEqual([2, 0, 1]);
  });

  test('L-23: who consumes the latch of several waits wakes the others', async () => {
    const session = await openSession(pm);
    expect(await session.call(CALLS, 'consumesLatch')).toBe(1);
  });

  test('the blocking forms, in a backend', async () => {
    const session = await openSession(pm);
    expect(await session.call(CALLS, 'waitsSync', worker('idle', { notifyPid: 0 }))).toEqual({
      started: { status: 0, pid: expect.any(Number) as number },
      stopped: STOPPED.status,
    });
  });

  test('H-12: the shutdown wait ends at the first exit, though a restart is due', async () => {
    const session = await openSession(pm);
    const handle = await register(session, worker('throws', { restartTime: 3600 }));
    expect(await session.waitForBackgroundWorkerShutdown(handle)).toBe(2);
    expect(await session.waitForBackgroundWorkerStartup(handle)).toEqual(STOPPED);
    await end(session, handle);
  });

  test('H-10: STOPPED is not gone: one that waits for its restart has its slot, and is STARTED again with another pid', async () => {
    const session = await openSession(pm);
    const { handle, pid } = await launch(session, worker('ignoresTerm', { name: 'returns', restartTime: 1 }));
    await waitForSaid(pm, 'returns', 'ready');
    process.kill(pid, 'SIGUSR2');
    expect(await session.waitForBackgroundWorkerShutdown(handle)).toBe(STOPPED.status);
    expect((await session.activity()).filter(({ name }) => name === 'returns')).toHaveLength(1);
    const again = await waitUntil(async () => (await session.getBackgroundWorkerPid(handle)).pid, { what: 'the restart' });
    expect(again).not.toBe(pid);
    await waitForSaid(pm, 'returns', 'ready', 2);
    await session.terminateBackgroundWorker(handle);
    await waitForSaid(pm, 'returns', 'term');
    process.kill(again, 'SIGUSR2');
    expect(await session.waitForBackgroundWorkerShutdown(handle)).toBe(STOPPED.status);
  });

  test('H-14: without a notification nothing ends a wait; any other one does', async () => {
    const session = await openSession(pm);
    const handle = await register(session, worker('idle', { name: 'h14', notifyPid: 0 }));
    const { pid } = await waitForSaid(pm, 'h14', 'ready');
    // A worker may speak before its pid is known (S-56).
    await waitUntil(async () => (await session.getBackgroundWorkerPid(handle)).status === BGWH_STARTED, { what: 'the pid to be known' });
    let over = false;
    const wait = session.waitForBackgroundWorkerShutdown(handle).then(() => {
      over = true;
    });
    expect(await session.getBackgroundWorkerPid(handle)).toEqual({ status: 0, pid }); // the wait, sent earlier, has looked too
    process.kill(pid, 'SIGTERM');
    await pm.waitForLog(/"h14" \(PID \d+\) exited with exit code 1/);
    expect(await session.getBackgroundWorkerPid(handle)).toEqual(STOPPED);
    expect(over).toBe(false);
    await end(session, (await launch(session, worker('idle'))).handle);
    await wait;
  });

  test('H-19: SIGINT ends the wait with an error, and leaves session and worker as they are', async () => {
    const session = await openSession(pm);
    const { handle, pid } = await launch(session, worker('quietlyIdle'));
    const wait = errorOf(session.waitForBackgroundWorkerShutdown(handle));
    await session.activity();
    process.kill(session.backendPid, 'SIGINT');
    expect(await wait).toEqual({ name: 'ErrorData', message: 'canceling statement due to user request', code: '57014', severity: 'ERROR' });
    expect(await session.getBackgroundWorkerPid(handle)).toEqual({ status: 0, pid });
    await end(session, handle);
  });

  test('H-19: SIGTERM ends the waiting session, and leaves the worker as it is', async () => {
    const [session, other] = [await openSession(pm), await openSession(pm)];
    const { handle, pid } = await launch(session, worker('quietlyIdle'));
    const wait = errorOf(session.waitForBackgroundWorkerShutdown(handle));
    await session.activity();
    process.kill(session.backendPid, 'SIGTERM');
    expect(await wait).toMatchObject({ message: 'terminating connection due to administrator command', code: '57P01', severity: 'FATAL' });
    expect(await session.closed).toMatchObject({ code: '57P01' });
    expect(await other.getBackgroundWorkerPid(handle)).toEqual({ status: 0, pid });
    await other.terminateBackgroundWorker(handle);
    await waitUntil(async () => (await other.getBackgroundWorkerPid(handle)).status === 2, { what: 'the worker to end' });
  });
});

describe('getBackgroundWorkerTypeByPid', () => {
  test('H-05: the type of a running worker; null for everybody else', async () => {
    const session = await openSession(pm);
    const { handle, pid } = await launch(session, worker('quietlyIdle', { type: 'of this type' }));
    expect(await session.getBackgroundWorkerTypeByPid(pid)).toBe('of this type');
    for (const other of [pm.pid, session.backendPid, 0, -1, 2 ** 31]) expect(await session.getBackgroundWorkerTypeByPid(other)).toBeNull();
    await expect(session.getBackgroundWorkerTypeByPid('1' as never)).rejects.toThrow('pid must be an integer, not 1');
    await end(session, handle);
    expect(await session.getBackgroundWorkerTypeByPid(pid)).toBeNull();
  });
});
