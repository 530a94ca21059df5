// Locks, condition variables and barriers between real processes (contract 10.1 and 10.4): nobody meets whom he must not, nobody waits in vain, and
// whoever dies with a lock in hand takes all down, as in PostgreSQL.
import { describe, expect, test } from 'vitest';
import type { Session } from '../../dist/session/client.js';
import { fixture, processState, waitUntil, withPostmaster } from '../helpers/index.js';
import { end, errorOf, launch, logLines, openSession, register, reopenSession, said, sharedPostmaster, waitForSaid, worker } from './support.js';

const LIBRARY = fixture('locks.mjs');
const lockWorker = (name: string) => worker(name, { libraryName: LIBRARY });

describe('LWLocks', () => {
  const pm = sharedPostmaster({ preload: [LIBRARY] });
  const sessions = (n: number): Promise<Session[]> => Promise.all(Array.from({ length: n }, () => openSession(pm)));
  const counted = async (): Promise<number> => Number(await (await openSession(pm)).call(LIBRARY, 'counted'));

  test('readers and writers never meet, blocking and asynchronous', async () => {
    const before = await counted();
    await Promise.all((await sessions(4)).map((session) => session.call(LIBRARY, 'count', 500)));
    expect((await counted()) - before).toBe(2000);
  });

  test('tasks of one process wait for each other, more of them than it has places', async () => {
    const before = await counted();
    await Promise.all((await sessions(2)).map((session) => session.call(LIBRARY, 'countTogether', 30, 5)));
    expect((await counted()) - before).toBe(300);
  });

  test.each([
    ['a writer among readers who always overlap', 1, 0],
    ['a reader among writers who always want it', 0, 1],
  ])('nobody starves: %s', async (_, crowd, one) => {
    const [control, waiter, ...others] = await sessions(5);
    await control?.call(LIBRARY, 'setReady', 0);
    const crowding = others.map((session) => session.call(LIBRARY, 'crowds', crowd));
    await waitUntil(async () => Number(await control?.call(LIBRARY, 'crowdStands')) > 100, { what: 'the crowd' });
    expect(await waiter?.call(LIBRARY, 'getsTurns', one, 20)).toBe(20);
    await control?.call(LIBRARY, 'setReady', 1);
    await Promise.all(crowding);
  });

  test('misuse is an error with PostgreSQL’s words where it has them', async () => {
    expect(await (await openSession(pm)).call(LIBRARY, 'misuse')).toEqual({
      notHeld: { message: 'lock TestLock is not held', code: 'XX000' },
      again: { message: 'lock TestLock is already held by this process', code: 'XX000' },
      conditional: false,
      held: [true, false, false],
      mode: { message: 'mode must be LW_EXCLUSIVE or LW_SHARED, not 2' },
      none: { message: 'lock is not in shared memory that is attached', code: '55000' },
      noLock: { message: 'lock must be a lock in shared memory' },
      builtIn: { message: 'lock AddinShmemInit is not held', code: 'XX000' },
      named: { message: 'lock second tranche is not held', code: 'XX000' },
      counts: [2, 3],
      unregistered: { message: 'requested tranche is not registered', code: 'XX000' },
      tooMany: { message: 'too many LWLocks taken', code: 'XX000' },
      after: [false, true],
    });
  });

  test('M-05: RequestNamedLWLockTranche outside of the request hook is FATAL', async () => {
    const session = await pm.connect();
    const message = 'cannot request additional LWLocks outside shmem_request_hook';
    expect(await errorOf(session.call(LIBRARY, 'request'))).toMatchObject({ severity: 'FATAL', message });
    await session.closed;
  });

  test('an error in a session’s call releases what it held', async () => {
    const session = await openSession(pm);
    expect(await errorOf(session.call(LIBRARY, 'failsWithLock'))).toMatchObject({ message: 'with a lock in hand' });
    expect(await (await openSession(pm)).call(LIBRARY, 'tryLock')).toBe(true);
    expect(await session.call(LIBRARY, 'tryLock')).toBe(true);
  });

  test('interrupts are held with it: SIGTERM acts after the release, with `die` and by default', async () => {
    const session = await openSession(pm);
    for (const name of ['holds', 'holdsByDefault']) {
      const { handle } = await launch(session, lockWorker(name));
      await waitForSaid(pm, name, 'holds');
      await end(session, handle);
      expect(said(pm, name, 'still')).toHaveLength(1);
      expect(said(pm, name, 'never')).toHaveLength(0);
      expect(await session.call(LIBRARY, 'tryLock')).toBe(true);
    }
    // Callbacks find it released, were it not so before.
    expect(said(pm, 'holds', 'exit').map(({ data }) => data)).toEqual([{ held: false }]);
  });

  test('a worker that fails with locks in hand releases them, and is no crash', async () => {
    const session = await openSession(pm);
    const handle = await register(session, lockWorker('fails'));
    await session.waitForBackgroundWorkerShutdown(handle);
    expect(await session.call(LIBRARY, 'tryLock')).toBe(true);
    expect(logLines(pm, 'terminating any other')).toEqual([]);
  });

  test('a waiter that is terminated leaves the queue: an asynchronous one at once, and those behind it get the lock', async () => {
    const session = await openSession(pm);
    const holder = await launch(session, { ...lockWorker('holds'), name: 'holder' });
    await waitForSaid(pm, 'holder', 'holds');
    const leaver = await launch(session, { ...lockWorker('stays'), name: 'leaver' });
    await waitForSaid(pm, 'leaver', 'comes');
    const next = await launch(session, { ...lockWorker('takesSync'), name: 'next' });
    await waitForSaid(pm, 'next', 'comes');
    await waitUntil(() => processState(next.pid) === 'S', { what: 'the blocking waiter to sleep' });
    await end(session, leaver.handle);
    await end(session, holder.handle);
    expect((await waitForSaid(pm, 'next', 'had-it')).data).toEqual({ atOnce: false });
    expect(await session.call(LIBRARY, 'tryLock')).toBe(true);
    expect(said(pm, 'leaver', 'has-it')).toEqual([]);
  });
});

describe('a holder that is killed', () => {
  test.each(['stays', 'staysSync'])('is a crash: waiters (%s) do not hang, and the lock is free afterwards', async (fn) => {
    await withPostmaster({ preload: [LIBRARY] }, async (pm) => {
      const session = await pm.connect();
      const { pid } = await launch(session, { ...lockWorker(fn), name: 'holder' });
      await waitForSaid(pm, 'holder', 'has-it');
      const waiter = await launch(session, { ...lockWorker(fn), name: 'waiter' });
      await waitForSaid(pm, 'waiter', 'comes');
      process.kill(pid, 'SIGKILL');
      await pm.waitForLog('all server processes terminated; reinitializing');
      await waitUntil(() => processState(waiter.pid) === null, { what: 'the waiter to be gone' });
      expect(await (await reopenSession(pm)).call(LIBRARY, 'tryLock')).toBe(true);
    });
  });

  test('a start-up hook that keeps a lock ends the start', async () => {
    await withPostmaster({ preload: [LIBRARY], env: { LOCKS_HOOK: 'keeps' }, until: 'nothing' }, async (pm) => {
      expect(await pm.exited).toBe(1);
      expect(logLines(pm, 'FATAL:  shmem_startup_hook must release the locks that it takes')).toHaveLength(1);
    });
  });
});

describe('condition variables', () => {
  const pm = sharedPostmaster({ preload: [LIBRARY] });
  const sleeping = async (session: Session, n: number): Promise<void> => {
    await waitUntil(async () => (await session.call(LIBRARY, 'sleeping')) === n, { what: `${n} sleepers` });
  };

  test('M-41: broadcast wakes all that wait, blocking and asynchronous', async () => {
    const control = await openSession(pm);
    const all = await Promise.all([false, true, false, true].map(async (sync) => [await openSession(pm), sync] as const));
    const results = all.map(([session, sync]) => session.call(LIBRARY, 'sleeps', sync));
    await sleeping(control, 4);
    await control.call(LIBRARY, 'broadcast', 1);
    expect((await Promise.all(results)).filter((slept) => typeof slept === 'boolean')).toHaveLength(4);
  });

  test('M-41: signal wakes one', async () => {
    await withPostmaster({ preload: [LIBRARY] }, async (own) => {
      const control = await own.connect();
      const all = await Promise.all([1, 2, 3].map(() => own.connect()));
      const results = all.map((session) => session.call(LIBRARY, 'sleepsOnce'));
      await sleeping(control, 3);
      for (const left of [2, 1, 0]) {
        await control.call(LIBRARY, 'signalOne');
        await sleeping(control, left);
      }
      await Promise.all(results);
      // One that was signaled and leaves passes it on; here nobody is left to take it.
      expect(await control.call(LIBRARY, 'leavesSignaled')).toBe(true);
    });
  });

  test.each([false, true])('M-42: a cancel ends a sleep, and so does an exit; signals go to who still sleeps (blocking: %s)', async (sync) => {
    await withPostmaster({ preload: [LIBRARY] }, async (own) => {
      const control = await own.connect();
      const [cancelled, ended, left] = await Promise.all([own.connect(), own.connect(), own.connect()]);
      const sleeps: Promise<unknown>[] = [];
      for (const [i, session] of [cancelled, ended, left].entries()) {
        sleeps.push(session.call(LIBRARY, 'sleepsCarelessly', sync));
        await sleeping(control, i + 1); // in this order
      }
      const errors = [errorOf(sleeps[0] as Promise<unknown>), errorOf(sleeps[1] as Promise<unknown>)];
      process.kill(cancelled.backendPid, 'SIGINT');
      expect(await errors[0]).toMatchObject({ code: '57014', message: 'canceling statement due to user request' });
      process.kill(ended.backendPid, 'SIGTERM');
      expect(await errors[1]).toMatchObject({ code: '57P01' });
      await waitUntil(() => processState(ended.backendPid) === null, { what: 'the end of the session' });
      await control.call(LIBRARY, 'signalOne');
      await sleeps[2];
    });
  });

  test('M-42: the postmaster’s death ends sleeps, blocking and asynchronous, and their processes', async () => {
    await withPostmaster({ preload: [LIBRARY], settings: { allow_orphan_workers: 'on' } }, async (own) => {
      const control = await own.connect();
      const sessions = await Promise.all([own.connect(), own.connect()]);
      const ends = sessions.map((session, i) => errorOf(session.call(LIBRARY, 'sleepsCarelessly', i === 0)));
      await sleeping(control, 2);
      own.signal('SIGKILL');
      await Promise.all(ends);
      await waitUntil(() => sessions.every(({ backendPid }) => processState(backendPid) === null), { what: 'the end of who slept' });
    });
  });

  test('M-40: the first sleep without prepare returns at once; a timed one says that the time is over', async () => {
    expect(await (await openSession(pm)).call(LIBRARY, 'timedSleeps')).toEqual({ first: [false, true], second: [true, false, false] });
  });
});

describe('barriers', () => {
  const pm = sharedPostmaster({ preload: [LIBRARY] });

  test('M-43: one participant of each phase is elected, static', async () => {
    const [one, other] = [await openSession(pm), await openSession(pm)];
    const results = (await Promise.all([one.call(LIBRARY, 'pairPhases', 50, true), other.call(LIBRARY, 'pairPhases', 50, false)])) as {
      elected: number;
    }[];
    expect(results.reduce((sum, { elected }) => sum + elected, 0)).toBe(50);
    expect(await errorOf(one.call(LIBRARY, 'attachPair'))).toMatchObject({ code: '55000' });
  });

  test('M-43: who attaches takes part, who detaches is not waited for, and the phase ends by it', async () => {
    const [one, other, third] = [await openSession(pm), await openSession(pm), await openSession(pm)];
    for (const session of [one, other, third]) expect(await session.call(LIBRARY, 'attach')).toBe(0);
    const waiting = [one.call(LIBRARY, 'arriveAndWait'), other.call(LIBRARY, 'arriveAndWait')];
    expect(await third.call(LIBRARY, 'detach')).toBe(false);
    expect((await Promise.all(waiting)).filter(Boolean)).toHaveLength(1);
    expect(await third.call(LIBRARY, 'attach')).toBe(1);
    expect(await third.call(LIBRARY, 'arriveAndDetach')).toBe(false);
    expect(await one.call(LIBRARY, 'exceptLast')).toBe(false);
    expect(await other.call(LIBRARY, 'exceptLast')).toBe(true);
    expect(await other.call(LIBRARY, 'participants')).toBe(1);
    expect(await other.call(LIBRARY, 'detach')).toBe(true);
  });
});
