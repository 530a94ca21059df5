// What a worker costs in memory: idle, beside other ways to have one; over the size of the image; and when it collects garbage.
//
//   npm run bench:memory -- [--tables idle,image,growth] [--most 1000] [--settle 10] [--few 10]
//
// On two cores the first table takes about four minutes, the other two about two; `--tables idle` prints it alone.
//
// USS: pages that are a process's own; PSS: these, and its share in those that it shares; tables: its page tables, which the kernel keeps and charges to nobody.
// Means over all workers of a row. `machine`: what of the machine's available memory went, by worker, kernel included. `most`: the largest number at once;
// `settle`: seconds until plain Node is looked at, from the moment when half of a row were started, since it collects by timers; ours and PostgreSQL's, which do
// not, two. `few`: how many are looked at in the other two tables. Who would not fit is left out.
import { parseArgs } from 'node:util';
import { heading, load, now, table } from './lib.mjs';
import { availableMb, inMb, meanOf, memoryOf } from './memory/look.mjs';
import { clustered, forked, havePostgres, postgres, threads, workers } from './memory/sides.mjs';
import { WORK } from './memory/work.mjs';

const text = (value) => ({ type: 'string', default: value });
const { values } = parseArgs({ options: { most: text('1000'), settle: text('10'), few: text('10'), tables: text('idle,image,growth') } });
const [most, settle, few] = [values.most, values.settle, values.few].map(Number);
const wanted = values.tables.split(',');
const SETTLE_OURS = 2;
const COUNTS = [1, 100, 1000].filter((count) => count < most).concat(most);
const IMAGES_MB = [0, 60, 160, 460];
/** Of what is available, at most so much is used. */
const SHARE = 0.7;

const sleep = (seconds) => new Promise((resolve) => setTimeout(resolve, seconds * 1000));

/** Starts, waits, looks, ends. `alone`: the memory of a process that holds all of them, without any. */
async function measure(start, { settled = SETTLE_OURS, alone } = {}) {
  const before = availableMb();
  const began = now();
  const { pids, stop, shares } = await start();
  try {
    const sinceHalf = Number(now() - began) / 2e9;
    await sleep(Math.max(1, settled - sinceHalf));
    const machine = (before - availableMb()) / (shares ?? pids.length);
    if (shares === undefined) return { ...meanOf(pids), machine };
    const whole = memoryOf(pids[0]);
    const each = (name) => (whole[name] - alone[name]) / shares;
    return { uss: each('uss'), pss: each('pss'), tables: each('tables'), machine };
  } finally {
    await stop();
  }
}

const cells = ({ uss, pss, tables }) => ({ USS: inMb(uss), PSS: inMb(pss), tables: inMb(tables) });

// --- idle -------------------------------------------------------------------------------------------------------------------------------------

async function idle() {
  const alone = await measure(() => forked(1), { settled: settle });
  const plain = new Set([forked, clustered, threads]);
  const sides = {
    'worker of ours': workers,
    ...(havePostgres() ? { 'C worker of PostgreSQL': postgres } : {}),
    'child_process.fork': forked,
    cluster: clustered,
    worker_threads: threads,
  };
  const rows = [];
  const last = {};
  for (const count of COUNTS) {
    for (const [what, start] of Object.entries(sides)) {
      const fits = (last[what] ?? 0) * count < availableMb() * SHARE;
      const found = fits ? await measure(() => start(count), { alone, settled: plain.has(start) ? settle : SETTLE_OURS }) : null;
      if (found !== null) last[what] = Math.max(found.uss, found.machine);
      const empty = { USS: 'does not fit', PSS: '', tables: '' };
      rows.push({
        what,
        'at once': count,
        ...(found === null ? empty : cells(found)),
        machine: found === null || count < 100 ? '' : inMb(found.machine),
      });
    }
  }
  table(rows);
  if (!havePostgres()) process.stdout.write("\nPostgreSQL's own is not measured: no headers of its server (pg_config --includedir-server)\n");
}

// --- over the image ---------------------------------------------------------------------------------------------------------------------------

async function images() {
  const rows = [];
  for (const mb of IMAGES_MB) {
    const env = { BENCH_BALLAST_MB: String(mb) };
    const still = await measure(() => workers(few, { env }));
    const collected = await measure(() => workers(few, { env, work: 1 }));
    rows.push({ image: `${Math.round(still.rss)} MB`, ...cells(still), 'USS after a full collection': inMb(collected.uss) });
  }
  table(rows);
}

// --- growth -----------------------------------------------------------------------------------------------------------------------------------

async function growth() {
  const rows = [];
  const small = { NODE_OPTIONS: '--max-semi-space-size=1' };
  for (const [work, [what]] of WORK.entries()) {
    // Side by side: what is looked at is each one's own, and what they share is the same in all rows.
    const [ours, bounded, plain] = await Promise.all([
      measure(() => workers(few, { work }), { settled: settle }),
      measure(() => workers(few, { work, env: small }), { settled: settle }),
      measure(() => forked(few, { work }), { settled: settle }),
    ]);
    rows.push({ 'after …': what, worker: inMb(ours.uss), 'with --max-semi-space-size=1': inMb(bounded.uss), 'child_process.fork': inMb(plain.uss) });
  }
  table(rows);
}

const TABLES = {
  idle: ['Idle workers; means', idle],
  image: [`Over the size of the image, as a worker sees it; ${few} workers`, images],
  growth: [`Growth: USS of a process that has done some work, ${settle} s later; ${few} at once`, growth],
};
const unheardOf = wanted.find((name) => !(name in TABLES));
if (unheardOf !== undefined) throw new Error(`there is no table "${unheardOf}"; there are ${Object.keys(TABLES).join(', ')}`);
heading('Memory of workers');
for (const name of wanted) {
  const [what, print] = TABLES[name];
  process.stdout.write(`${what}\n\n`);
  await print();
  process.stdout.write('\n');
}
process.stdout.write(`load at the end ${load()}\n`);
