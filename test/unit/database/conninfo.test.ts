// The setting "database": connection strings in both forms, libpq's words for bad ones, and no password where it could be seen.
import { inspect } from 'node:util';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { parseConninfo } from '../../../src/database/conninfo-parse.js';
import { databaseConninfo } from '../../../src/database/conninfo.js';

beforeEach(() => {
  for (const name of Object.keys(process.env).filter((key) => key.startsWith('PG'))) vi.stubEnv(name, undefined);
});
afterEach(() => {
  vi.unstubAllEnvs();
});

describe('parseConninfo: key=value', () => {
  test.each([
    ['host=localhost dbname=app', { host: 'localhost', dbname: 'app' }],
    ["host = /run/pg  user='a b' password='it\\'s'", { host: '/run/pg', user: 'a b', password: "it's" }],
    ['password=a\\ b\\\\c', { password: 'a b\\c' }],
    ["dbname='' port=1", { dbname: '', port: '1' }],
    ['port=1 port=2', { port: '2' }],
    ['  ', {}],
    ['user=a\\', { user: 'a' }],
  ])('%j', (text, expected) => {
    expect(parseConninfo(text)).toEqual(expected);
  });

  test.each([
    ['host', 'missing "=" after "host" in connection info string'],
    ['host localhost', 'missing "=" after "host" in connection info string'],
    ["host='abc", 'unterminated quoted string in connection info string'],
    ['hots=x', 'invalid connection option "hots"'],
    ['=x', 'invalid connection option ""'],
    ['password=my secret host=x', 'missing "=" after "********" in connection info string'],
    ['service=prod', 'connection option "service" is not supported'],
  ])('%j: %s', (text, message) => {
    expect(() => parseConninfo(text)).toThrow(message);
  });
});

describe('parseConninfo: URI', () => {
  test.each([
    ['postgresql://', {}],
    ['postgres://h', { host: 'h' }],
    ['postgresql://u:p%40ss@h:5433/db', { user: 'u', password: 'p@ss', host: 'h', port: '5433', dbname: 'db' }],
    ['postgresql://u@/db?host=/run/pg', { user: 'u', dbname: 'db', host: '/run/pg' }],
    ['postgresql://%2Frun%2Fpg/db', { host: '/run/pg', dbname: 'db' }],
    ['postgresql://[::1]:5433/db', { host: '::1', port: '5433', dbname: 'db' }],
    ['postgresql://h?sslmode=require&application_name=a%20b', { host: 'h', sslmode: 'require', application_name: 'a b' }],
    ['postgresql://h/?ssl=true', { host: 'h', sslmode: 'require' }],
  ])('%j', (text, expected) => {
    expect(parseConninfo(text)).toEqual(expected);
  });

  test.each([
    ['postgresql://h?host', 'missing key/value separator "=" in URI query parameter: "host"'],
    ['postgresql://h?a=b=c', 'extra key/value separator "=" in URI query parameter: "a"'],
    ['postgresql://h?nope=1', 'invalid URI query parameter: "nope"'],
    ['postgresql://h/%zz', 'invalid percent-encoded token: "%zz"'],
    ['postgresql://h/a%00', 'forbidden value %00 in percent-encoded value: "a%00"'],
    ['postgresql://u:sec%zzret@h', 'invalid percent-encoded token: "********"'],
    ['postgresql://[]/', 'IPv6 host address may not be empty in URI'],
    ['postgresql://[::1/', 'invalid host address in URI'],
    ['postgresql://[::1]5432/', 'invalid host address in URI'],
  ])('%j: %s', (text, message) => {
    expect(() => parseConninfo(text)).toThrow(message);
  });
});

describe('databaseConninfo', () => {
  test('owned: the socket in the data directory, whatever the environment says', () => {
    vi.stubEnv('PGHOST', 'elsewhere');
    vi.stubEnv('PGSSLMODE', 'require');
    expect(databaseConninfo('owned', '/d')).toMatchObject({ host: '/d/pgsocket', port: 5432, user: 'postgres', database: 'postgres', ssl: false });
  });

  test('none: null', () => {
    expect(databaseConninfo('none', '/d')).toBeNull();
  });

  test('what the string leaves out comes from the environment', () => {
    vi.stubEnv('PGHOST', 'dbhost');
    vi.stubEnv('PGPORT', '6000');
    vi.stubEnv('PGUSER', 'alice');
    expect(databaseConninfo('connect_timeout=3', '/d')).toMatchObject({
      host: 'dbhost',
      port: 6000,
      user: 'alice',
      database: 'alice',
      connectionTimeoutMillis: 3000,
    });
    expect(databaseConninfo('postgresql://bob@h/app', '/d')).toMatchObject({ host: 'h', user: 'bob', database: 'app' });
  });

  test('a password is usable and does not show', () => {
    const conninfo = databaseConninfo('postgresql://u:topsecret@h/db', '/d');
    expect(inspect(conninfo, { depth: 9 }) + JSON.stringify(conninfo)).not.toContain('topsecret');
    const password = conninfo?.password as () => string;
    expect(password()).toBe('topsecret');
  });

  test.each([
    ['disable', false],
    ['prefer', false],
    ['require', { rejectUnauthorized: false }],
    ['verify-full', { rejectUnauthorized: true }],
  ])('sslmode %s', (mode, expected) => {
    const ssl = databaseConninfo(`host=h sslmode=${mode}`, '/d')?.ssl;
    expect(typeof ssl === 'object' ? { rejectUnauthorized: ssl.rejectUnauthorized } : ssl).toEqual(expected);
  });

  test.each([
    ['owend', 'missing "=" after "owend" in connection info string'],
    ['host=h port=x', 'invalid integer value "x" for connection option "port"'],
    ['host=h port=70000', 'invalid port number: "70000"'],
    ['host=h sslmode=maybe', 'invalid sslmode value: "maybe"'],
    ['postgresql://::1/', 'invalid integer value ":1" for connection option "port"'],
    ['host=h sslmode=verify-ca', 'sslmode value "verify-ca" needs a root certificate'],
    ['host=h sslmode=require sslrootcert=/nowhere', 'could not read certificate file "/nowhere"'],
    ['host=h sslmode=prefer sslnegotiation=direct', 'weak sslmode "prefer" may not be used with sslnegotiation=direct'],
    ['host=a,b', 'multiple hosts in a connection string are not supported'],
    ['host=a target_session_attrs=read-write', 'target_session_attrs value "read-write" is not supported'],
  ])('%j: %s', (setting, message) => {
    const caught = (): unknown => databaseConninfo(setting, '/d');
    expect(caught).toThrow(message);
    expect(caught).toThrow(expect.objectContaining({ hint: expect.stringMatching(/"database"|"sslrootcert"/) as string }));
  });
});
