// `npm run conformance`: judges scenario files, several scenarios side by side, each with postmasters and a folder of its own. A program.
//
// Exit status: 0 where nothing failed, 1 where something did, 2 where the command line or a file is wrong, 130 after Ctrl-C. In each case no process and no
// file of a scenario is left (but with --keep).

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { projectRoot } from '../helpers/paths.js';
import { SharedDatabase } from './database.js';
import type { Scenario } from './language.js';
import { parseOptions, USAGE, type Options } from './options.js';
import { scenarioText, summaryJson, summaryText } from './report.js';
import { runScenario, timeOf, type Result } from './runner.js';

const DEFAULT_FILE = join(projectRoot, 'test/conformance/scenarios.json');

class UsageError extends Error {}

function readScenarios({ files, only, groups }: Options): Scenario[] {
  const all = (files.length > 0 ? files : [DEFAULT_FILE]).flatMap((file) => {
    try {
      return JSON.parse(readFileSync(file, 'utf8')) as Scenario[];
    } catch (err) {
      throw new UsageError(`could not read "${file}": ${(err as Error).message}`, { cause: err });
    }
  });
  return all.filter(({ id, group }) => (only?.test(id) ?? true) && (groups.length === 0 || groups.includes(group)));
}

/** Those that take longest first: none of them is then left alone at the end. Results are in the order of the files. */
async function judgeAll(scenarios: readonly Scenario[], options: Options, signal: AbortSignal): Promise<Result[]> {
  const database = new SharedDatabase(signal);
  const results = new Map<Scenario, Result>();
  const queue = scenarios.toSorted((a, b) => timeOf(b) - timeOf(a));
  const work = async (): Promise<void> => {
    for (let scenario = queue.shift(); scenario !== undefined && !signal.aborted; scenario = queue.shift()) {
      const result = await runScenario(scenario, { database, signal, keep: options.keep });
      results.set(scenario, result);
      if (!options.json) process.stdout.write(`${scenarioText(result)}\n`);
    }
  };
  try {
    const workers = await Promise.allSettled(Array.from({ length: options.jobs }, work));
    const failure = workers.find((worker) => worker.status === 'rejected');
    if (failure !== undefined && !signal.aborted) throw failure.reason;
  } finally {
    await database.stop(options.keep);
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
  const results = await judgeAll(scenarios, options, stop.signal);
  process.stdout.write(`${options.json ? summaryJson(results) : summaryText(results)}\n`);
  if (stop.signal.aborted) return 130;
  return results.some(({ verdict }) => verdict === 'failed') ? 1 : 0;
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (err) {
  if (!(err instanceof UsageError)) throw err;
  process.stderr.write(`${err.message}\n`);
  process.exitCode = 2;
}
