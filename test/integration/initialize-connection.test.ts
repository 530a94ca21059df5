// backgroundWorkerInitializeConnection and …ByOid, rule by rule (contract section D), on a real server: where a worker gets to, and what it dies of.
import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import { beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { fixture, isAlive, openFds, waitUntil } from '../helpers/index.js';
import { STOPPED, WORKERS, end, launch, logLines, openSession, register, sharedPostmaster, waitForSaid, worker } from './support.js';

const LIBRARY = fixture('database-workers.mjs');
const pm = sharedPostmaster({ preload: [WORKERS, LIBRARY], settings: { database: 'owned' }, env: { BGWORKER_TEST_NOSYNC: '1' } });

const FIXTURE = [
  'CREATE ROLE nolog NOLOGIN',
  'CREATE ROLE plain LOGIN',
  'CREATE ROLE barred LOGIN',
  'CREATE ROLE one_only LOGIN CONNECTION LIMIT 1',
  'CREATE DATABASE closed ALLOW_CONNECTIONS false',
  'CREATE DATABASE private',
  'REVOKE CONNECT ON DATABASE private FROM PUBLIC',
  'CREATE DATABASE tuned',
  `ALTER DATABASE tuned SET work_mem = '5MB'`,
  `ALTER DATABASE tuned SET session_preload_libraries = 'plpgsql'`,
  `ALTER ROLE plain SET work_mem = '6MB'`,
];

function connectClient(user = 'postgres'): Promise<pg.Client> {
  const client = new pg.Client({ host: `${pm.dir}/pgsocket`, port: 5432, user, database: 'postgres' });
  return client.connect().then(() => client);
}

async function sql(text: string): Promise<unknown[][]> {
  const client = await connectClient();
  try {
    return (await client.query<unknown[]>({ text, rowMode: 'array' })).rows;
  } finally {
    await client.end();
  }
}

beforeAll(async () => {
  const session = await pm.connect();
  // The server is up when a worker with the flag has been.
  await register(session, worker('connectsAs', { name: 'first', extra: '["postgres",null,0]', flags: 3, libraryName: LIBRARY }));
  await waitForSaid(pm, 'first', 'connected');
  await session.close();
  for (const statement of FIXTURE) await sql(statement);
}, 60_000);

let count = 0;
type Target = readonly [database: string | number | null, role: string | number | null, flags?: number];

/** What the log has of a worker that could not connect, without its levels' own order. */
async function death([database, role, flags = 0]: Target, workerFlags = 3): Promise<string[]> {
  const session = await openSession(pm);
  const name = `dies-${++count}`;
  const handle = await register(
    session,
    worker('connectsAs', { name, extra: JSON.stringify([database, role, flags]), flags: workerFlags, libraryName: LIBRARY }),
  );
  expect(await session.waitForBackgroundWorkerShutdown(handle)).toBe(STOPPED.status);
  await pm.waitForLog(`background worker "${name}" (PID`);
  const pid = new RegExp(`background worker "${name}" \\(PID (\\d+)\\) exited with exit code 1`).exec(pm.log())?.[1];
  expect(pid).toBeDefined();
  return logLines(pm, `[${pid}]`);
}

async function life([database, role, flags = 0]: Target): Promise<unknown> {
  const session = await openSession(pm);
  const name = `lives-${++count}`;
  await register(session, worker('connectsAs', { name, extra: JSON.stringify([database, role, flags]), flags: 3, libraryName: LIBRARY }));
  return (await waitForSaid(pm, name, 'connected')).data;
}

const oid = async (query: string): Promise<number> => (await sql(query))[0]?.[0] as number;
const databaseOid = (name: string): Promise<number> => oid(`SELECT oid FROM pg_database WHERE datname = '${name}'`);
const roleOid = (name: string): Promise<number> => oid(`SELECT oid FROM pg_roles WHERE rolname = '${name}'`);
const hint = (flag: string): string => `HINT:  The flag ${flag} cannot be honoured over a client connection.`;

describe('who gets in, and as whom', () => {
  test('D-03 D-12 D-16: a null role is the superuser, settings of the database hold; a second call is an ERROR that the worker survives (D-11)', async () => {
    expect(await life(['tuned', null])).toEqual({
      database: 'tuned',
      role: 'postgres',
      work_mem: '5MB',
      preloaded: 'error',
      again: 'ERROR XX000 invalid processing mode in background worker',
      oid: true,
    });
  });

  // DIFFERS FROM POSTGRES: release 15 loads none of these for its workers. Ours is a client, and who has a library loaded into every client counts on that.
  test('D-14: session_preload_libraries holds for a worker’s connection as for any client’s, and only where it is set', async () => {
    expect(await life(['tuned', null])).toMatchObject({ preloaded: 'error' });
    expect(await life(['postgres', null])).toMatchObject({ preloaded: null });
  });

  // DIFFERS FROM POSTGRES: pg_stat_activity has the database that the connection had to be made to; C's is NULL.
  test('D-02: a null database: shared catalogs, no OID, and FATAL for everything else', async () => {
    const session = await openSession(pm);
    await register(session, worker('connectsToNone', { name: 'none', flags: 3, libraryName: LIBRARY }));
    expect((await waitForSaid(pm, 'none', 'connected')).data).toEqual({ template0: true, oid: 0 });
    const pid = /background worker "none" \(PID (\d+)\) exited with exit code 1/;
    await pm.waitForLog(pid);
    expect(logLines(pm, `[${pid.exec(pm.log())?.[1]}] FATAL`)).toHaveLength(1);
  });

  test('D-12: by name and by OID, with the settings of the role; 0 stands for null', async () => {
    const plain = { database: 'tuned', role: 'plain', work_mem: '6MB', oid: true };
    expect(await life(['tuned', 'plain'])).toMatchObject(plain);
    expect(await life([await databaseOid('tuned'), await roleOid('plain')])).toMatchObject(plain);
    expect(await life([await databaseOid('tuned'), 0])).toMatchObject({ database: 'tuned', role: 'postgres' });
  });
});

describe('a connected worker', () => {
  test('P8: has one socket, its own; the postmaster has the one that it listens on, and nothing of what was rehearsed', async () => {
    const session = await openSession(pm);
    const { handle, pid } = await launch(session, worker('stays', { name: 'lonely', extra: 'postgres', flags: 3, libraryName: LIBRARY }));
    await waitForSaid(pm, 'lonely', 'connected');
    const sockets = (of: number): number => [...openFds(of).values()].filter((file) => file.startsWith('socket:')).length;
    expect([sockets(pid), sockets(pm.pid)]).toEqual([1, 1]);
    expect(readdirSync(pm.dir).filter((name) => name.includes('rehearsal'))).toEqual([]);
    await end(session, handle);
  });

  // The rule is of a release to come, whose BGWORKER_INTERRUPTIBLE has the server end such workers; W-16 says what happens to those without it.
  test('D-20 W-16: holds up CREATE DATABASE … TEMPLATE of its database like any session, and goes on', async () => {
    await sql('CREATE DATABASE held');
    const session = await openSession(pm);
    const { pid } = await launch(session, worker('stays', { name: 'holds', extra: 'held', flags: 3, libraryName: LIBRARY }));
    await waitForSaid(pm, 'holds', 'connected');
    await expect(sql('CREATE DATABASE copy TEMPLATE held')).rejects.toMatchObject({
      code: '55006',
      message: 'source database "held" is being accessed by other users',
      detail: 'There is 1 other session using the database.',
    });
    expect([isAlive(pid), pm.log().includes('background worker "holds"')]).toEqual([true, false]);
  }, 60_000);
});

describe('who does not: FATAL in PostgreSQL’s words, status 1', () => {
  test('D-01: the descriptor has no database flag', async () => {
    expect(await death(['postgres', null], 1)).toEqual(['FATAL:  database connection requirement not indicated during registration']);
  });

  test('D-04: no such role', async () => {
    expect(await death(['postgres', 'nobody_at_all'])).toEqual(['FATAL:  role "nobody_at_all" does not exist']);
    expect(await death([await databaseOid('postgres'), 99_999_999])).toEqual(['FATAL:  role with OID 99999999 does not exist']);
  });

  test('D-05 D-13: a role that may not log in; the flag 0x0002 that would let it in is owned up to', async () => {
    const message = 'FATAL:  role "nolog" is not permitted to log in';
    expect(await death(['postgres', 'nolog'])).toEqual([message]);
    expect(await death(['postgres', 'nolog', 1])).toEqual([message]);
    expect(await death(['postgres', 'nolog', 2])).toEqual([message, hint('BGWORKER_BYPASS_ROLELOGINCHECK')]);
    expect(await death([await databaseOid('postgres'), await roleOid('nolog'), 2])).toEqual([message, hint('BGWORKER_BYPASS_ROLELOGINCHECK')]);
  });

  // DIFFERS FROM POSTGRES: there no authentication takes place, and no rule is read.
  test('D-15: a role that pg_hba.conf turns away', async () => {
    const file = join(pm.dir, 'pgdata', 'pg_hba.conf');
    writeFileSync(file, `local all barred reject\n${readFileSync(file, 'utf8')}`);
    await sql('SELECT pg_reload_conf()');
    await waitUntil(async () => (await sql(`SELECT 1 FROM pg_hba_file_rules WHERE user_name = '{barred}'`)).length === 1, { what: 'the rule' });
    const [line = ''] = await death(['postgres', 'barred']);
    expect(line).toMatch(/^FATAL: {2}pg_hba.conf rejects connection for host "\[local\]", user "barred", database "postgres"/);
  });

  test('D-06: no such database', async () => {
    expect(await death(['nowhere', null])).toEqual(['FATAL:  database "nowhere" does not exist']);
    expect(await death([99_999_999, 0])).toEqual(['FATAL:  database 99999999 does not exist']);
  });

  test('D-07 D-13: a database that allows no connections, not even the superuser’s; the flag 0x0001 is owned up to', async () => {
    const message = 'FATAL:  database "closed" is not currently accepting connections';
    expect(await death(['closed', null])).toEqual([message]);
    expect(await death(['closed', null, 2])).toEqual([message]);
    expect(await death(['closed', null, 1])).toEqual([message, hint('BGWORKER_BYPASS_ALLOWCONN')]);
    expect(await death([await databaseOid('closed'), 0, 1])).toEqual([message, hint('BGWORKER_BYPASS_ALLOWCONN')]);
  });

  test('D-08: a role without CONNECT; the flag, which bypasses this too in later releases, is owned up to', async () => {
    const lines = ['FATAL:  permission denied for database "private"', 'DETAIL:  User does not have CONNECT privilege.'];
    expect(await death(['private', 'plain'])).toEqual(lines);
    expect(await death(['private', 'plain', 1])).toEqual([...lines, hint('BGWORKER_BYPASS_ALLOWCONN')]);
  });

  // DIFFERS FROM POSTGRES: release 15 counts no workers.
  test('D-09: connection limits count our workers as any client', async () => {
    const first = await connectClient('one_only');
    onTestFinished(() => first.end());
    expect(await death(['postgres', 'one_only'])).toEqual(['FATAL:  too many connections for role "one_only"']);
  });

  test('D-10: a database whose DROP was interrupted', async () => {
    await sql('CREATE DATABASE half_dropped');
    await sql(`UPDATE pg_database SET datconnlimit = -2 WHERE datname = 'half_dropped'`);
    expect(await death(['half_dropped', null])).toEqual([
      'FATAL:  cannot connect to invalid database "half_dropped"',
      'HINT:  Use DROP DATABASE to drop invalid databases.',
    ]);
  });
});
