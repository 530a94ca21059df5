// Which data directory a command is about, and which postmaster runs on it. The command line.
// PostgreSQL: get_pgpid and main in src/bin/pg_ctl/pg_ctl.c, REL_15_STABLE.

import { statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { strerror } from '../elog/file-access.js';
import { dataDirKind } from '../postmaster/data-dir.js';
import { LOCK_FILE_NAME, type LockFileContent, postmasterIsRunning, readLockFile } from '../postmaster/lock-file-content.js';
import { becomeOwner } from './privileges.js';
import { CommandFailure, EXIT_FAILURE, type Surroundings, TRY_HELP } from './surroundings.js';

export interface DataDirOption {
  readonly datadir?: string | undefined;
}

/** The directory that -D or the environment names, made absolute. */
export function dataDirOf({ datadir }: DataDirOption, { env, cwd }: Surroundings): string {
  const dir = datadir ?? env['BGWORKER_DATA'];
  if (dir === undefined || dir === '') {
    throw new CommandFailure(`no data directory specified and environment variable BGWORKER_DATA unset\n${TRY_HELP}`);
  }
  return resolve(cwd, dir);
}

/** Ends the command where the directory cannot be the data directory of anything that runs or ran. */
export function requireDataDir(dir: string, exitStatus: number = EXIT_FAILURE): void {
  try {
    if (statSync(dir).isDirectory() && dataDirKind(dir) === 'ours') return;
  } catch (err) {
    const { code } = err as NodeJS.ErrnoException;
    if (code === 'ENOENT') throw new CommandFailure(`directory "${dir}" does not exist`, exitStatus);
    const message = code?.startsWith('E') === true ? `could not access directory "${dir}": ${strerror(err)}` : (err as Error).message;
    throw new CommandFailure(message, exitStatus);
  }
  throw new CommandFailure(`directory "${dir}" is not a bgworker data directory`, exitStatus);
}

export const pidFile = (dir: string): string => join(dir, LOCK_FILE_NAME);

/** What the lock file says, or null where there is none. */
export function lockFileOf(dir: string, exitStatus: number = EXIT_FAILURE): LockFileContent | null {
  try {
    return readLockFile(dir);
  } catch (err) {
    throw new CommandFailure(`could not open PID file "${pidFile(dir)}": ${strerror(err)}`, exitStatus);
  }
}

/** The postmaster that is to be signalled, by its owner; ends the command where there is none. */
export function requirePostmaster(dir: string): LockFileContent {
  becomeOwner(dir);
  requireDataDir(dir);
  const content = lockFileOf(dir);
  if (content === null) throw new CommandFailure(`PID file "${pidFile(dir)}" does not exist\nIs server running?`);
  return content;
}

/** Sends a signal, but never to a process that has the pid by now and is somebody else. */
export function signalPostmaster(content: LockFileContent, signal: NodeJS.Signals, what: string): void {
  const failure = (why: string): CommandFailure => new CommandFailure(`could not send ${what} signal (PID: ${content.pid}): ${why}`);
  if (!postmasterIsRunning(content)) throw failure('No such process');
  try {
    process.kill(content.pid, signal);
  } catch (err) {
    throw failure(strerror(err));
  }
}
