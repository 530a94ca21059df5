// bgworker restart: stops a server and starts it again with the settings that it had, and others besides. The command line.
// PostgreSQL: do_restart in src/bin/pg_ctl/pg_ctl.c, REL_15_STABLE.

import { postmasterIsRunning } from '../postmaster/lock-file-content.js';
import { dataDirOf, lockFileOf, pidFile, requireDataDir } from './data-dir-option.js';
import { readOptionsFile } from './options-file.js';
import { becomeOwner } from './privileges.js';
import { type StartOptions, startIn } from './start.js';
import { type StopOptions, stopPostmaster } from './stop.js';
import type { Surroundings } from './surroundings.js';

export type RestartOptions = StartOptions & StopOptions;

export async function restart(options: RestartOptions, surroundings: Surroundings): Promise<number> {
  const { err } = surroundings;
  const dir = dataDirOf(options, surroundings);
  becomeOwner(dir);
  requireDataDir(dir);
  const before = readOptionsFile(dir);
  const content = lockFileOf(dir);
  if (content === null) {
    err(`bgworker: PID file "${pidFile(dir)}" does not exist\nIs server running?\ntrying to start server anyway\n`);
  } else if (postmasterIsRunning(content)) {
    await stopPostmaster(content, { ...options, wait: true }, surroundings);
  } else {
    err(`bgworker: old server process (PID: ${content.pid}) seems to be gone\nstarting server anyway\n`);
  }
  const settings = [...(before?.settings ?? []), ...options.settings];
  // Of several values for one setting the last counts; without this the file would grow with every restart.
  const latest = [...new Map(settings.map((setting) => [setting[0].toLowerCase(), setting])).values()];
  return startIn(dir, { cwd: before?.cwd ?? surroundings.cwd, settings: latest }, options, surroundings);
}
