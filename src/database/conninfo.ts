// The setting "database" as connection parameters of our client. Any process; call it after the fork, so that what it reads (the
// password, key files) is never in the postmaster's memory. PostgreSQL: the connection options of libpq, src/interfaces/libpq/fe-connect.c.

import { readFileSync } from 'node:fs';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import type { ConnectionOptions } from 'node:tls';
import type { ClientConfig } from 'pg';
import { ErrorData } from '../elog/error-data.js';
import { ERRCODE_FEATURE_NOT_SUPPORTED, ERRCODE_INVALID_PARAMETER_VALUE } from '../elog/errcodes.js';
import { parseConninfo, type Conninfo } from './conninfo-parse.js';

/** The owned server's port: part of its socket's name, and of nothing else. */
export const OWNED_PORT = 5432;

/** The directory of the owned server's socket. */
export function ownedSocketDir(dataDir: string): string {
  return join(dataDir, 'pgsocket');
}

/**
 * How to reach the owned server of a data directory. Independent of PG* variables: `ssl…` and `options` are given because the client
 * would look for PGSSLMODE, PGSSLNEGOTIATION and PGOPTIONS otherwise.
 */
export function ownedConninfo(dataDir: string): ClientConfig {
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
 * @throws ErrorData 22023 in libpq's words for a bad string, 0A000 for an option that is not supported
 */
export function databaseConninfo(setting: string, dataDir: string): ClientConfig | null {
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

/** libpq's variables for what a connection string leaves out. */
const VARIABLES: Readonly<Record<string, string>> = {
  hostaddr: 'PGHOSTADDR',
  host: 'PGHOST',
  port: 'PGPORT',
  user: 'PGUSER',
  password: 'PGPASSWORD',
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
};

function withEnvironment(given: Conninfo): Conninfo {
  const info = { ...given };
  // A host that was given is not to be reached at an address that was not.
  const names = Object.keys(VARIABLES).filter((name) => name !== 'hostaddr' || given['host'] === undefined);
  for (const name of names) info[name] ??= process.env[VARIABLES[name] ?? ''];
  return info;
}

function attachedConninfo(given: Conninfo): ClientConfig {
  const info = withEnvironment(given);
  const host = info['hostaddr'] || info['host'];
  refuseUnsupported(info, host);
  // The client would take the variable USER; libpq asks the system, which also works where that variable is not set.
  const user = info['user'] || userInfo().username;
  const password = info['password'];
  const timeout = integer(info, 'connect_timeout');
  const idle = integer(info, 'keepalives_idle');
  return {
    user,
    database: info['dbname'] || user,
    keepAlive: integer(info, 'keepalives') !== 0,
    ssl: sslOptions(info),
    enableChannelBinding: (info['channel_binding'] ?? 'disable') !== 'disable',
    ...(host ? { host } : {}),
    ...(info['port'] ? { port: portNumber(info['port']) } : {}),
    ...(password === undefined ? {} : { password: (): string => password }),
    ...(timeout === undefined ? {} : { connectionTimeoutMillis: timeout * 1000 }),
    ...(idle === undefined ? {} : { keepAliveInitialDelayMillis: idle * 1000 }),
    ...(info['options'] === undefined ? {} : { options: info['options'] }),
    sslnegotiation: info['sslnegotiation'] === 'direct' ? 'direct' : 'postgres',
  };
}

function refuseUnsupported(info: Conninfo, host: string | undefined): void {
  if (host?.includes(',') || info['port']?.includes(',')) {
    throw new ErrorData({ code: ERRCODE_FEATURE_NOT_SUPPORTED, message: 'multiple hosts in a connection string are not supported' });
  }
  const sessionAttrs = info['target_session_attrs'] ?? 'any';
  if (sessionAttrs !== 'any') {
    throw new ErrorData({ code: ERRCODE_FEATURE_NOT_SUPPORTED, message: `target_session_attrs value "${sessionAttrs}" is not supported` });
  }
}

/**
 * libpq's sslmode as what Node's TLS needs.
 *
 * DIFFERS FROM POSTGRES: `allow` and `prefer` (libpq's default) first try one way and then the other; our client makes one attempt, without TLS.
 * Whoever wants TLS says `require` or more.
 */
function sslOptions(info: Conninfo): boolean | ConnectionOptions {
  const mode = info['sslmode'] ?? 'prefer';
  if (!['disable', 'allow', 'prefer', 'require', 'verify-ca', 'verify-full'].includes(mode)) {
    throw new ErrorData({ code: ERRCODE_INVALID_PARAMETER_VALUE, message: `invalid sslmode value: "${mode}"` });
  }
  if (mode === 'disable' || mode === 'allow' || mode === 'prefer') {
    if (info['sslnegotiation'] !== 'direct') return false;
    const message = `weak sslmode "${mode}" may not be used with sslnegotiation=direct (use "require", "verify-ca", or "verify-full")`;
    throw new ErrorData({ code: ERRCODE_INVALID_PARAMETER_VALUE, message });
  }
  const root = info['sslrootcert'];
  const cert = info['sslcert'];
  const key = info['sslkey'];
  if (mode === 'verify-ca' && root === undefined) {
    throw new ErrorData({
      code: ERRCODE_INVALID_PARAMETER_VALUE,
      message: 'sslmode value "verify-ca" needs a root certificate',
      hint: 'Provide the file with the option "sslrootcert", or use sslmode "verify-full".',
    });
  }
  return {
    // As in libpq, `require` checks the certificate's issuer if a root certificate is given, and nothing if not.
    rejectUnauthorized: mode !== 'require' || root !== undefined,
    ...(mode === 'verify-full' ? {} : { checkServerIdentity: (): undefined => undefined }),
    ...(root === undefined || root === 'system' ? {} : { ca: readCertificate(root) }),
    ...(cert === undefined ? {} : { cert: readCertificate(cert) }),
    ...(key === undefined ? {} : { key: readCertificate(key) }),
    ...(info['hostaddr'] !== undefined && info['host'] !== undefined ? { servername: info['host'] } : {}),
  };
}

function readCertificate(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (cause) {
    const reason = (cause as Error).message;
    throw new ErrorData({ code: ERRCODE_INVALID_PARAMETER_VALUE, message: `could not read certificate file "${path}": ${reason}`, cause });
  }
}

function integer(info: Conninfo, keyword: string): number | undefined {
  const value = info[keyword];
  if (value === undefined) return undefined;
  if (/^\s*[-+]?\d+\s*$/.test(value)) return Number(value);
  throw new ErrorData({ code: ERRCODE_INVALID_PARAMETER_VALUE, message: `invalid integer value "${value}" for connection option "${keyword}"` });
}

function portNumber(value: string): number {
  const port = integer({ port: value }, 'port') ?? 0;
  if (port >= 1 && port <= 65535) return port;
  throw new ErrorData({ code: ERRCODE_INVALID_PARAMETER_VALUE, message: `invalid port number: "${value}"` });
}
