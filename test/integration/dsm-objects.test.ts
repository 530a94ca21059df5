// Locks, condition variables and barriers in dynamic segments, between real processes: they work as in the area, and nothing of them outlives their segment.
// And what a lock offers to those who do not want to have it: waiting for its holder.
import { describe, expect, test } from 'vitest';
import type { Session } from '../../dist/session/client.js';
import { fixture, waitUntil } from '../helpers/index.js';
import { openSession, sharedPostmaster } from './support.js';

const LIBRARY = fixture('dsm-objects.mjs');
const pm = sharedPostmaster({ preload: [LIBRARY] });
const call = <T>(session: Session, name: string, ...args: unknown[]): Promise<T> => session.call(LIBRARY, name, ...args) as Promise<T>;

async function attached(n: number): Promise<Session[]> {
  const first = await openSession(pm);
  const handle = await call<number>(first, 'create');
  const others = await Promise.all(Array.from({ length: n - 1 }, () => openSession(pm)));
  await Promise.all(others.map((session) => call(session, 'attach', handle)));
  return [first, ...others];
}

describe('objects in a dynamic segment', () => {
  test('LWLock: several processes count under one', async () => {
    const sessions = await attached(4);
    await Promise.all(sessions.map((session, i) => call(session, 'count', 300, i % 2 === 0)));
    expect(await call(sessions[0]!, 'counted')).toBe('1200');
  });

  test('ConditionVariable: sleepers in two processes, blocking and asynchronous, are woken', async () => {
    const [first, second, third] = (await attached(3)) as [Session, Session, Session];
    const asleep = [call(first, 'sleeps', false), call(second, 'sleeps', true)];
    await call(third, 'names', 'woken');
    expect(await Promise.all(asleep)).toEqual(['woken', 'woken']);
  });

  test('Barrier: one is elected in each phase', async () => {
    const sessions = await attached(3);
    for (const session of sessions) await call(session, 'joins');
    const elected = await Promise.all(sessions.map((session, i) => call<number>(session, 'phases', 50, i === 0)));
    expect(elected.reduce((sum, n) => sum + n)).toBe(50);
  });

  test('Barrier in a named segment: who comes first makes it', async () => {
    const sessions = await Promise.all([1, 2, 3].map(() => openSession(pm)));
    const found = await Promise.all(sessions.map((session) => call(session, 'named', 3)));
    expect(found.filter((was) => was === false)).toHaveLength(1);
    const elected = await Promise.all(sessions.map((session) => call<number>(session, 'phases', 10, false)));
    expect(elected.reduce((sum, n) => sum + n)).toBe(10);
  });

  test('a structure lies only where it fits, in shared bytes', async () => {
    const [session] = (await attached(1)) as [Session];
    expect(await call(session, 'misplaced')).toEqual([
      'a structure must lie in a region of shared memory, or in shared bytes',
      expect.stringMatching(/^a structure of \d+ bytes does not fit at N|^a structure of N bytes does not fit at 72/),
      expect.stringMatching(/does not fit at 0 into 8 bytes$/),
      'a structure aligned to 8 bytes cannot lie at 4',
    ]);
  });
});

describe('a segment that goes', () => {
  test('takes waits for its objects with it, as errors, and releases what is held in it', async () => {
    const [holder, goes] = (await attached(2)) as [Session, Session];
    await call(holder, 'takes');
    const gone = { message: 'dynamic shared memory segment N has been detached', code: '55000', name: 'ErrorData' };
    const notAttached = { message: 'lock is not in shared memory that is attached', code: '55000', name: 'ErrorData' };
    expect(await call(goes, 'goes')).toEqual({
      waits: [gone, gone],
      slept: { message: 'memory is not shared memory that is attached', code: '55000', name: 'ErrorData' },
      view: gone,
      lock: notAttached,
      held: false,
      release: notAttached,
      word: gone,
      signal: { message: 'memory is not shared memory that is attached', code: '55000', name: 'ErrorData' },
      fresh: true,
    });
    await call(holder, 'releases');
    expect(await call(holder, 'tryLocks')).toEqual([true, true]);
  });

  test('frees locks that its process held there: by detaching, and by its end', async () => {
    const [stays, detaches, ends] = (await attached(3)) as [Session, Session, Session];
    await call(detaches, 'holds');
    expect(await call(stays, 'tryLocks')).toEqual([false, false]);
    await call(detaches, 'detach');
    expect(await call(stays, 'tryLocks')).toEqual([true, true]);
    await call(ends, 'holds');
    await ends.close();
    await waitUntil(async () => String(await call(stays, 'tryLocks')) === 'true,true', { what: 'the locks to be free' });
  });
});

describe('waiting for the holder of a lock', () => {
  test.each([false, true])('LWLockAcquireOrWait: has it where it is free; else waits, and has it not (blocking: %s)', async (sync) => {
    const [holder, waiter] = (await attached(2)) as [Session, Session];
    expect(await call(waiter, 'acquiresOrWaits', sync)).toEqual([true, true]);
    await call(holder, 'takes');
    const waited = call(waiter, 'acquiresOrWaits', sync);
    await waitUntil(() => call<boolean>(holder, 'queued'), { what: 'a waiter in the queue' });
    await call(holder, 'releases');
    expect(await waited).toEqual([false, false]);
  });

  test.each([false, true])('LWLockWaitForVar: until the word is another, or the lock is free (blocking: %s)', async (sync) => {
    const [holder, waiter] = (await attached(2)) as [Session, Session];
    expect(await call(waiter, 'waitsForVar', 0, sync)).toEqual([true, 0]);
    await call(holder, 'takes');
    expect(await call(waiter, 'waitsForVar', 5, sync)).toEqual([false, 0]);
    for (const value of [7, 8]) {
      const waited = call(waiter, 'waitsForVar', value === 7 ? 0 : 7, sync);
      await waitUntil(() => call<boolean>(holder, 'queued'), { what: 'a waiter in the queue' });
      await call(holder, 'updates', value);
      expect(await waited).toEqual([false, value]);
    }
    const last = call(waiter, 'waitsForVar', 8, sync);
    await waitUntil(() => call<boolean>(holder, 'queued'), { what: 'a waiter in the queue' });
    await call(holder, 'releasesClear', 8);
    expect(await last).toEqual([true, 8]);
  });

  test('misuse is an error', async () => {
    const [session] = (await attached(1)) as [Session];
    expect(await call(session, 'misuse')).toEqual({
      update: { message: 'lock extension is not held', code: 'XX000', name: 'ErrorData' },
      word: { message: 'valptr must be a pg_atomic_uint64 in shared memory', name: 'TypeError', code: undefined },
      value: { message: 'oldval must be a bigint, not number', name: 'TypeError', code: undefined },
      range: { message: expect.stringMatching(/^oldval must be from 0 to/), name: 'RangeError', code: undefined },
      any: [false, false],
    });
  });
});
