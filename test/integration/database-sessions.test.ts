// Workers and what the database's own people see and do: LISTEN and NOTIFY, pg_stat_activity, pg_cancel_backend, pg_terminate_backend. Contract section D.
import pg from 'pg';
import { describe, expect, onTestFinished, test } from 'vitest';
import { fixture, waitUntil } from '../helpers/index.js';
import { WORKERS, launch, logLines, openSession, register, said, sharedPostmaster, waitForSaid, worker } from './support.js';

const LIBRARY = fixture('database-workers.mjs');
const pm = sharedPostmaster({ preload: [WORKERS, LIBRARY], settings: { database: 'owned' }, env: { BGWORKER_TEST_NOSYNC: '1' } });

/** A client as anybody's, for the length of a test. */
async function connectClient(): Promise<pg.Client> {
  const client = new pg.Client({ host: `${pm.dir}/pgsocket`, port: 5432, user: 'postgres', database: 'postgres' });
  await client.connect();
  onTestFinished(() => client.end());
  return client;
}

const querying = (functionName: string, name: string, extra = '', mainArg = 0): ReturnType<typeof worker> =>
  worker(functionName, { name, type: `${name} type`, extra, mainArg, flags: 3, libraryName: LIBRARY });

/** The server's process for a worker, once it waits for this. */
function backendOf(client: pg.Client, name: string, event: string): Promise<number> {
  const sql = 'SELECT pid FROM pg_stat_activity WHERE application_name = $1 AND wait_event = $2';
  const find = async (): Promise<number | undefined> => (await client.query<{ pid: number }>(sql, [`${name} type`, event])).rows[0]?.pid;
  return waitUntil(find, { what: `the query of "${name}" to wait (${event})` });
}

describe('LISTEN and NOTIFY', () => {
  test('D-21: a notification wakes the latch and waits in the queue; the iteration has the next; a worker may notify too', async () => {
    const session = await openSession(pm);
    const client = await connectClient();
    await client.query('LISTEN answers');
    const answer = new Promise((resolve) => client.once('notification', resolve));
    await register(session, querying('listens', 'listens'));
    await waitForSaid(pm, 'listens', 'listening');
    await client.query(`BEGIN; NOTIFY "Jobs ""1""", 'a'; NOTIFY more; NOTIFY "not any more"; NOTIFY "Jobs ""1""", 'b'; COMMIT`);
    expect((await waitForSaid(pm, 'listens', 'heard')).data).toEqual([
      ['Jobs "1"', 'a', true],
      ['more', '', true],
      ['Jobs "1"', 'b', true],
    ]);
    await client.query(`NOTIFY more, 'one'`);
    await waitForSaid(pm, 'listens', 'iterated');
    await client.query(`NOTIFY more, 'last'`);
    expect(await answer).toMatchObject({ channel: 'answers', payload: 'done' });
    expect(said(pm, 'listens', 'iterated').map(({ data }) => data)).toEqual(['one', 'last']);
  });
});

describe('pg_stat_activity and the functions on it', () => {
  test('O-10 O-11: a worker is there by its type, its database and role, with the query that it runs', async () => {
    const session = await openSession(pm);
    const client = await connectClient();
    await launch(session, querying('runsQuery', 'shows', 'SELECT pg_sleep(600)'));
    await backendOf(client, 'shows', 'PgSleep');
    const sql = 'SELECT datname, usename, state, query FROM pg_stat_activity WHERE application_name = $1';
    expect((await client.query(sql, ['shows type'])).rows).toEqual([
      { datname: 'postgres', usename: 'postgres', state: 'active', query: 'SELECT pg_sleep(600)' },
    ]);
  });

  test('D-17: the worker’s own pid is none of the server’s', async () => {
    const session = await openSession(pm);
    const client = await connectClient();
    const { pid } = await launch(session, querying('runsQuery', 'foreign', 'SELECT pg_sleep(600)'));
    await backendOf(client, 'foreign', 'PgSleep');
    const notices: unknown[] = [];
    client.on('notice', ({ message }) => notices.push(message));
    expect((await client.query('SELECT pg_terminate_backend($1) AS done', [pid])).rows).toEqual([{ done: false }]);
    expect(notices).toEqual([`PID ${pid} is not a PostgreSQL backend process`]);
  });

  test('pg_cancel_backend: ERROR with context, status 1, restarted after its interval', async () => {
    const session = await openSession(pm);
    const client = await connectClient();
    const { pid } = await launch(session, { ...querying('runsQuery', 'cancelled', 'SELECT pg_sleep(600)'), restartTime: 0 });
    await client.query('SELECT pg_cancel_backend($1)', [await backendOf(client, 'cancelled', 'PgSleep')]);
    await pm.waitForLog(`LOG:  background worker "cancelled type" (PID ${pid}) exited with exit code 1\n`);
    expect(logLines(pm, `[${pid}]`)).toEqual([
      'ERROR:  canceling statement due to user request',
      'CONTEXT:  SQL statement "SELECT pg_sleep(600)"',
      'LOG:  @cancelled callback 1',
    ]);
    await again(session, 'cancelled', pid);
  });

  test.each([
    ['in a query', 'runsQuery', 'PgSleep'],
    ['idle', 'listens', 'ClientRead'],
  ])('D-18: pg_terminate_backend %s: FATAL, status 1, no unregistration', async (_when, functionName, event) => {
    const session = await openSession(pm);
    const client = await connectClient();
    const name = `ended-${functionName}`;
    const { pid } = await launch(session, { ...querying(functionName, name, 'SELECT pg_sleep(600)'), restartTime: 0 });
    if (functionName === 'listens') await waitForSaid(pm, name, 'listening');
    await client.query('SELECT pg_terminate_backend($1)', [await backendOf(client, name, event)]);
    await pm.waitForLog(`LOG:  background worker "${name} type" (PID ${pid}) exited with exit code 1\n`);
    expect(logLines(pm, `[${pid}] FATAL`)).toEqual([`FATAL:  terminating background worker "${name} type" due to administrator command`]);
    await again(session, name, pid);
  });

  /** It was started again, under another pid; and ended for good. */
  async function again(session: Awaited<ReturnType<typeof openSession>>, name: string, pid: number): Promise<void> {
    const find = async (): Promise<number | null | undefined> =>
      (await session.activity()).find((entry) => entry.name === name && entry.pid !== pid)?.pid;
    const next = await waitUntil(find, { what: `worker "${name}" to be started again` });
    await backendOf(await connectClient(), name, name === 'ended-listens' ? 'ClientRead' : 'PgSleep');
    process.kill(next, 'SIGTERM');
  }
});
