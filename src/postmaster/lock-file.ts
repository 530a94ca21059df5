// The lock on the data directory: at most one postmaster, and none beside what an earlier one has left running. Postmaster.
// PostgreSQL: CreateLockFile, AddToDataDirLockFile, RecheckDataDirLockFile and UnlinkLockFiles in src/backend/utils/init/miscinit.c, REL_15_STABLE.
//
// The lock is an flock(2) on postmaster.pid. It belongs to the open file, not to a process: a forked child that keeps the descriptor holds the lock as
// well, and the kernel gives it up when the last holder is gone, however it went. So:
//
//   lock held, the postmaster named in the file lives    another postmaster: refuse
//   lock held, it does not live                          its children still run on shared memory (contract L-46): refuse
//   lock free, a file is there                           stale: take it over
//
// The descriptor is close-on-exec (Node opens all files so), so that a database server does not hold it.
// DIFFERS FROM POSTGRES: PostgreSQL finds the second case by the attach count of a System V segment whose key is in the file. A memfd has no key; the
// flock says the same, and needs no guess about pids that are in use again.
//
// Races. Between open and flock, the file may be removed by its owner, and made anew by a third: a lock on a file without a name protects nothing.
// So after the lock the name must still lead to our inode, else all begins again. The owner removes the file while it holds the lock, which makes
// this check enough.

import { closeSync, constants, fstatSync, ftruncateSync, openSync, readFileSync, statSync, unlinkSync, writeSync } from 'node:fs';
import { constants as os } from 'node:os';
import { join } from 'node:path';
import { ERRCODE_LOCK_FILE_EXISTS } from '../elog/errcodes.js';
import { ErrorData, type ErrorFields, LOG } from '../elog/error-data.js';
import { ereport } from '../elog/elog.js';
import { errcodeForFileAccess, strerror } from '../elog/file-access.js';
import { myProcPid } from '../globals.js';
import { LOCK_FILE_NAME, type LockFileContent, formatLockFile, parseLockFile, postmasterIsRunning, processStart } from './lock-file-content.js';
import type { DatabaseStatus, PostmasterStatus } from './state-types.js';

/** What is needed of the addon: an exclusive lock that does not wait. 0, or minus an errno. */
export interface FileLocker {
  flock(fd: number): number;
}

/** A name that changes owners this often is not a race but somebody's loop. */
const MAX_TRIES = 100;

/** The lock that this process holds; in a child, the one that it shares with its postmaster. */
interface HeldLock {
  readonly path: string;
  readonly fd: number;
  content: LockFileContent;
}
let held: HeldLock | null = null;

const fatal = (fields: ErrorFields): ErrorData => new ErrorData({ ...fields, severity: 'FATAL' });

function fileError(what: string, err: unknown, hint?: string): ErrorData {
  return fatal({ code: errcodeForFileAccess(err), message: `could not ${what} "${LOCK_FILE_NAME}": ${strerror(err)}`, hint, cause: err });
}

/**
 * Takes the lock on a data directory and writes the lock file, with the status `starting`. The lock lasts until this process and all that it forks have
 * ended or closed the descriptor.
 *
 * @param dir absolute; checked (checkDataDir)
 * @param socketPath for line 4
 * @param locker the addon
 * @throws ErrorData FATAL F0001 where another postmaster, or what it left behind, holds the lock, or FATAL with the SQLSTATE of what failed
 * @pg CreateDataDirLockFile
 */
export function createDataDirLockFile(dir: string, socketPath: string, locker: FileLocker): void {
  const path = join(dir, LOCK_FILE_NAME);
  const fd = openAndLock(path, dir, locker);
  const startTime = Math.floor(Date.now() / 1000);
  const pid = myProcPid;
  held = { path, fd, content: { pid, dataDir: dir, startTime, socketPath, status: 'starting', processStart: processStart(pid), database: '' } };
  try {
    write(held);
  } catch (err) {
    removeLockFile();
    throw fileError('write lock file', err);
  }
}

function openAndLock(path: string, dir: string, locker: FileLocker): number {
  for (let tries = 0; tries < MAX_TRIES; tries++) {
    const fd = open(path);
    const result = locker.flock(fd);
    if (result < 0) {
      const text = readFileSync(fd, 'utf8');
      const named = isNameOf(path, fd);
      closeSync(fd);
      if (-result !== os.errno.EWOULDBLOCK) throw fileError('lock file', result);
      if (named) throw lockHeld(text, dir);
      continue; // its owner is on the way out
    }
    if (isNameOf(path, fd)) return fd;
    closeSync(fd);
  }
  throw fatal({ code: ERRCODE_LOCK_FILE_EXISTS, message: `could not create lock file "${LOCK_FILE_NAME}": it is removed again and again` });
}

function open(path: string): number {
  try {
    return openSync(path, constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW, 0o600);
  } catch (err) {
    throw fileError('create lock file', err);
  }
}

/** Does the name still lead to the file that is open? */
function isNameOf(path: string, fd: number): boolean {
  const ours = fstatSync(fd, { bigint: true });
  const named = statSync(path, { bigint: true, throwIfNoEntry: false });
  return named !== undefined && named.ino === ours.ino && named.dev === ours.dev;
}

/** Who holds the lock, by what the file says. */
function lockHeld(text: string, dir: string): ErrorData {
  const code = ERRCODE_LOCK_FILE_EXISTS;
  if (text === '') {
    const hint = 'Either another server is starting, or the lock file is the remnant of a previous server startup crash.';
    return fatal({ code, message: `lock file "${LOCK_FILE_NAME}" is empty`, hint });
  }
  const owner = parseLockFile(text);
  if (owner === null) return fatal({ message: `bogus data in lock file "${LOCK_FILE_NAME}": "${text}"` });
  if (postmasterIsRunning(owner)) {
    const hint = `Is another postmaster (PID ${owner.pid}) running in data directory "${dir}"?`;
    return fatal({ code, message: `lock file "${LOCK_FILE_NAME}" already exists`, hint });
  }
  const hint = `Terminate any old server processes associated with data directory "${dir}".`;
  return fatal({ code, message: 'pre-existing shared memory block is still in use', hint });
}

/** All in one write of one block: a reader sees the old contents or the new ones. The length changes only with the first write over a stale file. */
function write({ fd, content }: HeldLock): void {
  const bytes = Buffer.from(formatLockFile(content));
  writeSync(fd, bytes, 0, bytes.length, 0);
  ftruncateSync(fd, bytes.length);
}

/**
 * Writes the status lines.
 * @pg AddToDataDirLockFile
 */
export function updateStatus(status: PostmasterStatus, database: DatabaseStatus): void {
  if (held === null) return;
  held.content = { ...held.content, status, database };
  try {
    write(held);
  } catch (err) {
    ereport(LOG, { code: errcodeForFileAccess(err), message: `could not write to file "${LOCK_FILE_NAME}": ${strerror(err)}` });
  }
}

/**
 * Removes the lock file; the last step of an orderly shutdown. Only the postmaster does it: in a forked child this has no effect. Nor is the file
 * removed where the name leads to somebody else's by now.
 * @pg UnlinkLockFiles
 */
export function removeLockFile(): void {
  if (held === null || held.content.pid !== myProcPid) return;
  try {
    if (isNameOf(held.path, held.fd)) unlinkSync(held.path); // first the name, then the lock: see "Races"
  } catch {
    // Shutting down: a file that stays is stale, and taken over by the next start.
  }
  closeLockFile();
}

/**
 * Gives up this process's share in the lock, and leaves the file. For a child that is not attached to shared memory: it must not keep the next
 * postmaster from starting.
 */
export function closeLockFile(): void {
  if (held === null) return;
  closeSync(held.fd);
  held = null;
}

/**
 * Is the lock file there, and ours? The postmaster asks once a minute (contract T-34). What is not clearly wrong counts as right.
 *
 * DIFFERS FROM POSTGRES: another file with our pid in it is wrong as well, because the lock is on the one that we opened.
 * @pg RecheckDataDirLockFile
 */
export function lockFileIsValid(): boolean {
  if (held === null) return false;
  let text: string;
  try {
    text = readFileSync(held.path, 'latin1');
  } catch (err) {
    const { code, syscall } = err as NodeJS.ErrnoException;
    const gone = code === 'ENOENT' || code === 'ENOTDIR';
    const what = syscall === 'read' ? 'read from' : 'open';
    const message = `could not ${what} file "${LOCK_FILE_NAME}": ${strerror(err)}${gone ? '' : '; continuing anyway'}`;
    ereport(LOG, { code: errcodeForFileAccess(err), message });
    return !gone;
  }
  const pid = Number.parseInt(text, 10) || 0;
  const ours = pid === held.content.pid;
  if (ours && isNameOf(held.path, held.fd)) return true;
  const complaint = ours ? 'has been replaced' : `contains wrong PID: ${pid} instead of ${held.content.pid}`;
  ereport(LOG, { message: `lock file "${LOCK_FILE_NAME}" ${complaint}` });
  return false;
}
