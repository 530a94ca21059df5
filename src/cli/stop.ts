// bgworker stop: asks a server to stop, and waits until its process is gone. The command line.
// PostgreSQL: do_stop and wait_for_postmaster_stop in src/bin/pg_ctl/pg_ctl.c, REL_15_STABLE.

import { type LockFileContent, postmasterIsRunning } from '../postmaster/lock-file-content.js';
import { type DataDirOption, dataDirOf, requirePostmaster, signalPostmaster } from './data-dir-option.js';
import { CommandFailure, EXIT_SUCCESS, type Surroundings, TRY_HELP } from './surroundings.js';
import { waitWithDots } from './wait.js';

export interface StopOptions extends DataDirOption {
  readonly mode: string;
  readonly wait: boolean;
  readonly timeout: number;
  readonly silent: boolean;
}

type Mode = 'smart' | 'fast' | 'immediate';
const SIGNALS: Readonly<Record<Mode, NodeJS.Signals>> = { smart: 'SIGTERM', fast: 'SIGINT', immediate: 'SIGQUIT' };

/** A mode by its name or first letter. */
function modeOf(text: string): Mode {
  const mode = (Object.keys(SIGNALS) as Mode[]).find((name) => name === text || name.charAt(0) === text);
  if (mode === undefined) throw new CommandFailure(`unrecognized shutdown mode "${text}"\n${TRY_HELP}`);
  return mode;
}

export async function stop(options: StopOptions, surroundings: Surroundings): Promise<number> {
  modeOf(options.mode); // a wrong word is wrong whether a server runs or not
  await stopPostmaster(requirePostmaster(dataDirOf(options, surroundings)), options, surroundings);
  return EXIT_SUCCESS;
}

export async function stopPostmaster(content: LockFileContent, options: StopOptions, surroundings: Surroundings): Promise<void> {
  const mode = modeOf(options.mode);
  const say = options.silent ? (): void => undefined : surroundings.out;
  signalPostmaster(content, SIGNALS[mode], 'stop');
  if (!options.wait) {
    say('server shutting down\n');
    return;
  }
  const message = options.silent ? '' : 'waiting for server to shut down';
  // Its process, not the lock file alone: who starts another one at once, or removes the directory, should find nobody there.
  const gone = await waitWithDots(() => (postmasterIsRunning(content) ? null : true), { seconds: options.timeout, message }, surroundings);
  if (gone !== null) {
    say(' done\nserver stopped\n');
    return;
  }
  say(' failed\n');
  const hint = 'HINT: The "-m fast" option immediately disconnects sessions rather than\nwaiting for session-initiated disconnection.';
  throw new CommandFailure(`server does not shut down${mode === 'smart' ? `\n${hint}` : ''}`);
}
