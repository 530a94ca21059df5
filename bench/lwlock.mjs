// LWLocks: taken and released, how often a second, by one worker and by two at once, on one core and on two, exclusive and shared, blocking and asynchronous;
// beside PostgreSQL's own in workers of its own, and a mutex of Atomics between worker_threads. In turns and in one run.
//
//   node bench/lwlock.mjs [--rounds 200] [--batch 1000] [--repeat 3]
//
// An operation is an acquisition and its release. PostgreSQL's rows are there where the headers of its server are installed (apt: postgresql-server-dev-15).
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { chmodSync, chownSync, existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { heading, lines, load, median, options, quantile, root, startPostmaster, table } from './lib.mjs';

const { rounds, batch, repeat } = options({ rounds: 200, batch: 1000, repeat: 3 });
const here = (name) => join(root, 'bench/lwlock', name);
const scratch = mkdtempSync(join(tmpdir(), 'bgw-bench-lwlock-'));
chmodSync(scratch, 0o755);
const run = (file, args, more = {}) =>
  execFileSync(file, args, { encoding: 'utf8', maxBuffer: 2 ** 28, stdio: ['ignore', 'pipe', 'inherit'], ...more });

// --- PostgreSQL's own -----------------------------------------------------------------------------------------------------------------------

/** Its program directory, with the extension built; null where there are no headers. */
function buildExtension() {
  const config = (what) => spawnSync('pg_config', [what], { encoding: 'utf8' }).stdout?.trim() ?? '';
  const [include, bin] = [config('--includedir-server'), config('--bindir')];
  if (!existsSync(join(include, 'postgres.h')) || !existsSync(join(bin, 'initdb'))) return null;
  run('cc', ['-O2', '-D_GNU_SOURCE', '-shared', '-fPIC', `-I${include}`, '-o', join(scratch, 'bench_lwlock.so'), here('postgres.c')]);
  return bin;
}

/** A server refuses root: whom to be instead. */
function unprivileged() {
  if (process.getuid() !== 0) return {};
  const id = (flag) => Number(run('id', [flag, 'postgres']));
  return { uid: id('-u'), gid: id('-g') };
}

async function postgres(bin, { players, cores, mode }) {
  const user = unprivileged();
  const dir = mkdtempSync(join(scratch, 'pg-'));
  if (user.uid !== undefined) chownSync(dir, user.uid, user.gid);
  const data = join(dir, 'data');
  const out = join(dir, 'times');
  run(join(bin, 'initdb'), ['-D', data, '-A', 'trust', '-N', '--no-instructions'], { ...user, cwd: dir });
  const settings = { shared_preload_libraries: join(scratch, 'bench_lwlock.so'), listen_addresses: '', unix_socket_directories: dir, fsync: 'off' };
  const env = {
    ...process.env,
    BENCH_OUT: out,
    BENCH_CORES: cores.join(),
    BENCH_PLAYERS: String(players),
    BENCH_MODE: String(mode),
    BENCH_ROUNDS: String(rounds),
    BENCH_BATCH: String(batch),
    BENCH_LIBRARY: join(scratch, 'bench_lwlock'),
  };
  const args = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
  const server = spawn(join(bin, 'postgres'), ['-D', data, ...args], { ...user, env, cwd: dir, stdio: ['ignore', 'ignore', 'pipe'] });
  let log = '';
  server.stderr.on('data', (chunk) => (log += chunk));
  const ended = new Promise((resolve) => server.once('close', resolve));
  try {
    for (let left = 1200; !existsSync(out) || !readFileSync(out, 'latin1').endsWith('end\n'); left--) {
      if (left === 0 || server.exitCode !== null) throw new Error(`PostgreSQL measured nothing\n${log}`);
      await sleep(100);
    }
    return readFileSync(out, 'latin1').replace('end\n', '').trim().split('\n').map(Number);
  } finally {
    server.kill('SIGINT');
    await ended;
  }
}

// --- ours, and a mutex ------------------------------------------------------------------------------------------------------------------------

async function ours(form, { players, cores, mode }) {
  const pm = await startPostmaster({ settings: { shared_preload_libraries: here('library.mjs'), log_min_messages: 'panic' } });
  const reader = lines(pm.pipe);
  const session = await pm.connect();
  try {
    for (let player = 0; player < players; player++) {
      const extra = JSON.stringify({ form, mode, rounds, batch, players, core: cores[player] });
      const worker = {
        name: `player ${player}`,
        flags: 1,
        startTime: 2,
        restartTime: -1,
        libraryName: here('library.mjs'),
        functionName: 'plays',
        extra,
      };
      if ((await session.registerDynamicBackgroundWorker(worker)) === null) throw new Error('no slot for a player');
    }
    const all = [];
    for (let player = 0; player < players; player++) all.push(JSON.parse(await reader.next()));
    return all[0];
  } finally {
    await session.close();
    await pm.stop();
  }
}

const mutex = ({ players, cores }) =>
  JSON.parse(run('taskset', ['-c', [...new Set(cores)].join(), process.execPath, here('mutex.mjs'), String(players), String(rounds), String(batch)]));

// --- the table ----------------------------------------------------------------------------------------------------------------------------------

const perSecond = (ns) => {
  const n = 1e9 / ns;
  return n >= 1e6 ? `${(n / 1e6).toFixed(2)} M` : `${(n / 1e3).toFixed(1)} k`;
};
const nanoseconds = (ns) => (ns >= 10_000 ? `${(ns / 1000).toFixed(1)} us` : `${ns.toFixed(0)} ns`);

/** The rows of one game: all kinds, in turns. */
async function play(bin, where, game) {
  const kinds = {
    ...(bin === null ? {} : { PostgreSQL: () => postgres(bin, game) }),
    lwLockAcquireSync: () => ours('sync', game),
    'await lwLockAcquire': () => ours('async', game),
    ...(game.mode === 0 ? { 'Atomics, worker_threads': () => mutex(game) } : {}),
  };
  const times = Object.fromEntries(Object.keys(kinds).map((kind) => [kind, []]));
  for (let turn = 0; turn < repeat; turn++) for (const [kind, measure] of Object.entries(kinds)) times[kind].push(...(await measure()));
  return Object.entries(times).map(([kind, values]) => ({
    where,
    mode: game.mode === 0 ? 'exclusive' : 'shared',
    what: kind,
    n: `${values.length} x ${batch}`,
    'a second (each)': perSecond(median(values)),
    median: nanoseconds(median(values)),
    p99: nanoseconds(quantile(values, 0.99)),
    "of PostgreSQL's": bin === null ? '' : (median(times.PostgreSQL) / median(values)).toFixed(2),
  }));
}

try {
  const bin = buildExtension();
  const second = availableParallelism() > 1 ? 1 : 0;
  const games = [
    ['one process', { players: 1, cores: [0, 0] }],
    ['two, on one core', { players: 2, cores: [0, 0] }],
    ...(second === 1 ? [['two, on two cores', { players: 2, cores: [0, 1] }]] : []),
  ];
  const rows = [];
  for (const [where, game] of games) for (const mode of [0, 1]) rows.push(...(await play(bin, where, { ...game, mode })));
  heading(`LWLocks, taken and released; ${repeat} runs of ${rounds} batches of ${batch}, in turns; each process's own count`);
  if (bin === null) process.stdout.write("PostgreSQL's own is not measured: no headers of its server (pg_config --includedir-server)\n\n");
  table(rows);
  process.stdout.write(`\nload at the end ${load()}\n`);
} finally {
  rmSync(scratch, { recursive: true, force: true });
}
