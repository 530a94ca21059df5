// `npm run soak:facilities`: what Node offers, used in forked workers again and again, each facility alone and beside every other in turn. A program; it leaves
// nothing behind. Each facility once: test/integration/facilities.test.ts, whose workers these are.

import { spawnSync } from 'node:child_process';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import type { Session } from '../../dist/session/client.js';
import { condition } from '../chaos/vitals.js';
import { fixture } from '../helpers/paths.js';
import { type Postmaster, startPostmaster } from '../helpers/postmaster.js';
import { waitUntil } from '../helpers/wait-until.js';

const LIBRARY = fixture('facility-workers.mjs');
const DEADLINE_MS = 120_000;
const USAGE = `Uses each facility of Node in forked workers, so many times, each time beside another one.

usage: npm run soak:facilities -- [--times N] [--lanes N] [--node PATH]

Exit status: 0 where all worked, 1 where something did not.
`;

interface Outcome {
  readonly name: string;
  worked: number;
  readonly failures: string[];
}

/** One worker to its end; what was wrong, or null. */
async function use(pm: Postmaster, session: Session, name: string, mainArg: number): Promise<string | null> {
  const fields = { flags: 1, startTime: 2, restartTime: -1, libraryName: LIBRARY, functionName: 'facility', notifyPid: 'self' as const };
  const from = pm.log().length;
  const handle = await session.registerDynamicBackgroundWorker({ ...fields, name, mainArg });
  if (handle === null) return 'no slot';
  let ended = false;
  const shutdown = session.waitForBackgroundWorkerShutdown(handle).finally(() => (ended = true));
  shutdown.catch(() => {});
  const where = (): string => `its end; ${pm.children().map(condition).join('\n')}`;
  await waitUntil(() => ended, { timeoutMs: DEADLINE_MS, what: where });
  await shutdown;
  const log = pm.log().slice(from);
  // What ends in order has no line of its end, and what worked has said so.
  if (log.includes(`@${name} worked `) && !log.includes(`"${name}" (PID`)) return null;
  return log;
}

async function soak(times: number, lanes: number): Promise<Outcome[]> {
  const { FACILITIES } = (await import(pathToFileURL(LIBRARY).href)) as { FACILITIES: readonly string[] };
  const { pm, end } = await startPostmaster({ preload: [LIBRARY], settings: { max_worker_processes: lanes, max_connections: lanes } });
  const outcomes = FACILITIES.map((name): Outcome => ({ name, worked: 0, failures: [] }));
  const next = { worker: 0 };
  const lane = async (session: Session): Promise<void> => {
    while (next.worker < times * FACILITIES.length) {
      const n = next.worker++;
      const one = n % FACILITIES.length;
      const round = Math.floor(n / FACILITIES.length);
      const other = (one + round) % FACILITIES.length;
      const failure = await use(pm, session, `facility-${n}`, one + other * FACILITIES.length);
      const outcome = outcomes[one] as Outcome;
      if (failure === null) outcome.worked++;
      else outcome.failures.push(`round ${round}, beside "${FACILITIES[other]}":\n${failure}`);
      if (one === FACILITIES.length - 1 && (round + 1) % 10 === 0) process.stdout.write(`${round + 1} times each\n`);
    }
  };
  try {
    const sessions = await Promise.all(Array.from({ length: lanes }, () => pm.connect()));
    await Promise.all(sessions.map(lane));
  } finally {
    await end();
  }
  return outcomes;
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      times: { type: 'string', default: '200' },
      lanes: { type: 'string', default: '2' },
      node: { type: 'string' },
      help: { type: 'boolean' },
    },
  });
  const { times, lanes, node, help } = values;
  if (help === true || !(Number(times) > 0) || !(Number(lanes) > 0)) {
    process.stdout.write(USAGE);
    return help === true ? 0 : 2;
  }
  if (node !== undefined) {
    const { status, error } = spawnSync(node, [fileURLToPath(import.meta.url), '--times', times, '--lanes', lanes], { stdio: 'inherit' });
    if (error !== undefined) throw error;
    return status ?? 1;
  }
  const outcomes = await soak(Number(times), Number(lanes));
  process.stdout.write(`\nNode ${process.version}: each facility ${times} times\n`);
  for (const { name, worked, failures } of outcomes) process.stdout.write(`  ${name.padEnd(42)}${worked} worked, ${failures.length} failed\n`);
  for (const { name, failures } of outcomes) for (const failure of failures) process.stdout.write(`--- ${name}, ${failure}\n`);
  const failed = outcomes.filter(({ failures }) => failures.length > 0).length;
  process.stdout.write(failed === 0 ? 'All held\n' : `NOT ALL HELD: ${failed} facilities failed\n`);
  return failed === 0 ? 0 : 1;
}

process.exitCode = await main();
