// A PostgreSQL server of a measurement's own, with an extension in C in it that does there what the measured library does with us. It is there where the headers of
// a server and its programs are installed (pg_config; apt: postgresql-server-dev-15). Nothing here is measured.
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { chmodSync, chownSync, existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { root } from './lib.mjs';

const run = (file, args, more = {}) =>
  execFileSync(file, args, { encoding: 'utf8', maxBuffer: 2 ** 28, stdio: ['ignore', 'pipe', 'inherit'], ...more });
const config = (what) => spawnSync('pg_config', [what], { encoding: 'utf8' }).stdout?.trim() ?? '';

/** Can it be measured here? */
export const havePostgres = () => existsSync(join(config('--includedir-server'), 'postgres.h')) && existsSync(join(config('--bindir'), 'initdb'));
export const NO_HEADERS = "PostgreSQL's own is not measured: no headers of its server (pg_config --includedir-server)\n\n";

/** A server refuses root: whom to be instead. */
function unprivileged() {
  if (process.getuid() !== 0) return {};
  const id = (flag) => Number(run('id', [flag, 'postgres']));
  return { uid: id('-u'), gid: id('-g') };
}

/**
 * Starts a server that preloads the extension `name`, built from `source`. In its environment BENCH_LIBRARY is the extension's path, and BENCH_OUT that of a file
 * that it can write. End it with `stop()`.
 */
export async function startPostgres({ name, source, settings = {}, env = {} }) {
  const top = mkdtempSync(join(tmpdir(), 'bgw-bench-pg-'));
  chmodSync(top, 0o755);
  const library = join(top, name);
  run('cc', [
    '-O2',
    '-D_GNU_SOURCE',
    '-shared',
    '-fPIC',
    `-I${config('--includedir-server')}`,
    `-I${join(root, 'bench')}`,
    '-o',
    `${library}.so`,
    source,
  ]);
  const user = unprivileged();
  const dir = mkdtempSync(join(top, 'pg-'));
  if (user.uid !== undefined) chownSync(dir, user.uid, user.gid);
  const program = (what, args) => run(join(config('--bindir'), what), args, { ...user, cwd: dir, stdio: 'pipe' });
  const out = join(dir, 'out');
  program('initdb', ['-D', join(dir, 'data'), '-U', 'postgres', '-A', 'trust', '-N', '--no-instructions']);
  const all = {
    shared_preload_libraries: `${library}.so`,
    listen_addresses: '',
    unix_socket_directories: dir,
    fsync: 'off',
    ...settings,
  };
  const server = spawn(
    join(config('--bindir'), 'postgres'),
    ['-D', join(dir, 'data'), ...Object.entries(all).flatMap(([key, value]) => ['-c', `${key}=${value}`])],
    { ...user, env: { ...process.env, BENCH_LIBRARY: library, BENCH_OUT: out, ...env }, cwd: dir, stdio: ['ignore', 'ignore', 'pipe'] },
  );
  let log = '';
  server.stderr.on('data', (chunk) => (log += chunk));
  const ended = new Promise((resolve) => server.once('close', resolve));
  /** Waits for something of the server's; two minutes at most. */
  const until = async (what) => {
    for (let left = 1200; ; left--) {
      const result = what();
      if (result !== null) return result;
      if (left === 0 || server.exitCode !== null) throw new Error(`PostgreSQL measured nothing\n${log}`);
      await sleep(100);
    }
  };
  const sql = (text) => program('psql', ['-h', dir, '-U', 'postgres', '-At', '-c', text]).trim();
  const stop = async () => {
    server.kill('SIGINT');
    await ended;
    rmSync(top, { recursive: true, force: true });
  };
  return { library, out, pid: server.pid, until, sql, stop };
}

/** Starts a server whose players (bench/players.h) measure, and returns what each of them wrote: lines of numbers. */
export async function postgresPlays({ name, source, players, env }) {
  const server = await startPostgres({ name, source, env: { ...env, BENCH_PLAYERS: String(players) } });
  try {
    return await server.until(() => {
      const texts = Array.from({ length: players }, (_, role) => read(`${server.out}.${role}`));
      return texts.every((text) => text.endsWith('end\n')) ? texts.map((text) => text.replace('end\n', '').trim().split('\n').map(Number)) : null;
    });
  } finally {
    await server.stop();
  }
}

const read = (path) => (existsSync(path) ? readFileSync(path, 'latin1') : '');
