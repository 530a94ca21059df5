// The commands, their options and their help; and how a command's end becomes an exit status. The command line.
// PostgreSQL: main and do_help in src/bin/pg_ctl/pg_ctl.c, REL_15_STABLE.

import { Command, CommanderError, InvalidArgumentError, Option } from 'commander';
import { ErrorData } from '../elog/error-data.js';
import { parseLongOption } from '../guc/guc.js';
import { VERSION } from '../version.js';
import { HELP } from './help.js';
import type { Setting } from './options-file.js';
import { postmaster } from './postmaster.js';
import { ps } from './ps.js';
import { reload } from './reload.js';
import { restart } from './restart.js';
import { start } from './start.js';
import { status } from './status.js';
import { stop } from './stop.js';
import { CommandFailure, EXIT_FAILURE, EXIT_SUCCESS, PROGRAM, type Surroundings, TRY_HELP } from './surroundings.js';

/** Seconds, as in pg_ctl. */
const DEFAULT_TIMEOUT = 60;

function setting(text: string, before: readonly Setting[]): readonly Setting[] {
  try {
    return [...before, parseLongOption(text)];
  } catch (err) {
    throw err instanceof ErrorData ? new CommandFailure(err.message) : err;
  }
}

function seconds(text: string): number {
  if (!/^\d{1,9}$/.test(text)) throw new InvalidArgumentError('It must be a number of seconds.');
  return Number(text);
}

const options = {
  setting: () =>
    new Option('-c <name=value>', 'set a parameter, with precedence over bgworker.conf; may be repeated').argParser(setting).default([], 'none'),
  log: () => new Option('-l, --log <file>', 'append the server log to this file (default: "log" in the data directory)'),
  noWait: () => new Option('-W, --no-wait', 'do not wait until the operation completes'),
  timeout: () => new Option('-t, --timeout <seconds>', 'how long to wait').argParser(seconds).default(DEFAULT_TIMEOUT),
  silent: () => new Option('-s, --silent', 'print errors only').default(false),
  mode: () => new Option('-m, --mode <mode>', 'smart (let the workers and sessions end), fast, or immediate (a crash)').default('fast'),
  json: () => new Option('--json', 'print JSON').default(false),
};

type Run = (options: never, surroundings: Surroundings) => number | Promise<number>;

interface Entry {
  readonly name: keyof typeof HELP;
  readonly alias?: string;
  readonly options: readonly Option[];
  readonly run: Run;
}

const ENTRIES = (): readonly Entry[] => {
  const { log, mode, noWait, setting: set, silent, timeout, json } = options;
  return [
    { name: 'start', options: [set(), log(), noWait(), timeout(), silent()], run: start },
    { name: 'stop', options: [mode(), noWait(), timeout(), silent()], run: stop },
    { name: 'restart', options: [set(), mode(), log(), noWait(), timeout(), silent()], run: restart },
    { name: 'reload', options: [silent()], run: reload },
    { name: 'status', options: [json()], run: status },
    { name: 'ps', options: [json()], run: ps },
    { name: 'postmaster', alias: 'run', options: [set()], run: postmaster },
  ];
};

/** What commander found becomes what a command gets: `-c` has no long name, and so is called `c`. */
function optionsFor(command: Command): never {
  const { c = [], ...rest } = command.optsWithGlobals<{ c?: readonly Setting[] }>();
  return { ...rest, settings: c } as never;
}

function buildProgram(surroundings: Surroundings, finish: (status: number) => void): Command {
  const program = new Command(PROGRAM)
    .description(HELP.program.summary)
    .usage('COMMAND [-D DATADIR] [OPTIONS]')
    .version(`${PROGRAM} ${VERSION}`, '-V, --version', 'output version information, then exit')
    .helpOption('-h, --help', 'show this help, then exit')
    .option('-D, --datadir <datadir>', 'location of the data directory (default: the environment variable BGWORKER_DATA)')
    .addHelpText('after', HELP.program.more)
    .helpCommand('help [command]', 'show the help of a command')
    .configureHelp({ showGlobalOptions: true })
    .configureOutput({
      writeOut: surroundings.out,
      writeErr: surroundings.err,
      outputError: (text, write) => write(`${text.replace(/^error: /, `${PROGRAM}: `)}${TRY_HELP}\n`),
    })
    .exitOverride();
  for (const entry of ENTRIES()) {
    const command = program
      .command(entry.name)
      .summary(HELP[entry.name].summary)
      .description(HELP[entry.name].summary)
      .addHelpText('after', HELP[entry.name].more);
    if (entry.alias !== undefined) command.alias(entry.alias);
    for (const option of entry.options) command.addOption(option);
    command.action(async () => finish(await entry.run(optionsFor(command), surroundings)));
  }
  return program;
}

/**
 * Runs one command.
 * @param args without the names of Node and of the program
 * @returns the exit status
 */
export async function runCommandLine(args: readonly string[], surroundings: Surroundings): Promise<number> {
  let exitStatus = EXIT_SUCCESS;
  const program = buildProgram(surroundings, (result) => (exitStatus = result));
  if (args.length === 0) {
    surroundings.err(`${PROGRAM}: no operation specified\n${TRY_HELP}\n`);
    return EXIT_FAILURE;
  }
  try {
    // pg_ctl's -? is no option that commander could have besides -h. As a value of another option it would not mean anything either.
    const plain = args.map((arg) => (arg === '-?' ? '--help' : arg));
    await program.parseAsync(plain, { from: 'user' });
    return exitStatus;
  } catch (err) {
    if (err instanceof CommanderError) return err.exitCode === 0 ? EXIT_SUCCESS : EXIT_FAILURE;
    if (!(err instanceof CommandFailure)) throw err;
    surroundings.err(`${PROGRAM}: ${err.message}\n`);
    return err.exitStatus;
  }
}
