// How the postmaster is called: -D DIR and -c name=value, and the flags that Node must have been started with. Postmaster, before anything else.
// PostgreSQL: src/backend/postmaster/postmaster.c (PostmasterMain, the getopt loop).

import { constants } from 'node:os';
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

import { ERRCODE_FEATURE_NOT_SUPPORTED, ERRCODE_SYNTAX_ERROR } from '../elog/errcodes.js';
import { ErrorData, WARNING } from '../elog/error-data.js';
import { ereport } from '../elog/elog.js';
import { parseLongOption } from '../guc/guc.js';
import { postmasterFlags, refusedOption } from '../launch/node-flags.js';
import { check, native } from '../native.js';
import { type Complaint, nodeFacts, unforkableNode, untriedNode } from '../node-support.js';

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

/** @throws ErrorData FATAL where an option of Node's, given by whomever, cannot be had in a postmaster */
export function checkNodeOptions(execArgv: readonly string[], env: NodeJS.ProcessEnv): void {
  const watched = env['WATCH_REPORT_DEPENDENCIES'] === undefined ? [] : ['--watch']; // all that `node --watch` leaves to be seen
  const refused = refusedOption([...execArgv, ...watched], env['NODE_OPTIONS'] ?? '');
  if (refused === null) return;
  const { option, where, detail, hint } = refused;
  const message = `option "${option}" of Node, given ${where}, cannot be used for a postmaster`;
  throw new ErrorData({ severity: 'FATAL', code: ERRCODE_FEATURE_NOT_SUPPORTED, message, detail, hint });
}

/**
 * Starts Node again, as the same process, where V8's flags are missing or others gainsay them, where libuv might use io_uring, whose ring does not survive a
 * fork, or where this process has changed its user: /proc/self is the new user's only after an exec.
 */
export function reexecuteIfNeeded({ settings }: PostmasterOptions, force: boolean): void {
  const flags = postmasterFlags(process.execArgv);
  const uring = process.env['UV_USE_IO_URING'] !== undefined && process.env['UV_USE_IO_URING'] !== '0';
  if (flags.join('\0') === process.execArgv.join('\0') && !uring && !force) return;
  const main = fileURLToPath(new URL('main.js', import.meta.url));
  const argv = [process.execPath, ...flags, main, ...process.argv.slice(2)];
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
  const slots = native.patchImports();
  const platform = native.emptyPlatform();
  const complaint = unforkableNode({
    ...nodeFacts(),
    glibc: native.glibcVersion(),
    exits: native.takeExits(false, () => undefined),
    imports: slots !== -constants.errno.ENOENT,
    platformSlot: platform !== -constants.errno.ENOENT,
  });
  if (complaint !== null) throw new ErrorData({ severity: 'FATAL', code: ERRCODE_FEATURE_NOT_SUPPORTED, ...named(complaint) });
  check(slots, 'mprotect');
  check(platform, 'mprotect');
}

const named = ({ message, ...rest }: Complaint): Complaint => ({ message: `${message} (${process.version}, ${process.execPath})`, ...rest });

/** A line of Node that nobody has tried is used, with a warning: when the log is as it is set. */
export function warnOfUntriedNode(): void {
  const complaint = untriedNode(nodeFacts());
  if (complaint !== null) ereport(WARNING, complaint);
}
