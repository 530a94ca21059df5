// worker_spi, the port of PostgreSQL's sample worker, on a real database: what its own tests assert (contract 12.2), and its function's errors.
//
// One postmaster owns the database server; those that a test needs with other settings are attached to it, and start in a moment.
// DIFFERS FROM POSTGRES: a worker is a client of the database, so `pg_stat_activity` has its type as application_name; what it waits for is in our listing.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import { describe, expect, onTestFinished, test } from 'vitest';
import { type Postmaster, type PostmasterOptions, isAlive, waitUntil, withPostmaster } from '../helpers/index.js';
import { logLines, openSession, seenToWait, sharedPostmaster } from './support.js';

const WORKER_SPI = './examples/worker-spi/worker_spi.mjs';

const owner = sharedPostmaster({ settings: { database: 'owned' }, env: { BGWORKER_TEST_NOSYNC: '1' } });

/** A client as anybody's, for the length of a test. */
async function connectClient(): Promise<pg.Client> {
  const client = new pg.Client({ host: `${owner.dir}/pgsocket`, port: 5432, user: 'postgres', database: 'postgres' });
  await client.connect();
  onTestFinished(() => client.end());
  return client;
}

/** One statement on a connection of its own; rows as arrays. */
async function sql(text: string): Promise<unknown[][]> {
  const client = new pg.Client({ host: `${owner.dir}/pgsocket`, port: 5432, user: 'postgres', database: 'postgres' });
  await client.connect();
  try {
    return (await client.query<unknown[]>({ text, rowMode: 'array' })).rows;
  } finally {
    await client.end();
  }
}

const oid = async (query: string): Promise<number> => (await sql(query))[0]?.[0] as number;

/** A second postmaster on the same database server, with worker_spi preloaded and the settings that are given. */
function withWorkerSpi(options: PostmasterOptions, body: (pm: Postmaster) => Promise<void>): Promise<void> {
  const database = `host=${owner.dir}/pgsocket port=5432 user=postgres dbname=postgres`;
  return withPostmaster({ preload: [WORKER_SPI], ...options, settings: { database, ...options.settings } }, body);
}

/** The life of a table, from its worker's first line to a total: the reload, and not the time, makes the round. */
async function deltaVanishes(pm: Postmaster, schema: string): Promise<void> {
  const client = await connectClient();
  await waitUntil(async () => (await client.query(`SELECT to_regclass('${schema}.counted') AS t`)).rows[0]?.t !== null, { what: 'the table' });
  await client.query(`INSERT INTO ${schema}.counted VALUES ('total', 0), ('delta', 1)`);
  pm.signal('SIGHUP');
  await waitUntil(async () => (await client.query(`SELECT 1 FROM ${schema}.counted WHERE type = 'delta'`)).rowCount === 0, {
    what: 'the delta to vanish',
  });
  expect((await client.query(`SELECT type, value FROM ${schema}.counted`)).rows).toEqual([{ type: 'total', value: 1 }]);
}

async function activity(application: string): Promise<unknown[][]> {
  return sql(`SELECT datname, usename, state FROM pg_stat_activity WHERE application_name = '${application}' ORDER BY 1, 2`);
}

describe('worker_spi, preloaded', () => {
  test('W-01 W-02 W-04 W-05 static workers: as many as the settings say, with names, types, tables, and lines in the log', () =>
    withWorkerSpi({ settings: { 'worker_spi.total_workers': 3 } }, async (pm) => {
      const session = await openSession(pm);
      const workers = (await session.activity()).filter(({ kind }) => kind === 'background worker');
      // The last registered has the first slot, as in PostgreSQL.
      expect(workers.map(({ name, type, restartTime }) => [name, type, restartTime])).toEqual(
        [3, 2, 1].map((index) => [`worker_spi worker ${index}`, 'worker_spi', -1]),
      );
      for (const index of [1, 2, 3]) await pm.waitForLog(`LOG:  worker_spi worker ${index} initialized with schema${index}.counted\n`);
      expect(await sql(`SELECT indexdef FROM pg_indexes WHERE schemaname = 'schema3'`)).toEqual([
        [`CREATE UNIQUE INDEX counted_unique_total ON schema3.counted USING btree (type) WHERE (type = 'total'::text)`],
      ]);
    }));

  test('W-10 a launch returns a pid; the table appears; after total 0, delta 1 and a reload there is exactly total 1', () =>
    withWorkerSpi({}, async (pm) => {
      const session = await openSession(pm);
      const pid = await session.call(WORKER_SPI, 'worker_spi_launch', 10);
      expect(await session.getBackgroundWorkerTypeByPid(pid as number)).toBe('worker_spi dynamic');
      await deltaVanishes(pm, 'schema10');
      await pm.waitForLog('LOG:  worker_spi dynamic worker 10: count in schema10.counted is now 1\n');
    }));

  test('W-12 with a database of its own, three workers and 32 slots: exactly three are connected, to that database', async () => {
    await sql('CREATE DATABASE mydb');
    const settings = { 'worker_spi.database': 'mydb', 'worker_spi.total_workers': 3, max_worker_processes: 32 };
    await withWorkerSpi({ settings }, async (pm) => {
      for (const index of [1, 2, 3]) await pm.waitForLog(`worker_spi worker ${index} initialized with`);
      const expected = [1, 2, 3].map(() => ['mydb', 'postgres', 'idle']);
      // The line is written when the transaction has ended; the server's state follows in its own time.
      await waitUntil(async () => (await activity('worker_spi')).every(([, , state]) => state === 'idle'), {
        what: 'three idle connections',
        pauseMs: 50,
      });
      expect(await activity('worker_spi')).toEqual(expected);
      const session = await openSession(pm);
      const workers = (await session.activity()).filter(({ type }) => type === 'worker_spi');
      expect(workers).toHaveLength(3);
      for (const { pid } of workers) await seenToWait(session, pid as number, 'Extension', 'WorkerSpiMain');
    });
  });

  test('W-07 it waits first: one round for the latch that is set when a worker begins (C-09), and not another before somebody wakes it', async () => {
    const client = await connectClient();
    await client.query('CREATE SCHEMA schema7 CREATE TABLE counted (type text, value integer)');
    await client.query(`INSERT INTO schema7.counted VALUES ('total', 0), ('delta', 5)`);
    await withWorkerSpi({ settings: { 'worker_spi.naptime': '1h' } }, async (pm) => {
      const session = await openSession(pm);
      const pid = (await session.call(WORKER_SPI, 'worker_spi_launch', 7)) as number;
      const rounds = (): string[] => logLines(pm, 'worker_spi dynamic worker 7: count in schema7.counted is now');
      await seenToWait(session, pid, 'Extension', 'WorkerSpiMain');
      // A worker that works first would have made two: its own, and the one that the set latch calls for.
      expect(rounds()).toHaveLength(1);
      await client.query(`INSERT INTO schema7.counted VALUES ('delta', 7)`);
      process.kill(pid, 'SIGHUP');
      await waitUntil(() => rounds().length === 2, { what: 'the second round' });
      expect(rounds()[1]).toMatch(/is now 12$/);
    });
  });

  test('W-03 all slots taken: null', () =>
    withWorkerSpi({ settings: { max_worker_processes: 2 } }, async (pm) => {
      const session = await openSession(pm);
      expect(await session.call(WORKER_SPI, 'worker_spi_launch', 1)).toBeNull();
    }));

  test('W-06 a new naptime in the configuration file is used from the reload on', () =>
    withWorkerSpi({ conf: 'worker_spi.naptime = 1h\n', settings: { 'worker_spi.total_workers': 1 } }, async (pm) => {
      await pm.waitForLog('worker_spi worker 1 initialized with');
      const client = await connectClient();
      await client.query(`TRUNCATE schema1.counted; INSERT INTO schema1.counted VALUES ('total', 0)`);
      writeFileSync(join(pm.dir, 'bgworker.conf'), 'worker_spi.naptime = 1\n');
      pm.signal('SIGHUP');
      await pm.waitForLog('count in schema1.counted is now 0');
      // No signal any more: only the shorter time can end the sleep.
      await client.query(`INSERT INTO schema1.counted VALUES ('delta', 7)`);
      await pm.waitForLog('worker_spi worker 1: count in schema1.counted is now 7');
    }));

  test('W-06 SIGTERM ends a worker with status 1, and it is not started again', () =>
    withWorkerSpi({ settings: { 'worker_spi.total_workers': 1 } }, async (pm) => {
      await pm.waitForLog('worker_spi worker 1 initialized with');
      const session = await openSession(pm);
      const pid = (await session.activity()).find(({ type }) => type === 'worker_spi')?.pid as number;
      process.kill(pid, 'SIGTERM');
      await pm.waitForLog(`LOG:  background worker "worker_spi" (PID ${pid}) exited with exit code 1\n`);
      expect(pm.log()).toContain(`[${pid}] FATAL:  terminating background worker "worker_spi" due to administrator command\n`);
      expect((await session.activity()).some(({ type }) => type === 'worker_spi')).toBe(false);
    }));
});

describe('worker_spi, not preloaded', () => {
  test('W-11 the same as W-10; then the worker sleeps in WorkerSpiMain, connected and idle', async () => {
    const session = await openSession(owner);
    const pid = (await session.call(WORKER_SPI, 'worker_spi_launch', 11)) as number;
    await deltaVanishes(owner, 'schema11');
    expect((await session.activity()).find((entry) => entry.pid === pid)).toMatchObject({
      name: 'worker_spi dynamic worker 11',
      type: 'worker_spi dynamic',
      state: 'running',
    });
    // W-05 W-06: the activity is reported as running before the statement and as idle after the commit; the text stays.
    await waitUntil(async () => (await session.activity()).find((entry) => entry.pid === pid)?.backendState === 'idle', {
      what: 'it to report idle',
    });
    expect((await session.activity()).find((entry) => entry.pid === pid)?.query).toContain('DELETE FROM schema11.counted');
    await seenToWait(session, pid, 'Extension', 'WorkerSpiMain');
    await waitUntil(async () => (await activity('worker_spi dynamic')).some(([, , state]) => state === 'idle'), {
      what: 'the worker to be idle',
      pauseMs: 50,
    });
    await end(pid);
  });

  test('W-13 a launch by OID on two databases with a role: both are where they should be', async () => {
    await sql(`CREATE ROLE myrole SUPERUSER LOGIN`);
    await sql('CREATE DATABASE other');
    const session = await openSession(owner);
    const role = await oid(`SELECT oid FROM pg_roles WHERE rolname = 'myrole'`);
    const pids: number[] = [];
    for (const [index, database] of ['postgres', 'other'].entries()) {
      const databaseOid = await oid(`SELECT oid FROM pg_database WHERE datname = '${database}'`);
      pids.push((await session.call(WORKER_SPI, 'worker_spi_launch', 13 + index, databaseOid, role)) as number);
      await owner.waitForLog(`worker_spi dynamic worker ${13 + index} initialized with`);
    }
    expect((await activity('worker_spi dynamic')).map(([database, user]) => [database, user])).toEqual([
      ['other', 'myrole'],
      ['postgres', 'myrole'],
    ]);
    await end(...pids);
  });

  test('W-03 a lone OID is completed by the settings, and so is none at all', () =>
    withWorkerSpi({ settings: { 'worker_spi.database': 'halves', 'worker_spi.role': 'halfrole', 'worker_spi.total_workers': 1 } }, async (pm) => {
      // Its static worker has been told no OIDs, and tries as often as there is no such role: once.
      await pm.waitForLog('FATAL:  role "halfrole" does not exist\n');
      const session = await openSession(pm);
      await expect(session.call(WORKER_SPI, 'worker_spi_launch', 20)).rejects.toMatchObject({
        code: '3D000',
        message: 'database "halves" does not exist',
      });
      const [postgres, superuser] = [
        await oid(`SELECT oid FROM pg_database WHERE datname = 'postgres'`),
        await oid(`SELECT oid FROM pg_roles WHERE rolname = 'postgres'`),
      ];
      await expect(session.call(WORKER_SPI, 'worker_spi_launch', 20, postgres)).rejects.toMatchObject({
        code: '42704',
        message: 'role "halfrole" does not exist',
      });
      await sql('CREATE DATABASE halves');
      await sql('CREATE ROLE halfrole SUPERUSER LOGIN');
      const launches: [dboid: number, roleoid: number][] = [
        [postgres, 0],
        [0, superuser],
        [0, 0],
      ];
      const pids: number[] = [];
      for (const [i, [dboid, roleoid]] of launches.entries()) {
        pids.push((await session.call(WORKER_SPI, 'worker_spi_launch', 20 + i, dboid, roleoid)) as number);
        await pm.waitForLog(`worker_spi dynamic worker ${20 + i} initialized with`);
      }
      expect((await activity('worker_spi dynamic')).map(([database, user]) => [database, user])).toEqual([
        ['halves', 'halfrole'],
        ['halves', 'postgres'],
        ['postgres', 'halfrole'],
      ]);
      await end(...pids);
    }));

  test('W-14 a database that allows no connections: the log says so', async () => {
    await sql('CREATE DATABASE noconndb ALLOW_CONNECTIONS false');
    const session = await openSession(owner);
    const database = await oid(`SELECT oid FROM pg_database WHERE datname = 'noconndb'`);
    // May fail as well as not (H-13): the worker may be gone before the launcher looks.
    await session.call(WORKER_SPI, 'worker_spi_launch', 15, database).catch(() => null);
    await owner.waitForLog('FATAL:  database "noconndb" is not currently accepting connections\n');
    // DIFFERS FROM POSTGRES: the flag would let a C worker in; a client's connection cannot have it.
    await session.call(WORKER_SPI, 'worker_spi_launch', 15, database, 0, ['ALLOWCONN']).catch(() => null);
    await owner.waitForLog('HINT:  The flag BGWORKER_BYPASS_ALLOWCONN cannot be honoured over a client connection.\n');
  });

  test('W-15 a role that may not log in: the log says so', async () => {
    await sql('CREATE ROLE nologrole NOLOGIN');
    const session = await openSession(owner);
    const database = await oid(`SELECT oid FROM pg_database WHERE datname = 'postgres'`);
    const role = await oid(`SELECT oid FROM pg_roles WHERE rolname = 'nologrole'`);
    await session.call(WORKER_SPI, 'worker_spi_launch', 16, database, role).catch(() => null);
    await owner.waitForLog('FATAL:  role "nologrole" is not permitted to log in\n');
    await session.call(WORKER_SPI, 'worker_spi_launch', 16, database, role, ['ROLELOGINCHECK']).catch(() => null);
    await owner.waitForLog('HINT:  The flag BGWORKER_BYPASS_ROLELOGINCHECK cannot be honoured over a client connection.\n');
  });

  test.each([
    ['2202E', 'flags array must be one-dimensional', [0, 0, [['ALLOWCONN']]]],
    ['2202E', 'flags array must be one-dimensional', [0, 0, 'ALLOWCONN']],
    ['22004', 'flags array must not contain nulls', [0, 0, ['ALLOWCONN', null]]],
    ['22023', 'incorrect flag value found in array', [0, 0, ['ALLOWCONN', 'allowconn']]],
  ])('W-03 worker_spi_launch: %s %s', async (code, message, args) => {
    const session = await openSession(owner);
    await expect(session.call(WORKER_SPI, 'worker_spi_launch', 1, ...args)).rejects.toMatchObject({ code, message });
  });

  /** Ends workers and waits for it, so that the next test does not see them. */
  async function end(...pids: number[]): Promise<void> {
    for (const pid of pids) process.kill(pid, 'SIGTERM');
    await waitUntil(() => !pids.some(isAlive), { what: 'the workers to end' });
    await waitUntil(async () => (await activity('worker_spi dynamic')).length === 0, { what: 'their connections to be gone', pauseMs: 50 });
  }
});
