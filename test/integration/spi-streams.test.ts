// Cursors, and COPY in and out, on a real server.
import { Readable, Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { describe, expect, test } from 'vitest';
import type { Portal } from '../../src/database/spi-cursor.js';
import { waitUntil } from '../helpers/wait-until.js';
import { errorOf, failing, rows, sharedServer, spi, transaction } from './spi-support.js';

const shared = sharedServer();
const series = (to: number): string => `SELECT i FROM generate_series(1, ${to}) AS i`;
const numbers = (result: { rows: unknown[] }): unknown[] => result.rows.map((row) => Object.values(row as object)[0]);

describe('cursors', () => {
  const fetch = async (portal: Portal, forward: boolean, count: number | bigint): Promise<unknown[]> =>
    numbers(await spi.spiCursorFetch(portal, forward, count));

  test('forward, backward, a move, all that is left', async () => {
    await transaction(async () => {
      const portal = await spi.spiCursorOpenWithArgs('c "1"', series(10), { cursorOptions: spi.CURSOR_OPT_SCROLL });
      expect(await fetch(portal, true, 3)).toEqual([1, 2, 3]);
      expect(await fetch(portal, false, 2)).toEqual([2, 1]);
      expect(await spi.spiCursorMove(portal, true, 4)).toBe(4);
      expect(await fetch(portal, true, 0)).toEqual([5]);
      expect(await fetch(portal, true, spi.FETCH_ALL)).toEqual([6, 7, 8, 9, 10]);
      expect(await fetch(portal, true, 1)).toEqual([]);
      expect(numbers(await spi.spiScrollCursorFetch(portal, spi.FETCH_ABSOLUTE, -2))).toEqual([9]);
      expect(numbers(await spi.spiScrollCursorFetch(portal, spi.FETCH_RELATIVE, -3))).toEqual([6]);
      expect(await spi.spiScrollCursorMove(portal, spi.FETCH_BACKWARD, spi.FETCH_ALL)).toBe(5);
      expect(await spi.spiScrollCursorFetch(portal, spi.FETCH_FORWARD, 1)).toMatchObject({
        code: spi.SPI_OK_FETCH,
        processed: 1,
        fields: [{ typeOid: 23 }],
      });
      await spi.spiCursorClose(portal);
      expect(await spi.spiCursorFind('c "1"')).toBeNull();
    });
  });

  test('one that goes forward only says so', async () => {
    const error = await failing(async () => {
      const portal = await spi.spiCursorOpenWithArgs(null, series(3), { cursorOptions: spi.CURSOR_OPT_NO_SCROLL });
      await fetch(portal, true, 2);
      await fetch(portal, false, 1);
    });
    expect(error).toMatchObject({
      code: '55000',
      message: 'cursor can only scan forward',
      hint: 'Declare it with SCROLL option to enable backward scan.',
    });
  });

  test('with a plan, in every transaction anew; RETURNING, SHOW and a WITH that modifies as well', async () => {
    await shared.server.sql('CREATE TABLE fetched (a int)');
    const plan = await transaction(async () => {
      const prepared = await spi.spiPrepare<{ i: number }>('SELECT i FROM generate_series(1, $1) AS i');
      spi.spiKeepplan(prepared);
      return prepared;
    });
    for (const to of [2, 3]) {
      await transaction(async () => expect(await fetch(await spi.spiCursorOpen(null, plan, [to]), true, spi.FETCH_ALL)).toHaveLength(to));
    }
    await transaction(async () => {
      const returning = await spi.spiPrepare('INSERT INTO fetched SELECT generate_series(1, $1) RETURNING a', [spi.INT4OID]);
      expect(await fetch(await spi.spiCursorOpen('r', returning, [3]), true, 2)).toEqual([1, 2]);
      expect(await fetch(await spi.spiCursorOpenWithArgs('s', 'SHOW server_encoding'), true, 2)).toEqual(['UTF8']);
      const modifying = 'WITH gone AS (DELETE FROM fetched WHERE a > $1 RETURNING a) SELECT a FROM gone';
      expect(await fetch(await spi.spiCursorOpenWithArgs('m', modifying, { values: [2] }), true, 2)).toEqual([3]);
    });
    expect(await shared.server.sql('SELECT a FROM fetched')).toEqual([[1], [2]]);
  });

  test('a for-await loop reads it in pieces and closes it, also where it is left early', async () => {
    await transaction(async () => {
      let sum = 0;
      for await (const { i } of await spi.spiCursorOpenWithArgs<{ i: number }>('all', series(1000))) sum += i;
      expect(sum).toBe(500_500);
      for await (const { i } of await spi.spiCursorOpenWithArgs<{ i: number }>('some', series(1000))) if (i === 3) break;
      expect(await rows("SELECT name FROM pg_cursors WHERE name <> ''")).toEqual([]);
    });
    // An error of the server's in the loop, and one of the loop's own.
    const inServer = async (): Promise<void> => {
      for await (const _row of await spi.spiCursorOpenWithArgs('e', 'SELECT 1 / (i - 2) FROM generate_series(1, 3) i'));
    };
    expect(await failing(inServer)).toMatchObject({ code: '22012', message: 'division by zero' });
    await transaction(async () => {
      const ours = async (): Promise<void> => {
        for await (const _row of await spi.spiCursorOpenWithArgs('o', series(3))) throw new Error('ours');
      };
      expect(await errorOf(ours())).toMatchObject({ message: 'ours' });
      expect(await spi.spiCursorFind('o')).toBeNull();
    });
  });

  test('its pieces grow while rows are small and quick; large ones come in small pieces, and slow ones in no larger ones', async () => {
    /** How many rows each round trip asked for, as the server has logged it. */
    const pieces = async (command: string, name: string): Promise<number[]> => {
      await transaction(async () => {
        await spi.spiExecute(`SET LOCAL log_statement = 'all'`);
        for await (const _row of await spi.spiCursorOpenWithArgs(name, command));
      });
      return [...shared.server.serverLog().matchAll(new RegExp(`FETCH FORWARD (\\d+) FROM "${name}"`, 'g'))].map((match) => Number(match[1]));
    };
    const small = await pieces(series(3000), 'small');
    expect(small[0]).toBe(64);
    for (const [i, count] of small.entries()) expect(count).toBeLessThanOrEqual(64 * 4 ** i);
    // 10 kB each: 26 of them are 256 kB.
    expect(Math.max(...(await pieces(`SELECT repeat('x', 10000) FROM generate_series(1, 200)`, 'large')).slice(1))).toBeLessThanOrEqual(26);
    expect(await pieces('SELECT pg_sleep(0.005) FROM generate_series(1, 70)', 'slow')).toEqual([64, 64]);
  });

  test('refcursors are found; cursors end with their subtransaction and transaction', async () => {
    await transaction(async () => {
      await spi.spiExecute(
        `CREATE FUNCTION pg_temp.opens() RETURNS refcursor LANGUAGE plpgsql AS $$ DECLARE c refcursor := 'ref'; BEGIN OPEN c FOR SELECT 42; RETURN c; END $$`,
      );
      await spi.spiExecute('SELECT pg_temp.opens()');
      expect(await fetch((await spi.spiCursorFind('ref'))!, true, 1)).toEqual([42]);
      await spi.beginInternalSubTransaction(null);
      const inner = await spi.spiCursorOpenWithArgs('inner', series(3));
      await spi.rollbackAndReleaseCurrentSubTransaction();
      await spi.beginInternalSubTransaction(null);
      expect(await errorOf(fetch(inner, true, 1))).toMatchObject({ code: '34000', message: 'cursor "inner" does not exist' });
      await spi.rollbackAndReleaseCurrentSubTransaction();
    });
  });

  test.each([
    ['42P11', 'cannot open INSERT query as cursor', 'INSERT INTO pg_temp.t VALUES (1)'],
    ['42P11', 'cannot open SELECT INTO query as cursor', 'SELECT 1 AS a INTO TEMP t2'],
    ['42P11', 'cannot open multi-query plan as cursor', 'SELECT 1; SELECT 2'],
    ['42703', 'column "nope" does not exist', 'SELECT nope'],
  ])('%s %s', async (code, message, command) => {
    const error = await failing(async () => {
      await spi.spiExecute('CREATE TEMP TABLE t (a int)');
      await spi.spiCursorOpenWithArgs(null, command);
    });
    expect(error).toMatchObject({ code, message });
    if (code === '42703') expect(error).toMatchObject({ internalpos: 8, internalquery: command });
  });

  test('read-only, a name that is taken, not being connected', async () => {
    const locking = (): Promise<unknown> => spi.spiCursorOpenWithArgs(null, 'SELECT 1 FROM pg_class FOR UPDATE', { readOnly: true });
    expect(await failing(locking)).toMatchObject({ message: 'SELECT FOR UPDATE is not allowed in a non-volatile function' });
    const twice = async (): Promise<void> => {
      for (const _ of [1, 2]) await spi.spiCursorOpenWithArgs('twice', series(1));
    };
    expect(await failing(twice)).toMatchObject({ code: '42P03', message: 'cursor "twice" already exists' });
    await spi.startTransactionCommand();
    await expect(spi.spiCursorOpenWithArgs(null, series(1))).rejects.toThrow('SPI_cursor_open called while not connected');
    await spi.abortCurrentTransaction();
  });
});

describe('COPY', () => {
  const text = async (stream: Readable): Promise<string> => Buffer.concat(await stream.toArray()).toString();

  test('out: the bytes of every row, and the connection is fit for more', async () => {
    await transaction(async () => {
      const stream = await spi.spiCopyTo(`COPY (${series(100_000)}) TO STDOUT`);
      await expect(spi.spiExecute('SELECT 1')).rejects.toMatchObject({ code: '55006' });
      expect(await text(stream)).toBe(Array.from({ length: 100_000 }, (_, i) => `${i + 1}\n`).join(''));
    }).catch((err: unknown) => err);
    await spi.abortCurrentTransaction();
    await transaction(async () => expect(await text(await spi.spiCopyTo('COPY (SELECT 1) TO STDOUT'))).toBe('1\n'));
  });

  test('in: strings and bytes of any source, in any pieces; how many rows', async () => {
    await shared.server.sql('CREATE TABLE copied (a int, b text)');
    await transaction(async () => {
      const source = ['1\tone\n2\t', Buffer.from('zwö'), 'lf\n'];
      expect(await spi.spiCopyFrom('COPY copied FROM STDIN', source)).toMatchObject({ code: spi.SPI_OK_UTILITY, processed: 2 });
      expect((await spi.spiCopyFrom('COPY copied FROM STDIN', [])).processed).toBe(0);
    });
    expect(await shared.server.sql('SELECT * FROM copied ORDER BY a')).toEqual([
      [1, 'one'],
      [2, 'zwölf'],
    ]);
  });

  test('a source and a sink that are slower or faster than the server: everything arrives, in order', async () => {
    await shared.server.sql('CREATE TABLE much (a int, b text)');
    const lines = function* (): Generator<string> {
      for (let i = 0; i < 60_000; i++) yield `${i}\t${'x'.repeat(100)}\n`;
    };
    await transaction(async () => {
      expect((await spi.spiCopyFrom('COPY much FROM STDIN', Readable.from(lines()))).processed).toBe(60_000);
      let bytes = 0;
      const slow = new Writable({ highWaterMark: 1, write: (chunk: Buffer, _encoding, done) => ((bytes += chunk.length), setImmediate(done)) });
      await pipeline(await spi.spiCopyTo('COPY much TO STDOUT'), slow);
      const all = await rows('SELECT sum(length(a::text) + length(b) + 2)::int AS n FROM much');
      expect(bytes).toBe(all[0]!['n']);
    });
  });

  test('errors: of the command, of the data, of the source', async () => {
    await shared.server.sql('CREATE TABLE strict (a int)');
    expect(await failing(() => spi.spiCopyTo('COPY nowhere TO STDOUT'))).toMatchObject({ code: '42P01' });
    expect(await failing(() => spi.spiCopyFrom('COPY strict FROM STDIN', ['1\nx\n']))).toMatchObject({
      code: '22P02',
      context: expect.stringContaining('COPY strict, line 2, column a: "x"') as string,
    });
    const endless = function* (): Generator<string> {
      yield 'x\n';
      for (;;) yield '1\n'.repeat(50_000);
    };
    expect(await failing(() => spi.spiCopyFrom('COPY strict FROM STDIN', endless()))).toMatchObject({ code: '22P02' });
    const broken = function* (): Generator<string> {
      yield '1\n';
      throw new Error('disk on fire');
    };
    expect(await failing(() => spi.spiCopyFrom('COPY strict FROM STDIN', broken()))).toMatchObject({
      code: '57014',
      message: 'COPY from stdin failed: disk on fire',
      cause: { message: 'disk on fire' },
    });
    expect(await shared.server.sql('SELECT * FROM strict')).toEqual([]);
  });

  test('a signal cancels both ways, and a stream that is destroyed its COPY', async () => {
    await shared.server.sql('CREATE TABLE aborted (a int)');
    const inward = new AbortController();
    const never = async function* (): AsyncGenerator<string> {
      yield '1\n';
      await new Promise(() => undefined);
    };
    const copying = failing(() => spi.spiCopyFrom('COPY aborted FROM STDIN', never(), { signal: inward.signal }));
    await waitUntil(async () => (await shared.server.sql(`SELECT 1 FROM pg_stat_progress_copy WHERE command = 'COPY FROM'`)).length > 0, {
      what: 'the COPY',
    });
    inward.abort();
    expect(await copying).toMatchObject({ code: '57014' });

    const outward = new AbortController();
    const error = failing(async () => {
      const stream = await spi.spiCopyTo(`COPY (SELECT generate_series(1, 100000000)) TO STDOUT`, { signal: outward.signal });
      stream.once('data', () => outward.abort('enough'));
      for await (const _chunk of stream);
    });
    expect(await error).toMatchObject({ code: '57014', cause: 'enough' });

    await spi.startTransactionCommand();
    spi.spiConnect();
    for await (const _chunk of await spi.spiCopyTo(`COPY (SELECT generate_series(1, 100000000)) TO STDOUT`)) break;
    // What comes next waits until the COPY has been cancelled.
    await expect(spi.spiExecute('SELECT 1')).rejects.toMatchObject({ code: '25P02' });
    await spi.abortCurrentTransaction();
    await transaction(() => spi.spiExecute('SELECT 1'));
  });

  test('another command is refused before anything is sent', async () => {
    await transaction(async () => {
      await expect(spi.spiCopyTo('SELECT 1')).rejects.toMatchObject({
        code: '42809',
        message: 'the command of spiCopyTo must be one COPY … TO STDOUT',
      });
      await expect(spi.spiCopyFrom('COPY t TO STDOUT', [])).rejects.toMatchObject({ code: '42809' });
    });
  });
});
