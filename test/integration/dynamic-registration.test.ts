// registerDynamicBackgroundWorker, from sessions and from workers: what is stored, what is refused, and how. Contract 1.4, 1.6, 3.1.
import { describe, expect, test } from 'vitest';
import type { Session, SessionBackgroundWorker } from '../../dist/session/client.js';
import { waitUntil, withPostmaster } from '../helpers/index.js';
import {
  CALLS,
  STOPPED,
  WORKERS,
  end,
  errorOf,
  launch,
  logLines,
  openSession,
  register,
  reopenSession,
  said,
  sharedPostmaster,
  waitForSaid,
  worker,
} from './support.js';

const SLOTS = 4;
const pm = sharedPostmaster({ settings: { max_worker_processes: SLOTS, max_parallel_workers: 2, log_min_messages: 'debug1' } });

/** Every field of a descriptor, as myBgworkerEntry has it. */
async function entryOf(name: string, fields: Partial<SessionBackgroundWorker>): Promise<Record<string, unknown>> {
  const session = await openSession(pm);
  const handle = await register(session, worker('entry', { name, ...fields }));
  const { data } = await waitForSaid(pm, name.split('|')[0] as string, 'entry');
  // Not by a wait: some of these notify nobody.
  const stopped = async (): Promise<boolean> => (await session.getBackgroundWorkerPid(handle)).status === STOPPED.status;
  await waitUntil(stopped, { what: 'the worker to end' });
  return data as Record<string, unknown>;
}

const hex = (text: string): string => Buffer.from(text).toString('hex').padEnd(256, '0');

describe('what the worker gets', () => {
  test('C-03, C-40: every field of the descriptor is in myBgworkerEntry, frozen, and mainArg is the argument', async () => {
    const session = await openSession(pm);
    const fields = { type: 'a type', flags: 0x1001, startTime: 1, restartTime: 86_400_000, mainArg: 42, extra: 'some\0bytes' };
    const handle = await register(session, worker('entry', { name: 'entry-all', ...fields }));
    const { data } = await waitForSaid(pm, 'entry-all', 'entry');
    expect(data).toEqual({
      name: 'entry-all',
      type: 'a type',
      flags: 0x1001,
      startTime: 1,
      restartTime: 86_400_000,
      libraryName: WORKERS,
      functionName: 'entry',
      mainArg: '42n',
      argument: '42n',
      extra: hex('some\0bytes'),
      notifyPid: session.backendPid,
      rlimits: '',
      main: 'object',
      frozen: true,
    });
    await end(session, handle);
  });

  test('R-07: an empty type becomes the name, in the caller’s object too', async () => {
    const entry = await entryOf('entry-type', {});
    expect(entry['type']).toBe('entry-type');
    const session = await openSession(pm);
    const { worker: object } = (await session.call(CALLS, 'registersObject', { ...worker('returns', { name: 'typeless' }), notifyPid: 0 })) as {
      worker: object;
    };
    expect(object).toMatchObject({ name: 'typeless', type: 'typeless' });
  });

  test('S-10: name and type are cut at 95 bytes', async () => {
    const name = `entry-long|${'n'.repeat(200)}`;
    const entry = await entryOf(name, { type: 't'.repeat(96) });
    expect(entry).toMatchObject({ name: name.slice(0, 95), type: 't'.repeat(95) });
  });

  test('S-10: what is not ASCII becomes a question mark for each byte; newline, return and tab stay', async () => {
    const entry = await entryOf('entry-ascii|äß☃', { type: 'a\nb\rc\td\u0001e\u007f' });
    expect(entry).toMatchObject({ name: 'entry-ascii|???????', type: 'a\nb\rc\td?e\u007f' });
  });

  test('S-10: text ends at a NUL', async () => {
    expect(await entryOf('entry-nul', { type: 'before\0after' })).toMatchObject({ type: 'before' });
  });

  test.each([
    [0xffffffffffffffffn, '18446744073709551615n'],
    [-1n, '18446744073709551615n'],
    [-1, '18446744073709551615n'],
    [1n << 63n, '9223372036854775808n'],
    [Number.MIN_SAFE_INTEGER, `${2n ** 64n - (2n ** 53n - 1n)}n`],
    [(1n << 64n) + 5n, '5n'],
    [undefined, '0n'],
  ])('C-41: mainArg %s arrives as 64 bits', async (mainArg, expected) => {
    const name = `arg${String(mainArg)}`;
    expect(await entryOf(name, mainArg === undefined ? {} : { mainArg })).toMatchObject({ mainArg: expected, argument: expected });
  });

  test('C-41: all 128 bytes of extra arrive, and less is filled with zeros', async () => {
    const bytes = Uint8Array.from({ length: 128 }, (_, index) => 255 - index);
    expect(await entryOf('extra-full', { extra: bytes })).toMatchObject({ extra: Buffer.from(bytes).toString('hex') });
    expect(await entryOf('extra-text', { extra: 'ä' })).toMatchObject({ extra: hex('ä') });
    expect(await entryOf('extra-none', {})).toMatchObject({ extra: hex('') });
  });

  test('S-13: a notify pid that is no backend’s is replaced by 0', async () => {
    expect(await entryOf('notify-stranger', { notifyPid: process.pid })).toMatchObject({ notifyPid: 0 });
    expect(logLines(pm, `DEBUG:  worker notification PID ${process.pid} is not valid`)).toHaveLength(1);
  });
});

describe('what is refused', () => {
  test.each([
    ['R-02', { flags: 2 }, 'must attach to shared memory in order to request a database connection'],
    ['R-03', { flags: 3, startTime: 0 }, 'cannot request database access if starting at postmaster start'],
    ['R-05', { restartTime: -2 }, 'invalid restart interval'],
    ['R-05', { restartTime: 86_400_001 }, 'invalid restart interval'],
    ['R-06', { flags: 0x11, restartTime: 0 }, 'parallel workers may not be configured for restart'],
  ])('%s: %o is an error with PostgreSQL’s text', async (_rule, fields, complaint) => {
    const session = await openSession(pm);
    const error = await errorOf(session.registerDynamicBackgroundWorker(worker('returns', { name: 'w', ...fields })));
    expect(error).toEqual({ name: 'ErrorData', message: `background worker "w": ${complaint}`, code: '22023', severity: 'ERROR' });
  });

  test.each([
    [{ name: 7 }, 'background worker field "name" must be a string, not number'],
    [{ name: undefined }, 'background worker field "name" must be a string, not undefined'],
    [{ flags: '1' }, 'background worker field "flags" must be an integer, not string'],
    [{ flags: undefined }, 'background worker field "flags" must be an integer, not undefined'],
    [{ startTime: null }, 'background worker field "startTime" must be an integer, not undefined'],
    [{ restartTime: 1.5 }, 'background worker field "restartTime" must be an integer, not 1.5'],
    [{ restartTime: 2 ** 31 }, 'background worker field "restartTime" must fit 32 bits, not 2147483648'],
    [{ mainArg: 0.5 }, 'background worker field "mainArg" must be a bigint or a safe integer, not 0.5'],
    [{ mainArg: 2 ** 53 }, 'background worker field "mainArg" must be a bigint or a safe integer, not 9007199254740992'],
    [{ mainArg: '7' }, 'background worker field "mainArg" must be a bigint or a safe integer, not string'],
    [{ extra: new Uint8Array(129) }, 'background worker field "extra" must be at most 128 bytes, not 129'],
    [{ extra: [1] }, 'background worker field "extra" must be a Uint8Array or a string, not array'],
    [{ bgw_restart_time: 1 }, 'unrecognized background worker field "bgw_restart_time"; did you mean "restartTime"?'],
    [{ colour: 'red' }, 'unrecognized background worker field "colour"'],
  ])('a malformed object, %o, is refused by its field’s name', async (fields, message) => {
    const session = await openSession(pm);
    const malformed = { ...worker('returns'), ...fields } as SessionBackgroundWorker;
    expect(await errorOf(session.registerDynamicBackgroundWorker(malformed))).toMatchObject({ message });
  });

  test.each([[null], [undefined], [7], ['worker']])('%s is not a worker', async (value) => {
    const session = await openSession(pm);
    const error = await errorOf(session.registerDynamicBackgroundWorker(value as unknown as SessionBackgroundWorker));
    expect(error['message']).toMatch(/^background worker must be an object, not (null|undefined|number|string)$/);
  });

  test('a main function is refused in the application, before anything is sent', async () => {
    const session = await openSession(pm);
    const withMain = { ...worker('returns'), main: () => {} } as SessionBackgroundWorker;
    await expect(session.registerDynamicBackgroundWorker(withMain)).rejects.toThrow(TypeError);
  });

  test('R-10: what is not checked is accepted: no names, unknown flag bits, an unknown start time (which never comes)', async () => {
    const session = await openSession(pm);
    const never = await register(session, worker('returns', { startTime: 7, flags: 0x7fff_ff01 & ~0x12 }));
    const nameless = await register(session, worker('', { name: '', libraryName: '', functionName: '' }));
    expect(await session.waitForBackgroundWorkerShutdown(nameless)).toBe(STOPPED.status);
    expect(await session.getBackgroundWorkerPid(never)).toEqual({ status: 1 });
    await end(session, never);
  });
});

describe('slots', () => {
  test('R-43, R-44: null when all are taken; a freed slot is taken again, the lowest first', async () => {
    const session = await openSession(pm);
    const workers = [];
    for (let n = 0; n < SLOTS; n++) workers.push(await launch(session, worker('quietlyIdle')));
    expect(workers.map(({ handle }) => handle.slot)).toEqual([0, 1, 2, 3]);
    expect(await session.registerDynamicBackgroundWorker(worker('returns'))).toBeNull();
    for (const n of [2, 1]) await end(session, workers[n]!.handle);
    for (const slot of [1, 2]) {
      const again = await launch(session, worker('quietlyIdle'));
      expect(again.handle.slot).toBe(slot);
      expect(again.handle.generation).toBe(workers[slot]!.handle.generation + 1n);
      workers.push(again);
    }
    expect(await session.registerDynamicBackgroundWorker(worker('returns'))).toBeNull();
    for (const { handle } of workers) await end(session, handle);
  });

  test('R-45, P-14: a handle is slot and generation: 1 at the first use of a slot, one more at each later one, and anew after a crash cycle', async () => {
    await withPostmaster({ preload: [WORKERS] }, async (own) => {
      const generations = async (session: Session): Promise<unknown[]> => {
        const handles: unknown[] = [];
        for (let times = 0; times < 2; times++) {
          const { handle } = await launch(session, worker('idle'));
          handles.push([handle.slot, Number(handle.generation)]);
          await end(session, handle);
        }
        return handles;
      };
      const session = await own.connect();
      expect(await generations(session)).toEqual([[0, 1], [0, 2]]); // prettier-ignore
      await register(session, worker('procExits', { name: 'crasher', mainArg: 2 }));
      await session.closed;
      expect(await generations(await reopenSession(own))).toEqual([[0, 1], [0, 2]]); // prettier-ignore
    });
  });

  test('R-41 comes before R-43: a bad descriptor is an error even where there is no room', async () => {
    const session = await openSession(pm);
    const handles = await Promise.all(Array.from({ length: SLOTS }, () => register(session, worker('quietlyIdle', { startTime: 9 }))));
    expect(await errorOf(session.registerDynamicBackgroundWorker(worker('returns', { restartTime: -7 })))).toMatchObject({ code: '22023' });
    for (const handle of handles) await end(session, handle);
  });

  test('R-42: no more parallel workers than max_parallel_workers, counted down when one is gone', async () => {
    const session = await openSession(pm);
    const parallel = worker('quietlyIdle', { flags: 0x11 });
    const [first, second] = [await launch(session, parallel), await launch(session, parallel)];
    expect(await session.registerDynamicBackgroundWorker(parallel)).toBeNull();
    const other = await launch(session, worker('quietlyIdle'));
    await end(session, first.handle);
    const third = await launch(session, parallel);
    for (const { handle } of [second, other, third]) await end(session, handle);
  });

  test('R-49: a worker registers workers, is refused, waits for them and ends them', async () => {
    const session = await openSession(pm);
    const handle = await register(session, worker('registers', { name: 'parent', restartTime: 60 }));
    const { data } = await waitForSaid(pm, 'parent', 'registered');
    const bad = ['ErrorData', '22023', 'background worker "bad": invalid restart interval'];
    expect(data).toEqual({ full: null, extra: SLOTS - 2, bad, status: 0, type: 'parent-child', stopped: 2, later: STOPPED });
    expect(await session.waitForBackgroundWorkerShutdown(handle)).toBe(STOPPED.status);
    // Workers outlive who registered them, so somebody else has to end these.
    for (const { pid, name } of await session.activity()) if (name === 'filler') process.kill(pid as number, 'SIGTERM');
    await waitUntil(async () => !(await session.activity()).some(({ kind }) => kind === 'background worker'), { what: 'the fillers to go' });
  });

  test('R-50, R-52: the notify pid may be another’s, and names need not be unique', async () => {
    const [session, other] = [await openSession(pm), await openSession(pm)];
    const twins = [0, 1].map(() => register(session, worker('idle', { name: 'twin', notifyPid: other.backendPid })));
    const handles = await Promise.all(twins);
    await waitForSaid(pm, 'twin', 'ready', 2);
    // 1 where the two starts were one signal: pending ones are merged.
    await waitUntil(async () => Number(await other.call(CALLS, 'signalCount', 'SIGUSR1')) >= 1, { what: 'the other to be notified' });
    expect(await session.call(CALLS, 'signalCount', 'SIGUSR1')).toBe(0);
    for (const handle of handles) await other.terminateBackgroundWorker(handle);
    for (const handle of handles) expect(await other.waitForBackgroundWorkerShutdown(handle)).toBe(STOPPED.status);
  });
});

describe('main as a function', () => {
  test('R-51: an export of a preloaded module is sent by its name', async () => {
    const session = await openSession(pm);
    const { libraryName: _, functionName: __, ...fields } = worker('', { name: 'by-function', notifyPid: 0 });
    expect(await session.call(CALLS, 'registersFunction', 'exported', fields)).toEqual({ slot: 0, generation: expect.any(BigInt) as bigint });
    expect((await waitForSaid(pm, 'by-function', 'exported')).data).toBe('exported');
  });

  test('any other function is refused, with a hint', async () => {
    const session = await openSession(pm);
    const error = await errorOf(session.call(CALLS, 'registersFunction', 'private', { ...worker('', { name: 'private' }), notifyPid: 0 }));
    expect(error).toMatchObject({
      code: '22023',
      message: 'background worker "private": main function is not an export of a preloaded module',
      detail: expect.stringContaining('forked from the postmaster') as string,
      hint: expect.stringContaining('libraryName and functionName') as string,
    });
    expect(said(pm, 'private', 'exported')).toEqual([]);
  });

  test('R-22: a static registration in a backend or in a worker is ignored', async () => {
    const session = await openSession(pm);
    expect(await session.call(CALLS, 'registersStatically', { ...worker('returns', { name: 'too late' }), notifyPid: 0 })).toBeUndefined();
    const handle = await register(session, worker('registersStatically', { name: 'late' }));
    await waitForSaid(pm, 'late', 'ignored');
    expect(await session.waitForBackgroundWorkerShutdown(handle)).toBe(STOPPED.status);
    expect(logLines(pm, 'too late')).toEqual([]);
  });
});
