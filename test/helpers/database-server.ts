// A database server of a test's own: an owned cluster in a fresh directory, started as the postmaster starts it. Runs in the process of the test,
// as root and as an ordinary user. To be stopped in afterAll: the server does not end by itself.
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { chownSync, closeSync, mkdirSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import type { ConnectionOwner, DatabaseConnection } from '../../src/database/database-connection.js';
import { openConnection } from '../../src/database/open-connection.js';
import { prepareOwnedCluster, type OwnedCluster } from '../../src/database/owned.js';
import type { ErrorFields } from '../../src/elog/error-data.js';
import { makeTempDir, removeTempDir } from './temp-dir.js';
import { waitUntil } from './wait-until.js';

export class DatabaseServer {
  readonly dataDir: string = makeTempDir('db');
  /** What was logged while preparing. */
  readonly log: string[] = [];
  cluster: OwnedCluster;
  #child: ChildProcess | null = null;

  /** @param primary make it a standby of this running server, by a base backup; else a fresh cluster */
  constructor(primary?: DatabaseServer) {
    process.env['BGWORKER_TEST_NOSYNC'] = '1';
    try {
      if (primary !== undefined) baseBackup(primary, join(this.dataDir, 'pgdata'));
      this.cluster = this.prepare();
    } catch (err) {
      removeTempDir(this.dataDir);
      throw err;
    }
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  prepare(dataDir: string = this.dataDir): OwnedCluster {
    return prepareOwnedCluster({ dataDir, bindirSetting: '', log: (message) => this.log.push(message) });
  }

  /**
   * @param until `running` waits for nothing: for a server that lets nobody in
   * @param settings stronger than everything else, `name=value`
   */
  async start(until: 'accepting' | 'running' = 'accepting', settings: readonly string[] = []): Promise<void> {
    const { cluster } = this;
    const fd = openSync(cluster.logFile, 'a', 0o600);
    this.#child = spawn(cluster.file, [...cluster.args, ...settings.flatMap((setting) => ['-c', setting])], {
      cwd: cluster.cwd,
      // Marked, for the look at what tests leave behind.
      env: { ...cluster.env, BGWORKER_TEST_RUN: process.env['BGWORKER_TEST_RUN'] },
      stdio: ['ignore', fd, fd],
      ...(cluster.uid === undefined ? {} : { uid: cluster.uid, gid: cluster.gid }),
    });
    closeSync(fd);
    if (until === 'running') return;
    await waitUntil(() => this.#accepts(), { what: () => `the server to accept connections; its log: ${this.serverLog()}` });
  }

  async #accepts(): Promise<boolean> {
    const client = new pg.Client(this.cluster.conninfo);
    client.on('error', () => {});
    const connected = await client.connect().then(
      () => true,
      () => false,
    );
    await client.end();
    return connected;
  }

  /** What the server has logged. */
  serverLog(): string {
    return readFileSync(this.cluster.logFile, 'utf8');
  }

  /** SIGINT is a fast shutdown, SIGQUIT an immediate one. */
  async stop(signal: 'SIGINT' | 'SIGQUIT' = 'SIGINT'): Promise<void> {
    const child = this.#child;
    this.#child = null;
    if (child === null || child.exitCode !== null || child.signalCode !== null) return;
    const exited = new Promise((resolve) => {
      child.once('exit', resolve);
    });
    child.kill(signal);
    await exited;
  }

  /** Stops the server and removes everything. */
  async remove(): Promise<void> {
    await this.stop();
    removeTempDir(this.dataDir);
  }

  /** Runs a statement on a connection of its own; rows as arrays. */
  async sql(text: string, database = 'postgres'): Promise<unknown[][]> {
    const client = new pg.Client({ ...this.cluster.conninfo, database });
    client.on('error', () => {});
    await client.connect();
    try {
      return (await client.query<unknown[]>({ text, rowMode: 'array' })).rows;
    } finally {
      await client.end();
    }
  }
}

/** Runs as the user that the files shall belong to. Without write-ahead log: it is consistent when it has got that from its primary. */
function baseBackup({ cluster, dataDir }: DatabaseServer, target: string): void {
  const user = cluster.uid === undefined ? {} : { uid: cluster.uid, gid: cluster.gid };
  mkdirSync(target, { mode: 0o700 });
  if (cluster.uid !== undefined) chownSync(target, cluster.uid, cluster.gid ?? 0);
  const args = ['-h', join(dataDir, 'pgsocket'), '-U', 'postgres', '-D', target, '-R', '-X', 'none', '-c', 'fast', '--no-sync'];
  const made = spawnSync(join(cluster.bindir, 'pg_basebackup'), args, { ...user, cwd: '/', env: cluster.env, encoding: 'utf8' });
  if (made.status !== 0) throw new Error(`pg_basebackup: ${made.error?.message ?? made.stderr}`);
}

/** Who owns a connection under test: what would end a worker is noted. */
export class TestOwner implements ConnectionOwner {
  readonly type = 'test worker';
  readonly fatals: ErrorFields[] = [];
  readonly reports: [level: number, message: string][] = [];
  readonly fatal = (fields: ErrorFields): void => {
    this.fatals.push(fields);
  };
  readonly report = (level: number, fields: ErrorFields): void => {
    this.reports.push([level, fields.message]);
  };

  open(conninfo: pg.ClientConfig, database: string | null = 'postgres', user: string | null = null): Promise<DatabaseConnection> {
    return openConnection({ conninfo, database, user, owner: this });
  }
}
