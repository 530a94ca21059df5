// bgworker ps: the processes of a server and its workers, asked of the server over a session. The command line.
// PostgreSQL: SELECT … FROM pg_stat_activity in psql.

import type { ActivityEntry } from '../session/activity.js';
import { type DataDirOption, dataDirOf, requireDataDir } from './data-dir-option.js';
import { becomeOwner, describeError } from './privileges.js';
import { CommandFailure, EXIT_SUCCESS, type Surroundings } from './surroundings.js';
import { type Column, formatTable } from './table.js';

function restart(seconds: number | null): string | null {
  if (seconds === null) return null;
  return seconds < 0 ? 'never' : `${seconds} s`;
}

const startedAt = (milliseconds: number | null): string | null =>
  milliseconds === null ? null : new Date(milliseconds).toISOString().replace('T', ' ').slice(0, 19);

/** Enough to know it by; `--json` has it all. */
const QUERY_WIDTH = 60;

function oneLine(query: string | null): string | null {
  if (query === null) return null;
  const line = query.replaceAll(/\s+/g, ' ').trim();
  return line.length > QUERY_WIDTH ? `${line.slice(0, QUERY_WIDTH - 1).replace(/[\ud800-\udbff]$/, '')}…` : line;
}

const COLUMNS: readonly Column<ActivityEntry>[] = [
  { heading: 'pid', align: 'right', cell: ({ pid }) => pid },
  { heading: 'kind', align: 'left', cell: ({ kind }) => kind },
  { heading: 'name', align: 'left', cell: ({ name }) => name },
  { heading: 'type', align: 'left', cell: ({ type }) => type },
  { heading: 'state', align: 'left', cell: ({ state }) => state },
  { heading: 'slot', align: 'right', cell: ({ slot }) => slot },
  { heading: 'started (UTC)', align: 'left', cell: (entry) => startedAt(entry.startedAt) },
  { heading: 'restart', align: 'right', cell: ({ restartTime }) => restart(restartTime) },
  { heading: 'waits for', align: 'left', cell: ({ waitEventType, waitEvent }) => (waitEventType === null ? null : `${waitEventType}/${waitEvent}`) },
  { heading: 'activity', align: 'left', cell: ({ backendState }) => backendState },
  { heading: 'query', align: 'left', cell: ({ query }) => oneLine(query) },
];

/** Without the session that asked: who looks for processes does not look for the looking. */
async function activityOf(dir: string): Promise<ActivityEntry[]> {
  const { connect } = await import('../session/client.js');
  const session = await connect(dir);
  try {
    const entries = await session.activity();
    return entries.filter(({ pid }) => pid !== session.backendPid);
  } finally {
    await session.close();
  }
}

export async function ps(options: DataDirOption & { readonly json: boolean }, surroundings: Surroundings): Promise<number> {
  const dir = dataDirOf(options, surroundings);
  becomeOwner(dir);
  requireDataDir(dir);
  let entries: ActivityEntry[];
  try {
    entries = await activityOf(dir);
  } catch (err) {
    throw new CommandFailure(describeError(err));
  }
  surroundings.out(options.json ? `${JSON.stringify(entries, null, 2)}\n` : formatTable(COLUMNS, entries));
  return EXIT_SUCCESS;
}
