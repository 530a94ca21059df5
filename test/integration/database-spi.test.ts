// Transactions and SPI on a real server.
import { describe, expect, test } from 'vitest';
import { WARNING } from '../../src/elog/error-data.js';
import { waitUntil } from '../helpers/wait-until.js';
import { failing, sharedServer, spi, transaction } from './spi-support.js';

const shared = sharedServer();

describe('SPI', () => {
  test('rows, types and parameters', async () => {
    const result = await transaction(() =>
      spi.spiExecute('SELECT count(*) AS n, $1::text AS t, $2::bytea AS b FROM generate_series(1, 3)', { values: ['x', Buffer.from([1])] }),
    );
    expect(result).toEqual({
      code: spi.SPI_OK_SELECT,
      processed: 1,
      rows: [{ n: 3n, t: 'x', b: Buffer.from([1]) }],
      fields: [
        { name: 'n', typeOid: 20 },
        { name: 't', typeOid: 25 },
        { name: 'b', typeOid: 17 },
      ],
    });
  });

  test('SPI_fnumber: of several columns with one name the first counts', async () => {
    const { rows, fields } = await transaction(() => spi.spiExecute('SELECT 1, 2 AS a, 3, 4 AS a, 5 AS "__proto__"'));
    expect(fields.map(({ name }) => name)).toEqual(['?column?', 'a', '?column?', 'a', '__proto__']);
    expect(Object.entries(rows[0] ?? {})).toEqual([['?column?', 1], ['a', 2], ['__proto__', 5]]); // prettier-ignore
  });

  test('result codes are C’s', async () => {
    const seen: [number, number][] = [];
    const statements = [
      'CREATE TEMP TABLE t (a int)',
      'INSERT INTO t SELECT generate_series(1, 5)',
      'INSERT INTO t VALUES (6) RETURNING a',
      'UPDATE t SET a = a + 1',
      'UPDATE t SET a = a RETURNING a',
      'WITH x AS (SELECT 1) DELETE FROM t WHERE a > 3',
      'DELETE FROM t WHERE a = 3 RETURNING *',
      'SELECT a INTO TEMP u FROM t',
      'CREATE TEMP TABLE v AS SELECT a FROM t',
      'SELECT a FROM t',
      'SHOW work_mem',
      '',
    ];
    await transaction(async () => {
      for (const statement of statements) {
        const { code, processed } = await spi.spiExecute(statement);
        seen.push([code, processed]);
      }
    });
    expect(seen).toEqual([
      [spi.SPI_OK_UTILITY, 0],
      [spi.SPI_OK_INSERT, 5],
      [spi.SPI_OK_INSERT_RETURNING, 1],
      [spi.SPI_OK_UPDATE, 6],
      [spi.SPI_OK_UPDATE_RETURNING, 6],
      [spi.SPI_OK_DELETE, 4],
      [spi.SPI_OK_DELETE_RETURNING, 1],
      [spi.SPI_OK_SELINTO, 1],
      [spi.SPI_OK_UTILITY, 1],
      [spi.SPI_OK_SELECT, 1],
      [spi.SPI_OK_UTILITY, 1],
      [0, 0],
    ]);
  });

  test('count limits the rows, and the connection is fit for more', async () => {
    await transaction(async () => {
      const limited = await spi.spiExecute('SELECT generate_series(1, 1000000) AS n', { count: 2 });
      expect([limited.code, limited.processed, limited.rows]).toEqual([spi.SPI_OK_SELECT, 2, [{ n: 1 }, { n: 2 }]]);
      expect((await spi.spiExecute('SELECT 1', { count: -1 })).code).toBe(spi.SPI_ERROR_ARGUMENT);
      expect((await spi.spiExecute('SELECT 1 AS one', { count: 5 })).rows).toEqual([{ one: 1 }]);
    });
  });

  test('several statements: the result of the last; positions count from the beginning', async () => {
    expect((await transaction(() => spi.spiExecute('CREATE TEMP TABLE m (a int); INSERT INTO m VALUES (1), (2)'))).processed).toBe(2);
    const command = 'SELECT 1; SELECT nope';
    expect(await failing(() => spi.spiExecute(command))).toMatchObject({
      code: '42703',
      message: 'column "nope" does not exist',
      internalpos: 18,
      internalquery: command,
    });
  });

  test('an SQL error has the server’s fields and leaves the transaction failed', async () => {
    expect(await failing(() => spi.spiExecute('SELECT 1/0'))).toMatchObject({
      name: 'ErrorData',
      severity: 'ERROR',
      code: '22012',
      message: 'division by zero',
      context: 'SQL statement "SELECT 1/0"',
    });
    const error = await failing(async () => {
      await spi.spiExecute('SELECT nope').catch(() => undefined);
      await expect(spi.commitTransactionCommand()).rejects.toMatchObject({ code: '25P02' });
      await spi.spiExecute('SELECT 1');
    });
    expect(error).toMatchObject({ code: '25P02', message: 'current transaction is aborted, commands ignored until end of transaction block' });
    expect((await transaction(() => spi.spiExecute('SELECT 1 AS one'))).rows).toEqual([{ one: 1 }]);
  });

  test('an error at commit', async () => {
    await shared.server.sql('CREATE TABLE parent (a int PRIMARY KEY)');
    await shared.server.sql('CREATE TABLE child (a int REFERENCES parent DEFERRABLE INITIALLY DEFERRED)');
    await expect(transaction(() => spi.spiExecute('INSERT INTO child VALUES (1)'))).rejects.toMatchObject({
      code: '23503',
      detail: expect.stringContaining('is not present') as string,
    });
    expect(spi.isTransactionState()).toBe(false);
    await transaction(() => spi.spiExecute('SELECT 1'));
  });

  test('what was aborted is not there, what was committed is', async () => {
    await shared.server.sql('CREATE TABLE kept (a int)');
    await failing(() => spi.spiExecute('INSERT INTO kept VALUES (1); SELECT 1/0'));
    await transaction(() => spi.spiExecute('INSERT INTO kept VALUES (2)'));
    expect(await shared.server.sql('SELECT a FROM kept')).toEqual([[2]]);
  });

  test('transaction control and COPY are refused by their codes, and nothing happens', async () => {
    await transaction(async () => {
      for (const command of ['COMMIT', 'rollback', 'SAVEPOINT a', 'BEGIN'])
        expect((await spi.spiExecute(command)).code).toBe(spi.SPI_ERROR_TRANSACTION);
      expect((await spi.spiExecute('COPY (SELECT 1) TO STDOUT')).code).toBe(spi.SPI_ERROR_COPY);
      expect(spi.isTransactionState()).toBe(true);
    });
  });

  test('read-only refuses what is not a plain query', async () => {
    const readOnly = (command: string): Promise<unknown> => spi.spiExecute(command, { readOnly: true });
    await transaction(() => readOnly('SELECT 1'));
    expect(await failing(() => readOnly('CREATE TABLE no (a int)'))).toMatchObject({
      code: '0A000',
      message: 'CREATE TABLE is not allowed in a non-volatile function',
    });
  });

  test('out of order: errors, not crashes', async () => {
    await expect(spi.spiExecute('SELECT 1')).rejects.toMatchObject({ code: '25P01', message: 'there is no transaction in progress' });
    expect(() => spi.spiConnect()).toThrow('there is no transaction in progress');
    expect(spi.spiFinish()).toBe(spi.SPI_ERROR_UNCONNECTED);
    await spi.startTransactionCommand();
    expect((await spi.spiExecute('SELECT 1')).code).toBe(spi.SPI_ERROR_UNCONNECTED);
    await expect(spi.startTransactionCommand()).rejects.toMatchObject({ message: 'StartTransactionCommand: unexpected state STARTED' });
    await spi.abortCurrentTransaction();
    await spi.abortCurrentTransaction();
    await expect(spi.commitTransactionCommand()).rejects.toMatchObject({ message: 'CommitTransactionCommand: unexpected state DEFAULT' });
    expect(shared.owner.fatals).toHaveLength(1);
    spi.setDatabaseConnection(null);
    await expect(spi.startTransactionCommand()).rejects.toMatchObject({ code: '55000', message: 'background worker is not connected to a database' });
  });

  test('two commands at once: an error, and the first is not disturbed', async () => {
    await spi.startTransactionCommand();
    spi.spiConnect();
    const first = spi.spiExecute('SELECT 1 AS one');
    await expect(spi.spiExecute('SELECT 2')).rejects.toMatchObject({ message: 'another command is already in progress' });
    expect((await first).rows).toEqual([{ one: 1 }]);
    await spi.abortCurrentTransaction();
  });

  test('a parameter that is none leaves the connection usable', async () => {
    expect(await failing(() => spi.spiExecute('SELECT $1', { values: [Symbol('s')] }))).toBeInstanceOf(TypeError);
    await transaction(() => spi.spiExecute('SELECT 1'));
  });

  test('a commit with SPI still connected is warned about; notices are reported', async () => {
    await spi.startTransactionCommand();
    spi.spiConnect();
    await spi.spiExecute(`DO $$ BEGIN RAISE WARNING 'careful'; END $$`);
    await spi.commitTransactionCommand();
    expect(shared.owner.reports).toEqual([
      [WARNING, 'careful'],
      [WARNING, 'transaction left non-empty SPI stack'],
    ]);
  });

  test.each([
    ['while idle', false],
    ['in the middle of a query', true],
  ])('pg_terminate_backend %s ends the worker with its own line', async (_when, busy) => {
    await spi.startTransactionCommand();
    spi.spiConnect();
    const { rows } = await spi.spiExecute<{ pid: number }>('SELECT pg_backend_pid() AS pid');
    const query = busy ? spi.spiExecute('SELECT pg_sleep(60)').catch((err: unknown) => err) : Promise.resolve({ severity: 'FATAL' });
    await shared.server.sql(`SELECT pg_terminate_backend(${rows[0]!.pid})`);
    await waitUntil(() => shared.owner.fatals.length > 0, { what: 'the FATAL report' });
    expect(shared.owner.fatals).toMatchObject([
      { code: '57P01', message: 'terminating background worker "test worker" due to administrator command' },
    ]);
    expect(await query).toMatchObject({ severity: 'FATAL' });
  });

  test('pg_cancel_backend: an ERROR like any other', async () => {
    await spi.startTransactionCommand();
    spi.spiConnect();
    const { rows } = await spi.spiExecute<{ pid: number }>('SELECT pg_backend_pid() AS pid');
    const query = spi.spiExecute('SELECT pg_sleep(60)').catch((err: unknown) => err);
    await waitUntil(
      async () =>
        (await shared.server.sql(`SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE pid = ${rows[0]!.pid} AND wait_event = 'PgSleep'`))
          .length > 0,
      { what: 'the query to run' },
    );
    expect(await query).toMatchObject({ severity: 'ERROR', code: '57014', message: 'canceling statement due to user request' });
    expect(shared.owner.fatals).toEqual([]);
    await spi.abortCurrentTransaction();
  });

  test('no database: shared catalogs can be read, SQL cannot be run', async () => {
    const nowhere = await shared.owner.open(shared.server.cluster.conninfo, null);
    expect(nowhere.databaseOid).toBe(0);
    spi.setDatabaseConnection(nowhere);
    await spi.startTransactionCommand();
    spi.spiConnect();
    expect((await spi.tableBeginscanCatalog<{ datname: string }>('pg_database')).map((row) => row.datname)).toContain('template0');
    await expect(spi.tableBeginscanCatalog('pg_class')).rejects.toThrow('"pg_class" is not a shared catalog');
    await expect(spi.spiExecute('SELECT count(*)>0 FROM pg_database')).rejects.toMatchObject({ severity: 'FATAL' });
    expect(shared.owner.fatals).toMatchObject([
      { code: 'XX000', message: 'cannot read pg_class without having selected a database at character 24' },
    ]);
    await nowhere.close();
  });
});
