// One cluster of a scenario: a data directory, and a postmaster of ours on it, again and again where the scenario asks for that. Runs in the judge.
//
// The postmaster logs to a file, not to a pipe: a worker that outlives it would hold the pipe open.

import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { SETTINGS } from '../../dist/guc/settings.js';
import { dist } from '../helpers/paths.js';
import { ORACLE_VARIABLE, type OracleSettings } from './event-file.js';
import type { ClusterSetup } from './language.js';
import { becomes } from './polling.js';
import { goInLine } from './priority.js';
import { LIBRARY, registrationOf } from './registration.js';
import { LOG_LINE_PREFIX, parseLog, type LogRecord } from './server-log.js';

/** V8's threads must be told before V8 starts; a postmaster without these flags would execute itself again to get them. */
const NODE_FLAGS = ['--single-threaded', '--v8-pool-size=1', '--no-memory-reducer', '--no-flush-bytecode'];
const START_TIMEOUT_MS = 40_000;
/** The status line in postmaster.pid, from the first one. */
const STATUS_LINE = 5;
/** The oracle's release 13 ran workers without shared memory access; 15 refuses them. */
const WITHOUT_SHMEM = /^(?:9|1[0-4])\./;
/** More than any scenario registers, where none is set: the oracle's shared server had room too. */
const MAX_WORKER_PROCESSES = 16;

/** Where the compiled worker library is: beside the compiled judge. */
export const LIBRARY_DIR: string = join(dirname(fileURLToPath(import.meta.url)), 'library');

export interface ClusterOptions {
  readonly scenario: string;
  readonly name: string;
  readonly setup: ClusterSetup;
  /** The release that the oracle ran. */
  readonly postgres: string;
  /** The scenario's folder, and the event file in it. */
  readonly base: string;
  readonly events: string;
  /** Value of the setting "database"; and for session backends, how to reach it. */
  readonly database: string;
  readonly connection?: OracleSettings['database'];
}

const ours = new Set(SETTINGS.map(({ name }) => name));

/** Settings of a scenario that only a PostgreSQL server has: an owned one gets them, else they are without effect. */
export function foreignSettings(setup: ClusterSetup): [string, string][] {
  return settingsOf(setup).filter(([name]) => !ours.has(name));
}

/** Values are as in postgresql.conf, in quotes or not. */
function settingsOf(setup: ClusterSetup): [string, string][] {
  return Object.entries(setup.conf ?? {}).map(([name, value]) => [
    name,
    String(value)
      .replace(/^'(.*)'$/s, '$1')
      .replaceAll("''", "'"),
  ]);
}

interface Launched {
  readonly child: ChildProcess;
  /** How it ended, or null. */
  exit: string | null;
}

export class Cluster {
  readonly name: string;
  readonly dir: string;
  readonly #options: ClusterOptions;
  readonly #logFile: string;
  #logStart = 0;
  /** Those that have ended are in the order of their ends. */
  readonly #launched: Launched[] = [];

  constructor(options: ClusterOptions) {
    this.#options = options;
    this.name = options.name;
    this.dir = join(options.base, options.name);
    this.#logFile = join(options.base, `${options.name}.log`);
    mkdirSync(this.dir, { mode: 0o700 });
    // The mark of a data directory of ours: a base backup comes into a directory that then is not empty.
    writeFileSync(join(this.dir, 'BGWORKER_VERSION'), '1\n');
    writeFileSync(this.#logFile, '', { mode: 0o600 });
  }

  /** The postmaster that was started last of those that run; where none does, the one that ended last. A second one is sent away by the lock file. */
  get #current(): Launched | undefined {
    return this.#launched.findLast(({ exit }) => exit === null) ?? this.#launched.at(-1);
  }

  get pid(): number | null {
    return this.#current?.child.pid ?? null;
  }

  get isRunning(): boolean {
    return this.#current?.exit === null;
  }

  /** How it ended: `status 0`, `signal SIGKILL`; null while it runs. */
  get exit(): string | null {
    return this.#current?.exit ?? null;
  }

  launch(): Launched {
    const args = this.#settings().flatMap(([name, value]) => ['-c', `${name}=${value}`]);
    const log = openSync(this.#logFile, 'a');
    try {
      const child = spawn(process.execPath, [...NODE_FLAGS, dist('postmaster/main.js'), '-D', this.dir, ...args], {
        cwd: this.#options.base,
        env: { ...process.env, ...this.#environment() },
        stdio: ['ignore', log, log],
        // A session of its own: Ctrl-C is for the judge, which then ends everything in order.
        detached: true,
      });
      goInLine(child.pid);
      const launched: Launched = { child, exit: null };
      this.#launched.push(launched);
      const end = (exit: string): void => {
        launched.exit = exit;
        this.#launched.splice(this.#launched.indexOf(launched), 1);
        this.#launched.push(launched);
      };
      child.once('exit', (code, signal) => end(code === null ? `signal ${signal}` : `status ${code}`));
      child.once('error', (err) => end(`error ${err.message}`));
      return launched;
    } finally {
      closeSync(log);
    }
  }

  /** Launches it and waits until it accepts connections, or has ended. How it ended, or null. */
  async start(signal: AbortSignal, timeoutMs = START_TIMEOUT_MS): Promise<string | null> {
    const launched = this.launch();
    const decided = await becomes(() => launched.exit !== null || this.acceptsConnections(), timeoutMs, signal);
    if (!decided) throw new Error(`cluster ${this.name}: the postmaster is not ready after ${timeoutMs} ms; its status is "${this.#status()}"`);
    return launched.exit;
  }

  acceptsConnections(): boolean {
    return ['ready', 'standby'].includes(this.#status());
  }

  #status(): string {
    try {
      const lines = readFileSync(join(this.dir, 'postmaster.pid'), 'utf8').split('\n');
      // The file of a postmaster that was killed says nothing of the new one.
      return Number(lines[0]) === this.pid ? (lines[STATUS_LINE - 1] ?? '').trim() : '';
    } catch (err) {
      if ((err as NodeJS.ErrnoException).code === 'ENOENT') return '';
      throw err;
    }
  }

  #settings(): [string, string][] {
    const { postgres, database, setup } = this.#options;
    const settings: Record<string, string> = {
      cluster_name: '',
      log_min_messages: 'debug1',
      log_line_prefix: LOG_LINE_PREFIX,
      shared_preload_libraries: LIBRARY,
      dynamic_library_path: LIBRARY_DIR,
      database,
      max_worker_processes: String(MAX_WORKER_PROCESSES),
      allow_orphan_workers: 'on',
      allow_workers_without_shmem: WITHOUT_SHMEM.test(postgres) ? 'on' : 'off',
      allow_writable_libraries: 'on', // the project may lie anywhere
      ...(process.getuid?.() === 0 ? { allow_root: 'on' } : {}),
      ...Object.fromEntries(settingsOf(setup).filter(([name]) => ours.has(name))),
    };
    return Object.entries(settings);
  }

  #environment(): Record<string, string> {
    const { scenario, name, base, events, connection, setup, postgres } = this.#options;
    const workers = (setup.static ?? []).map((worker) => registrationOf(scenario, worker));
    const file = join(base, `${name}.static.json`);
    if (workers.length > 0 && !existsSync(file)) writeFileSync(file, JSON.stringify(workers));
    const settings: OracleSettings = {
      events,
      folder: dirname(events),
      release: postgres,
      postmasterTag: name === 'm' ? 'pm' : `pm.${name}`,
      ...(workers.length > 0 ? { static: file } : {}),
      ...(connection === undefined ? {} : { database: connection }),
    };
    return { [ORACLE_VARIABLE]: JSON.stringify(settings), BGWORACLE_BASE: base, BGWORACLE_LOCK_FILE: join(this.dir, 'postmaster.pid'), TZ: 'UTC' };
  }

  /** From here on only what is logged later belongs to the scenario. */
  skipLog(): void {
    this.#logStart = readFileSync(this.#logFile).length;
  }

  logText(): string {
    return readFileSync(this.#logFile).subarray(this.#logStart).toString();
  }

  /** What the server that the postmaster owns has logged, line by line as a signature has it. */
  databaseLog(): string[] {
    const file = join(this.dir, 'database.log');
    if (!existsSync(file)) return [];
    const lines = readFileSync(file, 'utf8').matchAll(/^\S+ \S+ .*?\b([A-Z]+): {2}(.*)$/gm);
    return [...lines].map(([, level, message]) => `LOG[${level}] ${message}`);
  }

  log(): { records: LogRecord[]; noise: string[] } {
    return parseLog(this.logText());
  }

  signal(signal: NodeJS.Signals | number): void {
    // Not by a pid that may be somebody else's by now.
    if (this.isRunning) this.#current?.child.kill(signal);
  }

  signalAll(signal: NodeJS.Signals): void {
    for (const { child } of this.#launched.filter(({ exit }) => exit === null)) child.kill(signal);
  }

  /** True when it has ended. */
  waitForExit(timeoutMs: number, signal: AbortSignal): Promise<boolean> {
    return becomes(() => !this.isRunning, timeoutMs, signal);
  }
}
