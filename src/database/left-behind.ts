// Processes of a database server of ours whose own postmaster has gone, or is going. The postmaster, before it starts a server, and when it leaves.
// PostgreSQL: CreateLockFile (src/backend/utils/init/miscinit.c) and PGSharedMemoryIsInUse (src/backend/port/sysv_shmem.c), which refuse to start beside
// them, and leave it to the operator to end them.
//
// DIFFERS FROM POSTGRES: we are the operator. We hold the lock of the data directory, so nobody else looks after them. A backend whose postmaster was
// killed ends at its next wait, but one that computes may go on for hours, attached to shared memory that nobody else may use.

import { existsSync, readdirSync, readFileSync, readlinkSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';

import { OWNED_PORT, ownedSocketDir } from './conninfo.js';

const PAUSE_MS = 10;
/** What has not gone by SIGQUIT in this time gets SIGKILL: it holds no shared memory that is used again. */
const QUIT_PATIENCE_MS = 5000;
/** How long a server may take to shut down: it writes all that is in its buffers. As long as pg_ctl waits. */
const SHUTDOWN_PATIENCE_MS = 60_000;

/** Every process of a server has its data directory as its working directory; so may a shell, but that is no "postgres". */
export function serverProcesses(pgdata: string): number[] {
  return readdirSync('/proc')
    .map(Number)
    .filter((pid) => Number.isInteger(pid) && isServerOf(pgdata, pid));
}

/** Who may not see the directory (root in a container) looks at the command line. */
export function isServerOf(pgdata: string, pid: number): boolean {
  try {
    if (readFileSync(`/proc/${pid}/comm`, 'utf8') !== 'postgres\n') return false;
    return readlinkSync(`/proc/${pid}/cwd`) === pgdata;
  } catch {
    try {
      return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').includes(pgdata);
    } catch {
      return false;
    }
  }
}

/** Ends what is left of a server whose postmaster is dead. Blocks until it has gone, which takes milliseconds. */
export function endLeftBehind(pgdata: string): void {
  for (const signal of ['SIGQUIT', 'SIGKILL'] as const) {
    for (const pid of serverProcesses(pgdata)) kill(pid, signal);
    if (waitSync(() => serverProcesses(pgdata).length === 0, QUIT_PATIENCE_MS)) return removeMisleadingLockFiles(pgdata);
  }
}

/**
 * A server takes over the lock files of one that is dead, that of the directory and that of the socket; but for it a pid that exists is alive: also a
 * zombie, which stays where nobody reaps orphans (a container without an init), and a stranger whose pid it is now. We know better: nobody works in the
 * directory.
 */
function removeMisleadingLockFiles(pgdata: string): void {
  for (const file of [join(pgdata, 'postmaster.pid'), join(ownedSocketDir(dirname(pgdata)), `.s.PGSQL.${OWNED_PORT}.lock`)]) {
    const pid = pidIn(file);
    if (pid !== 0 && existsSync(`/proc/${pid}`)) rmSync(file, { force: true });
  }
}

/** Of the server that has, or had, the directory; 0 where there is none. */
export function lockFilePid(pgdata: string): number {
  return pidIn(join(pgdata, 'postmaster.pid'));
}

// Negative in a stand-alone backend's file.
function pidIn(file: string): number {
  try {
    return Math.abs(Number.parseInt(readFileSync(file, 'utf8'), 10)) || 0;
  } catch (err) {
    if ((err as NodeJS.ErrnoException).code === 'ENOENT') return 0;
    throw err;
  }
}

/** Has a server that was told to shut down, by the kernel when its parent died, done so? Blocks while it is at it. */
export function waitForShutdown(pgdata: string, pid: number): boolean {
  return waitSync(() => !isServerOf(pgdata, pid) || !isStopping(pgdata), SHUTDOWN_PATIENCE_MS) && !isServerOf(pgdata, pid);
}

/** As its lock file says (LOCK_FILE_LINE_PM_STATUS, pidfile.h). */
export function isStopping(pgdata: string): boolean {
  try {
    return readFileSync(join(pgdata, 'postmaster.pid'), 'utf8').split('\n')[7]?.trim() === 'stopping';
  } catch {
    // Removed: that is its last deed.
    return true;
  }
}

function kill(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (err) {
    if ((err as NodeJS.ErrnoException).code !== 'ESRCH') throw err;
  }
}

function waitSync(condition: () => boolean, timeoutMs: number): boolean {
  const pause = new Int32Array(new SharedArrayBuffer(4));
  for (let waited = 0; !condition(); waited += PAUSE_MS) {
    if (waited >= timeoutMs) return false;
    Atomics.wait(pause, 0, 0, PAUSE_MS);
  }
  return true;
}
