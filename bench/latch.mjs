// Latch ping-pong between two workers, blocking and asynchronous, beside a futex, PostgreSQL's own latches and process.send, in turns and in one run.
//
//   node bench/latch.mjs [--rounds 20000] [--repeat 3]
//
// A round is there and back. PostgreSQL's row is there where the headers of its server are installed (bench/postgres.mjs).
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { heading, load, median, options, quantile, root, table, time } from './lib.mjs';
import { withPlayers } from './players.mjs';
import { NO_HEADERS, havePostgres, postgresPlays } from './postgres.mjs';

const { rounds, repeat } = options({ rounds: 20_000, repeat: 3 });
const here = (name) => join(root, 'bench/latch', name);
const scratch = mkdtempSync(join(tmpdir(), 'bgw-bench-latch-'));
const WARM_UP = 1000;

const run = (file, args) => execFileSync(file, args, { encoding: 'utf8', maxBuffer: 2 ** 28, stdio: ['ignore', 'pipe', 'inherit'] });
const numbers = (text) => text.trim().split('\n').map(Number);

async function postgres(cores) {
  const env = { BENCH_CORES: cores.join(), BENCH_ROUNDS: String(rounds + WARM_UP) };
  const [times] = await postgresPlays({ name: 'bench_latch', source: here('postgres.c'), players: 2, env });
  return times.slice(WARM_UP);
}

const ours = (form, cores) =>
  withPlayers(
    here('library.mjs'),
    cores.map((core) => ({ form, core, rounds })),
    (next) => next(),
  );

// --- all --------------------------------------------------------------------------------------------------------------------------------------

heading(`Latch ping-pong: there and back, ${repeat} times ${rounds} rounds`);
try {
  run('cc', ['-O2', '-D_GNU_SOURCE', '-o', join(scratch, 'futex'), here('futex.c')]);
  if (!havePostgres()) process.stdout.write(NO_HEADERS);
  const kinds = {
    futex: (cores) => numbers(run(join(scratch, 'futex'), [...cores.map(String), String(rounds)])),
    ...(havePostgres() ? { 'PostgreSQL, WaitLatch': postgres } : {}),
    waitLatchSync: (cores) => ours('blocking', cores),
    'await waitLatch': (cores) => ours('async', cores),
    'process.send': (cores) => JSON.parse(run(process.execPath, [here('send.mjs'), ...cores.map(String), String(rounds)])),
  };
  const places = { 'one core': [0, 0], ...(availableParallelism() > 1 ? { 'two cores': [0, 1] } : {}) };
  const rows = [];
  for (const [place, cores] of Object.entries(places)) {
    const times = Object.fromEntries(Object.keys(kinds).map((kind) => [kind, []]));
    for (let turn = 0; turn < repeat; turn++) for (const [kind, measure] of Object.entries(kinds)) times[kind].push(...(await measure(cores)));
    const medianOf = (kind) => (times[kind] === undefined ? Number.NaN : median(times[kind]));
    const ratio = (kind, base) => (Number.isNaN(medianOf(base)) ? '' : (medianOf(kind) / medianOf(base)).toFixed(2));
    for (const [kind, values] of Object.entries(times)) {
      const shown = { where: place, what: kind, n: String(values.length), p10: time(quantile(values, 0.1)), median: time(median(values)) };
      rows.push({
        ...shown,
        p99: time(quantile(values, 0.99)),
        "of PostgreSQL's": ratio(kind, 'PostgreSQL, WaitLatch'),
        "of process.send's": ratio(kind, 'process.send'),
      });
    }
  }
  table(rows);
  process.stdout.write(`\nload at the end ${load()}\n`);
} finally {
  rmSync(scratch, { recursive: true, force: true });
}
