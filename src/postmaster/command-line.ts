// How the postmaster is called: -D DIR and -c name=value, and the flags that Node must have been started with. Postmaster, before anything else.
// PostgreSQL: src/backend/postmaster/postmaster.c (PostmasterMain, the getopt loop).

import { constants } from 'node:os';
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

import { ERRCODE_FEATURE_NOT_SUPPORTED, ERRCODE_SYNTAX_ERROR } from '../elog/errcodes.js';
import { ErrorData } from '../elog/error-data.js';
import { parseLongOption } from '../guc/guc.js';
import { NODE_FLAGS } from '../launch/node-flags.js';
import { check, native } from '../native.js';

export interface PostmasterOptions {
  readonly dataDir: string;
  readonly settings: readonly (readonly [name: string, value: string])[];
}

/** JSON of `[name, value]` pairs: how `bgworker start` passes settings that should not be seen in ps. Deleted when it has been read. */
const OPTIONS_VARIABLE = 'BGWORKER_POSTMASTER_OPTIONS';

function usage(message: string): ErrorData {
  return new ErrorData({
    severity: 'FATAL',
    code: ERRCODE_SYNTAX_ERROR,
    message,
    hint: 'Usage: postmaster -D DIRECTORY [-c NAME=VALUE]... ; "bgworker --help" has the rest.',
  });
}

export function parseCommandLine(args: readonly string[], env: NodeJS.ProcessEnv): PostmasterOptions {
  const settings: (readonly [string, string])[] = [];
  let dataDir = env['BGWORKER_DATA'];
  for (let at = 0; at < args.length; at += 2) {
    const option = args[at] as string;
    const value = args[at + 1];
    if (option !== '-D' && option !== '-c') throw usage(`invalid argument: "${option}"`);
    if (value === undefined) throw usage(`option ${option} requires an argument`);
    if (option === '-D') dataDir = value;
    else settings.push(parseLongOption(value));
  }
  if (dataDir === undefined || dataDir === '') throw usage('no data directory specified and environment variable BGWORKER_DATA unset');
  return { dataDir: resolve(dataDir), settings: [...settings, ...hiddenSettings(env)] };
}

function hiddenSettings(env: NodeJS.ProcessEnv): (readonly [string, string])[] {
  const text = env[OPTIONS_VARIABLE];
  if (text === undefined) return [];
  delete env[OPTIONS_VARIABLE];
  return JSON.parse(text) as [string, string][];
}

/**
 * Starts Node again, as the same process, where V8's flags are missing, where libuv might use io_uring, whose ring does not survive a fork, or where this
 * process has changed its user: /proc/self is the new user's only after an exec.
 */
export function reexecuteIfNeeded({ settings }: PostmasterOptions, force: boolean): void {
  const missing = NODE_FLAGS.filter((flag) => !process.execArgv.includes(flag));
  const uring = process.env['UV_USE_IO_URING'] !== undefined && process.env['UV_USE_IO_URING'] !== '0';
  if (missing.length === 0 && !uring && !force) return;
  const main = fileURLToPath(new URL('main.js', import.meta.url));
  const argv = [process.execPath, ...process.execArgv, ...missing, main, ...process.argv.slice(2)];
  // What was read from the variable has been taken out of it; all settings can go there, since the last of a name counts.
  const variables = { ...process.env, UV_USE_IO_URING: '0', [OPTIONS_VARIABLE]: JSON.stringify(settings) };
  const env = Object.entries(variables).map(([name, value]) => `${name}=${value}`);
  check(native.exec(process.execPath, argv, env), 'execve');
}

/**
 * What this Node must offer. Takes over what it imports from the C library, in the same breath: before user code can start a thread or load an addon.
 * @throws ErrorData FATAL where it does not
 */
export function checkNode(): void {
  if (!native.takeExits(false, () => undefined)) {
    throw cannotBeForked('It does not export node::SetProcessExitHandler, without which a forked child cannot leave in order.');
  }
  const slots = native.patchImports();
  if (slots === -constants.errno.ENOENT) {
    throw cannotBeForked('It does not call pthread_create and madvise by way of the dynamic linker, so that its memory cannot be kept for a child.');
  }
  check(slots, 'mprotect');
  const emptied = native.emptyPlatform();
  if (emptied === -constants.errno.ENOENT) {
    throw cannotBeForked('It does not export what tells V8 how many threads there are, without which worker_threads would hang in a child.');
  }
  check(emptied, 'mprotect');
}

function cannotBeForked(detail: string): ErrorData {
  return new ErrorData({
    severity: 'FATAL',
    code: ERRCODE_FEATURE_NOT_SUPPORTED,
    message: `this build of Node (${process.version}, ${process.execPath}) cannot be forked`,
    detail,
    hint: 'Use Node 20, 22, 24 or 26 as nodejs.org or your distribution builds it.',
  });
}
