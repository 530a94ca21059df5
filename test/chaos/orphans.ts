// `npm run chaos:orphans`: postmasters killed by SIGKILL while they have workers in every state, some of them just being forked. Nobody may stay, and every
// application must be told. A program; run it for as long as you like.

import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { BackgroundWorkerHandle } from '../../dist/bgworker/handle.js';
import type { Session } from '../../dist/session/client.js';
import { type Mark, marked } from '../helpers/leftovers.js';
import { type Postmaster, startPostmaster } from '../helpers/postmaster.js';
import { childrenOf, describeProcess, titleOf } from '../helpers/processes.js';
import { waitUntil } from '../helpers/wait-until.js';
import { NEVER_STARTS } from './behaviours.js';
import { ORPHANS_USAGE, type OrphanOptions, parseOrphanOptions } from './options.js';
import { Random } from './random.js';

const LIBRARY: string = fileURLToPath(new URL('library.js', import.meta.url));
const DEADLINE_MS = 2000;
/** Enough to see what is wrong. */
const MOST_VIOLATIONS = 20;
const STARTED = 0;
const POSTMASTER_DIED = 3;
/** What ends with a session: the connection failed, or the backend was told to go. */
const SESSION_ENDED = new Set(['08006', '57P01']);

/** None ends by itself. Busy ones are few: the machine has other things to do. */
const STATES: readonly (readonly [weight: number, main: string])[] = [
  [6, 'idlesForEver'],
  [5, 'waitsForEverSync'],
  [3, 'sleepsForEverBlocked'],
  [2, 'ignoresAdvice'],
  [0.6, 'busyForEver'],
  [0.4, 'busyForEverBlocked'],
];

interface Worker {
  readonly name: string;
  readonly flags: number;
  readonly startTime: number;
  readonly restartTime: number;
  readonly libraryName: string;
  readonly functionName: string;
}

/** All of a round's choices, drawn at once: a function of the seed. */
interface Round {
  /** Run when the burst begins, with whether each is stopped then. */
  readonly settled: readonly { readonly worker: Worker; readonly stopped: boolean }[];
  /** Registered in one go. */
  readonly burst: readonly Worker[];
  readonly sessions: number;
  /** From the registration of the burst to the kill. */
  readonly killAfterMs: number;
  readonly stopPostmaster: boolean;
}

function drawRound(random: Random, most: number): Round {
  const total = random.int(1, most);
  const settled = random.chance(0.15) ? 0 : random.int(0, total);
  const worker = (n: number): Worker => ({
    name: `o${n}`,
    flags: random.chance(0.25) ? 0 : 1,
    startTime: random.pick([0, 1, 2]),
    restartTime: random.pick([-1, 0, 1]),
    libraryName: LIBRARY,
    functionName: random.weighted(STATES),
  });
  return {
    settled: Array.from({ length: settled }, (_, n) => ({ worker: worker(n), stopped: random.chance(0.12) })),
    burst: Array.from({ length: total - settled }, (_, n) => worker(settled + n)),
    sessions: random.int(1, 4),
    killAfterMs: random.next() * 50,
    stopPostmaster: random.chance(0.1),
  };
}

interface Outcome {
  /** From the kill until the last was gone, and until the last application knew. */
  readonly goneMs: number;
  readonly toldMs: number;
  /** Children a moment before. */
  readonly children: number;
  readonly violations: readonly string[];
}

interface Play {
  readonly round: Round;
  /** max_worker_processes, but for the static two and the one that never starts. */
  readonly most: number;
  readonly newborn: boolean;
}

async function play(how: Play): Promise<Outcome> {
  const { pm, end } = await startPostmaster({ preload: [LIBRARY], settings: { max_worker_processes: how.most + 3, max_connections: 10 } });
  const violations: string[] = [];
  let result = { goneMs: 0, toldMs: 0, children: 0 };
  try {
    result = await killAndWatch(pm, how, violations);
  } catch (err) {
    violations.push(`${(err as Error).stack}\nthe log:\n${pm.log()}`);
  } finally {
    // What it says of somebody who stayed has been said.
    await end().catch((err: unknown) => violations.length > 0 || violations.push(String(err)));
  }
  return { ...result, violations };
}

async function killAndWatch(pm: Postmaster, { round, newborn }: Play, violations: string[]): Promise<Omit<Outcome, 'violations'>> {
  const sessions: Session[] = [];
  for (let n = 0; n < round.sessions; n++) sessions.push(await pm.connect());
  const [first, last] = [sessions[0] as Session, sessions.at(-1) as Session];
  const handles = await settle(first, round, newborn);
  const waits = handles.map((handle) => first.waitForBackgroundWorkerShutdown(handle));
  const never = await last.registerDynamicBackgroundWorker({ ...sample, startTime: NEVER_STARTS, notifyPid: 'self' });
  if (never !== null) waits.push(last.waitForBackgroundWorkerStartup(never).then(({ status }) => status));
  for (const wait of waits) wait.catch(() => {}); // looked at when all have ended
  const children = childrenOf(pm.pid).length;
  // The burst is a call of its own where there is more than one session: a wait and a registration that are under way at once.
  const burst = last.call(LIBRARY, 'registerAll', round.burst).catch((err: Error & { code?: string }) => {
    if (!SESSION_ENDED.has(err.code ?? '')) violations.push(`the burst: ${err.message}`);
  });
  await sleep(round.killAfterMs);
  if (round.stopPostmaster) pm.signal('SIGSTOP');
  pm.signal('SIGKILL');
  const killed = performance.now();
  const since = (): number => Math.round(performance.now() - killed);
  let toldMs = 0;
  const told = Promise.allSettled([...waits, burst, ...sessions.map((session) => session.closed)]).then((results) => {
    toldMs = since();
    const answers = results.slice(0, waits.length).map((result) => (result.status === 'fulfilled' ? result.value : (result.reason as Error).message));
    const wrong = answers.filter((answer) => answer !== POSTMASTER_DIED);
    if (wrong.length > 0)
      violations.push(`${wrong.length} of ${answers.length} waits did not end with ${POSTMASTER_DIED}: ${[...new Set(wrong)].join(', ')}`);
  });
  const goneMs = await waitUntilGone(pm, since, violations);
  const limit = sleep(Math.max(0, DEADLINE_MS - since())).then(() => 'late');
  if ((await Promise.race([told, limit])) === 'late') {
    violations.push(`an application was not told within ${DEADLINE_MS} ms`);
  }
  return { goneMs, toldMs, children };
}

const sample: Worker = { name: 'never', flags: 1, startTime: 2, restartTime: -1, libraryName: LIBRARY, functionName: 'idlesForEver' };

/**
 * Starts the first part, and stops whom it stops: as soon as its pid is known, or when it has come so far as to have its title. (A child that is stopped before
 * it has asked for its parent-death signal stays until it is continued, and goes then: nothing in it can run before.)
 */
async function settle(session: Session, { settled }: Round, newborn: boolean): Promise<BackgroundWorkerHandle[]> {
  const handles = (await session.call(
    LIBRARY,
    'registerAll',
    settled.map(({ worker }) => worker),
  )) as (BackgroundWorkerHandle | null)[];
  for (const [index, handle] of handles.entries()) {
    if (handle === null) throw new Error('there was no slot');
    const { status, pid } = await session.waitForBackgroundWorkerStartup(handle);
    if (status !== STARTED || pid === undefined) throw new Error(`worker ${index} was not started: ${status}`);
    const { worker, stopped } = settled[index] as (typeof settled)[number];
    if (!stopped) continue;
    if (!newborn) await waitUntil(() => titleOf(pid).includes(`: ${worker.name} `), { what: `worker ${pid} to have its title` });
    process.kill(pid, 'SIGSTOP');
  }
  return handles.filter((handle) => handle !== null);
}

async function waitUntilGone(pm: Postmaster, since: () => number, violations: string[]): Promise<number> {
  const top = dirname(pm.dir);
  const mark: Mark = { variable: `BGWORKER_TEST_POSTMASTER=${top}`, dir: top };
  const family = (): number[] => marked(mark, [pm.pid]);
  await waitUntil(() => family().length === 0, { timeoutMs: DEADLINE_MS, pauseMs: 20, what: 'nobody' }).catch(() => {
    const left = family();
    if (left.length > 0) violations.push(`after ${since()} ms there are\n${left.map(describeProcess).join('\n')}`);
  });
  return since();
}

async function run(options: OrphanOptions, signal: AbortSignal): Promise<boolean> {
  const random = new Random(options.seed);
  const say = (text: string): void => void (options.json || process.stdout.write(text));
  const outcomes: Outcome[] = [];
  const violations: string[] = [];
  say(`seed ${options.seed}, ${options.rounds} rounds of up to ${options.workers} workers, Node ${process.version}\n`);
  for (let n = 1; n <= options.rounds && !signal.aborted && violations.length < MOST_VIOLATIONS; n++) {
    const round = drawRound(random, options.workers);
    const outcome = await play({ round, most: options.workers, newborn: options.newborn });
    outcomes.push(outcome);
    const { settled, burst, killAfterMs } = round;
    const what = `round ${n}: ${settled.length} workers and ${burst.length} more, killed after ${killAfterMs.toFixed(1)} ms with ${outcome.children} children`;
    for (const text of outcome.violations) violations.push(`${what}: ${text}`);
    if (process.stdout.isTTY || n % 10 === 0)
      say(
        `${process.stdout.isTTY ? '\r\x1b[K' : ''}${what}; gone after ${outcome.goneMs} ms, told after ${outcome.toldMs} ms${process.stdout.isTTY ? '' : '\n'}`,
      );
  }
  const ok = violations.length === 0 && outcomes.length === options.rounds;
  const most = (of: (outcome: Outcome) => number): number => Math.max(0, ...outcomes.map(of));
  const sum = outcomes.reduce((total, { children }) => total + children, 0);
  const summary = {
    ok,
    seed: options.seed,
    rounds: outcomes.length,
    children: sum,
    slowestGoneMs: most(({ goneMs }) => goneMs),
    slowestToldMs: most(({ toldMs }) => toldMs),
  };
  say(`\n${ok ? 'Nobody stayed' : 'NOT ALL HELD'}: ${JSON.stringify(summary)}\n${violations.join('\n')}\n`);
  if (options.json) process.stdout.write(`${JSON.stringify({ ...summary, violations })}\n`);
  return ok;
}

async function main(argv: readonly string[]): Promise<number> {
  let options: OrphanOptions;
  try {
    options = parseOrphanOptions(argv);
  } catch (err) {
    process.stderr.write(`${(err as Error).message}\n\n${ORPHANS_USAGE}`);
    return 2;
  }
  if (options.help) {
    process.stdout.write(ORPHANS_USAGE);
    return 0;
  }
  const stop = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(name, () => stop.abort());
  return (await run(options, stop.signal)) ? 0 : 1;
}

process.exitCode = await main(process.argv.slice(2));
