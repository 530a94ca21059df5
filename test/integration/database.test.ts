// The owned cluster on a real server: made, started, crashed and started again; who can reach it; what stands in its way.
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { databaseConninfo } from '../../src/database/conninfo.js';
import { openConnectionByOid } from '../../src/database/open-connection.js';
import { TestOwner } from '../helpers/database-server.js';
import { makeTempDir, removeTempDir } from '../helpers/temp-dir.js';
import { waitUntil } from '../helpers/wait-until.js';
import { sharedDatabaseServer } from './database-support.js';

const server = sharedDatabaseServer();

describe('prepareOwnedCluster', () => {
  const root: boolean = process.geteuid?.() === 0;

  test('says that it creates a cluster, once; again it finds it', () => {
    expect(server.log).toEqual([expect.stringMatching(/^creating a database cluster with PostgreSQL \d+\S* in ".*\/pgdata"$/)]);
    expect(server.cluster.created).toBe(true);
    expect(readdirSync(server.dataDir)).not.toContain('pgdata.new');
  });

  test('only the database user (and root) can get at the cluster and its socket', () => {
    for (const name of ['pgdata', 'pgsocket']) {
      const stat = statSync(join(server.dataDir, name));
      expect([name, stat.mode & 0o777, stat.uid]).toEqual([name, 0o700, server.cluster.uid ?? process.getuid?.()]);
    }
    expect(statSync(server.dataDir).mode & 0o777).toBe(root ? 0o710 : 0o700);
  });

  test.runIf(root)('another user cannot connect', () => {
    const socket = join(server.dataDir, 'pgsocket', '.s.PGSQL.5432');
    const stranger = { uid: 54_321, gid: 54_321 };
    const script =
      'require("node:net").connect(process.argv[1]).on("connect", () => process.exit(0)).on("error", (e) => { console.log(e.code); process.exit(1); })';
    const attempt = spawnSync(process.execPath, ['-e', script, socket], { ...stranger, encoding: 'utf8', cwd: '/' });
    expect([attempt.status, attempt.stdout?.trim()]).toEqual([1, 'EACCES']);
  });

  test('the server listens nowhere but in the data directory', async () => {
    expect(await server.sql(`SELECT current_setting('listen_addresses'), current_setting('unix_socket_directories')`)).toEqual([
      ['', `"${server.dataDir}/pgsocket"`],
    ]);
  });

  test('a live server is noticed', () => {
    expect(() => server.prepare()).toThrow(
      expect.objectContaining({
        code: 'F0001',
        message: 'lock file "postmaster.pid" already exists',
        hint: expect.stringContaining(`(PID ${server.pid})`) as string,
      }),
    );
  });

  test('after a crash the stale lock file is no obstacle, and the data are there', async () => {
    await server.sql('CREATE TABLE survivor AS SELECT 42 AS n');
    await server.stop('SIGQUIT');
    writeFileSync(join(server.dataDir, 'pgdata', 'postmaster.pid'), `999999999\n${server.dataDir}/pgdata\n`);
    server.cluster = server.prepare();
    expect(server.cluster.created).toBe(false);
    await server.start();
    expect(await server.sql('SELECT n FROM survivor')).toEqual([[42]]);
  });

  test('a directory that is too deep for a socket', () => {
    const deep = join(server.dataDir, 'd'.repeat(90));
    mkdirSync(deep);
    expect(() => server.prepare(deep)).toThrow(/^Unix-domain socket path ".*" is too long \(maximum 107 bytes\)$/);
  });

  test('a cluster of another release', () => {
    const dir = scratch();
    mkdirSync(join(dir, 'pgdata'), { mode: 0o700 });
    writeFileSync(join(dir, 'pgdata', 'PG_VERSION'), '8.4\n');
    own(join(dir, 'pgdata'));
    expect(() => server.prepare(dir)).toThrow(
      expect.objectContaining({
        message: 'database files are incompatible with server',
        detail: `The data directory was initialized by PostgreSQL version 8.4, which is not compatible with this version ${server.cluster.version}.`,
      }),
    );
  });

  test('a directory that is no cluster', () => {
    const dir = scratch();
    mkdirSync(join(dir, 'pgdata'));
    own(join(dir, 'pgdata'));
    expect(() => server.prepare(dir)).toThrow(/^".*\/pgdata" is not a valid data directory$/);
  });

  test.runIf(root)('a parent that the database user may not enter', () => {
    const dir = scratch();
    const inner = join(dir, 'inner');
    mkdirSync(inner);
    chmodSync(dir, 0o700);
    expect(() => server.prepare(inner)).toThrow(
      expect.objectContaining({ code: '42501', detail: expect.stringContaining(`may not enter "${dir}"`) as string }),
    );
  });

  function scratch(): string {
    const dir = makeTempDir('s');
    onTestFinished(() => removeTempDir(dir));
    return dir;
  }

  /** Gives a directory to the database user. */
  function own(path: string): void {
    if (server.cluster.uid !== undefined) spawnSync('chown', ['-R', `${server.cluster.uid}:${server.cluster.gid}`, path]);
  }
});

describe('openConnection', () => {
  const owner = new TestOwner();

  test('connects to the database, as the superuser, under the worker’s type', async () => {
    const connection = await owner.open(server.cluster.conninfo);
    expect([[connection.databaseOid]]).toEqual(await server.sql(`SELECT oid FROM pg_database WHERE datname = 'postgres'`));
    expect(await server.sql(`SELECT usename, application_name FROM pg_stat_activity WHERE application_name = 'test worker'`)).toEqual([
      ['postgres', 'test worker'],
    ]);
    await connection.close();
  });

  test.each([
    ['no_such_db', null, '3D000', 'database "no_such_db" does not exist'],
    ['postgres', 'no_such_role', '28000', 'role "no_such_role" does not exist'],
    ['postgres', 'nolog', '28000', 'role "nolog" is not permitted to log in'],
    ['closed', null, '55000', 'database "closed" is not currently accepting connections'],
    ['private', 'plain', '42501', 'permission denied for database "private"'],
  ])('database %s, role %s: %s %s', async (database, user, code, message) => {
    const fixture = [
      'CREATE ROLE nolog NOLOGIN',
      'CREATE ROLE plain LOGIN',
      'CREATE DATABASE closed ALLOW_CONNECTIONS false',
      'CREATE DATABASE private',
      'REVOKE CONNECT ON DATABASE private FROM PUBLIC',
    ];
    if ((await server.sql(`SELECT 1 FROM pg_roles WHERE rolname = 'nolog'`)).length === 0)
      for (const statement of fixture) await server.sql(statement);
    await expect(owner.open(server.cluster.conninfo, database, user)).rejects.toMatchObject({ severity: 'FATAL', code, message });
  });

  test('by OID: names are found, and what is not there is said by number', async () => {
    const { conninfo } = server.cluster;
    await server.sql('CREATE ROLE by_oid LOGIN');
    const names = await server.sql(`SELECT d.oid, r.oid FROM pg_database d, pg_roles r WHERE datname = 'postgres' AND rolname = 'by_oid'`);
    const [[dboid, useroid]] = names as [[number, number]];
    const connection = await openConnectionByOid({ conninfo, databaseOid: dboid, userOid: useroid, owner });
    expect((await connection.run({ text: 'SELECT current_user::text AS me', offset: 0 })).rows).toEqual([{ me: 'by_oid' }]);
    await connection.close();
    await expect(openConnectionByOid({ conninfo, databaseOid: 999999, userOid: 0, owner })).rejects.toMatchObject({
      severity: 'FATAL',
      code: '3D000',
      message: 'database 999999 does not exist',
    });
    await expect(openConnectionByOid({ conninfo, databaseOid: dboid, userOid: 999999, owner })).rejects.toMatchObject({
      code: '28000',
      message: 'role with OID 999999 does not exist',
    });
  });

  test('no server: libpq’s words', async () => {
    const conninfo = { ...server.cluster.conninfo, port: 1 };
    await expect(owner.open(conninfo, null)).rejects.toMatchObject({
      code: '08006',
      message: `connection to server on socket "${server.dataDir}/pgsocket/.s.PGSQL.1" failed: No such file or directory`,
      hint: 'Is the server running locally and accepting connections on that socket?',
    });
  });

  test('settings of the database that our client cannot live with are put right, others stay', async () => {
    await server.sql('CREATE DATABASE odd');
    await server.sql(`ALTER DATABASE odd SET DateStyle = 'German'`);
    await server.sql(`ALTER DATABASE odd SET work_mem = '5MB'`);
    const connection = await owner.open(server.cluster.conninfo, 'odd');
    const { rows } = await connection.run({ text: `SELECT timestamptz '2026-11-22 00:00Z' AS at, current_setting('work_mem') AS mem`, offset: 0 });
    expect(rows).toEqual([{ at: new Date('2026-11-22T00:00:00Z'), mem: '5MB' }]);
    await connection.close();
  });

  test('a connection string with a password', async () => {
    await server.sql(`CREATE ROLE pw LOGIN PASSWORD 'se cret'`);
    const hba = join(server.dataDir, 'pgdata', 'pg_hba.conf');
    writeFileSync(hba, `local all pw scram-sha-256\n${readFileSync(hba, 'utf8')}`);
    await server.sql('SELECT pg_reload_conf()');
    const attached = (password: string): ReturnType<typeof owner.open> =>
      owner.open(databaseConninfo(`host=${server.dataDir}/pgsocket user=pw password='${password}' dbname=postgres`, '')!, null);
    // The configuration is reloaded when the server gets to it.
    await waitUntil(
      async () =>
        (await attached('wrong').then(
          (c) => c.close(),
          (err: { code: string }) => err.code,
        )) === '28P01',
      { what: 'the password to be asked for' },
    );
    const connection = await attached('se cret');
    expect((await connection.run({ text: 'SELECT current_user AS me', offset: 0 })).rows).toEqual([{ me: 'pw' }]);
    await connection.close();
  });
});
