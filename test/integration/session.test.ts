// Sessions: calls, what they carry, and errors. Issue 2, point 6.
import { describe, expect, test } from 'vitest';
import { isAlive, parentOf, processState, waitUntil } from '../helpers/index.js';
import { CALLS, errorOf, logLines, openSession, sharedPostmaster } from './support.js';

const pm = sharedPostmaster();

describe('call', () => {
  const shared = { name: 'shared' };
  const VALUES: readonly (readonly [string, unknown])[] = [
    ['nothing', undefined],
    ['null', null],
    ['numbers', [0, -0, 1.5, Number.NaN, Infinity, 2 ** 53]],
    ['a BigInt', [2n ** 70n, -1n]],
    ['text', 'ä☃\0\u{1f600}'],
    ['a Date', new Date(1e12)],
    ['a RegExp', /a.b/gi],
    ['a Map and a Set', new Map<unknown, unknown>([[1, new Set(['x'])], [{ k: 1 }, 2n]])], // prettier-ignore
    ['typed arrays', [new Uint8Array([1, 2, 3]), new Float64Array([0.5]), new BigUint64Array([2n ** 64n - 1n])]],
    ['an ArrayBuffer', new Uint8Array([9, 8]).buffer],
    ['nested objects', { a: [{ b: { c: [undefined, null] } }] }],
    ['a shared reference', [shared, shared]],
  ];

  test.each(VALUES)('carries %s there and back', async (_name, value) => {
    const session = await openSession(pm);
    expect(await session.call(CALLS, 'echoOne', value)).toEqual(value);
  });

  test('carries a cycle, and identity within a call', async () => {
    const session = await openSession(pm);
    const cycle: { self?: unknown } = {};
    cycle.self = cycle;
    const [first, second] = (await session.call(CALLS, 'echo', cycle, cycle)) as { self?: unknown }[];
    expect(first?.self).toBe(first);
    expect(second).toBe(first);
  });

  test('carries an Error as a value, with its message', async () => {
    const session = await openSession(pm);
    const value = await session.call(CALLS, 'echoOne', new RangeError('too far'));
    expect(value).toBeInstanceOf(RangeError);
    expect(value).toMatchObject({ message: 'too far' });
  });

  test('any number of arguments; a function without a result gives undefined', async () => {
    const session = await openSession(pm);
    expect(await session.call(CALLS, 'echo')).toEqual([]);
    expect(await session.call(CALLS, 'echo', 1, undefined, 'x')).toEqual([1, undefined, 'x']);
    expect(await session.call(CALLS, 'nothing')).toBeUndefined();
  });

  test('20 MB there, and 20 MB back', async () => {
    const session = await openSession(pm);
    const length = 20 * 1024 * 1024;
    expect(await session.call(CALLS, 'size', new Uint8Array(length))).toBe(length);
    const bytes = (await session.call(CALLS, 'makeBytes', length)) as Uint8Array;
    expect([bytes.length, bytes[0], bytes.at(-1)]).toEqual([length, 7, 7]);
  });

  test('a hundred calls under way at once, answered as each is ready', async () => {
    const session = await openSession(pm);
    const order: number[] = [];
    const calls = Array.from({ length: 100 }, async (_, n) => {
      const result = await session.call(CALLS, 'later', n, (100 - n) % 7);
      order.push(n);
      return result;
    });
    expect(await Promise.all(calls)).toEqual(Array.from({ length: 100 }, (_, n) => n));
    expect(order).not.toEqual(order.toSorted((a, b) => a - b));
  });

  test('two calls of a session meet in its backend', async () => {
    const session = await openSession(pm);
    expect(await Promise.all([session.call(CALLS, 'meet', 'a'), session.call(CALLS, 'meet', 'a')])).toEqual(['first', 'second']);
  });

  test('each session has a backend of its own, a child of the postmaster that knows its pid', async () => {
    const [session, other] = [await openSession(pm), await openSession(pm)];
    expect(await session.call(CALLS, 'pids')).toEqual({ process: session.backendPid, mine: session.backendPid });
    expect(session.backendPid).not.toBe(other.backendPid);
    expect([session.postmasterPid, parentOf(session.backendPid)]).toEqual([pm.pid, pm.pid]);
  });
});

describe('errors arrive whole', () => {
  test('an ErrorData with all its fields', async () => {
    const session = await openSession(pm);
    const fields = { code: '22012', message: 'division\nby zero', detail: 'a detail', hint: 'a hint', context: 'a context' };
    expect(await errorOf(session.call(CALLS, 'failsWhole', fields))).toEqual({ name: 'ErrorData', severity: 'ERROR', ...fields });
    expect(await errorOf(session.call(CALLS, 'failsWhole', { message: 'm' }))).toEqual({
      name: 'ErrorData',
      severity: 'ERROR',
      code: 'XX000',
      message: 'm',
    });
    // The server's log has it, too.
    expect(logLines(pm, 'ERROR:  division')).toHaveLength(1);
  });

  test('any other error with its message, and where it came from', async () => {
    const session = await openSession(pm);
    const error = await errorOf(session.call(CALLS, 'failsPlain'));
    expect(error).toMatchObject({ message: 'out of range', code: 'XX000', context: expect.stringContaining('calls.mjs') as string });
    expect(await errorOf(session.call(CALLS, 'failsWithText'))).toMatchObject({ message: 'a text', code: 'XX000' });
    expect(await errorOf(session.call(CALLS, 'failsWithNothing'))).toMatchObject({ message: 'undefined' });
    expect(await session.call(CALLS, 'echo', 1)).toEqual([1]);
  });

  test('an argument that cannot be cloned is refused before anything is sent, a result when it is; the session goes on', async () => {
    const session = await openSession(pm);
    await expect(session.call(CALLS, 'echo', () => {})).rejects.toThrow(/could not be cloned/);
    await expect(session.call(CALLS, 'echo', Symbol('s'))).rejects.toThrow(/could not be cloned/);
    expect(await errorOf(session.call(CALLS, 'uncloneable'))).toMatchObject({
      name: 'ErrorData',
      message: expect.stringMatching('could not be cloned') as string,
    });
    expect(await session.call(CALLS, 'echo', 1)).toEqual([1]);
  });

  test('a library or function that is not there; names that are no text; ready-made calls that do not exist', async () => {
    const session = await openSession(pm);
    expect(await errorOf(session.call('./nowhere', 'f'))).toMatchObject({ code: '58P01' });
    expect(await errorOf(session.call(CALLS, 'nowhere'))).toMatchObject({
      code: '42883',
      message: `could not find function "nowhere" in file "${CALLS}"`,
    });
    for (const [library, name] of [
      ['', 'activity'],
      [7, 'f'],
      [CALLS, 7],
      [CALLS, undefined],
    ] as [never, never][]) {
      await expect(session.call(library, name)).rejects.toBeInstanceOf(TypeError);
    }
  });

  test('FATAL ends the session, with all that was said', async () => {
    const session = await openSession(pm);
    const fatal = { name: 'ErrorData', code: '57P01', severity: 'FATAL', message: 'that was it', detail: 'd', hint: 'h' };
    expect(await errorOf(session.call(CALLS, 'failsFatally'))).toEqual(fatal);
    expect(await session.closed).toMatchObject({ code: '57P01' });
    expect(await errorOf(session.call(CALLS, 'echo'))).toEqual(fatal);
  });

  test('an exception out of the blue is FATAL for the session, and for nobody else', async () => {
    const [session, other] = [await openSession(pm), await openSession(pm)];
    expect(await errorOf(session.call(CALLS, 'failsLater'))).toMatchObject({ severity: 'FATAL', message: 'out of the blue' });
    expect(await other.call(CALLS, 'echo', 1)).toEqual([1]);
  });

  test('notices reach the application; the log has what log_min_messages lets through', async () => {
    const session = await openSession(pm);
    const notices: object[] = [];
    session.on('notice', (notice) => notices.push(notice));
    await session.call(CALLS, 'reports');
    expect(notices).toEqual([
      { level: 'NOTICE', code: '00000', message: 'a notice', detail: 'of little importance' },
      { level: 'WARNING', code: expect.any(String) as string, message: 'a warning', hint: 'take care' },
    ]);
    expect([logLines(pm, 'a notice'), logLines(pm, 'a warning'), logLines(pm, 'for the log only')]).toEqual([
      [],
      ['WARNING:  a warning'],
      ['LOG:  for the log only'],
    ]);
  });
});

describe('the end of a session', () => {
  test('close() ends the backend, rejects what is under way, and can be said twice', async () => {
    const session = await pm.connect();
    const call = errorOf(session.call(CALLS, 'interruptible'));
    await session.close();
    await session.close();
    expect(await call).toMatchObject({ code: '08006', message: 'the session was closed while the call was under way' });
    expect(await session.closed).toBeUndefined();
    expect(await errorOf(session.call(CALLS, 'echo'))).toMatchObject({ code: '08006', message: 'the session is closed' });
    await waitUntil(() => processState(session.backendPid) === null, { what: 'the backend to be gone, and reaped' });
  });

  test('a backend whose application is gone says so where a call was under way, and only there', async () => {
    const [busy, idle] = [await openSession(pm), await openSession(pm)];
    const call = errorOf(busy.call(CALLS, 'interruptible'));
    await Promise.all([busy.close(), idle.close(), call]);
    const pids = [busy.backendPid, idle.backendPid];
    await waitUntil(() => pids.every((pid) => processState(pid) === null), { what: 'the backends to be gone, and reaped' });
    const said = pids.map((pid) => pm.log().split('\n').filter((line) => line.includes(`[${pid}] `))); // prettier-ignore
    expect(said).toEqual([[expect.stringMatching(/FATAL: {2}connection to client lost$/)], []]);
  });

  test('SIGTERM to a backend ends its session, also in the middle of a call', async () => {
    const session = await openSession(pm);
    const call = errorOf(session.call(CALLS, 'interruptible'));
    await session.activity();
    process.kill(session.backendPid, 'SIGTERM');
    expect(await call).toMatchObject({ code: '57P01', message: 'terminating connection due to administrator command' });
  });

  test('SIGINT cancels what waits for it, and leaves the session', async () => {
    const session = await openSession(pm);
    const call = errorOf(session.call(CALLS, 'interruptible'));
    await session.activity();
    process.kill(session.backendPid, 'SIGINT');
    expect(await call).toMatchObject({ code: '57014', message: 'canceling statement due to user request' });
    expect(isAlive(session.backendPid)).toBe(true);
    expect(await session.call(CALLS, 'echo', 1)).toEqual([1]);
  });
});
