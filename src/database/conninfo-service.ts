// Services: connection parameters by name, from a file. Any process; after the fork, as the file may hold a password.
// PostgreSQL: parseServiceInfo and parseServiceFile, src/interfaces/libpq/fe-connect.c.

import { existsSync, readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { ErrorData } from '../elog/error-data.js';
import { ERRCODE_FEATURE_NOT_SUPPORTED, ERRCODE_INVALID_PARAMETER_VALUE } from '../elog/errcodes.js';
import type { Conninfo } from './conninfo-parse.js';

/** Where libpq was told at its compilation to look for the file of the whole machine: as Debian says, and as others do. */
const SYSTEM_DIRECTORIES = ['/etc/postgresql-common', '/etc/sysconfig/pgsql', '/etc'];
const FILE_NAME = 'pg_service.conf';

/**
 * The parameters of a service.
 * @param file as the connection string or PGSERVICEFILE says; undefined: the user's, then the system's
 * @throws ErrorData 22023 in libpq's words
 */
export function readService(name: string, file: string | undefined): Conninfo {
  if (file !== undefined) return findService(name, file, true) ?? notFound(name);
  const systemDirectory = process.env['PGSYSCONFDIR'];
  const files = [join(homedir(), `.${FILE_NAME}`), ...(systemDirectory ? [systemDirectory] : SYSTEM_DIRECTORIES).map((dir) => join(dir, FILE_NAME))];
  for (const each of files) {
    const found = findService(name, each, false);
    if (found !== null) return found;
  }
  return notFound(name);
}

function notFound(name: string): never {
  throw invalid(`definition of service "${name}" not found`);
}

function findService(name: string, file: string, mustExist: boolean): Conninfo | null {
  if (!existsSync(file)) {
    if (mustExist) throw invalid(`service file "${file}" not found`);
    return null;
  }
  let found: Conninfo | null = null;
  for (const [index, raw] of readFileSync(file, 'utf8').split('\n').entries()) {
    const line = raw.trim();
    if (line === '' || line.startsWith('#')) continue;
    if (line.startsWith('[')) {
      // The first section of that name is the one; what follows it is not read.
      if (found !== null) return found;
      if (line === `[${name}]`) found = {};
    } else if (found !== null) {
      storeLine(found, line, { file, line: index + 1 });
    }
  }
  return found;
}

function storeLine(into: Conninfo, text: string, at: { file: string; line: number }): void {
  if (text.startsWith('ldap:')) {
    throw new ErrorData({
      code: ERRCODE_FEATURE_NOT_SUPPORTED,
      message: `LDAP lookup in service file "${at.file}", line ${at.line}, is not supported`,
    });
  }
  const equals = text.indexOf('=');
  if (equals < 0) throw invalid(`syntax error in service file "${at.file}", line ${at.line}`);
  const keyword = text.slice(0, equals);
  if (keyword === 'service' || keyword === 'servicefile') {
    throw invalid(`nested service specifications not supported in service file "${at.file}", line ${at.line}`);
  }
  into[keyword] ??= text.slice(equals + 1);
}

function invalid(message: string): ErrorData {
  return new ErrorData({ code: ERRCODE_INVALID_PARAMETER_VALUE, message });
}
