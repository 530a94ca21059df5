// Who is measured by bench/memory.mjs: each starts `count` workers that are idle, tells their pids, and ends them. Descriptor 3 of our workers says when they are.
import { fork, execFileSync, spawn, spawnSync } from 'node:child_process';
import cluster from 'node:cluster';
import { chmodSync, chownSync, existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { lines, root, startPostmaster } from '../lib.mjs';

const LIBRARY = join(root, 'bench/memory/library.mjs');
const CHILD = join(root, 'bench/memory/child.mjs');
/** So many processes that start by themselves at once. */
const AT_ONCE = 20;

/** @typedef {{ pids: number[], stop: () => Promise<void>, shares?: number }} Started `shares`: how many workers one process holds, where it is one. */

/** Ours. `work` by number (work.mjs). */
export async function workers(count, { work = 0, env = {} } = {}) {
  const settings = { shared_preload_libraries: LIBRARY, max_worker_processes: count + 2, log_min_messages: 'panic' };
  const postmaster = await startPostmaster({ settings, env });
  const reports = lines(postmaster.pipe);
  const session = await postmaster.connect();
  const pids = [];
  for (let n = 0; n < count; n++) {
    const worker = { name: `bench ${n}`, flags: 1, startTime: 2, restartTime: -1, libraryName: LIBRARY, functionName: 'works', mainArg: work };
    const handle = await session.registerDynamicBackgroundWorker({ ...worker, notifyPid: 'self' });
    pids.push((await session.waitForBackgroundWorkerStartup(handle)).pid);
  }
  for (let n = 0; n < count; n++) await reports.next();
  await session.close();
  return { pids, stop: postmaster.stop };
}

async function startChildren(count, start, stopOne) {
  const children = [];
  for (let n = 0; n < count; n += AT_ONCE) {
    const some = Array.from({ length: Math.min(AT_ONCE, count - n) }, start);
    children.push(...some);
    await Promise.all(some.map((child) => new Promise((resolve) => child.once('message', resolve))));
  }
  const stop = async () => {
    const ended = children.map((child) => new Promise((resolve) => child.once('exit', resolve)));
    for (const child of children) stopOne(child);
    await Promise.all(ended);
  };
  return { children, stop };
}

export async function forked(count, { work = 0 } = {}) {
  const { children, stop } = await startChildren(
    count,
    () => fork(CHILD, [String(work)]),
    (child) => child.kill(),
  );
  return { pids: children.map(({ pid }) => pid), stop };
}

export async function clustered(count) {
  cluster.setupPrimary({ exec: CHILD, args: ['0'] });
  const { children, stop } = await startChildren(
    count,
    () => cluster.fork(),
    (worker) => worker.process.kill(),
  );
  return { pids: children.map((worker) => worker.process.pid), stop };
}

/** All in one process, so that what they share is shared; `memory` of it without any is taken off. */
export async function threads(count) {
  const child = fork(CHILD, ['--threads', String(count)]);
  await new Promise((resolve, reject) => {
    child.once('message', resolve);
    child.once('exit', (code, signal) => reject(new Error(`the process with ${count} threads ended: ${code ?? signal}`)));
  });
  const ended = new Promise((resolve) => child.once('exit', resolve));
  const stop = async () => {
    child.kill('SIGKILL');
    await ended;
  };
  return { pids: [child.pid], shares: count, stop };
}

// --- PostgreSQL's own -----------------------------------------------------------------------------------------------------------------------

const run = (file, args, more = {}) => execFileSync(file, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'], ...more });
const config = (what) => spawnSync('pg_config', [what], { encoding: 'utf8' }).stdout?.trim() ?? '';

/** Are the headers of a server installed, and its programs? */
export const havePostgres = () => existsSync(join(config('--includedir-server'), 'postgres.h')) && existsSync(join(config('--bindir'), 'initdb'));

/** A server refuses root: whom to be instead. */
function unprivileged() {
  if (process.getuid() !== 0) return {};
  const id = (flag) => Number(run('id', [flag, 'postgres']));
  return { uid: id('-u'), gid: id('-g') };
}

/** A server in `dir`, which is the user's who may run it. */
function startServer(scratch, dir, count, user) {
  const bin = config('--bindir');
  const library = join(scratch, 'bench_memory');
  const source = join(root, 'bench/memory/postgres.c');
  run('cc', ['-O2', '-D_GNU_SOURCE', '-shared', '-fPIC', `-I${config('--includedir-server')}`, '-o', `${library}.so`, source]);
  run(join(bin, 'initdb'), ['-D', join(dir, 'data'), '-A', 'trust', '-N', '--no-instructions'], { ...user, cwd: dir });
  const settings = {
    shared_preload_libraries: `${library}.so`,
    max_worker_processes: count + 2,
    listen_addresses: '',
    unix_socket_directories: dir,
    fsync: 'off',
  };
  const args = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
  const env = { ...process.env, BENCH_LIBRARY: library, BENCH_WORKERS: String(count) };
  return spawn(join(bin, 'postgres'), ['-D', join(dir, 'data'), ...args], { ...user, env, cwd: dir, stdio: 'ignore' });
}

const childrenOf = (pid) => readFileSync(`/proc/${pid}/task/${pid}/children`, 'latin1').trim().split(' ').filter(Boolean).map(Number);

function isIdleWorker(pid) {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'latin1').includes('bench idle');
  } catch {
    return false; // gone
  }
}

export async function postgres(count) {
  const scratch = mkdtempSync(join(tmpdir(), 'bgw-bench-memory-'));
  chmodSync(scratch, 0o755);
  let server = null;
  const stop = async () => {
    if (server !== null && server.exitCode === null) {
      const ended = new Promise((resolve) => server.once('exit', resolve));
      server.kill('SIGINT');
      await ended;
    }
    rmSync(scratch, { recursive: true, force: true });
  };
  try {
    const user = unprivileged();
    const dir = mkdtempSync(join(scratch, 'pg-'));
    if (user.uid !== undefined) chownSync(dir, user.uid, user.gid);
    server = startServer(scratch, dir, count, user);
    for (let left = 600; left > 0 && server.exitCode === null; left--) {
      const pids = childrenOf(server.pid).filter(isIdleWorker);
      if (pids.length === count) return { pids, stop };
      await sleep(200);
    }
    throw new Error(`PostgreSQL did not start ${count} workers`);
  } catch (err) {
    await stop();
    throw err;
  }
}
