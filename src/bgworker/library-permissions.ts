// Who else may write a library, or put another in its place: its code runs in our processes, as our user. Postmaster and children, before each import.
// PostgreSQL: none; it leaves the libraries to the system's administrator. OpenSSH: safe_path in misc.c, whose StrictModes this is.
//
// Every step of the way counts, links and what they lead to included: who may write a directory may rename what is in it. A step is safe that belongs to
// root or to ourselves and that nobody else may write. Two cases are not what they seem:
//   - a directory with the sticky bit, such as /tmp: who may write it cannot touch what others have in it, so what is in it decides;
//   - a group with nobody in it but ourselves: where each user has a group of the same name, umask 002 makes everything writable for it.
// Not looked at: access control lists (a mask shows as the group's bits, so we err on the safe side), and what the library itself imports.

import { lstatSync, readFileSync, readlinkSync } from 'node:fs';
import { dirname, isAbsolute, join } from 'node:path';

import { ERRCODE_INSUFFICIENT_PRIVILEGE } from '../elog/errcodes.js';
import { ErrorData } from '../elog/error-data.js';
import { getConfigOption } from '../guc/guc.js';

/** What is asked of the system, so that a test can have its own. */
export interface Files {
  lstat(path: string): { readonly mode: number; readonly uid: number; readonly gid: number };
  readlink(path: string): string;
  /** Text of /etc/passwd and of /etc/group; '' where there is none. */
  readonly passwd: string;
  readonly group: string;
}

function textOf(path: string): string {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return ''; // then no group is anybody's own
  }
}

const systemFiles: Files = {
  lstat: lstatSync,
  readlink: (path) => readlinkSync(path),
  get passwd() {
    return textOf('/etc/passwd');
  },
  get group() {
    return textOf('/etc/group');
  },
};

const S_IFMT = 0o170000;
const S_IFLNK = 0o120000;
const S_IFDIR = 0o040000;
const S_ISVTX = 0o1000;
/** As many links on one way as the kernel follows (MAXSYMLINKS). */
const MAX_LINKS = 40;

const fields = (text: string): string[][] => text.split('\n').map((line) => line.split(':'));

/** Nobody has this group, as the primary or as another one, but this user and root. */
function isPrivateGroup(gid: number, uid: number, { passwd, group }: Files): boolean {
  const users = fields(passwd);
  const self = users.find((user) => Number(user[2]) === uid);
  const entry = fields(group).find((line) => line.length === 4 && Number(line[2]) === gid);
  if (self === undefined || entry === undefined) return false;
  const primary = users.filter((user) => user.length >= 4 && Number(user[3]) === gid && user[2] !== '0').map((user) => user[0] as string);
  const others = (entry[3] ?? '').split(',').filter((name) => name !== '' && name !== 'root');
  return [...primary, ...others].every((name) => name === self[0]);
}

/** Why one step of the way is not safe; null where it is. */
function unsafeStep(path: string, uid: number, files: Files): string | null {
  const stat = files.lstat(path);
  const kind = (stat.mode & S_IFMT) === S_IFDIR ? 'Directory' : (stat.mode & S_IFMT) === S_IFLNK ? 'Symbolic link' : 'File';
  if (stat.uid !== 0 && stat.uid !== uid) return `${kind} "${path}" belongs to user ID ${stat.uid}.`;
  if (kind === 'Symbolic link' || (kind === 'Directory' && (stat.mode & S_ISVTX) !== 0)) return null;
  if ((stat.mode & 0o002) !== 0) return `${kind} "${path}" may be written by everybody.`;
  if ((stat.mode & 0o020) !== 0 && stat.gid !== 0 && !isPrivateGroup(stat.gid, uid, files)) {
    return `${kind} "${path}" may be written by group ID ${stat.gid}.`;
  }
  return null;
}

/**
 * Why others may change what a path leads to, by the first step that is not safe; null where they may not.
 * @param path absolute
 * @param uid whose the steps may be, besides root's
 */
export function whoMayWrite(path: string, uid: number, files: Files = systemFiles): string | null {
  let links = 0;
  const walk = (at: string, rest: readonly string[]): string | null => {
    const trouble = unsafeStep(at, uid, files);
    if (trouble !== null) return trouble;
    if ((files.lstat(at).mode & S_IFMT) === S_IFLNK && ++links <= MAX_LINKS) {
      const target = files.readlink(at);
      const parts = [...target.split('/'), ...rest];
      return isAbsolute(target) ? walk('/', parts) : walk(dirname(at), parts);
    }
    const [name, ...more] = rest.filter((part) => part !== '' && part !== '.');
    if (name === undefined) return null;
    return walk(name === '..' ? dirname(at) : join(at, name), more);
  };
  return walk('/', path.split('/'));
}

/**
 * Refuses a library that others may write.
 * @param name as it was given
 * @param path absolute, links not followed
 * @throws ErrorData 42501
 */
export function checkLibraryPermissions(name: string, path: string): void {
  if (getConfigOption('allow_writable_libraries')) return;
  const trouble = whoMayWrite(path, process.geteuid?.() ?? 0);
  if (trouble === null) return;
  throw new ErrorData({
    code: ERRCODE_INSUFFICIENT_PRIVILEGE,
    message: `library "${name}" may be changed by other users`,
    detail: trouble,
    hint: 'Its code would run as the server\'s user. Change the owner or the permissions ("chmod go-w"), or set "allow_writable_libraries" to on.',
  });
}
