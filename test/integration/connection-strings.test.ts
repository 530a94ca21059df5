// Connection strings against a real server: TLS with certificates of our own, SCRAM, services, the password file, PG* variables, several hosts.
import { copyFileSync, chownSync, chmodSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { databaseConninfo } from '../../src/database/conninfo.js';
import { DatabaseServer, TestOwner } from '../helpers/database-server.js';
import { makeTempDir, removeTempDir, tempDir } from '../helpers/index.js';
import { Authority, type Certificate } from '../helpers/tls.js';

const PASSWORD = 'correct horse';
const HBA = `local all all trust
hostssl all pw 127.0.0.1/32 scram-sha-256
hostssl all certified 127.0.0.1/32 cert
hostnossl all plain 127.0.0.1/32 scram-sha-256
`;

const owner = new TestOwner();
let server: DatabaseServer;
let dir: string;
let port: number;
let authority: Authority;
let client: Certificate;
let at: string;

async function freePort(): Promise<number> {
  const listener = createServer();
  await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve));
  const found = (listener.address() as AddressInfo).port;
  await new Promise((resolve) => listener.close(resolve));
  return found;
}

beforeAll(async () => {
  dir = makeTempDir('tls');
  authority = new Authority(dir);
  client = authority.issue('certified');
  server = new DatabaseServer();
  const { cert, key } = authority.issue('server', 'DNS:localhost');
  const pgdata = join(server.dataDir, 'pgdata');
  const files = { [cert]: 'server.crt', [key]: 'server.key', [authority.cert]: 'root.crt' };
  for (const [from, name] of Object.entries(files)) {
    copyFileSync(from, join(pgdata, name));
    chmodSync(join(pgdata, name), 0o600);
    if (server.cluster.uid !== undefined) chownSync(join(pgdata, name), server.cluster.uid, server.cluster.gid ?? 0);
  }
  writeFileSync(join(pgdata, 'pg_hba.conf'), HBA);
  port = await freePort();
  server.cluster = { ...server.cluster, conninfo: { ...server.cluster.conninfo, port } };
  await server.start('accepting', ['listen_addresses=127.0.0.1', 'ssl=on', 'ssl_ca_file=root.crt', `port=${port}`]);
  for (const role of ['pw', 'plain', 'certified']) await server.sql(`CREATE ROLE ${role} LOGIN PASSWORD '${PASSWORD}'`);
  at = `host=localhost hostaddr=127.0.0.1 port=${port} dbname=postgres`;
}, 60_000);
afterAll(async () => {
  await server?.remove();
  removeTempDir(dir);
});
beforeEach(() => {
  for (const name of Object.keys(process.env).filter((key) => key.startsWith('PG'))) vi.stubEnv(name, undefined);
  vi.stubEnv('HOME', dir);
});
afterEach(() => {
  vi.unstubAllEnvs();
});

interface Session {
  readonly user: string;
  readonly tls: boolean;
  readonly workMem: string;
}

async function connect(setting: string): Promise<Session> {
  const connection = await owner.open(databaseConninfo(setting, '')!, null);
  const text = `SELECT current_user::text AS user, ssl AS tls, current_setting('work_mem') AS "workMem" FROM pg_stat_ssl WHERE pid = pg_backend_pid()`;
  const { rows } = await connection.run({ text, offset: 0 });
  await connection.close();
  return rows[0] as unknown as Session;
}

/** What it would say to a worker, which ends by it. */
const refusal = (setting: string): Promise<{ severity: string; code: string; message: string }> =>
  connect(setting).then(
    (session) => Promise.reject(new Error(`connected: ${JSON.stringify(session)}`)),
    (err: { severity: string; code: string; message: string }) => err,
  );

const password = `user=pw password='${PASSWORD}'`;

describe('TLS', () => {
  test.each([
    ['verify-full', () => `${at} ${password} sslmode=verify-full sslrootcert=${authority.cert}`],
    ['verify-full over TLS 1.3 alone', () => `${at} ${password} sslmode=verify-full sslrootcert=${authority.cert} ssl_min_protocol_version=TLSv1.3`],
    ['verify-ca, whatever the name', () => `host=127.0.0.1 port=${port} dbname=postgres ${password} sslmode=verify-ca sslrootcert=${authority.cert}`],
    ['require', () => `${at} ${password} sslmode=require`],
    ['prefer, the default', () => `${at} ${password}`],
    ['a URI', () => `postgresql://pw:${encodeURIComponent(PASSWORD)}@127.0.0.1:${port}/postgres?sslmode=require`],
    ['allow, after an attempt without', () => `${at} ${password} sslmode=allow`],
    ['channel binding', () => `${at} ${password} sslmode=require channel_binding=prefer`],
  ])('%s', async (_mode, setting) => {
    expect(await connect(setting())).toMatchObject({ user: 'pw', tls: true });
  });

  test('prefer goes on without TLS where the server wants none', async () => {
    expect(await connect(`${at} user=plain password='${PASSWORD}'`)).toMatchObject({ user: 'plain', tls: false });
  });

  test('a client certificate instead of a password', async () => {
    expect(await connect(`${at} user=certified sslmode=require sslcert=${client.cert} sslkey=${client.key}`)).toMatchObject({
      user: 'certified',
      tls: true,
    });
  });

  test('verify-full: another name, another authority', async () => {
    const verified = `${password} sslmode=verify-full sslrootcert=`;
    const byAddress = `host=127.0.0.1 port=${port} dbname=postgres`;
    expect(await refusal(`${byAddress} ${verified}${authority.cert}`)).toMatchObject({
      code: '08006',
      message: expect.stringMatching(/does not match/) as string,
    });
    const other = new Authority(tempDir('ca'), 'other');
    expect(await refusal(`${at} ${verified}${other.cert}`)).toMatchObject({ severity: 'FATAL', code: '08006' });
  });

  test('disable, where the server wants TLS: its own words', async () => {
    expect(await refusal(`${at} ${password} sslmode=disable`)).toMatchObject({
      severity: 'FATAL',
      code: '28000',
      message: expect.stringMatching(/^no pg_hba.conf entry for host "127.0.0.1", user "pw", database "postgres", no encryption$/) as string,
    });
  });
});

describe('passwords', () => {
  const secure = (): string => `${at} sslmode=require user=pw`;

  test('SCRAM: a wrong one, and none', async () => {
    expect(await refusal(`${secure()} password=wrong`)).toMatchObject({ code: '28P01', message: 'password authentication failed for user "pw"' });
    expect(await refusal(secure())).toMatchObject({
      code: '08006',
      message: `connection to server at "127.0.0.1", port ${port} failed: fe_sendauth: no password supplied`,
    });
  });

  test('from the file that passfile, PGPASSFILE or the home directory has, by the host’s name', async () => {
    const file = join(tempDir('pass'), 'pass');
    writeFileSync(file, `localhost:${port}:postgres:pw:${PASSWORD}\n`, { mode: 0o600 });
    expect(await connect(`${secure()} passfile=${file}`)).toMatchObject({ user: 'pw' });
    vi.stubEnv('PGPASSFILE', file);
    expect(await connect(secure())).toMatchObject({ user: 'pw' });
    vi.stubEnv('PGPASSFILE', undefined);
    copyFileSync(file, join(dir, '.pgpass'));
    expect(await connect(secure())).toMatchObject({ user: 'pw' });
    writeFileSync(join(dir, '.pgpass'), readFileSync(file, 'utf8').replace('localhost', '127.0.0.1'));
    expect(await refusal(secure())).toMatchObject({ message: expect.stringContaining('no password supplied') as string });
  });

  test('a service, and what the environment adds', async () => {
    const file = join(tempDir('svc'), 'services');
    writeFileSync(file, `[app]\nhost=localhost\nhostaddr=127.0.0.1\nport=${port}\nuser=pw\npassword=${PASSWORD}\nsslmode=require\n`);
    vi.stubEnv('PGSERVICEFILE', file);
    vi.stubEnv('PGDATABASE', 'postgres');
    vi.stubEnv('PGOPTIONS', '-c work_mem=3MB');
    expect(await connect('service=app')).toEqual({ user: 'pw', tls: true, workMem: '3MB' });
    expect(await connect(`service=app options='-c work_mem=4MB'`)).toMatchObject({ workMem: '4MB' });
  });
});

describe('several hosts', () => {
  test('the first that lets us in', async () => {
    expect(await connect(`host=${dir},127.0.0.1 port=${port} dbname=postgres ${password}`)).toMatchObject({ user: 'pw' });
    expect(await connect(`postgresql://pw:${encodeURIComponent(PASSWORD)}@127.0.0.1:1,127.0.0.1:${port}/postgres`)).toMatchObject({ user: 'pw' });
  });

  test('target_session_attrs: of the right kind, or refused in libpq’s words; prefer-standby takes what there is', async () => {
    const local = `host=${server.dataDir}/pgsocket port=${port} user=postgres dbname=postgres`;
    for (const wanted of ['any', 'read-write', 'primary', 'prefer-standby']) {
      expect(await connect(`${local} target_session_attrs=${wanted}`)).toMatchObject({ user: 'postgres' });
    }
    const where = `connection to server on socket "${server.dataDir}/pgsocket/.s.PGSQL.${port}" failed`;
    expect(await refusal(`${local} target_session_attrs=standby`)).toMatchObject({
      code: '08006',
      message: `${where}: server is not in hot standby mode`,
    });
    expect(await refusal(`${local} target_session_attrs=read-only`)).toMatchObject({ message: `${where}: session is not read-only` });
    expect(await refusal(`${local} target_session_attrs=read-write options='-c default_transaction_read_only=on'`)).toMatchObject({
      message: `${where}: session is read-only`,
    });
  });
});
