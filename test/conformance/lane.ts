// One of the judge's processes: takes scenarios from `npm run conformance` (lanes.ts), one after the other, and judges them. A program.
//
// Each scenario that is under way has a process for itself, so that nobody is late because of what is done for another one: reading files, comparing, and
// looking through all processes of the machine for what was left behind are work of many milliseconds. What nobody catches is the end of this process, and the
// failure of the scenario that is under way.

import { rmdirSync } from 'node:fs';
import { tempRoot } from '../helpers/temp-dir.js';
import type { Connection } from './database.js';
import type { Scenario } from './language.js';
import { goFirst } from './priority.js';
import { runScenario, type Result } from './runner.js';

/** What the judge asks of a lane. */
export interface Job {
  readonly scenario: Scenario;
  /** The database that the scenario is to use, where it needs one and has none of its own. */
  readonly connection: Connection | null;
  readonly keep: boolean;
}

/** What it hears. */
export type Answer = { readonly result: Result } | { readonly failure: string };

const stop = new AbortController();
let underWay: Promise<void> = Promise.resolve();

async function judge({ scenario, connection, keep }: Job): Promise<void> {
  let answer: Answer;
  try {
    answer = { result: await runScenario(scenario, { connection, keep, signal: stop.signal }) };
  } catch (err) {
    answer = { failure: (err as Error).stack ?? String(err) };
  }
  if (process.connected) process.send?.(answer);
}

/** Whatever is under way comes to its end in order, so that nothing is left; then so does this process. */
function end(): void {
  stop.abort(new Error('the judge was told to stop'));
  void underWay.finally(() => process.exit(0));
}

for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, end);
// The judge is gone, or has no more work.
process.on('disconnect', end);
process.on('message', (job: Job) => {
  underWay = judge(job);
});
// The folder that the judge made for it, where no scenario has left anything in it: the judge may have gone first.
process.on('exit', () => {
  try {
    rmdirSync(tempRoot());
  } catch {
    // It is not empty, or the judge was there before.
  }
});
goFirst();
