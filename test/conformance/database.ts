// The real PostgreSQL of a run: one owned cluster, started when the first scenario needs it, attached to by the postmasters of all of them.
// And base backups, which make clusters with databases of their own. Runs in the judge.

import { execFile } from 'node:child_process';
import { appendFileSync, chownSync, lstatSync, mkdirSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import pg from 'pg';
import { findPostgres } from '../../dist/database/find-postgres.js';
import { makeTempDir } from '../helpers/temp-dir.js';
import { Cluster, foreignSettings } from './cluster.js';
import type { OracleSettings } from './event-file.js';
import type { ClusterSetup } from './language.js';
import { tearDown } from './teardown.js';

export type Connection = NonNullable<OracleSettings['database']>;

/** How to reach the server that the postmaster of a data directory owns. */
export function ownedConnection(dir: string): Connection {
  return { host: join(dir, 'pgsocket'), port: 5432, user: 'postgres', database: 'postgres' };
}

/** As the setting "database" takes it. */
export function conninfoOf({ host, port, user, database }: Connection): string {
  return `host='${host}' port=${port} user=${user} dbname=${database}`;
}

export class SharedDatabase {
  readonly #signal: AbortSignal;
  #base: string | null = null;
  #cluster: Cluster | null = null;
  #started: Promise<Connection> | null = null;

  constructor(signal: AbortSignal) {
    this.#signal = signal;
  }

  /** Starts it at the first call. */
  connection(): Promise<Connection> {
    this.#started ??= this.#start();
    return this.#started;
  }

  async #start(): Promise<Connection> {
    this.#base = makeTempDir('cfdb');
    const events = join(this.#base, 'events');
    this.#cluster = new Cluster({ scenario: 'database', name: 'm', setup: {}, postgres: '15.0', base: this.#base, events, database: 'owned' });
    if ((await this.#cluster.start(this.#signal)) !== null) throw new Error(`the database did not start:\n${this.#cluster.logText()}`);
    return ownedConnection(this.#cluster.dir);
  }

  async stop(keep: boolean): Promise<void> {
    await this.#started?.catch(() => {});
    if (this.#base !== null) await tearDown({ clusters: this.#cluster === null ? [] : [this.#cluster], base: this.#base, keep });
  }
}

/** Settings of the server behind a running cluster that are not ours. */
export async function alterSystem(dir: string, setup: ClusterSetup): Promise<void> {
  const settings = foreignSettings(setup);
  if (settings.length === 0) return;
  const client = new pg.Client(ownedConnection(dir));
  await client.connect();
  try {
    for (const [name, value] of settings) await client.query(`ALTER SYSTEM SET ${client.escapeIdentifier(name)} = ${client.escapeLiteral(value)}`);
    await client.query('SELECT pg_reload_conf()');
  } finally {
    await client.end();
  }
}

/** Makes the data files of `to` a standby's of `from`. `wal`: how the write-ahead log comes along, as pg_basebackup names it. */
export async function baseBackup(from: Cluster, to: Cluster, wal: string, setup: ClusterSetup): Promise<void> {
  const { bindir } = findPostgres({ bindirSetting: '' });
  const source = join(from.dir, 'pgdata');
  const target = join(to.dir, 'pgdata');
  const { host, port, user } = ownedConnection(from.dir);
  mkdirSync(target, { mode: 0o700 });
  const options = ['-h', host, '-p', String(port), '-U', user, '-D', target, '-R', '-X', wal, '-c', 'fast', '--no-sync'];
  await promisify(execFile)(join(bindir, 'pg_basebackup'), options);
  for (const [name, value] of foreignSettings(setup)) appendFileSync(join(target, 'postgresql.auto.conf'), `${name} = '${value}'\n`);
  const { uid, gid } = statSync(source);
  if (process.getuid?.() === 0) chownTree(target, uid, gid);
}

function chownTree(path: string, uid: number, gid: number): void {
  chownSync(path, uid, gid);
  if (!lstatSync(path).isDirectory()) return;
  for (const name of readdirSync(path)) chownTree(join(path, name), uid, gid);
}
