// How fast a worker works on its database: transactions and rows by SPI, beside the plain client (pg) in a plain Node process and, where PostgreSQL's headers are
// installed (pg_config, cc), beside a C worker's SPI. In turns of the same run, on the same server:
//
//   npm run bench:spi -- [--rounds 10] [--transactions 300] [--rows 50000]
//
// A transaction is begin, one statement, commit: three round trips for the plain client, two for a worker, whose BEGIN goes along with its statement, and none
// for C, whose SPI runs inside the server. Each round has a fresh worker and a fresh process of plain Node, and both run as many transactions before any counts
// (bench/spi-measure.mjs), so that V8 has compiled on both sides what it compiles. `connect` is the first connection of a process: for the worker the whole of
// backgroundWorkerInitializeConnection; `connect again` the plain client's second. A worker has one in its life.
import { execFile, execFileSync } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import pg from 'pg';
import { heading, lines, load, median, options, quantile, root, startPostmaster, table, time } from './lib.mjs';
import { rowQuery } from './spi-measure.mjs';

const { rounds, transactions, rows } = options({ rounds: 10, transactions: 300, rows: 50_000 });
heading(`SPI: ${rounds} rounds of ${transactions} transactions and ${rows} rows, in turns`);
const library = join(root, 'bench/spi-library.mjs');
const postmaster = await startPostmaster({ settings: { database: 'owned', log_min_messages: 'panic', shared_preload_libraries: library } });
const moduleDir = mkdtempSync(join(tmpdir(), 'bgw-bench-spi-'));
chmodSync(moduleDir, 0o755); // the database server may be another user
try {
  await run();
} finally {
  await postmaster.stop();
  rmSync(moduleDir, { recursive: true, force: true });
}

function conninfo() {
  return { host: join(postmaster.dir, 'pgsocket'), port: 5432, user: 'postgres', database: 'postgres' };
}

async function run() {
  const admin = await connectWhenUp();
  // The disk is not what is measured.
  await admin.query('ALTER DATABASE postgres SET synchronous_commit = off; CREATE TABLE bench_spi (n int); INSERT INTO bench_spi VALUES (0)');
  const inC = await prepareC(admin);
  const session = await postmaster.connect();
  const reports = lines(postmaster.pipe);
  const sides = { worker: {}, 'plain pg': {}, ...(inC ? { 'C worker': {} } : {}) };
  for (let round = -1; round < rounds; round++) {
    const results = { worker: await inWorker(session, reports), 'plain pg': await inPlainNode() };
    if (inC) results['C worker'] = await inCWorker(admin);
    if (round < 0) continue; // warming up
    for (const [side, times] of Object.entries(results)) {
      for (const [name, values] of Object.entries(times)) (sides[side][name] ??= []).push(...values);
    }
  }
  await session.close();
  await admin.end();
  report(sides);
}

function report(sides) {
  const what = {
    connect: 'connect',
    again: 'connect again',
    select: 'transaction, SELECT 1',
    prepared: 'transaction, prepared plan',
    update: 'transaction, UPDATE',
    rows: `${rows} rows at once`,
    cursor: `${rows} rows by cursor`,
    copy: `${rows} rows by COPY`,
  };
  const out = [];
  for (const [name, label] of Object.entries(what)) {
    for (const [side, times] of Object.entries(sides)) {
      const values = times[name];
      if (values === undefined) continue;
      const perSecond =
        name in { connect: 1, again: 1 }
          ? ''
          : Math.round(((name in { rows: 1, cursor: 1, copy: 1 } ? rows : 1) * 1e6) / median(values)).toLocaleString('en');
      const own = sides.worker[name];
      const ratio = side === 'worker' || own === undefined ? '' : `${Number((median(values) / median(own)).toPrecision(2))}x`;
      out.push({
        what: label,
        side,
        n: values.length,
        median: time(median(values)),
        p99: time(quantile(values, 0.99)),
        'a second': perSecond,
        'of the worker’s': ratio,
      });
    }
  }
  table(out);
  process.stdout.write(`\nload at the end ${load()}\n`);
}

async function connectWhenUp() {
  for (const deadline = Date.now() + 30_000; ;) {
    const client = new pg.Client(conninfo());
    try {
      await client.connect();
      return client;
    } catch (err) {
      if (Date.now() > deadline) throw err;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}

async function inWorker(session, reports) {
  const handle = await session.registerDynamicBackgroundWorker({
    name: 'bench',
    flags: 3,
    startTime: 2,
    restartTime: -1,
    libraryName: library,
    functionName: 'measureSpi',
    extra: new Uint8Array(Uint32Array.of(transactions, rows).buffer),
    notifyPid: 'self',
  });
  const result = JSON.parse(await reports.next());
  await session.waitForBackgroundWorkerShutdown(handle);
  return result;
}

async function inPlainNode() {
  const args = [join(root, 'bench/spi-plain.mjs'), JSON.stringify({ host: conninfo().host, transactions, rows })];
  const { stdout } = await promisify(execFile)(process.execPath, args);
  return JSON.parse(stdout);
}

/** Builds bench/spi.c and makes its function known; false, with the reason, where that cannot be done here. */
async function prepareC(admin) {
  const file = join(moduleDir, 'bench_spi.so');
  try {
    const headers = execFileSync('pg_config', ['--includedir-server'], { encoding: 'utf8' }).trim();
    execFileSync('cc', ['-O2', '-fPIC', '-shared', '-I', headers, '-o', file, join(root, 'bench/spi.c')], { stdio: ['ignore', 'ignore', 'pipe'] });
    chmodSync(file, 0o755);
    await admin.query('CREATE TABLE bench_spi_c (what text, us float8[])');
    await admin.query(`CREATE FUNCTION bench_spi_run(int, int, text, text) RETURNS void LANGUAGE c STRICT AS '${file}', 'bench_spi_run'`);
    return true;
  } catch (err) {
    process.stdout.write(`no C worker: ${String(err.stderr ?? err.message).split('\n')[0]}\n\n`);
    return false;
  }
}

async function inCWorker(admin) {
  await admin.query('TRUNCATE bench_spi_c');
  await admin.query('SELECT bench_spi_run($1, $2, $3, $4)', [transactions, rows, rowQuery(rows), join(moduleDir, 'bench_spi.so')]);
  const { rows: found } = await admin.query('SELECT what, us FROM bench_spi_c');
  return Object.fromEntries(found.map(({ what, us }) => [what, us]));
}
