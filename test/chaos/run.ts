// `npm run chaos`: a postmaster, and everything that can be done to it at random, again and again; every few seconds a look whether all is well.
// A program; it leaves no process and no file behind.

import { setTimeout as sleep } from 'node:timers/promises';
import { findPostgres } from '../../dist/database/find-postgres.js';
import { type PostmasterOptions, startPostmaster } from '../helpers/postmaster.js';
import { LIBRARY, perform } from './actions.js';
import { eventually, quietPoint } from './checks.js';
import { drain, expectNobody } from './drain.js';
import { collectedVitals } from './collect.js';
import { Endings } from './endings.js';
import { CHAOS_USAGE, type ChaosOptions, parseChaosOptions } from './options.js';
import { report, type Report } from './report.js';
import { Schedule } from './schedule.js';
import { shutdownRound } from './shutdown-round.js';
import { type CollectedVitals, growth, newDescriptors, vitalsOf } from './vitals.js';
import { World } from './world.js';

const QUIET_EVERY_MS = 5000;
const ROUND_EVERY_POINTS = 3;
/** Quiet points until the heap has its working size. */
const WARM_UP_POINTS = 2;

function postmasterOptions({ workers }: ChaosOptions, withDatabase = false): PostmasterOptions {
  // debug2 tells of every registration, every start and every end.
  const settings = { max_worker_processes: workers, max_parallel_workers: 4, max_connections: 12, log_min_messages: 'debug2' };
  if (!withDatabase) return { preload: [LIBRARY], settings };
  return { preload: [LIBRARY], settings: { ...settings, database: 'owned' }, env: { BGWORKER_TEST_NOSYNC: '1' }, startTimeoutMs: 60_000 };
}

/** Is there a PostgreSQL on this machine? */
function findsPostgres(): boolean {
  try {
    findPostgres({ bindirSetting: '' });
    return true;
  } catch {
    return false;
  }
}

async function act(world: World, schedule: Schedule, until: number): Promise<void> {
  while (performance.now() < until && world.fatal === null && world.violations.length === 0) {
    const { pauseMs, action } = schedule.next();
    if (pauseMs > 0) await sleep(pauseMs);
    if (world.fatal !== null) return;
    world.tail.read();
    world.count('actions');
    perform(world, action);
  }
}

/** A short-lived postmaster beside it, which is shut down. The long-lived one goes on with what it has. */
async function playRound(world: World, options: ChaosOptions, endings: Endings): Promise<void> {
  if (world.fatal !== null || world.violations.length > 0) return;
  const ending = endings.next();
  const withDatabase = (world.counts['shutdown rounds'] ?? 0) % 2 === 1 && findsPostgres();
  const { workers } = options;
  const round = await shutdownRound({ options: postmasterOptions(options, withDatabase), workers, ending, withDatabase });
  world.tail.read();
  world.count('shutdown rounds');
  if (withDatabase) world.count('shutdown rounds with a database');
  world.count('shutdown rounds: startup processes that died', round.audit.counts.startupEnds);
  world.count('shutdown rounds: database servers that died', round.audit.counts.databaseEnds);
  world.count('shutdown rounds: applications killed', round.counts['applications killed'] ?? 0);
  for (const { mode } of ending.requests) world.count(`shutdown requests, ${mode}`);
  world.count('shutdown rounds that ended after a crash', round.audit.abnormal ? 1 : 0);
  round.violations.forEach((text) =>
    world.violation(`${text}\nin the shutdown round ${JSON.stringify(ending)}${withDatabase ? ' with a database' : ''}`),
  );
  if (round.evidence !== null) world.evidence = round.evidence;
}

async function chaos(options: ChaosOptions, signal: AbortSignal): Promise<Report> {
  const { pm, end } = await startPostmaster(postmasterOptions(options));
  const world = new World(pm, options.workers);
  const schedule = new Schedule(options.seed);
  const endings = new Endings(options.seed);
  const began = performance.now();
  let finished = false;
  pm.exited
    .then((status) => {
      if (finished) return;
      world.fatal = `the postmaster ended with status ${status}`;
      world.violation(world.fatal);
    })
    .catch(() => {});
  signal.addEventListener('abort', () => (world.fatal = 'interrupted'));
  const start = vitalsOf(pm.pid);
  let warm: CollectedVitals | null = null;
  // On a machine on which a quiet point takes its time there might be one alone: then it goes on until there is something to compare with.
  let points = 0;
  const due = (): boolean => performance.now() < began + options.minutes * 60_000 || points <= WARM_UP_POINTS;
  try {
    while (due() && world.fatal === null && world.violations.length === 0) {
      await act(world, schedule, performance.now() + QUIET_EVERY_MS);
      await quietPoint(world);
      points++;
      if (points === WARM_UP_POINTS) warm = await collectedVitals(world);
      if (points === 1 || points % ROUND_EVERY_POINTS === 0) await playRound(world, options, endings);
      if (!options.json) progress(world, began);
    }
    await drain(world);
    await expectNobody(world);
    await eventually(world, 'the postmaster has the descriptors of its start', 5000, () => newDescriptors(start, vitalsOf(pm.pid)));
    const after = await collectedVitals(world);
    const grown = warm === null || after === null ? null : growth(warm, after);
    if (grown !== null) world.violation(`the postmaster has grown: ${grown}`);
    finished = true;
    if (world.fatal === null && (await pm.stop('fast')) !== 0) world.violation('the postmaster did not end in order');
    world.tail.read();
    if (world.fatal === null && world.violations.length === 0) world.audit.expectEvidence();
    world.takeAuditViolations();
    return report(world, options, { warm, end: after, seconds: (performance.now() - began) / 1000 });
  } finally {
    finished = true;
    world.applications.killAll();
    world.tail.close();
    world.continueAll();
    await end().catch((err: unknown) => world.violation(String(err)));
  }
}

function progress(world: World, began: number): void {
  const seconds = ((performance.now() - began) / 1000).toFixed(0).padStart(5);
  const { starts, crashCycles, sessions } = world.audit.counts;
  const { rssKb, mappings } = world.fatal === null ? vitalsOf(world.pm.pid) : { rssKb: 0, mappings: 0 };
  const line = `${seconds} s  ${world.counts['actions']} actions, ${starts} starts, ${sessions} sessions, ${crashCycles} crash cycles, ${world.violations.length} violations; ${rssKb} KB, ${mappings} mappings`;
  process.stdout.write(process.stdout.isTTY ? `\r\x1b[K${line}` : `${line}\n`);
}

async function main(argv: readonly string[]): Promise<number> {
  let options: ChaosOptions;
  try {
    options = parseChaosOptions(argv);
  } catch (err) {
    process.stderr.write(`${(err as Error).message}\n\n${CHAOS_USAGE}`);
    return 2;
  }
  if (options.help) {
    process.stdout.write(CHAOS_USAGE);
    return 0;
  }
  if (!options.json)
    process.stdout.write(`seed ${options.seed}, ${options.minutes} minutes, ${options.workers} worker slots, Node ${process.version}\n`);
  const stop = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(name, () => stop.abort());
  const result = await chaos(options, stop.signal);
  process.stdout.write(options.json ? `${JSON.stringify(result.json)}\n` : result.text);
  return result.ok ? 0 : 1;
}

process.exitCode = await main(process.argv.slice(2));
