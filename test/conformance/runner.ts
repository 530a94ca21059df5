// Runs one scenario: starts its clusters, takes its steps, looks at what came of it, and leaves nothing behind. Runs in the judge.

import { existsSync } from 'node:fs';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { makeTempDir } from '../helpers/temp-dir.js';
import { Cluster, foreignSettings } from './cluster.js';
import { compare } from './compare.js';
import { alterSystem, conninfoOf, ownedConnection, type SharedDatabase } from './database.js';
import { notApplicable } from './exceptions.js';
import { becomes } from './polling.js';
import { problemsOf, type ClusterSetup, type Scenario, type Step } from './language.js';
import { withoutStillborn } from './races.js';
import { parseRegistration, type WorkerFields } from './registration.js';
import { ScenarioRun } from './scenario-run.js';
import { parseScript } from './script.js';
import { livesOf, signatureOf, type Seen } from './signature.js';
import { needsDatabase } from './sql.js';
import { STEPS } from './steps.js';
import { tearDown } from './teardown.js';

export type Verdict = 'passed' | 'failed' | 'not applicable';

export interface Result {
  readonly id: string;
  readonly group: string;
  readonly verdict: Verdict;
  readonly seconds: number;
  /** Why it failed: diffs and words, line by line; or why it is not applicable. */
  readonly reasons: readonly string[];
  /** Tries that failed while the judge itself was late, and so were not counted: how late, and what had differed. */
  readonly discarded: readonly Discarded[];
  /** The folder that was kept. */
  readonly kept?: string;
}

export interface Discarded {
  readonly lateMs: number;
  readonly reasons: readonly string[];
}

export interface RunOptions {
  /** How often a scenario may be tried, where the judge was late: 1 = whatever happens counts. */
  readonly tries: number;
  readonly database: SharedDatabase;
  readonly signal: AbortSignal;
  readonly keep: boolean;
}

/** How long what was recorded may still come after the last step: the oracle too read its files a moment later. */
const SETTLE_MS = 500;
/**
 * Scenarios leave 50 ms where it matters who is first. A judge that was itself as late as this has not done what the scenario says: where the scenario failed, it
 * is tried again. That could hide a failure that comes and goes, so the report counts these tries and shows what had differed; `--tries 1` allows none.
 */
const TOO_LATE_MS = 40;
const LOOK_MS = 10;
/** A scenario's time besides its own sleeps and waits. */
const SPARE_MS = 60_000;
const START_LINE_MS = 5000;
/** So many lines of Node or of a library are shown with a failure. */
const SHOWN_NOISE = 12;

export async function runScenario(scenario: Scenario, options: RunOptions): Promise<Result> {
  const started = performance.now();
  const discarded: Discarded[] = [];
  const result = (verdict: Verdict, reasons: readonly string[], kept?: string): Result => ({
    id: scenario.id,
    group: scenario.group,
    verdict,
    seconds: (performance.now() - started) / 1000,
    reasons,
    discarded,
    ...(kept === undefined ? {} : { kept }),
  });
  const problems = problemsOf(scenario);
  if (problems.length > 0) {
    const where = `${scenario.file ?? 'a file'}: scenario "${scenario.id}"`;
    return result('failed', [`error: ${where} is not understood`, ...problems.map((problem) => `  ${problem}`)]);
  }
  const reason = notApplicable(scenario);
  if (reason !== null) return result('not applicable', [reason]);
  for (;;) {
    const base = makeTempDir('cf');
    const delays = monitorEventLoopDelay({ resolution: LOOK_MS });
    delays.enable();
    const differences = await judge(scenario, base, options);
    delays.disable();
    const lateMs = Math.round(delays.max / 1e6) - LOOK_MS;
    const kept = options.keep && existsSync(base) ? base : undefined;
    if (differences.length === 0 || lateMs < TOO_LATE_MS || discarded.length + 1 >= options.tries) {
      return result(differences.length === 0 ? 'passed' : 'failed', differences, kept);
    }
    discarded.push({ lateMs, reasons: differences });
  }
}

/** The differences. Whatever goes wrong is one, and whatever goes wrong nothing is left. */
async function judge(scenario: Scenario, base: string, options: RunOptions): Promise<string[]> {
  const deadline = AbortSignal.timeout(timeOf(scenario) + SPARE_MS);
  const run = new ScenarioRun(scenario, base, AbortSignal.any([options.signal, deadline]));
  let differences: string[];
  try {
    await setUp(run, options.database);
    for (const step of scenario.setup.steps) await STEPS[step.op]?.(run, step);
    differences = await settle(run);
  } catch (err) {
    options.signal.throwIfAborted();
    const what = deadline.aborted ? 'the scenario did not come to its end in its time' : ((err as Error).stack ?? String(err));
    differences = [`error: ${what}`, 'what was seen until then:', ...signatureOf(run.seen()).map((line) => `  ${line}`)];
  } finally {
    for (const session of run.sessions) await session.close();
    const noise = [...run.log().noise];
    if (noise.length > 0) run.notes.push('lines in the log that are no log lines:', ...noise.slice(-SHOWN_NOISE).map((line) => `  ${line}`));
    await tearDown({ clusters: run.clusters.values(), base, keep: options.keep });
  }
  return differences.length === 0 ? [] : [...differences, ...run.notes];
}

/** The sum of all that the scenario may wait for. */
export function timeOf(scenario: Scenario): number {
  return scenario.setup.steps.reduce((sum, { ms = 0, timeout = 0 }) => sum + ms + timeout, 0);
}

/** The clusters that are up before the first step. */
async function setUp(run: ScenarioRun, database: SharedDatabase): Promise<void> {
  const { setup, postgres, id } = run.scenario;
  const clusters: [string, ClusterSetup][] = Object.entries(setup.clusters ?? { m: {} });
  const shared = setup.cluster !== 'fresh';
  for (const [name, clusterSetup] of clusters) {
    const common = { scenario: id, name, setup: clusterSetup, postgres, base: run.base, events: run.eventFile };
    const cluster = new Cluster({ ...common, ...(await databaseOf(run, name, database)) });
    run.clusters.set(name, cluster);
    if (foreignSettings(clusterSetup).length > 0) {
      run.notes.push(
        `settings that only a PostgreSQL server has: ${foreignSettings(clusterSetup)
          .map(([setting]) => setting)
          .join(', ')}`,
      );
    }
    if (clusterSetup.nostart) continue;
    if (!(await cluster.start(run.signal)))
      throw new Error(`cluster ${name} did not start: the postmaster ended with ${cluster.exit}\n${cluster.logText()}`);
    if (hasOwnDatabase(run.scenario)) await alterSystem(cluster.dir, clusterSetup);
    // Of a server that serves many scenarios, the start is none of this one's.
    if (shared) await skipStart(run, cluster);
  }
}

/** The lock file says that it is ready a moment before the log does. */
async function skipStart(run: ScenarioRun, cluster: Cluster): Promise<void> {
  await becomes(() => cluster.logText().includes('database system is ready to accept connections'), START_LINE_MS, run.signal);
  cluster.skipLog();
}

/** A scenario with base backups has databases of its own; others share one, or need none. */
async function databaseOf(
  run: ScenarioRun,
  name: string,
  shared: SharedDatabase,
): Promise<Pick<ConstructorParameters<typeof Cluster>[0], 'database' | 'connection'>> {
  if (hasOwnDatabase(run.scenario)) return { database: 'owned', connection: ownedConnection(`${run.base}/${name}`) };
  if (!usesDatabase(run.scenario)) return { database: 'none' };
  const connection = await shared.connection();
  return { database: conninfoOf(connection), connection };
}

function hasOwnDatabase(scenario: Scenario): boolean {
  return scenario.setup.steps.some(({ op }) => op === 'basebackup');
}

/** SQL, a worker that connects, or start times that are about the state of a database. */
export function usesDatabase(scenario: Scenario): boolean {
  const { steps, clusters } = scenario.setup;
  const workers: WorkerFields[] = [
    ...steps.filter(({ op }) => op === 'reg'),
    ...Object.values(clusters ?? {}).flatMap((cluster) => cluster.static ?? []),
  ];
  const scripts = [...workers.map(({ script = '' }) => script), ...steps.flatMap(describedScripts)];
  return (
    steps.some(({ op, sql }) => op === 'sql' && sql !== undefined && needsDatabase(sql)) ||
    workers.some(({ start }) => start !== undefined && start !== 2) ||
    scripts.some((script) => parseScript(script).some((run) => run.some(({ letter }) => letter === 'C' || letter === 'O')))
  );
}

function describedScripts({ op, text }: Step): string[] {
  return op === 'touch' && text?.includes('extra=') ? [parseRegistration(text).extra.replace(/^\S+ ?/, '')] : [];
}

/** The comparison, again until it holds or the time is over. */
async function settle(run: ScenarioRun): Promise<string[]> {
  const deadline = performance.now() + SETTLE_MS;
  for (;;) {
    const differences = compareNow(run);
    if (differences.length === 0 || performance.now() > deadline) return differences;
    await sleep(20);
  }
}

function compareNow(run: ScenarioRun): string[] {
  const { scenario } = run;
  const { records } = run.log();
  const seen = run.seen();
  const judge = (events: Seen['events']): string[] =>
    compare(scenario, { signature: signatureOf({ ...seen, events }), lives: livesOf(scenario.id, records), log: records });
  const differences = judge(seen.events);
  if (differences.length === 0) return [];
  // Second thoughts: a process that a crash cycle met at its birth may have said something, and may not.
  const others = withoutStillborn(seen.events, records, seen.clockOffsetMs);
  return others.length < seen.events.length && judge(others).length === 0 ? [] : differences;
}
