// Runs one scenario: starts its clusters, takes its steps, looks at what came of it, and leaves nothing behind. Runs in the judge.

import { existsSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { makeTempDir } from '../helpers/temp-dir.js';
import { Cluster, foreignSettings } from './cluster.js';
import { compare } from './compare.js';
import { alterSystem, conninfoOf, ownedConnection, type Connection } from './database.js';
import { notApplicable } from './exceptions.js';
import { becomes } from './polling.js';
import { Lateness } from './lateness.js';
import { problemsOf, type ClusterSetup, type Operation, type Scenario, type Step } from './language.js';
import { withoutStillborn } from './races.js';
import { parseRegistration, type WorkerFields } from './registration.js';
import { ScenarioRun, type SlowLook } from './scenario-run.js';
import { parseScript } from './script.js';
import { livesOf, signatureOf, type Seen } from './signature.js';
import { needsDatabase } from './sql.js';
import { uncheckedCodes } from './sqlstates.js';
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
  /** How late the judge itself was, at worst. */
  readonly lateMs: number;
  /** The longest that a process of the scenario was ready to run and had no processor, at once or in parts, within one of its pauses. */
  readonly starvedMs: number;
  /** Tries that failed while the judge itself was late, and so were not counted. */
  readonly discarded: readonly Discarded[];
  /** The look that had to be repeated for longest until it was the recorded one. */
  readonly slowestLook: SlowLook | null;
  /** Texts in the log whose SQLSTATE the judge does not know. */
  readonly unchecked: readonly string[];
  /** The folder that was kept. */
  readonly kept?: string;
}

export type Discarded = Pick<Result, 'lateMs' | 'starvedMs' | 'reasons'>;

export interface RunOptions {
  /** The database behind a scenario that needs one and has none of its own. */
  readonly connection: Connection | null;
  readonly signal: AbortSignal;
  readonly keep: boolean;
}

/** How long what was recorded may still come after the last step: the oracle too read its files a moment later. */
const SETTLE_MS = 500;
/** A scenario's time besides its own sleeps and waits. */
const SPARE_MS = 60_000;
const START_LINE_MS = 5000;
/** So many lines of Node or of a library are shown with a failure. */
const SHOWN_NOISE = 12;

/** With what nobody measured where nothing was run. */
export function resultOf(scenario: Scenario, verdict: Verdict, reasons: readonly string[], more: Partial<Result> = {}): Result {
  const { id, group } = scenario;
  const nothing = { seconds: 0, lateMs: 0, starvedMs: 0, discarded: [], slowestLook: null, unchecked: [] };
  return { id, group, verdict, reasons, ...nothing, ...more };
}

/** One try. */
export async function runScenario(scenario: Scenario, options: RunOptions): Promise<Result> {
  const started = performance.now();
  const result = (verdict: Verdict, reasons: readonly string[], more: Partial<Result> = {}): Result =>
    resultOf(scenario, verdict, reasons, { seconds: (performance.now() - started) / 1000, ...more });
  const problems = problemsOf(scenario);
  if (problems.length > 0) {
    const where = `${scenario.file ?? 'a file'}: scenario "${scenario.id}"`;
    return result('failed', [`error: ${where} is not understood`, ...problems.map((problem) => `  ${problem}`)]);
  }
  const reason = notApplicable(scenario);
  if (reason !== null) return result('not applicable', [reason]);
  const base = makeTempDir('s');
  const { differences, ...seen } = await judge(scenario, base, options);
  const kept = options.keep && existsSync(base) ? { kept: base } : {};
  return result(differences.length === 0 ? 'passed' : 'failed', differences, { ...seen, ...kept });
}

type Judgement = Pick<Result, 'lateMs' | 'starvedMs' | 'slowestLook' | 'unchecked'> & { readonly differences: readonly string[] };

/** The differences. Whatever goes wrong is one, and whatever goes wrong nothing is left. */
async function judge(scenario: Scenario, base: string, options: RunOptions): Promise<Judgement> {
  const deadline = AbortSignal.timeout(Math.ceil(timeOf(scenario) + SPARE_MS));
  const run = new ScenarioRun(scenario, base, AbortSignal.any([options.signal, deadline]));
  const lateness = new Lateness();
  let differences: string[];
  let unchecked: string[] = [];
  try {
    await setUp(run, options.connection);
    lateness.begin();
    run.runQueue.begin();
    run.childrenRunQueue.begin();
    for (const step of scenario.setup.steps) await STEPS[step.op as Operation](run, step);
    differences = await settle(run);
  } catch (err) {
    options.signal.throwIfAborted();
    const what = deadline.aborted ? 'the scenario did not come to its end in its time' : ((err as Error).stack ?? String(err));
    differences = [`error: ${what}`, 'what was seen until then:', ...signatureOf(run.seen()).map((line) => `  ${line}`)];
  } finally {
    lateness.end();
    run.runQueue.end();
    run.childrenRunQueue.end();
    try {
      await Promise.all([...run.sessions].map((session) => session.close()));
      const { noise, records } = run.log();
      unchecked = uncheckedCodes(records);
      if (noise.length > 0) run.notes.push('lines in the log that are no log lines:', ...noise.slice(-SHOWN_NOISE).map((line) => `  ${line}`));
    } finally {
      await tearDown({ clusters: run.clusters.values(), base, keep: options.keep });
    }
  }
  const { slowestLook } = run;
  const starvedMs = Math.max(run.runQueue.worstMs, run.childrenRunQueue.worstMs);
  const all = differences.length === 0 ? [] : [...differences, ...run.notes];
  return { differences: all, lateMs: lateness.worstMs, starvedMs, slowestLook, unchecked };
}

/** The sum of all that the scenario may wait for. */
export function timeOf(scenario: Scenario): number {
  return scenario.setup.steps.reduce((sum, { ms = 0, timeout = 0 }) => sum + ms + timeout, 0);
}

/** The clusters that are up before the first step. */
async function setUp(run: ScenarioRun, connection: Connection | null): Promise<void> {
  const { setup, postgres, id } = run.scenario;
  const clusters: [string, ClusterSetup][] = Object.entries(setup.clusters ?? { m: {} });
  const shared = setup.cluster !== 'fresh';
  for (const [name, clusterSetup] of clusters) {
    const common = { scenario: id, name, setup: clusterSetup, postgres, base: run.base, events: run.eventFile };
    const cluster = new Cluster({ ...common, ...databaseOf(run, name, connection) });
    run.clusters.set(name, cluster);
    if (foreignSettings(clusterSetup).length > 0) {
      run.notes.push(
        `settings that only a PostgreSQL server has: ${foreignSettings(clusterSetup)
          .map(([setting]) => setting)
          .join(', ')}`,
      );
    }
    if (clusterSetup.nostart) continue;
    const exit = await cluster.start(run.signal);
    if (exit !== null) throw new Error(`cluster ${name} did not start: the postmaster ended with ${exit}\n${cluster.logText()}`);
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
function databaseOf(
  run: ScenarioRun,
  name: string,
  shared: Connection | null,
): Pick<ConstructorParameters<typeof Cluster>[0], 'database' | 'connection'> {
  if (hasOwnDatabase(run.scenario)) return { database: 'owned', connection: ownedConnection(`${run.base}/${name}`) };
  return shared === null ? { database: 'none' } : { database: conninfoOf(shared), connection: shared };
}

/** The database that many scenarios have in common. */
export function sharesDatabase(scenario: Scenario): boolean {
  // One that is not understood will not be run.
  return problemsOf(scenario).length === 0 && !hasOwnDatabase(scenario) && usesDatabase(scenario);
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

/**
 * What was seen, and second thoughts about what comes too quickly to be seen every time: a process that a crash cycle met at its birth may have said something and
 * may not; a session's looks may have come before and after a short life that the log has.
 */
function compareNow(run: ScenarioRun): string[] {
  const { scenario } = run;
  const { records } = run.log();
  const seen = run.seen();
  const lives = livesOf(scenario.id, records);
  const waitedMs = (fromMs: number, toMs: number): number => run.runQueue.waitedMs(fromMs, toMs);
  const childrenWaitedMs = (fromMs: number, toMs: number): number => run.childrenRunQueue.waitedMs(fromMs, toMs);
  const mergesPossible = (session: string, nth: number): number => run.mergesPossibleAt(session, nth);
  const judge = (events: Seen['events'], runner: Seen['runner']): string[] => {
    const signature = signatureOf({ ...seen, events, runner });
    const postmasters = run.logs().map((log) => signatureOf({ ...seen, events, runner: [], log }).filter((line) => line.startsWith('LOG[')));
    return compare(scenario, { signature, lives, log: records, postmasters, waitedMs, childrenWaitedMs, mergesPossible });
  };
  const looked = seen.runner.filter(({ unseen }) => unseen !== true);
  const differences = judge(seen.events, looked);
  if (differences.length === 0) return [];
  const others = withoutStillborn(seen.events, records, { clockOffsetMs: seen.clockOffsetMs, waitedMs });
  const variants = [[seen.events, seen.runner] as const, [others, looked] as const, [others, seen.runner] as const];
  return variants.some(([events, runner]) => judge(events, runner).length === 0) ? [] : differences;
}
