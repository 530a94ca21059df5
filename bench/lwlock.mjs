// LWLocks: taken and released, how often a second, by one worker and by two at once, on one core and on two, exclusive and shared, blocking and asynchronous;
// beside PostgreSQL's own in workers of its own, and a mutex of Atomics between worker_threads. In turns and in one run.
//
//   node bench/lwlock.mjs [--ms 500] [--batch 10000] [--repeat 3]
//
// An operation is an acquisition and its release, with nothing in between: what two processes do to each other is at its worst. Each is measured while the other
// plays. PostgreSQL's rows are there where the headers of its server are installed (bench/postgres.mjs).
import { execFileSync } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { heading, load, median, options, quantile, root, table } from './lib.mjs';
import { withPlayers } from './players.mjs';
import { NO_HEADERS, havePostgres, postgresPlays } from './postgres.mjs';

const { ms, batch, repeat } = options({ ms: 500, batch: 10_000, repeat: 3 });
const here = (name) => join(root, 'bench/lwlock', name);

/** @typedef {{ waited: number, times: number[] }} Told what each player tells: how often it had to wait, and nanoseconds for an operation of each round */

async function postgres({ players, cores, mode }) {
  const env = { BENCH_CORES: cores.join(), BENCH_MODE: String(mode), BENCH_MS: String(ms), BENCH_BATCH: String(batch) };
  const told = await postgresPlays({ name: 'bench_lwlock', source: here('postgres.c'), players, env });
  return told.map(([waited, ...times]) => ({ waited, times }));
}

const ours = (form, { players, cores, mode }) =>
  withPlayers(
    here('library.mjs'),
    cores.slice(0, players).map((core) => ({ form, mode, ms, batch, players, core })),
    async (next) => {
      const told = [];
      while (told.length < players) told.push(await next());
      return told;
    },
  );

function mutex({ players, cores }) {
  const args = ['-c', [...new Set(cores)].join(), process.execPath, here('mutex.mjs'), ...[players, ms, batch].map(String)];
  return JSON.parse(execFileSync('taskset', args, { encoding: 'utf8', maxBuffer: 2 ** 28, stdio: ['ignore', 'pipe', 'inherit'] }));
}

// --- the table ----------------------------------------------------------------------------------------------------------------------------------

const perSecond = (n) => (n >= 1e6 ? `${(n / 1e6).toFixed(2)} M` : `${(n / 1e3).toFixed(1)} k`);
const nanoseconds = (ns) => (ns >= 10_000 ? `${(ns / 1000).toFixed(1)} us` : `${ns.toFixed(0)} ns`);
const sum = (values) => values.reduce((a, b) => a + b, 0);
const mean = (values) => sum(values) / values.length;

/** Operations a second of all players together. */
const together = (told) => sum(told.map(({ times }) => 1e9 / mean(times)));

/** The rows of one game: all kinds, in turns. */
async function play(where, game) {
  const kinds = {
    ...(havePostgres() ? { PostgreSQL: () => postgres(game) } : {}),
    lwLockAcquireSync: () => ours('sync', game),
    'await lwLockAcquire': () => ours('async', game),
    ...(game.mode === 0 ? { 'Atomics, worker_threads': () => mutex(game) } : {}),
  };
  const runs = Object.fromEntries(Object.keys(kinds).map((kind) => [kind, []]));
  for (let turn = 0; turn < repeat; turn++) for (const [kind, measure] of Object.entries(kinds)) runs[kind].push(await measure());
  const throughput = (kind) => median(runs[kind].map(together));
  return Object.entries(runs).map(([kind, told]) => {
    const players = told.flat();
    const times = players.flatMap((player) => player.times);
    return {
      where,
      mode: game.mode === 0 ? 'exclusive' : 'shared',
      what: kind,
      n: `${times.length} x ${batch}`,
      'a second, together': perSecond(throughput(kind)),
      'median of a round': nanoseconds(median(times)),
      p99: nanoseconds(quantile(times, 0.99)),
      'had to wait': `${((100 * sum(players.map(({ waited }) => waited))) / (times.length * batch)).toFixed(2)} %`,
      "of PostgreSQL's": runs.PostgreSQL === undefined ? '' : (throughput(kind) / throughput('PostgreSQL')).toFixed(2),
    };
  });
}

const second = availableParallelism() > 1 ? 1 : 0;
const games = [
  ['one process', { players: 1, cores: [0, 0] }],
  ['two, on one core', { players: 2, cores: [0, 0] }],
  ...(second === 1 ? [['two, on two cores', { players: 2, cores: [0, 1] }]] : []),
];
const rows = [];
for (const [where, game] of games) for (const mode of [0, 1]) rows.push(...(await play(where, { ...game, mode })));
heading(
  `LWLocks, taken and released; ${repeat} runs of ${ms} ms, in turns; rounds of ${batch}; throughput from the mean of all rounds, the median of the runs`,
);
if (!havePostgres()) process.stdout.write(NO_HEADERS);
table(rows);
process.stdout.write(`\nload at the end ${load()}\n`);
