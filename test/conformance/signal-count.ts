// The step `usr1`: how many SIGUSR1 a session's backend has counted. Runs in the judge.

import { setTimeout as sleep } from 'node:timers/promises';
import { workerNames, type Step } from './language.js';
import { caughtUp, nextRecorded, REST_MS } from './patience.js';
import type { ScenarioRun } from './scenario-run.js';

const COUNT = 'SIGUSR1 received so far = ';
const POLL_MS = 20;
/** After so long a signal that has not come has become one with another. */
const MERGED_MS = 300;

/** Asks the backend; what `say` makes of the count is written down. */
type Ask = (say: (count: number) => string | null) => Promise<unknown> | void;

/** A signal comes after the change that it tells of, and not at once where others compute: asks again until there are as many as were recorded. */
export async function countSignals(run: ScenarioRun, step: Step, ask: Ask): Promise<void> {
  await caughtUp(run, workerNames(run.scenario.setup));
  const session = run.session(step.s, step.on);
  const wanted = Number(nextRecorded(run).split(`${session.name}: ${COUNT}`)[1] ?? 0);
  let count = 0;
  let merges = 0;
  const began = performance.now();
  for (const deadline = began + REST_MS; run.scenario.stable && session.isOpen && performance.now() < deadline;) {
    await ask((counted) => {
      count = counted;
      return null;
    });
    if (count >= wanted) {
      run.tookToShow(`${session.name}: ${COUNT}${wanted}`, performance.now() - began);
      break;
    }
    if (performance.now() - began > MERGED_MS) merges = run.mergesPossible(session.name);
    if (count + merges >= wanted) break;
    await sleep(POLL_MS, undefined, { signal: run.signal });
  }
  await ask((counted) => {
    run.sayCounted(session.name, merges);
    return `${COUNT}${counted}`;
  });
}
