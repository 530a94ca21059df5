// registerBackgroundWorker, from _PG_init of preloaded modules: order, limits, refusals. Contract 1.4, 1.5.
import { describe, expect, test } from 'vitest';
import { type Postmaster, type PostmasterOptions, fixture, withPostmaster } from '../helpers/index.js';
import { WORKERS, logLines, openSession, said, waitForSaid } from './support.js';

const MODULE = fixture('register-static.mjs');
const FIELDS = { flags: 1, startTime: 2, restartTime: -1, libraryName: WORKERS, functionName: 'entry' };

/** A postmaster whose preloaded module registers these. */
function registering<T>(workers: readonly object[], body: (pm: Postmaster) => Promise<T>, options: PostmasterOptions = {}): Promise<T> {
  const settings = { log_min_messages: 'debug1', ...options.settings };
  const env = { BGW_TEST_REGISTER: JSON.stringify(workers.map((worker) => ({ ...FIELDS, ...worker }))), ...options.env };
  return withPostmaster({ preload: [MODULE], ...options, settings, env }, body);
}

describe('order', () => {
  test('R-20, R-32: the last registered gets slot 0 and is forked first; R-24, R-29: each is logged, and copied', async () => {
    const workers = ['a', 'b', 'c'].map((name) => ({ name, functionName: 'idle' }));
    await registering(workers, async (pm) => {
      for (const { name } of workers) await waitForSaid(pm, name, 'ready');
      expect(logLines(pm, 'registering background worker')).toEqual(['a', 'b', 'c'].map((name) => `DEBUG:  registering background worker "${name}"`));
      const starting = ['c', 'b', 'a'].map((name) => `DEBUG:  starting background worker process "${name}"`);
      expect(logLines(pm, 'starting background worker')).toEqual(starting);
      const session = await openSession(pm);
      const listed = (await session.activity()).filter(({ kind }) => kind === 'background worker');
      expect(listed.map(({ slot, name }) => [slot, name])).toEqual([[0, 'c'], [1, 'b'], [2, 'a']]); // prettier-ignore
    });
  });

  test('S-21: start times do not sort the list', async () => {
    const workers = [0, 2, 1].map((startTime) => ({ name: `at${startTime}`, startTime }));
    await registering(workers, async (pm) => {
      for (const { name } of workers) await waitForSaid(pm, name, 'entry');
      // PostmasterStart ones come in an earlier pass, as PM_STARTUP is passed through.
      const started = ['at0', 'at1', 'at2'].map((name) => `DEBUG:  starting background worker process "${name}"`);
      expect(logLines(pm, 'starting background worker')).toEqual(started);
    });
  });
});

test('R-40: a dynamic registration in the postmaster gives null, and nothing is logged', async () => {
  const worker = { name: 'once', functionName: 'idle' };
  await registering(
    [worker],
    async (pm) => {
      expect(logLines(pm, '@register dynamic')).toEqual(['LOG:  @register dynamic null']);
      expect(logLines(pm, 'registering background worker')).toHaveLength(1);
    },
    { env: { BGW_TEST_REGISTER_DYNAMIC: '1' } },
  );
});

describe('refusals are lines in the log, and the server starts', () => {
  const REFUSED: readonly (readonly [rule: string, fields: object, line: string])[] = [
    ['R-02', { flags: 2 }, 'must attach to shared memory in order to request a database connection'],
    ['R-03', { flags: 3, startTime: 0 }, 'cannot request database access if starting at postmaster start'],
    ['R-05', { restartTime: -2 }, 'invalid restart interval'],
    ['R-05b', { restartTime: 86_400_001 }, 'invalid restart interval'],
    ['R-06', { flags: 0x11, restartTime: 0 }, 'parallel workers may not be configured for restart'],
    ['R-26', { notifyPid: 1 }, 'only dynamic background workers can request notification'],
  ];

  test('R-02 … R-06, R-25, R-26: each with PostgreSQL’s text at LOG; the good one among them runs', async () => {
    await registering([...REFUSED.map(([name, fields]) => ({ name, ...fields })), { name: 'good' }], async (pm) => {
      await waitForSaid(pm, 'good', 'entry');
      const lines = REFUSED.map(([rule, , text]) => `LOG:  background worker "${rule}": ${text}`);
      expect(logLines(pm, 'LOG:  background worker "R-')).toEqual(lines);
      // the line at DEBUG1 comes before the check.
      expect(logLines(pm, 'registering background worker "R-')).toHaveLength(REFUSED.length);
      expect(logLines(pm, 'starting background worker process')).toHaveLength(1);
    });
  });

  test('R-01: with allow_workers_without_shmem off, as release 15', async () => {
    const settings = { allow_workers_without_shmem: 'off' };
    await registering(
      [{ name: 'w', flags: 0 }],
      async (pm) => {
        const text = 'background workers without shared memory access are not supported';
        expect(logLines(pm, text)).toEqual([`LOG:  background worker "w": ${text}`]);
      },
      { settings },
    );
  });

  test('R-27, R-30: more than max_worker_processes; refused ones do not count, surplus ones do not take a place', async () => {
    const workers = [{ name: 'bad', restartTime: -2 }, ...['one', 'two', 'three', 'four'].map((name) => ({ name }))];
    await registering(
      workers,
      async (pm) => {
        for (const name of ['one', 'two']) await waitForSaid(pm, name, 'entry');
        expect(logLines(pm, 'LOG:  too many background workers')).toHaveLength(2);
        const detail = 'DETAIL:  Up to 2 background workers can be registered with the current settings.';
        const hint = 'HINT:  Consider increasing the configuration parameter "max_worker_processes".';
        expect([logLines(pm, 'DETAIL'), logLines(pm, 'HINT')]).toEqual([[detail, detail], [hint, hint]]); // prettier-ignore
        expect([...said(pm, 'three', 'entry'), ...said(pm, 'four', 'entry')]).toEqual([]);
      },
      { settings: { max_worker_processes: 2 } },
    );
  });

  test.each([
    [0, 'Up to 0 background workers can be registered with the current settings.'],
    [1, 'Up to 1 background worker can be registered with the current settings.'],
  ])('R-27: max_worker_processes = %i', async (limit, detail) => {
    const workers = [{ name: 'one' }, { name: 'two' }];
    await registering(
      workers,
      async (pm) => {
        expect(logLines(pm, 'DETAIL')).toEqual(Array.from({ length: 2 - limit }, () => `DETAIL:  ${detail}`));
        if (limit === 1) await waitForSaid(pm, 'one', 'entry');
        const listed = (await (await openSession(pm)).activity()).map(({ name }) => name);
        expect(listed.filter((name) => name === 'two' || (name === 'one' && limit === 0))).toEqual([]);
        expect(said(pm, 'two', 'entry')).toEqual([]);
      },
      { settings: { max_worker_processes: limit, log_min_messages: 'log' } },
    );
  });

  test('a malformed object is a TypeError for the module; one that catches it goes on', async () => {
    const workers = [
      { name: 3 },
      { name: 'w', restart_time: 1 },
      { name: 'w', restartTime: null },
      { name: 'w', main: 'main' },
      { name: 'w', extra: 'e'.repeat(129) },
    ];
    await registering(workers, async (pm) => {
      expect(said(pm, 'register', 'error').map(({ data }) => data)).toEqual([
        'TypeError: background worker field "name" must be a string, not number',
        'TypeError: unrecognized background worker field "restart_time"; did you mean "restartTime"?',
        'TypeError: background worker field "restartTime" must be an integer, not undefined',
        'TypeError: background worker field "main" must be a function, not string',
        'RangeError: background worker field "extra" must be at most 128 bytes, not 129',
      ]);
    });
  });

  test('one that does not catch it keeps the server from starting', async () => {
    const env = { BGW_TEST_REGISTER_THROWS: '1' };
    const options = { env, until: 'nothing' } as const;
    await registering(
      [{ name: 'w', flags: 'many' }],
      async (pm) => {
        expect(await pm.exited).toBe(1);
        expect(logLines(pm, 'FATAL')).toEqual(['FATAL:  background worker field "flags" must be an integer, not string']);
      },
      options,
    );
  });
});

describe('what is accepted', () => {
  test('main as a closure, and as library and function; the type is filled in the caller’s object (R-07)', async () => {
    const closure = { name: 'closure', main: 'closure', libraryName: undefined, functionName: undefined, mainArg: 5 };
    await registering([closure, { name: 'library', type: 'a type', mainArg: 6 }], async (pm) => {
      expect((await waitForSaid(pm, 'closure', 'closure')).data).toEqual(['the closure of closure', '5n', '']);
      expect((await waitForSaid(pm, 'library', 'entry')).data).toMatchObject({ argument: '6n', notifyPid: 0, type: 'a type' });
      expect(said(pm, 'register', 'type').map(({ data }) => data)).toEqual(['closure', 'a type']);
    });
  });

  test('main wins over libraryName and functionName, as in release 9.6', async () => {
    await registering([{ name: 'both', main: 'closure', libraryName: '/no/such/library' }], async (pm) => {
      await waitForSaid(pm, 'both', 'closure');
    });
  });

  test('S-10: names of static workers are not made ASCII, and are cut by bytes between characters', async () => {
    const name = `umlaut|${'ä'.repeat(60)}`;
    await registering([{ name, type: 'тип' }], async (pm) => {
      // 7 bytes and 44 times two: 95.
      expect((await waitForSaid(pm, 'umlaut', 'entry')).data).toMatchObject({ name: `umlaut|${'ä'.repeat(44)}`, type: 'тип' });
    });
  });

  test('R-10: an unknown start time is accepted, and never comes', async () => {
    await registering([{ name: 'never', startTime: 3 }, { name: 'soon' }], async (pm) => {
      await waitForSaid(pm, 'soon', 'entry');
      const session = await openSession(pm);
      expect((await session.activity()).find(({ name }) => name === 'never')).toMatchObject({ pid: null, state: 'waiting to start', slot: 1 });
    });
  });
});
