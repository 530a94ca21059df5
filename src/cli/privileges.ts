// Root's command: who it is from here on. The command line, before it reads or writes anything in a data directory.
// PostgreSQL: pg_ctl refuses root (main in src/bin/pg_ctl/pg_ctl.c, REL_15_STABLE).
//
// DIFFERS FROM POSTGRES: root's command becomes whom the directory is for. What is in the directory is its owner's to change, and root would follow: a log
// that is a link to /etc/passwd, a lock file that names somebody else's process.

import { closeSync, constants, fchownSync, fstatSync, lchownSync, mkdirSync, openSync, readdirSync, statSync } from 'node:fs';
import { dirname } from 'node:path';

import { ErrorData } from '../elog/error-data.js';
import { strerror } from '../elog/file-access.js';
import { type User, check, native } from '../native.js';
import { becomeUser, chooseUser } from '../postmaster/privileges.js';
import type { Setting } from './options-file.js';
import { CommandFailure } from './surroundings.js';

/** The error's fields, one a line, as a user of the shell should see them. */
export function describeError(err: unknown): string {
  if (!(err instanceof ErrorData)) throw err;
  return [err.message, err.detail && `DETAIL:  ${err.detail}`, err.hint && `HINT:  ${err.hint}`].filter(Boolean).join('\n');
}

function orFail<T>(what: () => T): T {
  try {
    return what();
  } catch (err) {
    throw new CommandFailure(describeError(err));
  }
}

function ownerOf(dir: string): { uid: number; gid: number } {
  try {
    return statSync(dir);
  } catch {
    return { uid: 0, gid: 0 }; // there is nothing: the command has the words
  }
}

/** For a command on a directory that is there: root becomes its owner, unless that is root. */
export function becomeOwner(dir: string): void {
  if (process.geteuid?.() !== 0) return;
  const { uid, gid } = ownerOf(dir);
  if (uid === 0) return;
  const owner = native.lookUpUser(String(uid));
  orFail(() => becomeUser(owner === null || typeof owner === 'number' ? { uid, gid } : owner));
}

/** For a command that starts a server: root becomes whom the server is to be, and makes the directory first where only root can. */
export function becomeServerUser(dir: string, settings: readonly Setting[]): void {
  const user = orFail(() => chooseUser({ dataDir: dir, settings }));
  if (user === null) return;
  try {
    makeDirectoryFor(user, dir);
  } catch (err) {
    throw new CommandFailure(`could not create directory "${dir}": ${strerror(err)}`);
  }
  orFail(() => becomeUser(user));
}

/** As the user, where that goes: in a directory that the user may write, root would not know what it follows. */
function makeDirectoryFor(user: User, dir: string): void {
  check(native.setEffective(user.uid, user.gid), 'seteuid');
  try {
    mkdirSync(dir, { recursive: true, mode: 0o700 });
  } catch (err) {
    if (!['EACCES', 'EEXIST'].includes((err as NodeJS.ErrnoException).code ?? '')) throw err;
  } finally {
    check(native.setEffective(0, 0), 'seteuid');
  }
  const first = mkdirSync(dir, { recursive: true, mode: 0o700 });
  if (first === undefined) return giveEmptyDirectory(user, dir);
  // All that was made on the way is for the user to pass through.
  for (let path = dir; path.length >= first.length; path = dirname(path)) lchownSync(path, user.uid, user.gid);
}

/** An empty directory that root made beforehand is meant for the server. Through a descriptor: what is looked at is what changes. */
function giveEmptyDirectory(user: User, dir: string): void {
  let fd: number;
  try {
    fd = openSync(dir, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW);
  } catch {
    return; // no directory, or a link to one: the check of the data directory has the words
  }
  try {
    if (fstatSync(fd).uid === 0 && readdirSync(`/proc/self/fd/${fd}`).length === 0) fchownSync(fd, user.uid, user.gid);
  } finally {
    closeSync(fd);
  }
}
