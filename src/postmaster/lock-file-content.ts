// What the lock file says, and whether the postmaster that wrote it still lives. Postmaster, command line, and whoever connects; no addon needed.
// PostgreSQL: src/include/utils/pidfile.h (the line numbers and status words), get_pgpid and wait_for_postmaster_start in src/bin/pg_ctl/pg_ctl.c.
//
//   line 1   the postmaster's pid
//   line 2   data directory
//   line 3   start time of the postmaster, seconds since 1970
//   line 4   path of the control socket
//   line 5   status: `starting`, `ready   `, `standby `, `stopping`, all of one width
//   line 6   when the process with that pid began: clock ticks since boot, and the boot's identity
//   line 7   the database server: `none    `, `unknown ` until it was seen, `away    `, `closed  `, `standby `, `primary `; of the same width
//
// DIFFERS FROM POSTGRES: lines 6 and 7. PostgreSQL is its own database server. A pid alone does not name a process: after a crash of the machine it may be anybody's, and PostgreSQL's `pg_ctl` can
// then signal a stranger. Ticks since boot do not move with the wall clock, as line 3 does.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import type { DatabaseStatus, PostmasterStatus } from './state-types.js';

export const LOCK_FILE_NAME = 'postmaster.pid';

/** The contents of a lock file. What a file that is still being written lacks is '' or 0. */
export interface LockFileContent {
  readonly pid: number;
  readonly dataDir: string;
  /** Seconds since 1970. */
  readonly startTime: number;
  readonly socketPath: string;
  readonly status: PostmasterStatus | '';
  /** The beginning of the process, as {@link processStart} gives it. */
  readonly processStart: string;
  readonly database: DatabaseStatus | '';
}

/** All status words take as much room as the longest, so that one can be written over another. */
const STATUS_WIDTH = 8;
const STATUSES: ReadonlySet<string> = new Set(['starting', 'ready', 'standby', 'stopping']);
const DATABASE_STATUSES: ReadonlySet<string> = new Set(['none', 'unknown', 'away', 'closed', 'standby', 'primary']);

export function formatLockFile(content: LockFileContent): string {
  const { pid, dataDir, startTime, socketPath, status, processStart: start, database } = content;
  return `${[pid, dataDir, startTime, socketPath, status.padEnd(STATUS_WIDTH), start, database.padEnd(STATUS_WIDTH)].join('\n')}\n`;
}

/**
 * Reads the contents of a lock file.
 * @returns null where the text does not begin with a pid
 */
export function parseLockFile(text: string): LockFileContent | null {
  const lines = text.split('\n').map((line) => line.trim());
  const [first = '', dataDir = '', startTime = '', socketPath = '', status = '', start = '', database = ''] = lines;
  const pid = /^-?\d{1,10}(?!\d)/.exec(first)?.[0];
  if (pid === undefined || Number(pid) <= 0) return null;
  return {
    pid: Number(pid),
    dataDir,
    startTime: Number(startTime) || 0,
    socketPath,
    status: STATUSES.has(status) ? (status as PostmasterStatus) : '',
    processStart: start,
    database: DATABASE_STATUSES.has(database) ? (database as DatabaseStatus) : '',
  };
}

let bootId: string | null = null;

/**
 * Names one run of one process for good: no other process has had this pid and this beginning.
 * @returns `<ticks since boot> <boot id>`; '' where there is no such process, or it is a zombie, or the proc file system does not show it
 */
export function processStart(pid: number): string {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    // The name of a program, in parentheses, may have anything in it; the fields after it are fixed: state first, start time twentieth.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    const state = fields[0];
    if (state === 'Z' || state === 'X') return '';
    bootId ??= readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim();
    return `${fields[19]} ${bootId}`;
  } catch {
    return '';
  }
}

/** Is there a process with this pid, whoever's it is? */
function pidExists(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (err) {
    return (err as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/** Lives the very postmaster that wrote this? Not one that has ended and waits to be reaped, nor a stranger with the same pid. */
export function postmasterIsRunning(content: Pick<LockFileContent, 'pid' | 'processStart'>): boolean {
  if (!pidExists(content.pid)) return false;
  const now = processStart(content.pid);
  if (now !== '' && content.processStart !== '') return now === content.processStart;
  // Somebody else's process under a proc file system that hides it, or a file without line 6: the pid is all there is to go by.
  return now !== '' || !procShows(process.pid);
}

/** Whether the proc file system can be asked at all; where it shows ourselves, a process that it does not show is a zombie or gone. */
function procShows(pid: number): boolean {
  return processStart(pid) !== '';
}

/**
 * Reads the lock file of a data directory.
 * @returns null where there is none, or none that says anything yet
 * @throws the system error, where there is one that cannot be read
 */
export function readLockFile(dir: string): LockFileContent | null {
  try {
    return parseLockFile(readFileSync(join(dir, LOCK_FILE_NAME), 'utf8'));
  } catch (err) {
    if ((err as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw err;
  }
}
