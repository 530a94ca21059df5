// `npm run conformance`: judges scenario files, several scenarios side by side, each with postmasters and a folder of its own. A program.
//
// Exit status: 0 where nothing failed, 1 where something did, 2 where the command line or a file is wrong, 130 after Ctrl-C. In each case no process and no
// file of a scenario is left (but with --keep).

import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { projectRoot } from '../helpers/paths.js';
import { SharedDatabase } from './database.js';
import { documentText } from './document.js';
import type { Job } from './lane.js';
import { Lanes } from './lanes.js';
import type { Scenario } from './language.js';
import { isWorthAnotherTry } from './lateness.js';
import { parseOptions, USAGE, type Options } from './options.js';
import { goFirst } from './priority.js';
import { disagreements, keepBusy, repeatText } from './repeat.js';
import { scenarioText, summaryJson, summaryText } from './report.js';
import { sharesDatabase, timeOf, type Result } from './runner.js';
import { readScenarioFile } from './scenario-files.js';

const DEFAULT_FILE = join(projectRoot, 'test/conformance/scenarios.json');
const DOCUMENT = join(projectRoot, 'docs/conformance.md');

class UsageError extends Error {}

function readScenarios({ files, only, groups }: Options): Scenario[] {
  let all: Scenario[];
  try {
    all = (files.length > 0 ? files : [DEFAULT_FILE]).flatMap(readScenarioFile);
  } catch (err) {
    throw new UsageError((err as Error).message, { cause: err });
  }
  return all.filter(({ id, group }) => (only?.test(id) ?? true) && (groups.length === 0 || groups.includes(group)));
}

/**
 * Those that take longest first: none of them is then left alone at the end. What failed while the judge was late, or a process had no processor, is tried again
 * when all others are through, one at a time. Results are in the order of the files.
 */
async function judgeAll(scenarios: readonly Scenario[], options: Options, signal: AbortSignal): Promise<Result[]> {
  const database = new SharedDatabase(signal);
  const lanes = new Lanes(options.jobs);
  const results = new Map<Scenario, Result>();
  const job = (scenario: Scenario) => async (): Promise<Job> => ({
    scenario,
    connection: sharesDatabase(scenario) ? await database.connection() : null,
    keep: options.keep,
  });
  const onResult = (result: Result, { scenario }: Job): void => {
    const before = results.get(scenario);
    const discarded =
      before === undefined ? [] : [...before.discarded, { lateMs: before.lateMs, starvedMs: before.starvedMs, reasons: before.reasons }];
    const whole = { ...result, discarded };
    results.set(scenario, whole);
    if (!options.json) process.stdout.write(`${scenarioText(whole)}\n`);
  };
  try {
    const order = scenarios.toSorted((a, b) => timeOf(b) - timeOf(a));
    await lanes.judge(order.map(job), { signal, onResult });
    for (let tries = 1; tries < options.tries && !signal.aborted; tries++) {
      const again = order.filter((scenario) => isWorthAnotherTry(results.get(scenario) as Result));
      await lanes.judge(again.map(job), { atOnce: 1, signal, onResult });
    }
  } finally {
    try {
      await lanes.end(options.keep);
    } finally {
      await database.stop(options.keep);
    }
  }
  return scenarios.flatMap((scenario) => results.get(scenario) ?? []);
}

async function main(argv: readonly string[]): Promise<number> {
  let options: Options;
  try {
    options = parseOptions(argv);
  } catch (err) {
    throw new UsageError(`${(err as Error).message}\n\n${USAGE}`, { cause: err });
  }
  if (options.help) {
    process.stdout.write(USAGE);
    return 0;
  }
  const scenarios = readScenarios(options);
  if (scenarios.length === 0) throw new UsageError('no scenario has been chosen');
  const stop = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(name, () => stop.abort(new Error(`stopped by ${name}`)));
  const load = options.busy ? keepBusy() : null;
  goFirst();
  const runs: Result[][] = [];
  try {
    await judgeRepeatedly(scenarios, options, stop.signal, runs);
  } finally {
    load?.stop();
  }
  if (stop.signal.aborted) return 130;
  if (options.writeDocs) writeDocument(runs, options);
  return disagreements(runs).length > 0 || runs.some((results) => results.some(({ verdict }) => verdict === 'failed')) ? 1 : 0;
}

/** As the format gate wants it. */
function writeDocument(runs: readonly (readonly Result[])[], { busy }: Options): void {
  writeFileSync(DOCUMENT, documentText(runs, { date: new Date(), node: process.version, busy }));
  spawnSync(process.execPath, [join(projectRoot, 'node_modules/prettier/bin/prettier.cjs'), '--write', '--log-level=warn', DOCUMENT], {
    cwd: projectRoot,
    stdio: 'inherit',
  });
}

async function judgeRepeatedly(scenarios: readonly Scenario[], options: Options, signal: AbortSignal, runs: Result[][]): Promise<void> {
  const seconds: number[] = [];
  while (runs.length < options.repeat && !signal.aborted) {
    const began = performance.now();
    const results = await judgeAll(scenarios, options, signal);
    runs.push(results);
    seconds.push((performance.now() - began) / 1000);
    process.stdout.write(`${options.json ? summaryJson(results) : summaryText(results, options)}\n`);
  }
  if (options.repeat > 1) (options.json ? process.stderr : process.stdout).write(`${repeatText(runs, seconds)}\n`);
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (err) {
  if (!(err instanceof UsageError)) throw err;
  process.stderr.write(`${err.message}\n`);
  process.exitCode = 2;
}
