// The owned database server: one child of the postmaster's that is a program of its own. Started and stopped with the postmaster.
// Postmaster. What becomes of the workers when it dies is the state machine's decision.

import { closeSync, openSync } from 'node:fs';
import { constants } from 'node:os';

import { decodeWaitStatus } from './wait-status.js';
import { endLeftBehind } from '../database/left-behind.js';
import type { OwnedCluster } from '../database/owned.js';
import { ERRCODE_SYSTEM_ERROR } from '../elog/errcodes.js';
import { ErrorData } from '../elog/error-data.js';
import { native, systemError } from '../native.js';

type DatabaseEvent = { type: 'database stopped' } | { type: 'database lost'; message: string };

export class DatabaseServer {
  readonly #cluster: OwnedCluster;
  #pid = 0;
  #stopping = false;

  constructor(cluster: OwnedCluster) {
    this.#cluster = cluster;
  }

  get pid(): number {
    return this.#pid;
  }

  /** Starts the program. It is told by the kernel to shut down fast when we die, and goes by itself then. */
  start(): DatabaseEvent | null {
    try {
      this.#pid = this.#spawn();
      this.#stopping = false;
      return null;
    } catch (err) {
      return { type: 'database lost', message: (err as Error).message };
    }
  }

  #spawn(): number {
    const { file, args, env, uid, gid, cwd, logFile } = this.#cluster;
    // After its own postmaster was killed: the new one would refuse to start beside them.
    endLeftBehind(cwd);
    const input = openSync('/dev/null', 'r');
    const log = openSync(logFile, 'a', 0o600);
    try {
      const pid = native.spawn({
        file,
        argv: [file, ...args],
        env: Object.entries(env).map(([name, value]) => `${name}=${value}`),
        cwd,
        ...(uid === undefined || gid === undefined ? {} : { user: { uid, gid } }),
        stdio: [input, log, log],
        parentDeathSignal: constants.signals.SIGINT,
      });
      if (pid >= 0) return pid;
      throw new ErrorData({
        severity: 'FATAL',
        code: ERRCODE_SYSTEM_ERROR,
        message: `could not start the database server "${file}": ${systemError(pid, 'execve').message}`,
      });
    } finally {
      closeSync(input);
      closeSync(log);
    }
  }

  /** SIGINT is PostgreSQL's fast shutdown, SIGQUIT its immediate one; to the server's own postmaster alone. */
  stop(mode: 'fast' | 'immediate'): DatabaseEvent | null {
    if (this.#pid === 0) return { type: 'database stopped' };
    this.#stopping = true;
    native.kill(this.#pid, mode === 'fast' ? constants.signals.SIGINT : constants.signals.SIGQUIT);
    return null;
  }

  /** Where the postmaster fails before it serves: asks the server to go, and waits for it. Blocks; the kernel ends it in any case when we go. */
  stopAndWait(): void {
    this.stop('fast');
    const pause = new Int32Array(new SharedArrayBuffer(4));
    for (let tries = 0; this.#pid !== 0 && this.reap() === null && tries < 500; tries++) Atomics.wait(pause, 0, 0, 10);
  }

  /**
   * On the way out, while the data directory is ours: a server that was killed leaves processes that have not noticed yet. The slowest is a startup process that
   * has just done its recovery: it tries for a minute to signal the checkpointer, which has gone (RequestCheckpoint; 63 s as measured).
   */
  endLeftBehind(): void {
    if (this.#pid === 0) endLeftBehind(this.#cluster.cwd);
  }

  /** After SIGCHLD: what its end means, where it has ended. */
  reap(): DatabaseEvent | null {
    if (this.#pid === 0) return null;
    const status = native.waitPid(this.#pid);
    if (status === null) return null;
    const pid = this.#pid;
    this.#pid = 0;
    if (this.#stopping) return { type: 'database stopped' };
    const { exitCode, signal } = decodeWaitStatus(status);
    const how = signal === null ? `exited with exit code ${exitCode}` : `was terminated by signal ${signal}`;
    return { type: 'database lost', message: `database server (PID ${pid}) ${how}` };
  }
}
