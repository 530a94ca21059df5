// Latch ping-pong between two workers, blocking and asynchronous, beside a futex, PostgreSQL's own latches and process.send, in turns and in one run.
//
//   node bench/latch.mjs [--rounds 20000] [--repeat 3]
//
// A round is there and back. PostgreSQL's row is there where the headers of its server are installed (pg_config, apt: postgresql-server-dev-15).
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { chmodSync, chownSync, existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { heading, lines, load, median, options, quantile, root, startPostmaster, table, time } from './lib.mjs';

const { rounds, repeat } = options({ rounds: 20_000, repeat: 3 });
const here = (name) => join(root, 'bench/latch', name);
const scratch = mkdtempSync(join(tmpdir(), 'bgw-bench-latch-'));
chmodSync(scratch, 0o755);

const run = (file, args, more = {}) =>
  execFileSync(file, args, { encoding: 'utf8', maxBuffer: 2 ** 28, stdio: ['ignore', 'pipe', 'inherit'], ...more });
const numbers = (text) => text.trim().split('\n').map(Number);

// --- PostgreSQL's own -----------------------------------------------------------------------------------------------------------------------

/** Its program directory, with the extension built; null where there are no headers. */
function buildExtension() {
  const config = (what) => spawnSync('pg_config', [what], { encoding: 'utf8' }).stdout?.trim() ?? '';
  const [include, bin] = [config('--includedir-server'), config('--bindir')];
  if (!existsSync(join(include, 'postgres.h')) || !existsSync(join(bin, 'initdb'))) return null;
  run('cc', ['-O2', '-D_GNU_SOURCE', '-shared', '-fPIC', `-I${include}`, '-o', join(scratch, 'bench_latch.so'), here('postgres.c')]);
  return bin;
}

/** A server refuses root: whom to be instead. */
function unprivileged() {
  if (process.getuid() !== 0) return {};
  const id = (flag) => Number(run('id', [flag, 'postgres']));
  return { uid: id('-u'), gid: id('-g') };
}

async function postgres(bin, cores) {
  const user = unprivileged();
  const dir = mkdtempSync(join(scratch, 'pg-'));
  if (user.uid !== undefined) chownSync(dir, user.uid, user.gid);
  const data = join(dir, 'data');
  const out = join(dir, 'times');
  run(join(bin, 'initdb'), ['-D', data, '-A', 'trust', '-N', '--no-instructions'], { ...user, cwd: dir });
  const settings = { shared_preload_libraries: join(scratch, 'bench_latch.so'), listen_addresses: '', unix_socket_directories: dir, fsync: 'off' };
  const args = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
  const library = join(scratch, 'bench_latch');
  const env = { ...process.env, BENCH_OUT: out, BENCH_CORES: cores.join(), BENCH_ROUNDS: String(rounds + 1000), BENCH_LIBRARY: library };
  const server = spawn(join(bin, 'postgres'), ['-D', data, ...args], { ...user, env, cwd: dir, stdio: ['ignore', 'ignore', 'pipe'] });
  let log = '';
  server.stderr.on('data', (chunk) => (log += chunk));
  const ended = new Promise((resolve) => server.once('close', resolve));
  try {
    for (let left = 1200; !existsSync(out) || !readFileSync(out, 'latin1').endsWith('end\n'); left--) {
      if (left === 0 || server.exitCode !== null) throw new Error(`PostgreSQL measured nothing\n${log}`);
      await sleep(100);
    }
    return numbers(readFileSync(out, 'latin1').replace('end\n', '')).slice(1000);
  } finally {
    server.kill('SIGINT');
    await ended;
  }
}

// --- ours -------------------------------------------------------------------------------------------------------------------------------------

async function ours(form, cores) {
  const pm = await startPostmaster({ settings: { shared_preload_libraries: here('library.mjs') } });
  const reader = lines(pm.pipe);
  const session = await pm.connect();
  try {
    for (const role of [0, 1]) {
      const extra = JSON.stringify({ role, form, core: cores[role], rounds });
      const worker = {
        name: `player ${role}`,
        flags: 1,
        startTime: 2,
        restartTime: -1,
        libraryName: here('library.mjs'),
        functionName: 'plays',
        extra,
      };
      if ((await session.registerDynamicBackgroundWorker(worker)) === null) throw new Error('no slot for a player');
    }
    return JSON.parse(await reader.next());
  } finally {
    await session.close();
    await pm.stop();
  }
}

// --- all --------------------------------------------------------------------------------------------------------------------------------------

heading(`Latch ping-pong: there and back, ${repeat} times ${rounds} rounds`);
try {
  run('cc', ['-O2', '-D_GNU_SOURCE', '-o', join(scratch, 'futex'), here('futex.c')]);
  const bin = buildExtension();
  if (bin === null) process.stdout.write("PostgreSQL's own is not measured: no headers of its server (pg_config --includedir-server)\n\n");
  const kinds = {
    futex: (cores) => numbers(run(join(scratch, 'futex'), [...cores.map(String), String(rounds)])),
    ...(bin === null ? {} : { 'PostgreSQL, WaitLatch': (cores) => postgres(bin, cores) }),
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
