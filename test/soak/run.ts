// `npm run soak`: very many workers, one after the other and all at once, from a postmaster that is busy. A program; it leaves no process and no file behind.
//
//   warm-up    a tenth of the forks, and all that are to be alive at once, up and down again: the postmaster has its working size then
//   in turns   the rest of the forks, in lanes side by side; every so often a quiet moment, in which the postmaster is looked at
//   at once    up again, forks beside them, down again
//
// What must hold: each worker comes to its end within a minute and in order (the log has no line), and has done its work (a count in shared memory); when it is
// quiet there is no zombie, and the postmaster has the descriptors and threads that it had, and no more memory and mappings.

import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Session } from '../../dist/session/client.js';
import { condition } from '../chaos/vitals.js';
import { type Postmaster, startPostmaster } from '../helpers/postmaster.js';
import { zombiesOf } from '../helpers/processes.js';
import { waitUntil } from '../helpers/wait-until.js';
import { type Growth, type Health, complaints, growthOf, healthOf, memoryOf } from './health.js';
import { SOAK_USAGE, type SoakOptions, parseSoakOptions } from './options.js';

const LIBRARY: string = fileURLToPath(new URL('library.js', import.meta.url));
const LOOKS = 20;
const DEADLINE_MS = 60_000;
/** For each that is to be alive; they collect and compile, and so have pages of their own. */
const KB_ALIVE = 20 * 1024;

interface Result {
  readonly ok: boolean;
  readonly node: string;
  readonly forks: number;
  readonly seconds: number;
  readonly postmasterTurns: number;
  readonly growth: Growth | null;
  readonly first: Health | null;
  readonly last: Health | null;
  readonly alive: { count: number; seconds: number; ussMb: number; pssMb: number }[];
  readonly violations: string[];
}

class Soak {
  readonly #pm: Postmaster;
  readonly #options: SoakOptions;
  readonly #sessions: Session[] = [];
  readonly #began = performance.now();
  readonly looks: Health[] = [];
  readonly alive: Result['alive'] = [];
  /** Workers that were to come to their end until now. */
  expected = 0;
  turns = 0;
  /** By a signal: what was seen until then is judged and told. */
  interrupted = false;
  #collected = 0;
  #checkedLog = 0;

  constructor(pm: Postmaster, options: SoakOptions) {
    this.#pm = pm;
    this.#options = options;
  }

  get seconds(): number {
    return (performance.now() - this.#began) / 1000;
  }

  async run(): Promise<void> {
    const { forks, alive, lanes } = this.#options;
    for (let n = 0; n < lanes; n++) this.#sessions.push(await this.#pm.connect());
    const warmUp = Math.ceil(forks / 10);
    await this.#forkInTurns(warmUp);
    if (alive > 0) await this.#atOnce(alive, 0);
    await this.look();
    const beside = alive > 0 ? Math.ceil(forks / 20) : 0;
    const rest = forks - warmUp - beside;
    for (let n = 0; n < LOOKS; n++) {
      await this.#forkInTurns(Math.floor((rest * (n + 1)) / LOOKS) - Math.floor((rest * n) / LOOKS));
      await this.look();
    }
    if (alive > 0) await this.#atOnce(alive, beside);
    await this.look();
    for (const session of this.#sessions) await session.close();
  }

  /** In all lanes. Each call is short, so that a hang is one of the few that are alive when it is late. */
  async #forkInTurns(count: number): Promise<void> {
    const lanes = this.#sessions.length;
    const first = this.expected;
    const parts = this.#sessions.map((session, lane) => {
      const from = Math.floor((count * lane) / lanes);
      return this.#lane(session, first + from, Math.floor((count * (lane + 1)) / lanes) - from);
    });
    this.expected += count;
    await Promise.all(parts);
  }

  async #lane(session: Session, first: number, count: number): Promise<void> {
    const STEP = 10;
    for (let n = 0; n < count; n += STEP) {
      if (this.interrupted) throw new Error('interrupted');
      await this.#within(session.call(LIBRARY, 'forkInTurns', first + n, Math.min(STEP, count - n)), 'workers in turns');
    }
  }

  async #atOnce(count: number, forks: number): Promise<void> {
    const session = this.#sessions[0] as Session;
    const began = performance.now();
    await this.#within(session.call(LIBRARY, 'raise', count), 'workers to start', count);
    await waitUntil(async () => (await this.#state()).up === count, {
      timeoutMs: DEADLINE_MS + count * 300,
      pauseMs: 100,
      what: () => `all to be up; ${this.#describeChildren()}`,
    });
    const seconds = (performance.now() - began) / 1000;
    const children = this.#pm.children();
    const { ussKb, pssKb } = memoryOf(children);
    this.alive.push({ count, seconds, ussMb: ussKb / 1024 / children.length, pssMb: pssKb / 1024 / children.length });
    this.#progress(`${count} alive`);
    await this.#forkInTurns(forks);
    await this.#within(session.call(LIBRARY, 'lower'), 'workers to end', count);
    this.expected += count;
  }

  async #state(): Promise<{ done: number; up: number }> {
    return (await (this.#sessions[0] as Session).call(LIBRARY, 'state')) as { done: number; up: number };
  }

  /** A quiet moment. */
  async look(): Promise<void> {
    const { done } = await this.#state();
    if (done !== this.expected) throw new Error(`${done} workers have done their work, of ${this.expected}`);
    await waitUntil(() => this.#pm.children().length === this.#sessions.length, {
      what: () => `only sessions to be there; ${this.#describeChildren()}`,
    });
    const zombies = zombiesOf(this.#pm.pid);
    if (zombies.length > 0) throw new Error(`zombies: ${zombies.join(', ')}`);
    const { heapKb, turns } = await this.#collect();
    this.turns = turns;
    this.looks.push(healthOf(this.#pm.pid, this.expected, heapKb));
    this.#checkLog();
    this.#progress('');
  }

  /** The postmaster without its garbage, which would hide a leak and look like one. */
  async #collect(): Promise<{ heapKb: number; turns: number }> {
    const wanted = ++this.#collected;
    writeFileSync(join(this.#pm.dir, 'bgworker.conf'), `soak.collect = '${wanted}'\n`);
    this.#pm.signal('SIGHUP');
    const line = new RegExp(`@heap ${wanted}: (\\d+) KB, (\\d+) turns`);
    const [, heapKb, turns] = line.exec(await this.#pm.waitForLog(line, DEADLINE_MS)) as unknown as [string, string, string];
    return { heapKb: Number(heapKb), turns: Number(turns) };
  }

  /** Whatever ends in order is not logged. */
  #checkLog(): void {
    const log = this.#pm.log();
    const lines = log.slice(this.#checkedLog).split('\n');
    this.#checkedLog = log.length;
    const harmless =
      /^$|LOG: {2}(starting bgworker|listening on|server is ready|database system is ready|received SIGHUP|parameter "soak\.collect"|@heap )/;
    const strange = lines.filter((line) => !harmless.test(line));
    if (strange.length > 0) throw new Error(`the log has\n${strange.slice(0, 20).join('\n')}`);
  }

  /** A promise that is due: a hang is an error that tells where everybody is. */
  async #within(promise: Promise<unknown>, what: string, count = 0): Promise<void> {
    let settled = false;
    const done = promise.finally(() => (settled = true));
    done.catch(() => {});
    await waitUntil(() => settled, { timeoutMs: DEADLINE_MS + count * 300, what: () => `${what}; ${this.#describeChildren()}` });
    await done;
  }

  #describeChildren(): string {
    return this.#pm.children().slice(0, 10).map(condition).join('\n');
  }

  #progress(what: string): void {
    if (this.#options.json) return;
    const { rssKb, mappings, heapKb } = this.looks.at(-1) ?? { rssKb: '?', mappings: '?', heapKb: '?' };
    const postmaster = `postmaster ${rssKb} KB, ${heapKb} KB live, ${mappings} mappings`;
    const line = `${this.seconds.toFixed(0).padStart(5)} s  ${this.expected} workers came and went; ${postmaster} ${what}`;
    process.stdout.write(process.stdout.isTTY ? `\r\x1b[K${line}` : `${line}\n`);
  }
}

function refuseWithoutMemory({ alive }: SoakOptions): void {
  const available = Number(/^MemAvailable:\s+(\d+)/m.exec(readFileSync('/proc/meminfo', 'latin1'))?.[1]);
  if (available >= alive * KB_ALIVE) return;
  throw new Error(`${alive} workers alive may need ${Math.round((alive * KB_ALIVE) / 1024)} MB, and there are ${Math.round(available / 1024)} MB`);
}

async function soak(options: SoakOptions): Promise<Result> {
  refuseWithoutMemory(options);
  const { pm, end } = await startPostmaster({
    preload: [LIBRARY],
    settings: { max_worker_processes: options.alive + options.lanes + 2, max_connections: options.lanes + 2 },
    endTimeoutMs: DEADLINE_MS,
    // A young generation that may grow does so at some moment of a long run, once, by 32 MB and more: no leak, and more than one is allowed. A small one is
    // collected more often besides, here and in the workers.
    env: { NODE_OPTIONS: '--max-semi-space-size=2' },
  });
  const run = new Soak(pm, options);
  const violations: string[] = [];
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(name, () => (run.interrupted = true));
  try {
    await run.run();
  } catch (err) {
    violations.push((err as Error).message, `--- the end of the postmaster's log\n${pm.log().split('\n').slice(-40).join('\n')}`);
  }
  violations.push(...complaints(run.looks));
  await end().catch((err: unknown) => violations.push(String(err)));
  const { looks, seconds, turns, alive, expected } = run;
  return {
    ok: violations.length === 0,
    node: process.version,
    forks: expected,
    seconds,
    postmasterTurns: turns,
    growth: looks.length > 1 ? growthOf(looks) : null,
    first: looks[0] ?? null,
    last: looks.at(-1) ?? null,
    alive,
    violations,
  };
}

const inOneLine = ({ descriptors, threads, mappings, anonymousKb, rssKb, heapKb }: Health): string =>
  `${descriptors.length} descriptors, ${threads} threads, ${mappings} mappings, ${anonymousKb} KB of its own, ${rssKb} KB resident, ${heapKb} KB live on its heap`;

function textOf({ ok, node, forks, seconds, postmasterTurns, growth, first, last, alive, violations }: Result): string {
  const line = (what: string, text: string): string => `  ${what.padEnd(24)}${text}\n`;
  return [
    `\n${ok ? 'All held' : 'NOT ALL HELD'}: Node ${node}, ${forks} workers in ${seconds.toFixed(0)} s; the postmaster allocated in ${postmasterTurns} turns of its loop\n`,
    ...alive.map(({ count, seconds: took, ussMb, pssMb }) =>
      line(
        `${count} alive at once`,
        `up in ${took.toFixed(1)} s; USS ${ussMb.toFixed(1)} MB, PSS ${pssMb.toFixed(1)} MB each, after collecting and compiling`,
      ),
    ),
    first === null ? '' : line('postmaster when warm', inOneLine(first)),
    last === null ? '' : line('postmaster at the end', inOneLine(last)),
    growth === null ? '' : line('growth, by its slope', `${growth.heapKb} KB live, ${growth.anonymousKb} KB of its own, ${growth.mappings} mappings`),
    ...violations.map((text) => `--- ${text}\n`),
  ].join('');
}

async function main(argv: readonly string[]): Promise<number> {
  let options: SoakOptions;
  try {
    options = parseSoakOptions(argv);
  } catch (err) {
    process.stderr.write(`${(err as Error).message}\n\n${SOAK_USAGE}`);
    return 2;
  }
  if (options.help) {
    process.stdout.write(SOAK_USAGE);
    return 0;
  }
  if (options.node !== null) {
    const at = argv.findIndex((arg) => arg === '--node' || arg.startsWith('--node='));
    const rest = argv.toSpliced(at, argv[at] === '--node' ? 2 : 1);
    const { status, error } = spawnSync(options.node, [fileURLToPath(import.meta.url), ...rest], { stdio: 'inherit' });
    if (error !== undefined) throw error;
    return status ?? 1;
  }
  const result = await soak(options);
  process.stdout.write(options.json ? `${JSON.stringify(result)}\n` : textOf(result));
  return result.ok ? 0 : 1;
}

process.exitCode = await main(process.argv.slice(2));
