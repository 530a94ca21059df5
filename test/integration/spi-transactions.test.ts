// Subtransactions, typed parameters, prepared plans, and giving up by a signal, on a real server.
import { describe, expect, test } from 'vitest';
import { WARNING } from '../../src/elog/error-data.js';
import { waitUntil } from '../helpers/wait-until.js';
import { errorOf, failing, rows, sharedServer, spi, transaction } from './spi-support.js';

const shared = sharedServer();

describe('a transaction', () => {
  const states = (): Promise<unknown[][]> => shared.server.sql(`SELECT state FROM pg_stat_activity WHERE application_name = 'test worker'`);

  test('begins with its first command, in the same round trip; one without commands sends nothing', async () => {
    await spi.startTransactionCommand();
    expect(shared.connection.transactionStatus).toBe('I');
    await spi.commitTransactionCommand();
    await spi.startTransactionCommand();
    await spi.abortCurrentTransaction();
    const xids = await transaction(async () => {
      const first = await rows('SELECT pg_current_xact_id()::text AS xid, now()::text AS now');
      expect(shared.connection.transactionStatus).toBe('T');
      return [first, await rows('SELECT pg_current_xact_id()::text AS xid, now()::text AS now')];
    });
    expect(xids[0]).toEqual(xids[1]);
    expect([shared.connection.transactionStatus, shared.owner.reports]).toEqual(['I', []]);
    expect(await states()).toEqual([['idle']]);
  });

  test('whose first command fails has begun, and has failed; the next one has nothing of it', async () => {
    expect(await failing(() => spi.spiExecute('SELECT 1/0'))).toMatchObject({ code: '22012' });
    expect(await failing(() => spi.beginInternalSubTransaction('x'.repeat(3)).then(() => spi.spiExecute('nonsense')))).toMatchObject({
      code: '42601',
    });
    expect(await transaction(() => rows('SELECT 1 AS one'))).toEqual([{ one: 1 }]);
    expect(shared.owner.reports).toEqual([]);
  });

  test('whose beginning was cancelled is over for the server: aborting it says nothing there', async () => {
    await spi.startTransactionCommand();
    spi.spiConnect();
    const gone = new AbortController();
    const command = spi.spiExecute('SELECT pg_sleep(60)', { signal: gone.signal });
    gone.abort();
    expect(await errorOf(command)).toMatchObject({ code: '57014' });
    await spi.abortCurrentTransaction();
    expect([shared.connection.transactionStatus, shared.owner.reports]).toEqual(['I', []]);
  });

  test('a command that nobody awaited is not passed over by an abort', async () => {
    await spi.startTransactionCommand();
    spi.spiConnect();
    const command = spi.spiExecute('SELECT pg_sleep(0.05)');
    expect(await errorOf(spi.abortCurrentTransaction())).toMatchObject({ code: '55006' });
    await command;
    expect(shared.connection.transactionStatus).toBe('T');
    await spi.abortCurrentTransaction();
    expect(shared.connection.transactionStatus).toBe('I');
  });
});

describe('subtransactions', () => {
  test('one that is rolled back takes its work and its error with it; the transaction goes on', async () => {
    await shared.server.sql('CREATE TABLE subs (a int PRIMARY KEY)');
    await transaction(async () => {
      await spi.spiExecute('INSERT INTO subs VALUES (1)');
      await spi.beginInternalSubTransaction(null);
      expect(spi.getCurrentTransactionNestLevel()).toBe(2);
      await spi.spiExecute('INSERT INTO subs VALUES (2)');
      expect(await errorOf(spi.spiExecute('INSERT INTO subs VALUES (1)'))).toMatchObject({ code: '23505' });
      expect([spi.isTransactionState(), await errorOf(spi.spiExecute('SELECT 1'))]).toMatchObject([false, { code: '25P02' }]);
      expect(await errorOf(spi.releaseCurrentSubTransaction())).toMatchObject({ code: '25P02' });
      await spi.rollbackAndReleaseCurrentSubTransaction();
      expect([spi.isTransactionState(), spi.getCurrentTransactionNestLevel()]).toEqual([true, 1]);
      await spi.spiExecute('INSERT INTO subs VALUES (3)');
    });
    expect(await shared.server.sql('SELECT a FROM subs ORDER BY a')).toEqual([[1], [3]]);
  });

  test('they nest, also under one name; what is released belongs to the one around it', async () => {
    await shared.server.sql('CREATE TABLE nested (a int)');
    await transaction(async () => {
      await spi.beginInternalSubTransaction('s "1"');
      await spi.spiExecute('INSERT INTO nested VALUES (1)');
      await spi.beginInternalSubTransaction('s "1"');
      await spi.spiExecute('INSERT INTO nested VALUES (2)');
      await spi.releaseCurrentSubTransaction();
      await spi.rollbackAndReleaseCurrentSubTransaction();
      await spi.spiExecute('INSERT INTO nested VALUES (3)');
    });
    expect(await shared.server.sql('SELECT a FROM nested')).toEqual([[3]]);
  });

  test('an error of ours, of which the server knows nothing, fails the innermost one alone', async () => {
    await transaction(async () => {
      await spi.beginInternalSubTransaction(null);
      expect(await errorOf(spi.spiExecute('SELECT $1', { values: [Symbol('s')] }))).toBeInstanceOf(TypeError);
      expect(spi.isAbortedTransactionBlockState()).toBe(true);
      await spi.rollbackAndReleaseCurrentSubTransaction();
      expect(await rows('SELECT 1 AS one')).toEqual([{ one: 1 }]);
    });
  });

  test('spiConnect of a subtransaction ends with it: silently after an error, with a WARNING after a release', async () => {
    await spi.startTransactionCommand();
    spi.spiConnect();
    for (const end of [spi.rollbackAndReleaseCurrentSubTransaction, spi.releaseCurrentSubTransaction]) {
      await spi.beginInternalSubTransaction(null);
      spi.spiConnect();
      await end();
    }
    expect([spi.spiFinish(), spi.spiFinish()]).toEqual([spi.SPI_OK_FINISH, spi.SPI_ERROR_UNCONNECTED]);
    await spi.commitTransactionCommand();
    expect(shared.owner.reports).toEqual([[WARNING, 'subtransaction left non-empty SPI stack']]);
  });

  test('out of order: PostgreSQL’s words', async () => {
    await expect(spi.beginInternalSubTransaction(null)).rejects.toMatchObject({ code: '25P01' });
    await expect(spi.releaseCurrentSubTransaction()).rejects.toMatchObject({ message: 'ReleaseCurrentSubTransaction: unexpected state DEFAULT' });
    await spi.startTransactionCommand();
    await expect(spi.rollbackAndReleaseCurrentSubTransaction()).rejects.toMatchObject({
      message: 'RollbackAndReleaseCurrentSubTransaction: unexpected state STARTED',
    });
    expect(shared.owner.fatals).toHaveLength(1);
    await spi.beginInternalSubTransaction(null);
    await expect(spi.commitTransactionCommand()).rejects.toMatchObject({ message: 'CommitTransactionCommand: unexpected state SUBINPROGRESS' });
    await spi.abortCurrentTransaction();
    expect(spi.getCurrentTransactionNestLevel()).toBe(0);
    await transaction(() => spi.spiExecute('SELECT 1'));
  });
});

describe('typed parameters', () => {
  test('the types are the ones that were given', async () => {
    const given = { values: ['1', '{1,2}', null], argTypes: [spi.INT2OID, spi.INT4ARRAYOID, spi.DATEOID] };
    const types = await transaction(() =>
      spi.spiExecute('SELECT pg_typeof($1)::text AS a, pg_typeof($2)::text AS b, pg_typeof($3)::text AS c', given),
    );
    expect(types.rows).toEqual([{ a: 'smallint', b: 'integer[]', c: 'date' }]);
  });

  test('with types, several statements have the same parameters', async () => {
    const command = 'CREATE TEMP TABLE typed AS SELECT $1 AS a; SELECT $1 + a AS sum FROM typed';
    expect((await transaction(() => spi.spiExecute(command, { values: [2], argTypes: [spi.INT4OID] }))).rows).toEqual([{ sum: 4 }]);
    expect(await failing(() => spi.spiExecute('SELECT $1::int; SELECT $1::int', { values: [1] }))).toMatchObject({ code: '42601' });
  });

  test('types without their values: SPI_ERROR_PARAM', async () => {
    expect((await transaction(() => spi.spiExecute('SELECT $1', { values: [1], argTypes: [23, 23] }))).code).toBe(spi.SPI_ERROR_PARAM);
    await transaction(() => expect(spi.spiExecute('SELECT $1', { values: [1], argTypes: [-1] })).rejects.toBeInstanceOf(TypeError));
  });
});

describe('prepared plans', () => {
  const count = async (): Promise<unknown> => (await rows('SELECT count(*) AS n FROM pg_prepared_statements'))[0]?.['n'];

  test('prepared once, run in every later transaction, freed at the end', async () => {
    const plan = await transaction(async () => {
      const prepared = await spi.spiPrepare<{ n: number }>('SELECT $1 + 1 AS n', [spi.INT4OID]);
      expect([spi.spiKeepplan(prepared), spi.spiKeepplan(prepared)]).toEqual([0, spi.SPI_ERROR_ARGUMENT]);
      return prepared;
    });
    expect([spi.spiGetargcount(plan), spi.spiGetargtypeid(plan, 0), spi.spiGetargtypeid(plan, 1)]).toEqual([1, spi.INT4OID, 0]);
    for (const n of [1, 2]) {
      expect(await transaction(() => spi.spiExecutePlan(plan, [n]))).toMatchObject({ code: spi.SPI_OK_SELECT, processed: 1, rows: [{ n: n + 1 }] });
    }
    await failing(() => spi.spiExecute('SELECT 1/0'));
    expect((await transaction(() => spi.spiExecutePlan(plan, [3]))).rows).toEqual([{ n: 4 }]);
    expect([spi.spiFreeplan(plan), spi.spiFreeplan(plan)]).toEqual([0, spi.SPI_ERROR_ARGUMENT]);
    await transaction(async () => {
      expect((await spi.spiExecutePlan(plan, [1])).code).toBe(spi.SPI_ERROR_ARGUMENT);
      expect(await count()).toBe(0n);
    });
  });

  test('a plan that nobody keeps ends with spiFinish, and with the transaction', async () => {
    const [first] = [await transaction(() => spi.spiPrepare('SELECT 1'))];
    let second: Awaited<ReturnType<typeof spi.spiPrepare>> | undefined;
    await failing(async () => {
      second = await spi.spiPrepare('SELECT 2');
      await spi.spiExecute('SELECT 1/0');
    });
    expect([spi.spiFreeplan(first), spi.spiFreeplan(second!)]).toEqual([spi.SPI_ERROR_ARGUMENT, spi.SPI_ERROR_ARGUMENT]);
    expect(await transaction(count)).toBe(0n);
  });

  test('several statements, a row limit, read-only, and the number of values', async () => {
    await shared.server.sql('CREATE TABLE planned (a int)');
    await transaction(async () => {
      const both = await spi.spiPrepare('INSERT INTO planned VALUES ($1); SELECT a FROM planned, generate_series(1, $1)', [spi.INT4OID]);
      expect(await spi.spiExecutePlan(both, [3], { count: 2 })).toMatchObject({ code: spi.SPI_OK_SELECT, processed: 2 });
      expect((await spi.spiExecutePlan(both)).code).toBe(spi.SPI_ERROR_PARAM);
      expect((await spi.spiExecutePlan(both, [1], { count: -1 })).code).toBe(spi.SPI_ERROR_ARGUMENT);
      const one = await spi.spiPrepare('SELECT 1');
      expect([spi.spiIsCursorPlan(both), spi.spiIsCursorPlan(one)]).toEqual([false, true]);
      expect(await errorOf(spi.spiExecutePlan(both, [1], { readOnly: true }))).toMatchObject({
        message: 'INSERT is not allowed in a non-volatile function',
      });
      await spi.abortCurrentTransaction();
      await spi.startTransactionCommand();
      spi.spiConnect();
    });
  });

  test('an error of preparing has its position; transaction control is refused when it is run', async () => {
    expect(await failing(() => spi.spiPrepare('SELECT 1; SELECT nope'))).toMatchObject({ code: '42703', internalpos: 18 });
    await transaction(async () => {
      const plan = await spi.spiPrepare('COMMIT');
      expect((await spi.spiExecutePlan(plan)).code).toBe(spi.SPI_ERROR_TRANSACTION);
    });
    await spi.startTransactionCommand();
    await expect(spi.spiPrepare('SELECT 1')).rejects.toMatchObject({ message: 'SPI_prepare failed: SPI_ERROR_UNCONNECTED' });
    await spi.abortCurrentTransaction();
  });

  test('a result whose columns have changed is one error; then the plan is a new one. The same after DEALLOCATE', async () => {
    await shared.server.sql('CREATE TABLE changing AS SELECT 1 AS a');
    const plan = await transaction(async () => {
      const prepared = await spi.spiPrepare('SELECT * FROM changing');
      spi.spiKeepplan(prepared);
      return prepared;
    });
    await shared.server.sql('ALTER TABLE changing ADD b int DEFAULT 2');
    expect(await failing(() => spi.spiExecutePlan(plan))).toMatchObject({ message: 'cached plan must not change result type' });
    expect((await transaction(() => spi.spiExecutePlan(plan))).rows).toEqual([{ a: 1, b: 2 }]);
    await transaction(() => spi.spiExecute('DEALLOCATE ALL'));
    expect(await failing(() => spi.spiExecutePlan(plan))).toMatchObject({ code: '26000' });
    expect((await transaction(() => spi.spiExecutePlan(plan))).rows).toEqual([{ a: 1, b: 2 }]);
  });
});

describe('an AbortSignal', () => {
  test('cancels the query on the server: an ERROR of the transaction, with the reason as its cause', async () => {
    const controller = new AbortController();
    const reason = new Error('enough');
    const error = failing(() => spi.spiExecute('SELECT pg_sleep(600)', { signal: controller.signal }));
    await waitUntil(async () => (await shared.server.sql(`SELECT 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep'`)).length > 0, {
      what: 'the query to run',
    });
    controller.abort(reason);
    expect(await error).toMatchObject({
      code: '57014',
      message: 'canceling statement due to user request',
      context: 'SQL statement "SELECT pg_sleep(600)"',
      cause: reason,
    });
    await transaction(() => spi.spiExecute('SELECT 1', { signal: new AbortController().signal }));
  });

  test('one that was aborted before: nothing is sent', async () => {
    await shared.server.sql('CREATE TABLE untouched (a int)');
    const signal = AbortSignal.abort('no');
    expect(await failing(() => spi.spiExecute('INSERT INTO untouched VALUES (1)', { signal }))).toMatchObject({ code: '57014', cause: 'no' });
    expect(await shared.server.sql('SELECT * FROM untouched')).toEqual([]);
  });
});

describe('timeouts of the server', () => {
  test('statement_timeout is an ERROR with context; a longer one later is no hindrance', async () => {
    const error = await failing(() => spi.spiExecute(`SET LOCAL statement_timeout = '20ms'; SELECT pg_sleep(600)`));
    expect(error).toMatchObject({
      code: '57014',
      message: 'canceling statement due to statement timeout',
      context: 'SQL statement "SELECT pg_sleep(600)"',
    });
    await transaction(() => spi.spiExecute('SELECT pg_sleep(0.05)'));
  });

  test('idle_in_transaction_session_timeout ends the worker, in the server’s words', async () => {
    await spi.startTransactionCommand();
    spi.spiConnect();
    await spi.spiExecute(`SET LOCAL idle_in_transaction_session_timeout = '20ms'`);
    await waitUntil(() => shared.owner.fatals.length > 0, { what: 'the FATAL report' });
    expect(shared.owner.fatals).toMatchObject([{ code: '25P03', message: 'terminating connection due to idle-in-transaction timeout' }]);
  });
});
