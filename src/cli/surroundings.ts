// What a command has around it: where it writes, its environment, what it starts. One object, so that a test can have its own. The command line.

import type { Setting } from './options-file.js';

export interface Surroundings {
  readonly out: (text: string) => void;
  readonly err: (text: string) => void;
  readonly env: NodeJS.ProcessEnv;
  /** Somebody is watching: show that time goes by. */
  readonly isTerminal: boolean;
  /** The module that is the postmaster. */
  readonly postmaster: string;
  readonly cwd: string;
  /** Root's command becomes the server's user, and makes the directory for it; see privileges.ts. */
  readonly becomeServerUser: (dir: string, settings: readonly Setting[]) => void;
}

export const PROGRAM = 'bgworker';

/** What pg_ctl returns. */
export const EXIT_SUCCESS = 0;
export const EXIT_FAILURE = 1;
/** `status`: no server is running. */
export const EXIT_NOT_RUNNING = 3;
/** `status`: the data directory cannot be one. */
export const EXIT_NO_DATA_DIR = 4;

/** Ends a command: its text goes to standard error after the program's name. */
export class CommandFailure extends Error {
  readonly exitStatus: number;

  constructor(message: string, exitStatus: number = EXIT_FAILURE) {
    super(message);
    this.exitStatus = exitStatus;
  }

  override get name(): string {
    return 'CommandFailure';
  }
}

export const TRY_HELP: string = `Try "${PROGRAM} --help" for more information.`;
