// Dynamic shared memory: segments between sessions and workers, by handle and by name, and what each kind of end does to them. Contract section M.
import { describe, expect, test } from 'vitest';
import type { Session } from '../../dist/session/client.js';
import { fixture, waitUntil } from '../helpers/index.js';
import { errorOf, launch, openSession, register, reopenSession, said, sharedPostmaster, waitForSaid, worker } from './support.js';

const DSM = fixture('dsm.mjs');
const pm = sharedPostmaster({ preload: [DSM], settings: { max_connections: '5', max_worker_processes: '4' } });
const dsmWorker = (name: string, handle: number, fields = {}) => worker(name, { libraryName: DSM, mainArg: BigInt(handle), ...fields });
const call = <T>(session: Session, name: string, ...args: unknown[]): Promise<T> => session.call(DSM, name, ...args) as Promise<T>;

describe('segments', () => {
  test('M-10, M-15: one that a session made, in a backend forked before and in a worker forked after', async () => {
    const [session, older] = [await openSession(pm), await openSession(pm)];
    const handle = await call<number>(session, 'create', 100);
    await call(session, 'write', handle, 'to whom it may concern');
    expect(await call(older, 'attach', handle)).toBe(handle);
    expect(await call(older, 'read', handle, 22)).toBe('to whom it may concern');
    expect(await call(older, 'length', handle)).toBe(100);
    await launch(session, dsmWorker('attaches', handle));
    await waitForSaid(pm, 'attaches', 'attached');
    expect(await call(session, 'read', handle, 22)).toBe('from the workerconcern');
    expect(await call(older, 'isMapped', handle)).toBe(true);
  });

  test('M-11: null for one that is gone; an error for one that is attached already', async () => {
    const [session, other] = [await openSession(pm), await openSession(pm)];
    const handle = await call<number>(session, 'create', 1);
    expect(await errorOf(call(session, 'attach', handle))).toMatchObject({ code: 'XX000', message: "can't attach the same segment more than once" });
    expect(await call(other, 'attach', 4_294_967_295)).toBeNull();
    await call(other, 'attach', handle);
    await call(session, 'detach', handle);
    await call(session, 'attach', handle);
    for (const one of [session, other]) await call(one, 'detach', handle);
    for (const one of [session, other]) expect(await call(one, 'attach', handle)).toBeNull();
  });

  test('use after detach: errors, and an empty array', async () => {
    const message = 'dynamic shared memory segment N has been detached';
    expect(await call(await openSession(pm), 'useAfterDetach')).toEqual({ length: 0, first: undefined, errors: Array(6).fill(message) });
  });

  test('M-10: too many segments: an error, or null with the flag; all of them go with their session', async () => {
    const session = await openSession(pm);
    const { count, error } = await call<{ count: number; error: object }>(session, 'createsUntilFull');
    expect(count).toBeGreaterThan(64);
    expect(error).toMatchObject({ code: '53000', message: 'too many dynamic shared memory segments' });
    await session.close();
    const next = await openSession(pm);
    expect(await waitUntil(async () => (await call<number>(next, 'roomFor')) === count, { what: 'all segments to be free' })).toBe(true);
  });

  test.each([0, -1, 1.5, Number.NaN, 2 ** 32, Infinity])('a segment of %d bytes is refused', async (size) => {
    const session = await openSession(pm);
    expect(await errorOf(call(session, 'create', size))).toMatchObject({
      code: '22023',
      message: `size of a dynamic shared memory segment must be an integer from 1 to 4294967295 bytes, not ${size}`,
    });
  });

  test('other bad input is refused by name', async () => {
    const session = await openSession(pm);
    const refused = (...args: unknown[]) => call(session, 'refused', ...args);
    expect(await refused('dsmCreate', '1')).toMatchObject({ name: 'TypeError', message: 'size must be a number of bytes, not string' });
    expect(await refused('dsmCreate', 1, 2)).toMatchObject({ code: '22023', message: 'unrecognized flags of a dynamic shared memory segment: 2' });
    for (const handle of [-1, 0.5, 2 ** 32, '1', null]) {
      expect(await refused('dsmAttach', handle)).toMatchObject({ message: `handle must be an integer from 0 to 4294967295, not ${String(handle)}` });
    }
    expect(await refused('dsmDetach', {})).toMatchObject({ name: 'TypeError' });
    expect(await refused('dsmUnpinSegment', 1)).toMatchObject({ message: 'cannot unpin unknown segment handle' });
  });

  test('M-12: a pinned segment outlives everybody, until it is unpinned', async () => {
    const session = await openSession(pm);
    const handle = await call<number>(session, 'create', 10);
    expect(await errorOf(call(session, 'unpin', handle))).toMatchObject({ message: 'cannot unpin a segment that is not pinned' });
    await call(session, 'pin', handle);
    expect(await errorOf(call(session, 'pin', handle))).toMatchObject({ message: 'cannot pin a segment that is already pinned' });
    await call(session, 'write', handle, 'kept');
    const { backendPid } = session;
    await session.close();
    // Its backend hears of it by itself: until it is gone, it has the segment attached.
    await waitUntil(() => !pm.children().includes(backendPid), { what: 'the end of the backend' });
    const next = await openSession(pm);
    await call(next, 'attach', handle);
    expect(await call(next, 'read', handle, 4)).toBe('kept');
    await call(next, 'detach', handle);
    await call(next, 'unpin', handle);
    expect(await call(next, 'attach', handle)).toBeNull();
  });

  test('M-13: callbacks, the last registered first; one that fails leaves the segment attached and the others to run', async () => {
    expect(await call(await openSession(pm), 'callbacks')).toEqual({
      error: 'in a callback',
      attached: 100,
      called: [4, 3, 2, 1].map((n) => [n, 100]),
    });
  });

  test('M-14: at exit, segments go between the before_shmem_exit and the on_shmem_exit callbacks', async () => {
    const session = await openSession(pm);
    const handle = await call<number>(session, 'create', 1);
    await session.waitForBackgroundWorkerShutdown(await register(session, dsmWorker('leavesInOrder', handle)));
    expect(said(pm, 'leavesInOrder', 'exit').map(({ data }) => data)).toEqual([
      ['before', 1],
      'own segment',
      'first segment',
      ['shmem', '55000'],
      'proc',
    ]);
  });

  test('a worker that SIGTERM ends in a computation releases its segment, too', async () => {
    const session = await openSession(pm);
    const handle = await call<number>(session, 'create', 1);
    const { handle: computing } = await launch(session, dsmWorker('attachesAndComputes', handle));
    await waitForSaid(pm, 'attachesAndComputes', 'attached');
    await call(session, 'detach', handle);
    await session.terminateBackgroundWorker(computing);
    await session.waitForBackgroundWorkerShutdown(computing);
    expect(await call(session, 'attach', handle)).toBeNull();
  });

  test('a worker without shared memory is refused in words', async () => {
    const session = await openSession(pm);
    await register(session, dsmWorker('withoutSharedMemory', 0, { flags: 0, notifyPid: 0 }));
    const refusal = { message: 'shared memory is not attached' };
    expect((await waitForSaid(pm, 'withoutSharedMemory', 'failed')).data).toMatchObject([refusal, refusal]);
  });
});

describe('getNamedDSMSegment', () => {
  test('M-17: made once, found by all others', async () => {
    const sessions = await Promise.all([1, 2, 3, 4].map(() => openSession(pm)));
    const results = await Promise.all(sessions.map((session, n) => call<{ value: unknown }>(session, 'named', 'of all', 100, `by ${n}`)));
    const values = results.map(({ value }) => value as { found: boolean; inits: number; text: string });
    expect(values.filter(({ found }) => !found)).toHaveLength(1);
    expect(values.map(({ inits }) => inits).reduce((sum, inits) => sum + inits)).toBe(1);
    expect(new Set(values.map(({ text }) => text)).size).toBe(1);
    expect(await call(sessions[0]!, 'named', 'of all', 100, 'by 9')).toMatchObject({ value: { found: true, inits: 0 } });
  });

  test('M-17: an initialisation that fails leaves it to the next', async () => {
    const session = await openSession(pm);
    expect(await call(session, 'named', 'at first not', 10, 'x', true)).toMatchObject({ message: 'not initialised' });
    expect(await call(session, 'named', 'at first not', 20, 'x')).toEqual({ value: { found: false, inits: 1, text: 'x' } });
  });

  test('M-17: bad input', async () => {
    const session = await openSession(pm);
    const message = async (...args: unknown[]): Promise<string> => (await call<{ message: string }>(session, 'named', ...args)).message;
    expect(await message('', 1, 'x')).toBe('DSM segment name cannot be empty');
    expect(await message('x'.repeat(64), 1, 'x')).toBe('DSM segment name too long');
    expect(await message('x'.repeat(63), 0, 'x')).toBe('DSM segment size must be nonzero');
    expect(await call(session, 'named', 'x'.repeat(63), 1, 'x')).toMatchObject({ value: { found: false } });
    expect(await message('x'.repeat(63), 2, 'x')).toBe('requested DSM segment size does not match size of existing segment');
    expect(await message(1, 1, 'x')).toBe('name must be a string, not number');
    expect(await message('y', -1, 'x')).toMatch(/^size of a dynamic shared memory segment must be/);
  });
});

test('M-16: after a crash all segments are gone, pinned and named ones included', async () => {
  const session = await openSession(pm);
  const handle = await call<number>(session, 'create', 10);
  await call(session, 'pin', handle);
  await call(session, 'named', 'before', 10, 'old');
  process.kill(session.backendPid, 'SIGKILL');
  await session.closed;
  await pm.waitForLog(/all server processes terminated; reinitializing/); // else the next session may still be of the old world
  const next = await reopenSession(pm);
  expect(await call(next, 'attach', handle)).toBeNull();
  expect(await call(next, 'named', 'before', 20, 'new')).toEqual({ value: { found: false, inits: 1, text: 'new' } });
  expect((await call<{ count: number }>(next, 'createsUntilFull')).count).toBeGreaterThan(64);
});
