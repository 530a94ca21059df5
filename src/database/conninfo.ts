// The setting "database" as connection parameters of our client. Any process; call it after the fork, so that what it reads (the
// password, key files) is never in the postmaster's memory. PostgreSQL: the connection options of libpq, src/interfaces/libpq/fe-connect.c.

import { existsSync } from 'node:fs';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import type { ClientConfig } from 'pg';
import { ErrorData } from '../elog/error-data.js';
import { ERRCODE_INVALID_PARAMETER_VALUE } from '../elog/errcodes.js';
import { isKeyword, isUnsupported, parseConninfo, unsupported, type Conninfo } from './conninfo-parse.js';
import { readService } from './conninfo-service.js';
import { tlsAttempts, type TlsAttempt } from './conninfo-tls.js';
import { passwordFromFile } from './passfile.js';
import { keepaliveSocket } from './tcp-socket.js';

/** The owned server's port: part of its socket's name, and of nothing else. */
export const OWNED_PORT = 5432;

export const SESSION_ATTRS = ['any', 'read-write', 'read-only', 'primary', 'standby', 'prefer-standby'] as const;

/** Connection parameters: the first attempt, and what `connectClient` goes on with where that fails. */
export interface DatabaseConninfo extends ClientConfig {
  /** Other hosts, and the same ones with or without TLS, in order. */
  readonly alternatives?: readonly ClientConfig[];
  /** Default: any. */
  readonly targetSessionAttrs?: (typeof SESSION_ATTRS)[number];
}

/** The directory of the owned server's socket. */
export function ownedSocketDir(dataDir: string): string {
  return join(dataDir, 'pgsocket');
}

/**
 * How to reach the owned server of a data directory. Independent of PG* variables: `ssl…` and `options` are given because the client
 * would look for PGSSLMODE, PGSSLNEGOTIATION and PGOPTIONS otherwise.
 */
export function ownedConninfo(dataDir: string): DatabaseConninfo {
  return {
    host: ownedSocketDir(dataDir),
    port: OWNED_PORT,
    user: 'postgres',
    database: 'postgres',
    ssl: false,
    sslnegotiation: 'postgres',
    options: '-c client_encoding=UTF8',
  };
}

/**
 * The setting "database" as connection parameters; null for "none".
 *
 * A connection string may be a URI or libpq's `key=value` form; what it leaves out comes from the PG* environment variables, as in libpq. A password is held
 * as a function, so that printing the parameters does not print it.
 * Reads what it names (a service, certificates) anew at each call; the password file when the server asks for a password.
 * @throws ErrorData 22023 in libpq's words for a bad string, 0A000 for an option that is not supported
 */
export function databaseConninfo(setting: string, dataDir: string): DatabaseConninfo | null {
  if (setting === 'owned') return ownedConninfo(dataDir);
  if (setting === 'none') return null;
  try {
    return attachedConninfo(parseConninfo(setting));
  } catch (err) {
    if (!(err instanceof ErrorData)) throw err;
    const hint = 'The configuration parameter "database" takes "owned", "none" or a connection string.';
    throw new ErrorData({ code: err.code, message: err.message, detail: err.detail, hint: err.hint ?? hint });
  }
}

/** libpq's variables for what neither a connection string nor its service says. */
const VARIABLES: Readonly<Record<string, string>> = {
  service: 'PGSERVICE',
  servicefile: 'PGSERVICEFILE',
  hostaddr: 'PGHOSTADDR',
  host: 'PGHOST',
  port: 'PGPORT',
  user: 'PGUSER',
  password: 'PGPASSWORD',
  passfile: 'PGPASSFILE',
  dbname: 'PGDATABASE',
  connect_timeout: 'PGCONNECT_TIMEOUT',
  options: 'PGOPTIONS',
  channel_binding: 'PGCHANNELBINDING',
  target_session_attrs: 'PGTARGETSESSIONATTRS',
  sslmode: 'PGSSLMODE',
  sslnegotiation: 'PGSSLNEGOTIATION',
  sslrootcert: 'PGSSLROOTCERT',
  sslcert: 'PGSSLCERT',
  sslkey: 'PGSSLKEY',
  sslcrl: 'PGSSLCRL',
  ssl_min_protocol_version: 'PGSSLMINPROTOCOLVERSION',
  ssl_max_protocol_version: 'PGSSLMAXPROTOCOLVERSION',
  // Those that are refused, unless they ask for nothing.
  gssencmode: 'PGGSSENCMODE',
  load_balance_hosts: 'PGLOADBALANCEHOSTS',
  require_auth: 'PGREQUIREAUTH',
  requirepeer: 'PGREQUIREPEER',
  sslcertmode: 'PGSSLCERTMODE',
  sslcrldir: 'PGSSLCRLDIR',
  sslsni: 'PGSSLSNI',
};

/** What the string says, else its service, else the environment: libpq's order (conninfo_add_defaults). */
function complete(given: Conninfo): Conninfo {
  const info = { ...given };
  const fromEnvironment = (name: string): string | undefined => process.env[VARIABLES[name] ?? ''] || undefined;
  const service = info['service'] || fromEnvironment('service');
  const services = service ? readService(service, info['servicefile'] || fromEnvironment('servicefile')) : {};
  for (const [keyword, value = ''] of Object.entries(services)) {
    if (!isKeyword(keyword)) throw invalid(`invalid connection option "${keyword}" in the definition of service "${service}"`);
    if (isUnsupported(keyword, value)) throw unsupported(`connection option "${keyword}" is not supported`);
    info[keyword] ??= value;
  }
  for (const [keyword, variable] of Object.entries(VARIABLES)) {
    // A host that was given is not to be reached at an address that was not.
    const value = keyword === 'hostaddr' && info['host'] !== undefined ? undefined : fromEnvironment(keyword);
    if (value !== undefined && isUnsupported(keyword, value)) throw unsupported(`environment variable "${variable}" is not supported`);
    info[keyword] ??= value;
  }
  return info;
}

function attachedConninfo(given: Conninfo): DatabaseConninfo {
  const info = complete(given);
  if (info['channel_binding'] === 'require') throw unsupported('channel_binding value "require" is not supported');
  const targetSessionAttrs = SESSION_ATTRS.find((value) => value === (info['target_session_attrs'] || 'any'));
  if (targetSessionAttrs === undefined) throw invalid(`invalid target_session_attrs value: "${info['target_session_attrs']}"`);
  const attempts = hostsOf(info).flatMap((host) => attemptsAt(host, info));
  const [first, ...alternatives] = attempts as [ClientConfig, ...ClientConfig[]];
  return {
    ...first,
    ...(alternatives.length === 0 ? {} : { alternatives }),
    ...(targetSessionAttrs === 'any' ? {} : { targetSessionAttrs }),
  };
}

interface Host {
  /** What it is called; checked against its certificate, and looked up in the password file. */
  readonly name: string;
  /** Where it is: a name, an address, or the directory of a socket. */
  readonly address: string;
  readonly port: number;
}

/** PostgreSQL: the beginning of pqConnectOptions2. */
function hostsOf(info: Conninfo): Host[] {
  const [names, addresses, ports] = [list(info['host']), list(info['hostaddr']), list(info['port'])];
  const count = addresses?.length ?? names?.length ?? 1;
  if (names !== null && addresses !== null && names.length !== addresses.length) {
    throw invalid(`could not match ${names.length} host names to ${addresses.length} hostaddr values`);
  }
  if (ports !== null && ports.length !== 1 && ports.length !== count) throw invalid(`could not match ${ports.length} port numbers to ${count} hosts`);
  return Array.from({ length: count }, (_, index) => {
    const port = portNumber((ports?.length === 1 ? ports[0] : ports?.[index]) || String(OWNED_PORT));
    const name = names?.[index] || addresses?.[index] || defaultHost(port);
    return { name, address: addresses?.[index] || name, port };
  });
}

function list(value: string | undefined): string[] | null {
  return value ? value.split(',').map((each) => each.trim()) : null;
}

/**
 * DIFFERS FROM POSTGRES: libpq knows one directory, from its compilation; we look where it may be, and take localhost where no socket is.
 */
function defaultHost(port: number): string {
  return ['/var/run/postgresql', '/tmp'].find((dir) => existsSync(join(dir, `.s.PGSQL.${port}`))) ?? 'localhost';
}

/** One host with and without TLS, as sslmode has it. */
function attemptsAt({ name, address, port }: Host, info: Conninfo): ClientConfig[] {
  // The client would take the variable USER; libpq asks the system, which also works where that variable is not set.
  const user = info['user'] || userInfo().username;
  const database = info['dbname'] || user;
  const timeout = integer(info, 'connect_timeout') ?? DEFAULT_CONNECT_TIMEOUT;
  const isSocket = address.startsWith('/');
  const stream = keepalives(info);
  const attempts: TlsAttempt[] = tlsAttempts(name === address ? info : { ...info, host: name });
  return (isSocket ? [false as const] : attempts).map((ssl) => ({
    host: address,
    port,
    user,
    database,
    password: passwordOf(info, { host: name, port, database, user }),
    ssl,
    enableChannelBinding: (info['channel_binding'] || 'disable') !== 'disable',
    ...(isSocket || stream === undefined ? {} : { stream }),
    ...(timeout <= 0 ? {} : { connectionTimeoutMillis: timeout * 1000 }),
    ...(info['options'] ? { options: info['options'] } : {}),
    sslnegotiation: ssl !== false && info['sslnegotiation'] === 'direct' ? 'direct' : 'postgres',
  }));
}

/** Ours, where nothing is said, in seconds: a server may take a connection and then be silent. libpq waits for ever, and so does `connect_timeout=0`. */
const DEFAULT_CONNECT_TIMEOUT = 30;

/** Ours, where nothing is said: a connection that is lost without a word is found within two minutes. The system's would be two hours. */
const DEFAULT_KEEPALIVES = { idle: 60, interval: 10, count: 5 };

/** Makes the socket, right before the client connects. */
function keepalives(info: Conninfo): ClientConfig['stream'] {
  if (integer(info, 'keepalives') === 0) return undefined;
  const options = {
    idle: integer(info, 'keepalives_idle') ?? DEFAULT_KEEPALIVES.idle,
    interval: integer(info, 'keepalives_interval') ?? DEFAULT_KEEPALIVES.interval,
    count: integer(info, 'keepalives_count') ?? DEFAULT_KEEPALIVES.count,
    userTimeout: integer(info, 'tcp_user_timeout') ?? 0,
  };
  return () => keepaliveSocket(options);
}

/** Asked for when the server asks; a function also because printing the parameters does not print it then. */
function passwordOf(info: Conninfo, key: Parameters<typeof passwordFromFile>[1]): () => string {
  const given = info['password'];
  return () => {
    const password = given || passwordFromFile(info['passfile'], key);
    if (password === undefined) throw new Error('fe_sendauth: no password supplied');
    return password;
  };
}

function integer(info: Conninfo, keyword: string): number | undefined {
  const value = info[keyword];
  if (value === undefined || value === '') return undefined;
  if (/^\s*[-+]?\d+\s*$/.test(value)) return Number(value);
  throw invalid(`invalid integer value "${value}" for connection option "${keyword}"`);
}

function portNumber(value: string): number {
  const port = integer({ port: value }, 'port') ?? 0;
  if (port >= 1 && port <= 65535) return port;
  throw invalid(`invalid port number: "${value}"`);
}

function invalid(message: string): ErrorData {
  return new ErrorData({ code: ERRCODE_INVALID_PARAMETER_VALUE, message });
}
