// What a fork costs the postmaster, and its parts, over the size of the image. A Node with the same flags forks itself; the last column is a real postmaster's.
//
//   npm run bench:fork -- [--count 200]
//
// register → first line: a worker of a postmaster with as much in its image, from its registration to the first statement of its main function.
// look: seeing that the other threads sleep; fork(2): what is left of the call in the parent; uv_loop_fork: in the child; first JavaScript: from the call to the
// child's first statement. walk: MADV_DOFORK over /proc/self/maps, which is done once, when the postmaster starts; what it would cost before each fork.
import { spawnSync } from 'node:child_process';
import { closeSync, openSync, readFileSync, readSync, unlinkSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import v8 from 'node:v8';
import vm from 'node:vm';
import { NODE_FLAGS, heading, lines, load, median, microseconds, now, quantile, root, startPostmaster, table, time } from './lib.mjs';

const SIZES_MB = [40, 100, 200, 500];
/** What a postmaster with nothing preloaded has in memory. */
const BARE_MB = 66; // and a unit of ballast is somewhat more than a megabyte
const self = fileURLToPath(import.meta.url);
const at = process.argv.indexOf('--count');
const count = at > 0 ? Number(process.argv[at + 1]) : 200;

if (process.env.BENCH_FORK_MB === undefined) {
  heading(`Forking, ${count} times each`);
  const rows = [];
  for (const mb of SIZES_MB) rows.push({ ...measureSize(mb), 'register → first line': await firstLine(mb) });
  table(rows);
  process.stdout.write(`\nload at the end ${load()}\n`);
} else {
  measureAndExit(Number(process.env.BENCH_FORK_MB));
}

function measureSize(mb) {
  const result = spawnSync(process.execPath, [...NODE_FLAGS, '--expose-gc', self, '--count', String(count)], {
    env: { ...process.env, BENCH_FORK_MB: String(mb) },
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  if (result.status !== 0) throw new Error(`the measured process ended with ${result.status ?? result.signal}`);
  const { rss, maps, times } = JSON.parse(result.stdout);
  const cells = Object.entries(times).map(([name, values]) => [name, `${time(median(values))} (p99 ${time(quantile(values, 0.99))})`]);
  return { image: `${rss} MB`, maps: String(maps), ...Object.fromEntries(cells) };
}

async function firstLine(mb) {
  const env = { BENCH_BALLAST_MB: String(Math.max(0, Math.round((mb - BARE_MB) / 1.28))) };
  const postmaster = await startPostmaster({ settings: { log_min_messages: 'panic' }, env });
  const values = [];
  try {
    const session = await postmaster.connect();
    const reports = lines(postmaster.pipe);
    for (let i = -10; i < count; i++) {
      const { registered } = await session.call('bench/library.mjs', 'startOne');
      const at = BigInt(await reports.next());
      if (i >= 0) values.push(microseconds(registered, at));
    }
    await session.close();
    const rss = Math.round(Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${postmaster.pid}/status`, 'latin1'))[1]) / 1024);
    return `${time(median(values))} (p99 ${time(quantile(values, 0.99))}; ${rss} MB)`;
  } finally {
    await postmaster.stop();
  }
}

function measureAndExit(mb) {
  const native = createRequire(import.meta.url)(join(root, 'build/Release/bgworker.node'));
  if (native.patchImports() < 0) throw new Error('this Node cannot be forked');
  const rssMb = () => process.memoryUsage.rss() / 2 ** 20;
  const ballast = [];
  for (; rssMb() < mb;) ballast.push(Array.from({ length: 2048 }, (_, i) => ({ i, text: `${ballast.length}:${i}`, list: [i] })));
  v8.setFlagsFromString('--expose-gc');
  const gc = vm.runInNewContext('gc');
  gc();
  gc();
  if (native.takeExits(true, () => undefined) !== true) throw new Error('this Node cannot be forked');
  const path = join(tmpdir(), `bgw-bench-fork-${process.pid}`);
  const report = openSync(path, 'w+');
  unlinkSync(path);
  const bytes = Buffer.alloc(16);
  const times = { 'whole call': [], look: [], 'fork(2)': [], uv_loop_fork: [], 'first JavaScript': [], walk: [] };
  for (let i = -10; i < count; i++) {
    const t0 = now();
    native.undoDontFork();
    const t1 = now();
    native.otherThreadsRest();
    const t2 = now();
    const pid = native.fork(0);
    const t3 = now();
    if (pid === 0) {
      bytes.writeBigUInt64LE(t3, 0);
      bytes.writeBigUInt64LE(BigInt(native.loopRepairTime()), 8);
      writeSync(report, bytes, 0, 16, 0);
      native.exitNow(0);
    }
    if (pid < 0) throw new Error(`fork: errno ${-pid}`);
    while (native.waitPid(pid) === null) continue;
    readSync(report, bytes, 0, 16, 0);
    if (i < 0) continue;
    times['whole call'].push(microseconds(t2, t3));
    times.walk.push(microseconds(t0, t1));
    times.look.push(microseconds(t1, t2));
    times['fork(2)'].push(Math.max(0, microseconds(t2, t3) - microseconds(t1, t2)));
    times.uv_loop_fork.push(Number(bytes.readBigUInt64LE(8)) / 1000);
    times['first JavaScript'].push(microseconds(t2, bytes.readBigUInt64LE(0)));
  }
  closeSync(report);
  const maps = readFileSync('/proc/self/maps', 'latin1').split('\n').length - 1;
  writeSync(1, JSON.stringify({ rss: Math.round(rssMb()), maps, times }));
  if (ballast.length >= 0) native.exitNow(0); // the exits of this process were taken over, too; and it has used its ballast to the end
}
