// The shared memory area: hooks, structures by name, workers that have none of it, and what is left after a crash (contract 10.1).
import { describe, expect, test } from 'vitest';
import { BGWORKER_SHMEM_ACCESS } from '../../src/constants.js';
import { fixture, withPostmaster } from '../helpers/index.js';
import { errorOf, logLines, openSession, register, reopenSession, sharedPostmaster, waitForSaid, worker } from './support.js';

const LIBRARY = fixture('shared-memory.mjs');
const SHARED = Number(process.versions.node.split('.')[0]) >= 22;

describe('the area', () => {
  const pm = sharedPostmaster({ preload: [LIBRARY] });

  test('M-03: the start-up hook runs in the postmaster, finds nothing there, and zeroes', () => {
    expect(logLines(pm, '@startup')).toEqual(['LOG:  @startup {"runs":1,"found":[false,false],"hits":"0","raw":0}']);
  });

  test('M-02: the same structure for every process, of the size that was asked for', async () => {
    const [one, other] = [await openSession(pm), await openSession(pm)];
    const size = 1234;
    const made = { found: false, length: size, bufferLength: size, buffer: SHARED ? 'SharedArrayBuffer' : 'ArrayBuffer', first: 0, last: 0 };
    expect(await one.call(LIBRARY, 'initStruct', 'same', size)).toEqual(made);
    await one.call(LIBRARY, 'poke', 'same', size, size - 1, 99);
    expect(await other.call(LIBRARY, 'initStruct', 'same', size)).toEqual({ ...made, found: true, last: 99 });
    // A name is a name: the next structure is another one.
    expect(await other.call(LIBRARY, 'initStruct', 'same2', size)).toEqual(made);
  });

  test('a declared structure is written in one process and read in another', async () => {
    const [one, other] = [await openSession(pm), await openSession(pm)];
    await one.call(LIBRARY, 'write', -7, 'größer', 4_000_000_000, { x: -3, y: 0.1 });
    expect(await other.call(LIBRARY, 'read')).toEqual({
      owner: -7,
      label: 'größer',
      buckets: [0, 0, 0, 4_000_000_000, 0, 0, 0, 0],
      point: { x: -3, y: 0.1 },
      raw: 77,
    });
  });

  test('pg_atomic_fetch_add_u64: what four processes add at once is all there', async () => {
    const sessions = await Promise.all([1, 2, 3, 4].map(() => openSession(pm)));
    await Promise.all(sessions.map((session) => session.call(LIBRARY, 'hit', 20_000)));
    expect(await sessions[0]?.call(LIBRARY, 'hit', 0)).toBe('80000');
  });

  test.each([
    ['another size', ['counters', 17], 'ShmemIndex entry size is wrong for data structure "counters": expected 17, actual ', 'XX000'],
    ['too much', ['huge', 10_000_000], 'not enough shared memory for data structure "huge" (10000000 bytes requested)', '53200'],
    ['an overflow', ['huge', 2 ** 53], 'requested shared memory size overflows size_t', '54000'],
    ['an empty name', ['', 8], 'shared memory structure name cannot be empty', '42602'],
    ['a long name', ['n'.repeat(48), 8], `shared memory structure name "${'n'.repeat(48)}" is too long`, '42602'],
    ['a NUL in the name', ['a\0b', 8], 'shared memory structure name must not contain a NUL', '42602'],
    ['a name that is none', [7, 8], 'the name of a shared memory structure must be a string, not number', undefined],
    ['a negative size', ['bad', -1], 'the size of shared memory structure "bad" must be a whole number of bytes, 0 or more, not -1', undefined],
    ['a fraction', ['bad', 1.5], 'the size of shared memory structure "bad" must be a whole number of bytes, 0 or more, not 1.5', undefined],
    ['NaN', ['bad', NaN], 'the size of shared memory structure "bad" must be a whole number of bytes, 0 or more, not NaN', undefined],
    ['nothing', ['bad', 0], 'the size of shared memory structure "bad" must be 1 byte or more, not 0', undefined],
    ['text', ['bad', '8'], 'the size of shared memory structure "bad" must be a number of bytes, not string', undefined],
  ])('shmemInitStruct: %s is refused, and takes no room', async (_, args, message, code) => {
    const session = await openSession(pm);
    const error = (await session.call(LIBRARY, 'initStruct', ...args)) as { message: string; code?: string };
    expect(error.message).toContain(message);
    expect(error.code).toBe(code);
    // The name is still free where it could have been taken, and the others are whole.
    expect(await session.call(LIBRARY, 'initStruct', 'raw', 1001)).toMatchObject({ found: true });
  });

  test('ShmemIndex has 64 entries', async () => {
    const session = await openSession(pm);
    const results: unknown[] = [];
    for (let i = 0; i < 65; i++) results.push(await session.call(LIBRARY, 'initStruct', `entry ${i}`, 1));
    const full = results.findIndex((result) => (result as { code?: string }).code === '53200');
    expect(full).toBeGreaterThan(50);
    expect(results[full]).toMatchObject({ message: `could not create ShmemIndex entry for data structure "entry ${full}"` });
    expect(await session.call(LIBRARY, 'initStruct', 'entry 0', 1)).toMatchObject({ found: true });
  });

  test('M-01: requestAddinShmemSpace outside of the request hook is FATAL', async () => {
    const session = await pm.connect();
    expect(await errorOf(session.call(LIBRARY, 'request', 8))).toMatchObject({
      severity: 'FATAL',
      message: 'cannot request additional shared memory outside shmem_request_hook',
    });
    await session.closed;
  });
});

describe('workers without BGWORKER_SHMEM_ACCESS', () => {
  const pm = sharedPostmaster({ preload: [LIBRARY] });
  const without = (name: string) => worker(name, { flags: 0, libraryName: LIBRARY });

  test('what the postmaster’s module has kept fails with an error', async () => {
    const session = await openSession(pm);
    await register(session, without('touches'));
    const { data } = await waitForSaid(pm, 'touches', 'touched');
    const notAttached = {
      name: 'ErrorData',
      message: 'shared memory is not attached',
      code: 'XX000',
      hint: expect.stringContaining('BGWORKER_SHMEM_ACCESS') as string,
    };
    const { init, field, store, text, atomic, array, nested, request } = data as Record<string, unknown>;
    expect({ init, field, store, text, atomic, array, nested }).toEqual({
      init: notAttached,
      field: notAttached,
      store: notAttached,
      text: notAttached,
      atomic: notAttached,
      array: notAttached,
      nested: notAttached,
    });
    expect(request).toBe(true);
  });

  test('bytes that were kept are gone: empty, or the end of the worker with a line that says so, and no crash', async () => {
    const session = await openSession(pm);
    const handle = await register(session, without('touchesRaw'));
    await session.waitForBackgroundWorkerShutdown(handle);
    const { pid } = await waitForSaid(pm, 'touchesRaw', 'before');
    const last = SHARED ? `[${pid}] FATAL:  shared memory is not attached` : '@touchesRaw after {"value":"undefined","stored":"undefined"}';
    await pm.waitForLog(last);
    if (SHARED) await pm.waitForLog(`background worker "touchesRaw" (PID ${pid}) exited with exit code 1`);
    expect(logLines(pm, 'terminating any other')).toEqual([]);
    // The others still have theirs.
    expect(await session.call(LIBRARY, 'initStruct', 'raw', 1001)).toMatchObject({ found: true });
  });

  test('a worker with it has what the hook initialised', async () => {
    const session = await openSession(pm);
    await register(session, { ...without('touches'), name: 'attached', flags: BGWORKER_SHMEM_ACCESS });
    const { data } = await waitForSaid(pm, 'attached', 'touched');
    expect(data).toMatchObject({ init: { found: true }, field: 1 });
  });
});

describe('a crash cycle', () => {
  test('M-06: all is new, the hooks run again, in the postmaster', async () => {
    await withPostmaster({ preload: [LIBRARY] }, async (pm) => {
      const session = await pm.connect();
      await session.call(LIBRARY, 'hit', 5);
      await session.call(LIBRARY, 'write', 1, 'x', 1, { x: 1, y: 1 });
      await session.call(LIBRARY, 'initStruct', 'late', 8);
      await session.call(LIBRARY, 'aborts').catch(() => {});
      await pm.waitForLog('all server processes terminated; reinitializing');
      const again = await reopenSession(pm);
      expect(logLines(pm, '@startup')).toEqual([1, 2].map((runs) => `LOG:  @startup {"runs":${runs},"found":[false,false],"hits":"0","raw":0}`));
      expect(await again.call(LIBRARY, 'read')).toMatchObject({ owner: 2, label: '', raw: 0 });
      expect(await again.call(LIBRARY, 'hit', 1)).toBe('1');
      expect(await again.call(LIBRARY, 'initStruct', 'late', 8)).toMatchObject({ found: false });
    });
  });
});

describe('hooks that fail', () => {
  const PRELOAD = fixture('preload/shmem-hooks.mjs');
  test.each([
    ['throws', 'the start-up hook failed'],
    ['async', 'shmem_startup_hook must not be asynchronous'],
    ['async-request', 'shmem_request_hook must not be asynchronous'],
    ['late-request', 'cannot request additional shared memory outside shmem_request_hook'],
    ['early-request', 'cannot request additional shared memory outside shmem_request_hook'],
    ['too-much', 'requested shared memory size overflows size_t'],
  ])('%s: the server does not start', async (mode, message) => {
    await withPostmaster({ preload: [PRELOAD], env: { SHMEM_HOOKS: mode }, until: 'nothing' }, async (pm) => {
      expect(await pm.exited).toBe(1);
      expect(logLines(pm, `FATAL:  ${message}`)).toHaveLength(1);
    });
  });

  test('one that throws in a crash cycle ends the server', async () => {
    await withPostmaster({ preload: [PRELOAD, LIBRARY], env: { SHMEM_HOOKS: 'throws-again' } }, async (pm) => {
      const session = await pm.connect();
      await session.call(LIBRARY, 'aborts').catch(() => {});
      expect(await pm.exited).toBe(1);
      expect(logLines(pm, 'FATAL:  the start-up hook failed')).toHaveLength(1);
      expect(pm.status()).toBe('');
    });
  });
});
