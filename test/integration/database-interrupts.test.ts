// Workers that wait for the database, and what comes between: SIGTERM, SIGINT, a shutdown, the postmaster's death. Contract 7.2, D-18, D-19, L-44.
//
// One postmaster owns the database server; those that a test brings down are attached to it.
import { readFileSync } from 'node:fs';
import pg from 'pg';
import { describe, expect, onTestFinished, test } from 'vitest';
import type { Session } from '../../dist/session/client.js';
import { type Postmaster, fixture, isAlive, waitUntil, withPostmaster } from '../helpers/index.js';
import {
  STOPPED,
  WORKERS,
  errorOf,
  launch,
  logLines,
  openSession,
  register,
  runToEnd,
  said,
  sharedPostmaster,
  waitForSaid,
  worker,
} from './support.js';

const LIBRARY = fixture('database-workers.mjs');
const preload = [WORKERS, LIBRARY];
const CANCELED = 'canceling statement due to user request';

const pm = sharedPostmaster({ preload, settings: { database: 'owned' }, env: { BGWORKER_TEST_NOSYNC: '1' } });

/** A client as anybody's, for the length of a test. */
async function connectClient(): Promise<pg.Client> {
  const client = new pg.Client({ host: `${pm.dir}/pgsocket`, port: 5432, user: 'postgres', database: 'postgres' });
  await client.connect();
  onTestFinished(() => client.end());
  return client;
}

/** A table that is locked until the end of the test, or until the function is called. */
async function lockTable(name: string): Promise<() => Promise<unknown>> {
  const client = await connectClient();
  await client.query(`CREATE TABLE ${name} (a int)`);
  await client.query(`BEGIN; LOCK TABLE ${name}`);
  return () => client.query('COMMIT');
}

/** A worker with a query to run; its type, which is its application_name, is its name. */
const querying = (functionName: string, name: string, extra = '', mainArg = 0): ReturnType<typeof worker> =>
  worker(functionName, { name, extra, mainArg, flags: 3, libraryName: LIBRARY });

async function waitsIn(name: string, event: string): Promise<number> {
  const client = await connectClient();
  const find = async (): Promise<number | undefined> =>
    (await client.query<{ pid: number }>('SELECT pid FROM pg_stat_activity WHERE application_name = $1 AND wait_event = $2', [name, event])).rows[0]
      ?.pid;
  return waitUntil(find, { what: `the query of "${name}" to wait (${event})` });
}

/** The server's process for a worker is gone, and with it what it did. */
async function isGone(pid: number): Promise<void> {
  const client = await connectClient();
  await waitUntil(async () => (await client.query('SELECT 1 FROM pg_stat_activity WHERE pid = $1', [pid])).rowCount === 0, {
    what: `the server's process ${pid} to be gone`,
  });
}

async function launchWaiting(session: Session, descriptor: ReturnType<typeof worker>, event: string): Promise<Waiting> {
  const { handle, pid } = await launch(session, descriptor);
  return { handle, pid, backend: await waitsIn(descriptor.name, event) };
}
type Waiting = Awaited<ReturnType<typeof launch>> & { readonly backend: number };

/** What the database server said of one of its processes; whatever it says comes before that process is gone. */
const serverLog = (backend: number): string[] =>
  readFileSync(`${pm.dir}/database.log`, 'utf8')
    .split('\n')
    .filter((line) => line.includes(`[${backend}]`));

const attached = (): string => `host=${pm.dir}/pgsocket port=5432 user=postgres dbname=postgres`;

/** A second postmaster on the same database server. */
const withAttached = (settings: Record<string, string>, body: (other: Postmaster) => Promise<void>): Promise<void> =>
  withPostmaster({ preload, settings: { database: attached(), ...settings } }, body);

describe('SIGTERM, with die', () => {
  test.each([
    ['a lock', 'SELECT * FROM locked_term', 'relation'],
    ['pg_sleep', 'SELECT pg_sleep(600)', 'PgSleep'],
  ])('C-20: ends a worker that waits for %s at once: FATAL, callbacks, status 1; the server hears a goodbye', async (_what, query, event) => {
    if (event === 'relation') await lockTable('locked_term');
    const session = await openSession(pm);
    const name = `term-${event}`;
    const { handle, pid, backend } = await launchWaiting(session, querying('runsQuery', name, query), event);
    process.kill(pid, 'SIGTERM');
    expect(await session.waitForBackgroundWorkerShutdown(handle)).toBe(STOPPED.status);
    expect(logLines(pm, `[${pid}]`)).toEqual([
      `FATAL:  terminating background worker "${name}" due to administrator command`,
      `LOG:  @${name} callback 1`,
    ]);
    await pm.waitForLog(`LOG:  background worker "${name}" (PID ${pid}) exited with exit code 1\n`);
    await isGone(backend);
    expect(serverLog(backend)).toEqual([expect.stringContaining(`ERROR:  ${CANCELED}`), expect.stringContaining(`STATEMENT:  ${query}`)]);
  });

  test.each([
    ['SIGTERM', 'FATAL:  terminating background worker "connects-SIGTERM" due to administrator command'],
    ['SIGINT', `ERROR:  ${CANCELED}`],
  ] as const)('D-19: %s ends a worker that waits while it connects', async (signal, line) => {
    const session = await openSession(pm);
    const client = await connectClient();
    const watcher = await connectClient();
    await client.query('BEGIN; LOCK TABLE pg_catalog.pg_authid');
    const { handle, pid } = await launch(session, querying('runsQuery', `connects-${signal}`, 'SELECT 1'));
    const waits = `SELECT 1 FROM pg_locks WHERE relation = 'pg_catalog.pg_authid'::regclass AND NOT granted`;
    await waitUntil(async () => (await watcher.query(waits)).rowCount === 1, { what: 'the worker to connect' });
    process.kill(pid, signal);
    expect(await session.waitForBackgroundWorkerShutdown(handle)).toBe(STOPPED.status);
    expect(logLines(pm, `[${pid}]`)).toEqual([line, `LOG:  @connects-${signal} callback 1`]);
    await client.query('COMMIT');
    await waitUntil(async () => (await watcher.query(waits)).rowCount === 0, { what: 'the server to give the connection up' });
  });

  test.each([
    ['before', 1],
    ['during', 0],
  ])('%s a commit that does not wait: it gets through, and the next SPI call ends the worker', async (when, handled) => {
    const session = await openSession(pm);
    const client = await connectClient();
    const name = `commits-${when}`;
    await client.query(`CREATE TABLE committed_${when} (a int)`);
    const pid = await runToEnd(pm, session, querying('terminatedBeforeCommit', name, `INSERT INTO committed_${when} VALUES (1)`, handled));
    expect(logLines(pm, `[${pid}]`)).toEqual([
      `LOG:  @${name} committed null`,
      `FATAL:  terminating background worker "${name}" due to administrator command`,
      `LOG:  @${name} callback 1`,
    ]);
    expect((await client.query(`SELECT a FROM committed_${when}`)).rows).toEqual([{ a: 1 }]);
  });

  test.each([
    ['before', 1],
    ['during', 0],
  ])('%s a commit that waits, here in a deferred trigger: it is cancelled and rolled back', async (when, handled) => {
    const session = await openSession(pm);
    const client = await connectClient();
    await client.query(`CREATE TABLE deferred_${when} (a int);
      CREATE FUNCTION dawdle_${when}() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(600); RETURN NULL; END';
      CREATE CONSTRAINT TRIGGER t AFTER INSERT ON deferred_${when} DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION dawdle_${when}()`);
    const name = `deferred-${when}`;
    const pid = await runToEnd(pm, session, querying('terminatedBeforeCommit', name, `INSERT INTO deferred_${when} VALUES (1)`, handled));
    expect(logLines(pm, `[${pid}]`)).toEqual([
      `FATAL:  terminating background worker "${name}" due to administrator command`,
      `LOG:  @${name} callback 1`,
    ]);
    expect((await client.query(`SELECT a FROM deferred_${when}`)).rows).toEqual([]);
  });

  test('T-22: a fast shutdown ends while a worker waits for a lock', () =>
    withAttached({}, async (other) => {
      await lockTable('locked_shutdown');
      const session = await other.connect();
      const { pid, backend } = await launchWaiting(session, querying('runsQuery', 'shutdown', 'SELECT * FROM locked_shutdown'), 'relation');
      expect(await other.stop('fast', 4_000)).toBe(0);
      expect(logLines(other, `[${pid}] FATAL`)).toEqual(['FATAL:  terminating background worker "shutdown" due to administrator command']);
      await isGone(backend);
    }));
});

describe('SIGTERM, by default', () => {
  test('C-20: ends a worker that waits in a query at once, as with die', async () => {
    await lockTable('locked_default');
    const session = await openSession(pm);
    const { handle, pid, backend } = await launchWaiting(
      session,
      querying('runsQueryByDefault', 'default', 'SELECT * FROM locked_default'),
      'relation',
    );
    process.kill(pid, 'SIGTERM');
    expect(await session.waitForBackgroundWorkerShutdown(handle)).toBe(STOPPED.status);
    expect(logLines(pm, `[${pid}]`)).toEqual([
      'FATAL:  terminating background worker "default" due to administrator command',
      'LOG:  @default callback 1',
    ]);
    await isGone(backend);
  });

  test('C-20: ends one that computes meanwhile, without callbacks; the server looks after it each second, and ends its query', async () => {
    await lockTable('locked_computing');
    const session = await openSession(pm);
    const descriptor = querying('computesByDefault', 'computes', 'SELECT * FROM locked_computing');
    const { handle, pid, backend } = await launchWaiting(session, descriptor, 'relation');
    process.kill(pid, 'SIGTERM');
    expect(await session.waitForBackgroundWorkerShutdown(handle)).toBe(STOPPED.status);
    expect(logLines(pm, `[${pid}]`)).toEqual(['FATAL:  terminating background worker "computes" due to administrator command']);
    await isGone(backend);
    expect(serverLog(backend)).toEqual([expect.stringContaining('FATAL:  connection to client lost'), expect.stringContaining('STATEMENT:  ')]);
  });

  test('during a commit that does not wait: it gets through, and the worker ends right after it, whether it checks for interrupts or not', async () => {
    const session = await openSession(pm);
    const client = await connectClient();
    await client.query('CREATE TABLE committed_default (a int)');
    const pid = await runToEnd(pm, session, querying('commitsByDefault', 'commits-default', 'INSERT INTO committed_default VALUES (1)'));
    expect(logLines(pm, `[${pid}]`)).toEqual([
      'FATAL:  terminating background worker "commits-default" due to administrator command',
      'LOG:  @commits-default callback 1',
    ]);
    expect((await client.query('SELECT a FROM committed_default')).rows).toEqual([{ a: 1 }]);
  });
});

describe('SIGINT', () => {
  test('7.2: cancels the query: the ERROR of the server ends the worker with status 1, and it is started again', async () => {
    const session = await openSession(pm);
    const descriptor = { ...querying('runsQuery', 'cancelled', 'SELECT pg_sleep(600)'), restartTime: 0 };
    const { handle, pid } = await launchWaiting(session, descriptor, 'PgSleep');
    process.kill(pid, 'SIGINT');
    await pm.waitForLog(`LOG:  background worker "cancelled" (PID ${pid}) exited with exit code 1\n`);
    expect(logLines(pm, `[${pid}]`)).toEqual([
      `ERROR:  ${CANCELED}`,
      'CONTEXT:  SQL statement "SELECT pg_sleep(600)"',
      'LOG:  @cancelled callback 1',
    ]);
    const again = await waitUntil(async () => (await session.getBackgroundWorkerPid(handle)).pid, { what: 'the worker to be started again' });
    expect(again).not.toBe(pid);
    await waitsIn('cancelled', 'PgSleep');
    await session.terminateBackgroundWorker(handle);
    expect(await session.waitForBackgroundWorkerShutdown(handle)).toBe(STOPPED.status);
  });

  test('an error like any other: who catches it and aborts goes on', async () => {
    const session = await openSession(pm);
    const { pid } = await launchWaiting(session, querying('catchesError', 'catches', 'SELECT pg_sleep(600)'), 'PgSleep');
    process.kill(pid, 'SIGINT');
    expect((await waitForSaid(pm, 'catches', 'caught')).data).toEqual({ error: `ERROR 57014 ${CANCELED}`, after: null });
  });

  test('while no query is under way: the next SPI call serves it, once, and sends nothing', async () => {
    const session = await openSession(pm);
    await register(session, querying('cancelledWhileIdle', 'idle'));
    const { data } = await waitForSaid(pm, 'idle', 'idle');
    expect(data).toMatchObject({ message: CANCELED, context: 'SQL statement "CREATE TABLE never_made (a int)"', after: null });
    expect(serverLog((data as { pid: number }).pid)).toEqual([]);
  });

  test('right after a query was sent: it is not lost, though the server drops what comes before it has read', async () => {
    const session = await openSession(pm);
    await register(session, querying('cancelledAtOnce', 'atOnce', '', 30));
    expect((await waitForSaid(pm, 'atOnce', 'served')).data).toEqual(Array.from({ length: 30 }, () => '57014'));
  });

  test('as a query ends: one error for each, and never of a later transaction', async () => {
    const session = await openSession(pm);
    await register(session, querying('cancelledAtTheEnd', 'atTheEnd', '', 100));
    const { cancelled, late, other } = (await waitForSaid(pm, 'atTheEnd', 'served')).data as { cancelled: number; late: number; other: unknown[] };
    expect([cancelled + late, other]).toEqual([100, []]);
  });
});

describe('the database’s own functions', () => {
  test('pg_cancel_backend is an ERROR of the query', async () => {
    const session = await openSession(pm);
    const client = await connectClient();
    const { backend } = await launchWaiting(session, querying('catchesError', 'byServer', 'SELECT pg_sleep(600)'), 'PgSleep');
    await client.query('SELECT pg_cancel_backend($1)', [backend]);
    expect((await waitForSaid(pm, 'byServer', 'caught')).data).toEqual({ error: `ERROR 57014 ${CANCELED}`, after: null });
  });

  test('D-18: pg_terminate_backend ends the worker with its own line and status 1', async () => {
    const session = await openSession(pm);
    const client = await connectClient();
    const { handle, pid, backend } = await launchWaiting(session, querying('runsQuery', 'ended', 'SELECT pg_sleep(600)'), 'PgSleep');
    await client.query('SELECT pg_terminate_backend($1)', [backend]);
    expect(await session.waitForBackgroundWorkerShutdown(handle)).toBe(STOPPED.status);
    expect(logLines(pm, `[${pid}] FATAL`)).toEqual(['FATAL:  terminating background worker "ended" due to administrator command']);
  });
});

describe('the postmaster’s death', () => {
  test('L-44: with allow_orphan_workers a worker in a query leaves at once and says nothing; its query ends too', () =>
    withAttached({ allow_orphan_workers: 'on' }, async (other) => {
      const session = await other.connect();
      const { pid, backend } = await launchWaiting(session, querying('runsQuery', 'orphan', 'SELECT pg_sleep(600)'), 'PgSleep');
      other.signal('SIGKILL');
      await waitUntil(() => !isAlive(pid), { what: 'the worker to leave' });
      expect(said(other, 'orphan', 'done')).toEqual([]);
      expect(logLines(other, `[${pid}]`)).toEqual(['LOG:  @orphan callback 1']);
      await isGone(backend);
      await errorOf(session.activity());
    }));
});
