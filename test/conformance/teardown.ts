// The end of a scenario, whatever became of it: no process and no file of it is left. Runs in the judge.
//
// Workers may outlive their postmaster (some scenarios are about that), and PostgreSQL's own processes hide their environment; all of them work in
// the scenario's folder, or have a file of it open.

import { rmSync } from 'node:fs';
import { killMarked, type Mark } from '../helpers/leftovers.js';
import type { Cluster } from './cluster.js';

/** An immediate shutdown takes five seconds where a child resists. */
const SHUTDOWN_TIMEOUT_MS = 8000;
const NEVER: AbortSignal = new AbortController().signal;

export interface Remains {
  readonly clusters: Iterable<Cluster>;
  readonly base: string;
  /** Leave the files for a look at them. */
  readonly keep: boolean;
}

export async function tearDown({ clusters, base, keep }: Remains): Promise<void> {
  for (const cluster of clusters) {
    if (!cluster.isRunning) continue;
    // One that a scenario has stopped could not hear anything else.
    cluster.signalAll('SIGCONT');
    cluster.signalAll('SIGQUIT');
    if (await cluster.waitForExit(SHUTDOWN_TIMEOUT_MS, NEVER)) continue;
    cluster.signalAll('SIGKILL');
    await cluster.waitForExit(SHUTDOWN_TIMEOUT_MS, NEVER);
  }
  const mark: Mark = { variable: `BGWORACLE_BASE=${base}`, dir: base };
  await killMarked(mark);
  if (!keep) rmSync(base, { recursive: true, force: true });
}
