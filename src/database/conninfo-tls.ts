// sslmode and its neighbours as what Node's TLS needs. Any process; after the fork, since it reads keys.
// PostgreSQL: initialize_SSL, src/interfaces/libpq/fe-secure-openssl.c; the checks of pqConnectOptions2, fe-connect.c.

import { existsSync, readFileSync, statSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import type { ConnectionOptions, SecureVersion } from 'node:tls';
import { ErrorData } from '../elog/error-data.js';
import { ERRCODE_INVALID_PARAMETER_VALUE } from '../elog/errcodes.js';
import type { Conninfo } from './conninfo-parse.js';

const MODES = new Set(['disable', 'allow', 'prefer', 'require', 'verify-ca', 'verify-full']);

/** In the order in which they are tried: false is without TLS. Over a Unix socket there is none. */
export type TlsAttempt = ConnectionOptions | false;

/** The attempts that a connection string asks for, over TCP. */
export function tlsAttempts(info: Conninfo): TlsAttempt[] {
  const mode = info['sslmode'] || 'prefer';
  if (!MODES.has(mode)) throw invalid(`invalid sslmode value: "${mode}"`);
  const weak = mode === 'disable' || mode === 'allow' || mode === 'prefer';
  if (weak && info['sslnegotiation'] === 'direct') {
    throw invalid(`weak sslmode "${mode}" may not be used with sslnegotiation=direct (use "require", "verify-ca", or "verify-full")`);
  }
  if (info['sslrootcert'] === 'system' && mode !== 'verify-full') {
    throw invalid(`weak sslmode "${mode}" may not be used with sslrootcert=system (use "verify-full")`);
  }
  if (mode === 'disable') return [false];
  const tls = tlsOptions(info, mode);
  if (mode === 'allow') return [false, tls];
  return mode === 'prefer' ? [tls, false] : [tls];
}

/**
 * DIFFERS FROM POSTGRES: `verify-full` without a root certificate, and `sslrootcert=system`, take the roots that Node trusts; libpq has an error for the
 * one, and OpenSSL's for the other.
 */
function tlsOptions(info: Conninfo, mode: string): ConnectionOptions {
  const root = info['sslrootcert'] || existing('root.crt');
  const cert = info['sslcert'] || existing('postgresql.crt');
  const key = cert === undefined ? undefined : info['sslkey'] || existing('postgresql.key');
  if (mode === 'verify-ca' && root === undefined) {
    throw invalid(
      'sslmode value "verify-ca" needs a root certificate',
      'Provide the file with the option "sslrootcert", or use sslmode "verify-full".',
    );
  }
  const crl = info['sslcrl'];
  const [minimum, maximum] = [info['ssl_min_protocol_version'], info['ssl_max_protocol_version']];
  return {
    // As in libpq, `require` checks the certificate's issuer if a root certificate is given, and nothing if not.
    rejectUnauthorized: mode.startsWith('verify') || (mode === 'require' && root !== undefined),
    ...(mode === 'verify-full' ? {} : { checkServerIdentity: (): undefined => undefined }),
    ...(root === undefined || root === 'system' ? {} : { ca: read('root certificate', root) }),
    ...(cert === undefined ? {} : { cert: read('certificate', cert) }),
    ...(key === undefined ? {} : { key: readKey(key) }),
    ...(info['sslpassword'] ? { passphrase: info['sslpassword'] } : {}),
    ...(crl ? { crl: read('certificate revocation list', crl) } : {}),
    ...(minimum ? { minVersion: version('ssl_min_protocol_version', minimum) } : {}),
    ...(maximum ? { maxVersion: version('ssl_max_protocol_version', maximum) } : {}),
    ...(info['hostaddr'] && info['host'] ? { servername: info['host'] } : {}),
  };
}

/** A file that libpq takes where none is named, if it is there. */
function existing(name: string): string | undefined {
  const path = join(homedir(), '.postgresql', name);
  return existsSync(path) ? path : undefined;
}

function version(keyword: string, value: string): SecureVersion {
  if (['TLSv1', 'TLSv1.1', 'TLSv1.2', 'TLSv1.3'].includes(value)) return value as SecureVersion;
  throw invalid(`invalid "${keyword}" value: "${value}"`);
}

function read(what: string, path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (cause) {
    throw new ErrorData({
      code: ERRCODE_INVALID_PARAMETER_VALUE,
      message: `could not read ${what} file "${path}": ${(cause as Error).message}`,
      cause,
    });
  }
}

/** A key that others can read is no key. */
function readKey(path: string): string {
  const stat = statSync(path, { throwIfNoEntry: false });
  if (stat !== undefined && (stat.mode & (stat.uid === 0 ? 0o037 : 0o077)) !== 0) {
    throw invalid(
      `private key file "${path}" has group or world access; file must have permissions u=rw (0600) or less if owned by the current user, or permissions u=rw,g=r (0640) or less if owned by root`,
    );
  }
  return read('private key', path);
}

function invalid(message: string, hint?: string): ErrorData {
  return new ErrorData({ code: ERRCODE_INVALID_PARAMETER_VALUE, message, hint });
}
