// The operating-system user under which the owned database server runs, and what that user can reach.
// The postmaster, while it starts. PostgreSQL refuses to run as root (check_root, src/backend/main/main.c), and initdb looks its own user up
// by name: so a root postmaster needs a user id that has an entry in the passwd file.

import { readFileSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { ErrorData } from '../elog/error-data.js';
import { ERRCODE_UNDEFINED_OBJECT } from '../elog/errcodes.js';

export interface OsUser {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
}

/** The users of a passwd file. Lines that are not entries (comments, NIS markers) are passed over. */
export function parsePasswd(text: string): OsUser[] {
  const users: OsUser[] = [];
  for (const line of text.split('\n')) {
    const [name, , uid, gid] = line.split(':');
    if (name && /^\d+$/.test(uid ?? '') && /^\d+$/.test(gid ?? '')) users.push({ name, uid: Number(uid), gid: Number(gid) });
  }
  return users;
}

/**
 * Whom a root postmaster lets the database server be: the owner of an existing cluster, else `postgres`, else `nobody`.
 * @param clusterOwner the user id that owns the cluster's files, null where there is no cluster yet
 */
export function chooseDatabaseUser(clusterOwner: number | null, passwd: string = readFileSync('/etc/passwd', 'utf8')): OsUser {
  const users = parsePasswd(passwd);
  if (clusterOwner !== null) {
    const owner = users.find((user) => user.uid === clusterOwner);
    if (owner !== undefined) return owner;
    throw new ErrorData({
      code: ERRCODE_UNDEFINED_OBJECT,
      message: `could not look up effective user ID ${clusterOwner}: user does not exist`,
      detail: 'The database cluster belongs to this user, who has no entry in "/etc/passwd".',
    });
  }
  const user = users.find((u) => u.name === 'postgres' && u.uid !== 0) ?? users.find((u) => u.name === 'nobody' && u.uid !== 0);
  if (user !== undefined) return user;
  throw new ErrorData({
    code: ERRCODE_UNDEFINED_OBJECT,
    message: 'could not find an unprivileged user for the database server',
    detail: 'The file "/etc/passwd" has neither a user "postgres" nor a user "nobody".',
    hint: 'Create one with "useradd --system postgres", or start as an ordinary user.',
  });
}

/**
 * The first directory on the way to `path` that a user may not enter; null if all may be entered.
 *
 * Only the mode bits are looked at: the server is started with its user's own group and no others. With an access control list the
 * group bits are its mask, which errs on the permissive side.
 */
export function firstClosedDirectory(path: string, user: Pick<OsUser, 'uid' | 'gid'>): string | null {
  const directories: string[] = [];
  for (let dir = path; ; dir = dirname(dir)) {
    directories.unshift(dir);
    if (dir === dirname(dir)) break;
  }
  for (const dir of directories) {
    const stat = statSync(dir);
    if (!stat.isDirectory()) continue;
    const bit = stat.uid === user.uid ? 0o100 : stat.gid === user.gid ? 0o010 : 0o001;
    if (user.uid !== 0 && (stat.mode & bit) === 0) return dir;
  }
  return null;
}
