// A real postmaster for the length of a test. Runs in the process of the test, or of the conformance runner: nothing of vitest in here.
//
// `withPostmaster` makes a data directory, starts the compiled postmaster on it, waits until it is ready, runs the test, and ends it, whatever the test did:
// politely, then less so, then by SIGKILL for every process that bears its mark. A test that leaves a process behind fails, even where all else went well;
// a test that fails shows the postmaster's log.
//
// Two directories, one in the other: <dir>/data is the data directory, and <dir>/log what the postmaster and its children said. The log is a file, no pipe:
// a child that outlives its postmaster would hold a pipe open, and vitest would wait for it.
import { type ChildProcess, spawn } from 'node:child_process';
import { chownSync, closeSync, mkdirSync, openSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { constants } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Session } from '../../dist/session/client.js';
import { type Mark, SCAN_PAUSE_MS, killMarked, marked } from './leftovers.js';
import { dist, projectRoot } from './paths.js';
import { childrenOf, describeProcess, processState, zombiesOf } from './processes.js';
import { makeTempDir, removeTempDir } from './temp-dir.js';
import { waitUntil } from './wait-until.js';

/** V8's threads must be told before V8 starts; a postmaster without these flags would execute itself again to get them. */
const NODE_FLAGS = ['--single-threaded', '--v8-pool-size=1', '--no-memory-reducer', '--no-flush-bytecode'];
/** How pg_ctl names them, and the signal that asks for each. */
const SHUTDOWN_SIGNAL = { smart: 'SIGTERM', fast: 'SIGINT', immediate: 'SIGQUIT' } as const;
/** The status line in postmaster.pid, from the first one. */
const STATUS_LINE = 5;

export type ShutdownMode = keyof typeof SHUTDOWN_SIGNAL;

export interface PostmasterOptions {
  /** As `-c name=value`. Where nothing is said of `database`, there is none: most tests need none, and a server takes a second to start. */
  readonly settings?: Readonly<Record<string, string | number | boolean>>;
  /** `shared_preload_libraries`: absolute paths, `./relative` to `cwd`, or bare names along `dynamic_library_path`. */
  readonly preload?: readonly string[];
  /** The content of bgworker.conf. */
  readonly conf?: string;
  /** Where the postmaster is started, and so `$libdir`. Default: the project's root. */
  readonly cwd?: string;
  /** Besides the environment of the test. */
  readonly env?: Readonly<Record<string, string>>;
  /** Until when to wait before the test begins. `nothing` returns at once, for a postmaster that is not meant to come up. */
  readonly until?: 'ready' | 'standby' | 'nothing';
  readonly startTimeoutMs?: number;
  /** How the end of the test asks it to stop. A postmaster that needs more than `fast` to stop fails the test, so say `immediate` where one is meant to hang. */
  readonly shutdown?: ShutdownMode;
  /** How long each step of the end may take, before the next one is taken. */
  readonly endTimeoutMs?: number;
  /** Where the test is root: the user that the postmaster becomes, and whose the data directory is. */
  readonly runAs?: number;
  /** What to start instead of dist/postmaster/main.js. */
  readonly program?: string;
}

export interface Postmaster {
  /** The data directory. */
  readonly dir: string;
  readonly pid: number;
  /** The exit status when it has ended, 128 + number for a signal's victim. */
  readonly exited: Promise<number>;
  /** All that it and its children have logged so far. */
  log(): string;
  /** Waits until the log has this; returns the log. */
  waitForLog(what: string | RegExp, timeoutMs?: number): Promise<string>;
  /** The word in the lock file's status line; '' where there is no lock file. */
  status(): string;
  /** Pids, oldest first. */
  children(): number[];
  /** A session, closed at the end of the test at the latest. */
  connect(): Promise<Session>;
  signal(signal: NodeJS.Signals): void;
  /** Asks it to stop and waits for its end; returns the exit status. */
  stop(mode?: ShutdownMode, timeoutMs?: number): Promise<number>;
}

/** Runs `body` with a postmaster of its own, and leaves nothing of it behind. */
export async function withPostmaster<T>(options: PostmasterOptions, body: (pm: Postmaster) => Promise<T> | T): Promise<T> {
  const { pm, end } = await startPostmaster(options);
  let result: T;
  try {
    result = await body(pm);
  } catch (err) {
    const log = pm.log();
    // The test's error is the one to see: what ending the postmaster has to say after that is said below its log.
    const afterwards = await end().then(
      () => '',
      (trouble: unknown) => `\nand then: ${String(trouble)}`,
    );
    process.stderr.write(`--- log of the postmaster (${pm.pid}) of the test that failed\n${log}---${afterwards}\n`);
    throw err;
  }
  await end();
  return result;
}

/** The two halves of `withPostmaster`, for where a block does not fit: `beforeAll` and `afterAll`. Whoever calls this must call `end`. */
export async function startPostmaster(options: PostmasterOptions = {}): Promise<{ pm: Postmaster; end: () => Promise<void> }> {
  const running = new RunningPostmaster(options);
  try {
    await running.waitForStart();
  } catch (err) {
    const log = running.log();
    await running.end().catch(() => {});
    throw new Error(`${(err as Error).message}\n--- log\n${log}---`, { cause: err });
  }
  return { pm: running, end: () => running.end() };
}

/**
 * What the undefined-behaviour sanitizer said where the addon was built for it (npm run test:asan). Its reports go to standard error in any case: where it runs
 * beside the address sanitizer, that one takes the option for another place.
 */
function sanitizerReports(log: string): string[] {
  return log.split('\n').filter((line) => /: runtime error: |ERROR: AddressSanitizer/.test(line));
}

class RunningPostmaster implements Postmaster {
  readonly dir: string;
  readonly pid: number;
  readonly exited: Promise<number>;
  readonly #options: PostmasterOptions;
  readonly #top: string;
  readonly #mark: Mark;
  readonly #sessions: Session[] = [];
  #exitStatus: number | null = null;

  constructor(options: PostmasterOptions) {
    this.#options = options;
    this.#top = makeTempDir('pm');
    this.#mark = { variable: `BGWORKER_TEST_POSTMASTER=${this.#top}`, dir: this.#top };
    this.dir = join(this.#top, 'data');
    mkdirSync(this.dir, { mode: 0o700 });
    // The mark of a data directory of ours: without it the postmaster leaves a directory that is not empty alone.
    writeFileSync(join(this.dir, 'BGWORKER_VERSION'), '1\n');
    if (options.conf !== undefined) writeFileSync(join(this.dir, 'bgworker.conf'), options.conf);
    if (this.#runAs !== null) for (const name of ['', ...readdirSync(this.dir)]) chownSync(join(this.dir, name), this.#runAs, this.#runAs);
    const child = this.#spawn();
    this.pid = child.pid ?? 0;
    this.exited = new Promise((resolve, reject) => {
      child.once('error', reject);
      child.once('exit', (code, signal) => {
        this.#exitStatus = code ?? 128 + constants.signals[signal as NodeJS.Signals];
        resolve(this.#exitStatus);
      });
    });
    // Whoever waits for it hears of a failure; where nobody does it is no unhandled rejection.
    this.exited.catch(() => {});
  }

  get #runAs(): number | null {
    return process.getuid?.() === 0 ? (this.#options.runAs ?? null) : null;
  }

  #spawn(): ChildProcess {
    const { settings = {}, preload = [], cwd = projectRoot, env = {}, program = dist('postmaster/main.js') } = this.#options;
    const all = {
      database: 'none',
      allow_writable_libraries: 'on', // the project may lie anywhere
      ...(this.#runAs !== null ? { user: this.#runAs } : process.getuid?.() === 0 ? { allow_root: 'on' } : {}),
      ...(preload.length > 0 ? { shared_preload_libraries: preload.join(',') } : {}),
      ...settings,
    };
    const args = Object.entries(all).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
    const log = openSync(join(this.#top, 'log'), 'a', 0o600);
    try {
      return spawn(process.execPath, [...NODE_FLAGS, program, '-D', this.dir, ...args], {
        cwd,
        env: { ...process.env, ...env, BGWORKER_TEST_POSTMASTER: this.#top },
        stdio: ['ignore', log, log],
      });
    } finally {
      closeSync(log);
    }
  }

  async waitForStart(): Promise<void> {
    const { until = 'ready', startTimeoutMs = 30_000 } = this.#options;
    if (until === 'nothing') return;
    const good = until === 'ready' ? ['ready'] : ['standby', 'ready'];
    await waitUntil(
      () => {
        if (this.#exitStatus !== null) throw new Error(`the postmaster ended with status ${this.#exitStatus} before it was ${until}`);
        return good.includes(this.status());
      },
      { timeoutMs: startTimeoutMs, what: () => `the postmaster to be ${until}; its status is "${this.status()}"` },
    );
  }

  log(): string {
    return readFileSync(join(this.#top, 'log'), 'utf8');
  }

  async waitForLog(what: string | RegExp, timeoutMs = 10_000): Promise<string> {
    const found = (log: string): boolean => (typeof what === 'string' ? log.includes(what) : log.search(what) >= 0);
    return waitUntil(() => [this.log()].find(found), { timeoutMs, what: `${String(what)} in the postmaster's log` });
  }

  status(): string {
    try {
      return (readFileSync(join(this.dir, 'postmaster.pid'), 'utf8').split('\n')[STATUS_LINE - 1] ?? '').trim();
    } catch (err) {
      if ((err as NodeJS.ErrnoException).code === 'ENOENT') return '';
      throw err;
    }
  }

  children(): number[] {
    return childrenOf(this.pid);
  }

  async connect(): Promise<Session> {
    const client = (await import(pathToFileURL(dist('session/client.js')).href)) as typeof import('../../dist/session/client.js');
    const session = await client.connect(this.dir);
    this.#sessions.push(session);
    return session;
  }

  signal(signal: NodeJS.Signals): void {
    // Not by a pid that may be somebody else's by now: once it has ended, there is nobody to signal.
    if (this.#exitStatus !== null) throw new Error(`the postmaster ended with status ${this.#exitStatus}, and cannot get ${signal}`);
    process.kill(this.pid, signal);
  }

  async stop(mode: ShutdownMode = 'fast', timeoutMs = 20_000): Promise<number> {
    if (this.#exitStatus === null) this.signal(SHUTDOWN_SIGNAL[mode]);
    return this.#waitForExit(`the postmaster to stop (${mode})`, timeoutMs);
  }

  async #waitForExit(what: string, timeoutMs: number): Promise<number> {
    await waitUntil(() => this.#exitStatus !== null, { timeoutMs, what: () => `${what}; its children:\n${this.#describe(this.children())}` });
    return this.exited;
  }

  #describe(pids: readonly number[]): string {
    return pids.map(describeProcess).join('\n');
  }

  /** The end, in any case. What it throws is what was wrong: a zombie, that more than the asked-for shutdown was needed, or that something was left. */
  async end(): Promise<void> {
    const troubles: string[] = [];
    await this.#attempt(troubles, () => this.#expectNoZombies());
    const { shutdown = 'fast' } = this.#options;
    const stopped =
      (await this.#attempt(troubles, () => this.stop(shutdown, this.#endTimeoutMs))) ||
      (shutdown !== 'immediate' && (await this.#attempt(troubles, () => this.stop('immediate', this.#endTimeoutMs))));
    for (const session of this.#sessions) await Promise.resolve(session.close()).catch(() => {});
    if (stopped) await this.#attempt(troubles, () => this.#expectNobodyLeft());
    await killMarked(this.#mark);
    await this.exited;
    troubles.push(...sanitizerReports(this.log()));
    removeTempDir(this.#top);
    if (troubles.length > 0) throw new Error(troubles.join('\n'));
  }

  get #endTimeoutMs(): number {
    return this.#options.endTimeoutMs ?? 15_000;
  }

  /** Does a step of the end, and writes down what it throws: the next one is taken in any case. */
  async #attempt(troubles: string[], step: () => Promise<unknown>): Promise<boolean> {
    try {
      await step();
      return true;
    } catch (err) {
      troubles.push((err as Error).message);
      return false;
    }
  }

  /** A postmaster reaps its children at once; one that a test has stopped cannot. */
  async #expectNoZombies(): Promise<void> {
    const noZombies = (): boolean => this.#exitStatus !== null || processState(this.pid) === 'T' || zombiesOf(this.pid).length === 0;
    await waitUntil(noZombies, { timeoutMs: this.#endTimeoutMs, what: () => `the postmaster to reap:\n${this.#describe(zombiesOf(this.pid))}` });
  }

  /** Children of a postmaster that died need a moment to see it; they have that moment, and not more. */
  async #expectNobodyLeft(): Promise<void> {
    await waitUntil(() => marked(this.#mark).length === 0, {
      timeoutMs: this.#endTimeoutMs,
      pauseMs: SCAN_PAUSE_MS,
      what: () => `the postmaster's processes to be gone, and killed them:\n${this.#describe(marked(this.#mark))}`,
    });
  }
}
