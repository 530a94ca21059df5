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
/** How often it says how far it is. */
const REPORTS = 40;
const USAGE = `Uses each facility of Node in forked workers, so many times, each time beside another one.

usage: npm run soak:facilities -- [--times N] [--lanes N] [--node PATH]

  --times N    how often each (default 200)
  --lanes N    workers at once (default 2)
  --node PATH  another Node to run it with

Exit status: 0 where all worked, 1 where something did not, 2 for a wrong command line.
`;

interface Outcome {
  readonly name: string;
  worked: number;
  readonly failures: string[];
}

/** One worker to its end; what was wrong, or null. @throws Error where it does not come to one */
async function use(pm: Postmaster, session: Session, name: string, mainArg: number): Promise<string | null> {
  const fields = { flags: 1, startTime: 2, restartTime: -1, libraryName: LIBRARY, functionName: 'facility', notifyPid: 'self' as const };
  const from = pm.log().length;
  const handle = await session.registerDynamicBackgroundWorker({ ...fields, name, mainArg });
  if (handle === null) return 'no slot';
  let ended = false;
  const shutdown = session.waitForBackgroundWorkerShutdown(handle).finally(() => (ended = true));
  shutdown.catch(() => {});
  const where = (): string => `the end of "${name}"; its log:\n${pm.log().slice(from)}--- children\n${pm.children().map(condition).join('\n')}`;
  await waitUntil(() => ended, { timeoutMs: DEADLINE_MS, what: where });
  await shutdown;
  const log = pm.log().slice(from);
  // What ends in order has no line of its end, and what worked has said so.
  if (log.includes(`@${name} worked `) && !log.includes(`"${name}" (PID`)) return null;
  return log;
}

/** In place on a terminal, else a line now and then. */
function progress(done: number, total: number, failed: number): void {
  const line = `${done} of ${total} workers, ${failed} failed`;
  if (process.stdout.isTTY) process.stdout.write(`\r\x1b[K${line}`);
  else if (done % Math.ceil(total / REPORTS) === 0 || done === total) process.stdout.write(`${line}\n`);
}

/** `trouble`: what the end of the postmaster found, or null. */
async function soak(times: number, lanes: number): Promise<{ outcomes: Outcome[]; trouble: string | null }> {
  const { FACILITIES } = (await import(pathToFileURL(LIBRARY).href)) as { FACILITIES: readonly string[] };
  const { pm, end } = await startPostmaster({ preload: [LIBRARY], settings: { max_worker_processes: lanes, max_connections: lanes } });
  const outcomes = FACILITIES.map((name): Outcome => ({ name, worked: 0, failures: [] }));
  const total = times * FACILITIES.length;
  const count = { begun: 0, done: 0, failed: 0 };
  // By a signal: no more are begun, the postmaster is ended, and what was seen until then is told.
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(name, () => (count.begun = total));
  const lane = async (session: Session): Promise<void> => {
    while (count.begun < total) {
      const n = count.begun++;
      const one = n % FACILITIES.length;
      const round = Math.floor(n / FACILITIES.length);
      const other = (one + round) % FACILITIES.length;
      const failure = await use(pm, session, `facility-${n}`, one + other * FACILITIES.length).catch((err: Error) => {
        count.begun = total; // who hangs would hang the postmaster's end, too: no more of them, and what there is is told
        return err.message;
      });
      const outcome = outcomes[one] as Outcome;
      if (failure === null) outcome.worked++;
      else outcome.failures.push(`round ${round}, beside "${FACILITIES[other]}":\n${failure}`);
      count.failed += failure === null ? 0 : 1;
      progress(++count.done, total, count.failed);
    }
  };
  let failure: Error | null = null;
  try {
    const sessions = await Promise.all(Array.from({ length: lanes }, () => pm.connect()));
    await Promise.all(sessions.map(lane));
  } catch (err) {
    failure = err as Error;
  }
  const trouble = await end().then(() => null, String);
  if (failure !== null) throw failure;
  return { outcomes, trouble };
}

function parse(argv: string[]): { times: number; lanes: number; node: string | null; help: boolean } {
  const text = { type: 'string' } as const;
  const options = {
    times: { ...text, default: '200' },
    lanes: { ...text, default: '2' },
    node: text,
    help: { type: 'boolean', default: false },
  } as const;
  const { values } = parseArgs({ args: argv, options });
  const [times, lanes] = [Number(values.times), Number(values.lanes)];
  if (!(Number.isInteger(times) && times > 0 && Number.isInteger(lanes) && lanes > 0)) throw new Error('--times and --lanes are numbers above zero');
  return { times, lanes, node: values.node ?? null, help: values.help };
}

async function main(argv: string[]): Promise<number> {
  let options: ReturnType<typeof parse>;
  try {
    options = parse(argv);
  } catch (err) {
    process.stderr.write(`${(err as Error).message}\n\n${USAGE}`);
    return 2;
  }
  const { times, lanes, node, help } = options;
  if (help) {
    process.stdout.write(USAGE);
    return 0;
  }
  if (node !== null) {
    const { status, error } = spawnSync(node, [fileURLToPath(import.meta.url), '--times', `${times}`, '--lanes', `${lanes}`], { stdio: 'inherit' });
    if (error !== undefined) throw error;
    return status ?? 1;
  }
  const { outcomes, trouble } = await soak(times, lanes);
  process.stdout.write(`\nNode ${process.version}: each facility ${times} times\n`);
  for (const { name, worked, failures } of outcomes) process.stdout.write(`  ${name.padEnd(42)}${worked} worked, ${failures.length} failed\n`);
  for (const { name, failures } of outcomes) for (const failure of failures) process.stdout.write(`--- ${name}, ${failure}\n`);
  if (trouble !== null) process.stdout.write(`--- at the end\n${trouble}\n`);
  const failed = outcomes.filter(({ worked }) => worked < times).length;
  const held = failed === 0 && trouble === null;
  process.stdout.write(held ? 'All held\n' : `NOT ALL HELD: ${failed} facilities failed, or were not used so often\n`);
  return held ? 0 : 1;
}

process.exitCode = await main(process.argv.slice(2));
