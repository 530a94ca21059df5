// bgworker start: a server in the background, on a data directory that need not exist yet. The command line.
// PostgreSQL: do_start and wait_for_postmaster_start in src/bin/pg_ctl/pg_ctl.c, REL_15_STABLE.
//
// The settings go through the environment, not the arguments, which every user of the machine can read: a connection string may hold a password.

import { type ChildProcess, spawn } from 'node:child_process';
import { strerror } from '../elog/file-access.js';
import { checkDataDir, initDataDir } from '../postmaster/data-dir.js';
import { postmasterIsRunning } from '../postmaster/lock-file-content.js';
import { type DataDirOption, dataDirOf, lockFileOf } from './data-dir-option.js';
import { type Setting, type StartedWith, writeOptionsFile } from './options-file.js';
import { describeError } from './privileges.js';
import { type ServerLog, closeServerLog, newLogLines, openServerLog } from './server-log.js';
import { CommandFailure, EXIT_SUCCESS, type Surroundings } from './surroundings.js';
import { waitWithDots } from './wait.js';
import { NODE_FLAGS } from '../launch/node-flags.js';

export interface StartOptions extends DataDirOption {
  readonly log?: string | undefined;
  /** false: return as soon as the process has been started. */
  readonly wait: boolean;
  readonly timeout: number;
  readonly silent: boolean;
  readonly settings: readonly Setting[];
}

/** JSON of `[name, value]` pairs; the postmaster reads and deletes it. */
export const OPTIONS_VARIABLE = 'BGWORKER_POSTMASTER_OPTIONS';

/** Root becomes the server's user; makes the directory where there is none, and ends the command where what is there will not do. */
export function prepareDataDir(dir: string, settings: readonly Setting[], say: (text: string) => void, surroundings: Surroundings): void {
  surroundings.becomeServerUser(dir, settings);
  try {
    if (initDataDir(dir)) say(`created data directory "${dir}"\n`);
    checkDataDir(dir);
  } catch (err) {
    throw new CommandFailure(describeError(err));
  }
}

export async function start(options: StartOptions, surroundings: Surroundings): Promise<number> {
  const dir = dataDirOf(options, surroundings);
  return startIn(dir, { cwd: surroundings.cwd, settings: options.settings }, options, surroundings);
}

/** The start itself: `restart` comes here too, with the settings of the time before. */
export async function startIn(dir: string, how: StartedWith, options: StartOptions, surroundings: Surroundings): Promise<number> {
  const say = options.silent ? (): void => undefined : surroundings.out;
  prepareDataDir(dir, how.settings, say, surroundings);
  const old = lockFileOf(dir);
  const oldRuns = old !== null && postmasterIsRunning(old);
  if (oldRuns) surroundings.err('bgworker: another server might be running; trying to start server anyway\n');
  const log = openServerLog(dir, options.log, surroundings.cwd);
  try {
    const child = await spawnPostmaster(dir, how, log, surroundings);
    if (options.wait) await waitForStart({ dir, child, log }, options, surroundings);
    else say('server starting\n');
    child.unref();
  } finally {
    closeServerLog(log);
  }
  // Not before: a start that fails must not change what the running server is started with again.
  if (options.wait || !oldRuns) writeOptionsFile(dir, how);
  return EXIT_SUCCESS;
}

function spawnPostmaster(dir: string, { cwd, settings }: StartedWith, log: ServerLog, { env, postmaster }: Surroundings): Promise<ChildProcess> {
  const child = spawn(process.execPath, [...NODE_FLAGS, postmaster, '-D', dir], {
    // Where we are is no matter of permission, going there is: the server may have another user than the shell.
    ...(cwd === process.cwd() ? {} : { cwd }),
    detached: true,
    stdio: ['ignore', log.fd, log.fd],
    env: { ...env, [OPTIONS_VARIABLE]: JSON.stringify(settings) },
  });
  return new Promise((resolve, reject) => {
    child.once('spawn', () => resolve(child));
    child.once('error', (err) => reject(new CommandFailure(`could not start server in directory "${cwd}": ${strerror(err)}`)));
  });
}

interface Started {
  readonly dir: string;
  readonly child: ChildProcess;
  readonly log: ServerLog;
}

async function waitForStart({ dir, child, log }: Started, options: StartOptions, surroundings: Surroundings): Promise<void> {
  const { silent, timeout } = options;
  const look = (): 'ready' | 'gone' | null => {
    if (child.exitCode !== null || child.signalCode !== null) return 'gone';
    const content = lockFileOf(dir);
    return content?.pid === child.pid && (content?.status === 'ready' || content?.status === 'standby') ? 'ready' : null;
  };
  const ignoreInterrupt = passInterruptOn(child);
  const outcome = await waitWithDots(look, { seconds: timeout, message: silent ? '' : 'waiting for server to start' }, surroundings);
  ignoreInterrupt();
  const say = silent ? (): void => undefined : surroundings.out;
  if (outcome === 'ready') {
    say(' done\nserver started\n');
    return;
  }
  say(' stopped waiting\n');
  if (outcome === null) {
    child.unref(); // it goes on
    throw new CommandFailure('server did not start in time');
  }
  const lines = newLogLines(log).trimEnd();
  throw new CommandFailure(
    `could not start server\n${lines === '' ? 'Examine the log output.' : `${lines}\nThis is the end of the log "${log.path}".`}`,
  );
}

/** Who interrupts the wait for a start does not want the server (pg_ctl: trap_sigint_during_startup). Returns what ends this. */
function passInterruptOn(child: ChildProcess): () => void {
  const interrupted = (): void => {
    child.kill('SIGINT');
    process.kill(process.pid, 'SIGINT'); // there is no handler any more, so we die of it, and the shell sees it
  };
  process.once('SIGINT', interrupted);
  return () => void process.off('SIGINT', interrupted);
}
