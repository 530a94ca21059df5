// bgworker status: whether a server runs on a data directory, by its lock file and its process alone. The command line.
// PostgreSQL: do_status in src/bin/pg_ctl/pg_ctl.c, REL_15_STABLE.
//
// DIFFERS FROM POSTGRES: the second line says what state the server is in, the third its database server; pg_ctl's shows its arguments, in which ours keeps no secrets, nor anything else.

import { type LockFileContent, postmasterIsRunning } from '../postmaster/lock-file-content.js';
import { type DataDirOption, dataDirOf, lockFileOf, requireDataDir } from './data-dir-option.js';
import { becomeOwner } from './privileges.js';
import { EXIT_NO_DATA_DIR, EXIT_NOT_RUNNING, EXIT_SUCCESS, type Surroundings } from './surroundings.js';

const isoTime = (seconds: number): string => new Date(seconds * 1000).toISOString();

function asJson(dir: string, content: LockFileContent | null): string {
  if (content === null) return JSON.stringify({ running: false, dataDir: dir });
  const { pid, status, database, startTime, socketPath } = content;
  return JSON.stringify({ running: true, dataDir: dir, pid, status, database, startedAt: isoTime(startTime), socketPath });
}

/** A postmaster may be ready while its database server is not: sessions, and workers that do not connect, go on. */
const DATABASE: Record<LockFileContent['database'], string> = {
  '': '',
  none: 'database: none\n',
  unknown: 'database: not seen yet\n',
  away: 'database: away; workers that connect to it wait\n',
  closed: 'database: in recovery, accepts no connections\n',
  standby: 'database: in recovery, read only\n',
  primary: 'database: reads and writes\n',
};

function asText({ pid, status, database, startTime }: LockFileContent): string {
  const started = isoTime(startTime).replace('T', ' ').replace('.000Z', ' UTC');
  return `bgworker: server is running (PID: ${pid})\nstatus: ${status}, started at ${started}\n${DATABASE[database]}`;
}

export function status(options: DataDirOption & { readonly json: boolean }, surroundings: Surroundings): number {
  const dir = dataDirOf(options, surroundings);
  becomeOwner(dir);
  requireDataDir(dir, EXIT_NO_DATA_DIR);
  const content = lockFileOf(dir, EXIT_NO_DATA_DIR);
  const running = content !== null && postmasterIsRunning(content) ? content : null;
  if (options.json) surroundings.out(`${asJson(dir, running)}\n`);
  else surroundings.out(running === null ? 'bgworker: no server running\n' : asText(running));
  return running === null ? EXIT_NOT_RUNNING : EXIT_SUCCESS;
}
