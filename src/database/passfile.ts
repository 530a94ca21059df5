// The password file. Any process; when the server asks for a password, and no sooner.
// PostgreSQL: passwordFromFile, src/interfaces/libpq/fe-connect.c.

import { readFileSync, statSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { elog } from '../elog/elog.js';
import { WARNING } from '../elog/error-data.js';

/** What a line is looked up by. */
export interface PasswordKey {
  /** As it was given, and not its address; a socket's directory where it is one. */
  readonly host: string;
  readonly port: number;
  readonly database: string;
  readonly user: string;
}

/** libpq's and Debian's: a connection over either is "localhost" in the file. */
const DEFAULT_SOCKET_DIRECTORIES = new Set(['/tmp', '/var/run/postgresql', '/run/postgresql']);

/** The password of the first line that fits; undefined where there is none. */
export function passwordFromFile(file: string | undefined, key: PasswordKey): string | undefined {
  const path = file || join(homedir(), '.pgpass');
  const stat = statSync(path, { throwIfNoEntry: false });
  if (stat === undefined) return undefined;
  if (!stat.isFile()) {
    elog(WARNING, `password file "${path}" is not a plain file`);
    return undefined;
  }
  if ((stat.mode & 0o077) !== 0) {
    elog(WARNING, `password file "${path}" has group or world access; permissions should be u=rw (0600) or less`);
    return undefined;
  }
  const host = DEFAULT_SOCKET_DIRECTORIES.has(key.host) ? 'localhost' : key.host;
  return findPassword(readFileSync(path, 'utf8'), { ...key, host });
}

/** Pure: in a file's content. */
export function findPassword(content: string, { host, port, database, user }: PasswordKey): string | undefined {
  const wanted = [host, String(port), database, user];
  for (const line of content.split('\n')) {
    if (line.startsWith('#')) continue;
    const [fields, password] = splitLine(line.replace(/\r$/, ''));
    if (password !== undefined && fields.every((field, index) => field === '*' || unescape(field) === wanted[index])) return unescape(password);
  }
  return undefined;
}

/** Four fields that end at colons, and the rest; a backslash makes a colon part of its field. */
function splitLine(line: string): [string[], string | undefined] {
  const fields: string[] = [];
  let rest = line;
  while (fields.length < 4) {
    const field = /^((?:\\.|[^\\:])*):/.exec(rest);
    if (field === null) return [fields, undefined];
    fields.push(field[1] ?? '');
    rest = rest.slice(field[0].length);
  }
  return [fields, rest === '' ? undefined : rest];
}

function unescape(field: string): string {
  return field.replaceAll(/\\(.)/g, '$1');
}
