// The setting "database": connection strings in both forms, libpq's words for bad ones, and no password where it could be seen.
import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { parseConninfo } from '../../../src/database/conninfo-parse.js';
import { databaseConninfo } from '../../../src/database/conninfo.js';
import { findPassword, passwordFromFile } from '../../../src/database/passfile.js';
import { tempDir } from '../../helpers/index.js';

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
    ['requirepeer=postgres', 'connection option "requirepeer" is not supported'],
    ['gssencmode=require', 'connection option "gssencmode" is not supported'],
    ['sslsni=0', 'connection option "sslsni" is not supported'],
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
    ['postgresql://a:1,[::1]:2,c/db', { host: 'a,::1,c', port: '1,2,', dbname: 'db' }],
    ['postgresql://u@a,b?target_session_attrs=primary', { user: 'u', host: 'a,b', target_session_attrs: 'primary' }],
    ['postgresql://h?gssencmode=prefer&sslsni=1', { host: 'h' }],
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

  const tlsOf = (setting: string): unknown[] => {
    const { alternatives = [], ...first } = databaseConninfo(setting, '/d')!;
    return [first, ...alternatives].map(({ ssl }) => (typeof ssl === 'object' ? ssl.rejectUnauthorized : ssl));
  };
  test.each([
    ['disable', [false]],
    ['allow', [false, false]],
    ['prefer', [false, false]],
    ['require', [false]],
    ['verify-full', [true]],
  ])('sslmode %s: verified, or without', (mode, expected) => {
    vi.stubEnv('HOME', '/nowhere');
    expect(tlsOf(`host=h sslmode=${mode}`)).toEqual(expected);
    expect(tlsOf(`host=/run/h sslmode=${mode}`)).toEqual([false]);
  });

  test('sslmode allow and prefer: which attempt is the first', () => {
    const kinds = (mode: string): string[] => {
      const { alternatives = [], ...first } = databaseConninfo(`host=h sslmode=${mode}`, '/d')!;
      return [first, ...alternatives].map(({ ssl }) => (ssl === false ? 'plain' : 'tls'));
    };
    expect([kinds('allow'), kinds('prefer'), kinds('require')]).toEqual([['plain', 'tls'], ['tls', 'plain'], ['tls']]);
  });

  test('several hosts, each with its port or all with one; an address for each', () => {
    const addresses = (setting: string): string[] => {
      const { alternatives = [], ...first } = databaseConninfo(`sslmode=disable ${setting}`, '/d')!;
      return [first, ...alternatives].map(({ host, port }) => `${host} ${port}`);
    };
    expect(addresses('host=a,/run/b port=1,2')).toEqual(['a 1', '/run/b 2']);
    expect(addresses('host=a,b port=7')).toEqual(['a 7', 'b 7']);
    expect(addresses('host=a,b hostaddr=1.2.3.4,5.6.7.8 port=1,')).toEqual(['1.2.3.4 1', '5.6.7.8 5432']);
    expect(databaseConninfo('host=a,b target_session_attrs=read-write', '/d')).toMatchObject({ targetSessionAttrs: 'read-write' });
  });

  test.each([
    ['owend', 'missing "=" after "owend" in connection info string'],
    ['host=h port=x', 'invalid integer value "x" for connection option "port"'],
    ['host=h port=70000', 'invalid port number: "70000"'],
    ['host=h sslmode=maybe', 'invalid sslmode value: "maybe"'],
    ['postgresql://::1/', 'invalid integer value ":1" for connection option "port"'],
    ['postgresql://h1:1,h2:x/', 'invalid integer value "x" for connection option "port"'],
    ['host=h sslmode=verify-ca', 'sslmode value "verify-ca" needs a root certificate'],
    ['host=h sslmode=require sslrootcert=/nowhere', 'could not read root certificate file "/nowhere"'],
    ['host=h sslmode=prefer sslnegotiation=direct', 'weak sslmode "prefer" may not be used with sslnegotiation=direct'],
    ['host=a,b,c port=1,2', 'could not match 2 port numbers to 3 hosts'],
    ['host=a,b hostaddr=1.1.1.1', 'could not match 2 host names to 1 hostaddr values'],
    ['host=a target_session_attrs=read-only-ish', 'invalid target_session_attrs value: "read-only-ish"'],
    ['host=a channel_binding=require', 'channel_binding value "require" is not supported'],
    ['host=a sslmode=require sslrootcert=system', 'weak sslmode "require" may not be used with sslrootcert=system (use "verify-full")'],
    ['host=a ssl_min_protocol_version=TLSv9', 'invalid "ssl_min_protocol_version" value: "TLSv9"'],
    ['service=x servicefile=/nowhere', 'service file "/nowhere" not found'],
  ])('%j: %s', (setting, message) => {
    const caught = (): unknown => databaseConninfo(setting, '/d');
    expect(caught).toThrow(message);
    expect(caught).toThrow(expect.objectContaining({ hint: expect.stringMatching(/"database"|"sslrootcert"/) as string }));
  });
});

describe('services and password files', () => {
  const file = (name: string, content: string, mode = 0o600): string => {
    const path = join(tempDir('ci'), name);
    writeFileSync(path, content, { mode });
    return path;
  };

  test('a service fills in what the string leaves out, and comes before the environment', () => {
    vi.stubEnv('PGPORT', '1');
    vi.stubEnv('PGDATABASE', 'other');
    const path = file('services', '# ours\n[other]\nhost=no\n\n[app]\nhost=dbhost\nport=6000\nuser=alice\n[app]\nhost=second\n');
    const found = databaseConninfo(`service=app user=bob servicefile=${path}`, '/d');
    expect(found).toMatchObject({ host: 'dbhost', port: 6000, user: 'bob', database: 'other' });
    vi.stubEnv('PGSERVICEFILE', path);
    vi.stubEnv('PGSERVICE', 'app');
    expect(databaseConninfo('dbname=d', '/d')).toMatchObject({ host: 'dbhost', user: 'alice', database: 'd' });
  });

  test.each([
    ['[other]\nhost=a\n', 'definition of service "app" not found'],
    ['[app]\nhost\n', /^syntax error in service file ".*", line 2$/],
    ['[app]\nservice=x\n', /^nested service specifications not supported in service file ".*", line 2$/],
    ['[app]\nhots=x\n', 'invalid connection option "hots" in the definition of service "app"'],
    ['[app]\nrequirepeer=x\n', 'connection option "requirepeer" is not supported'],
    ['[app]\nldap://x\n', /^LDAP lookup in service file ".*", line 2, is not supported$/],
  ])('%j: %s', (content, message) => {
    expect(() => databaseConninfo(`service=app servicefile=${file('services', content)}`, '/d')).toThrow(message);
  });

  test('an environment variable that cannot be honoured is not passed over', () => {
    vi.stubEnv('PGREQUIREPEER', 'postgres');
    expect(() => databaseConninfo('host=h', '/d')).toThrow('environment variable "PGREQUIREPEER" is not supported');
  });

  test.each([
    ['h:5432:db:u:secret\n', 'secret'],
    ['# h:5432:db:u:no\nother:*:*:*:no\n*:*:db:*:a:b\\\\c\\:d\n', 'a:b\\c:d'],
    ['h:5432:db:v:no\n', undefined],
    ['h:5432:db:u\nh:5432:db:u:\n', undefined],
  ])('the password file %j', (content, password) => {
    expect(findPassword(content, { host: 'h', port: 5432, database: 'db', user: 'u' })).toBe(password);
  });

  test('the password file is read when the password is asked for; others may not read it', () => {
    vi.spyOn(process.stderr, 'write').mockReturnValue(true);
    const path = file('pass', '');
    const ask = databaseConninfo(`host=h user=u dbname=db passfile=${path}`, '/d')!.password as () => string;
    expect(ask).toThrow('fe_sendauth: no password supplied');
    writeFileSync(path, 'h:5432:db:u:later\n');
    expect(ask()).toBe('later');
    chmodSync(path, 0o640);
    expect(ask).toThrow('fe_sendauth: no password supplied');
  });

  test('over a socket in a default directory the host is localhost', () => {
    const path = file('pass', 'localhost:5432:db:u:sock\n');
    expect(passwordFromFile(path, { host: '/var/run/postgresql', port: 5432, database: 'db', user: 'u' })).toBe('sock');
  });

  test('a private key that others can read is refused', () => {
    const key = file('key', 'x', 0o644);
    expect(() => databaseConninfo(`host=h sslmode=require sslcert=${key} sslkey=${key}`, '/d')).toThrow(
      /^private key file ".*" has group or world access/,
    );
  });
});
