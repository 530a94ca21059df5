// Messages a second from one process to another: shm_mq of ours, process.send, MessagePort, and PostgreSQL's own shm_mq between two of its processes, side by
// side. `npm run bench:shm-mq -- --queue 65536`. PostgreSQL's is measured where its headers are installed (apt-get install postgresql-server-dev-15), with the
// C module in bench/pg-shm-mq, which does what bench/shm-mq-library.mjs does.
import { execFileSync, fork } from 'node:child_process';
import { chmodSync, chownSync, cpSync, existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Worker, isMainThread, parentPort } from 'node:worker_threads';
import { heading, median, options, quantile, root, startPostmaster, table } from './lib.mjs';

const SIZES = [
  [16, 200_000],
  [1024, 100_000],
  [65_536, 4_000],
];
const LIBRARY = join(root, 'bench/shm-mq-library.mjs');
const self = fileURLToPath(import.meta.url);

// --- the other end of process.send and of MessagePort ----------------------------------------------------------------------------------------

const answerLast = (answer) => (message) => {
  if (message[0] === 9 || message[0] === '9') answer();
};

// --- each of the four: microseconds of each round -----------------------------------------------------------------------------------------------

async function ours(queue, flush) {
  const pm = await startPostmaster({ settings: { shared_preload_libraries: LIBRARY, log_min_messages: 'panic' } });
  const results = [];
  for (const [size, count] of SIZES) {
    const session = await pm.connect();
    results.push(await session.call(LIBRARY, 'sends', LIBRARY, queue, size, count, flush));
    await session.close();
  }
  await pm.stop();
  return results;
}

async function channel(send, onAnswer, make) {
  const results = [];
  for (const [size, full] of SIZES) {
    const count = Math.ceil(full / 10); // slower by more than that
    const [message, last] = [make(size, 7), make(size, 9)];
    const rounds = [];
    for (let round = 0; round < 5; round++) {
      const answered = new Promise((resolve) => onAnswer(resolve));
      const begin = process.hrtime.bigint();
      for (let n = 1; n < count; n++) send(message);
      send(last);
      await answered;
      rounds.push((Number(process.hrtime.bigint() - begin) / 1000) * (full / count));
    }
    results.push(rounds);
  }
  return results;
}

async function processSend(serialization) {
  const child = fork(self, ['--echo'], { serialization });
  const make = serialization === 'json' ? (size, digit) => String(digit).repeat(size) : (size, byte) => new Uint8Array(size).fill(byte);
  const results = await channel(
    (message) => child.send(message),
    (resolve) => child.once('message', resolve),
    make,
  );
  child.disconnect();
  return results;
}

async function messagePort() {
  const worker = new Worker(self);
  const results = await channel(
    (message) => worker.postMessage(message),
    (resolve) => worker.once('message', resolve),
    (size, byte) => new Uint8Array(size).fill(byte),
  );
  await worker.terminate();
  return results;
}

/** PostgreSQL's own, or null where its headers are not there. */
function postgres(queue, flush) {
  const version = existsSync('/usr/lib/postgresql')
    ? readdirSync('/usr/lib/postgresql').find((v) => existsSync(`/usr/include/postgresql/${v}/server/postgres.h`))
    : undefined;
  if (version === undefined) return null;
  const bin = `/usr/lib/postgresql/${version}/bin`;
  const top = mkdtempSync(join(tmpdir(), 'bgw-bench-pg-'));
  cpSync(join(root, 'bench/pg-shm-mq'), top, { recursive: true });
  const include = `/usr/include/postgresql/${version}/server`;
  const library = join(top, 'bench_shm_mq.so');
  execFileSync('cc', ['-O2', '-shared', '-fPIC', `-I${include}`, '-o', library, join(top, 'bench_shm_mq.c')], { stdio: 'inherit' });
  // PostgreSQL does not run as root; its owner is whom the package made for it.
  const asRoot = process.geteuid() === 0;
  const id = (what) => Number(execFileSync('id', [what, 'postgres'], { encoding: 'utf8' }));
  if (asRoot) chownSync(top, id('-u'), id('-g'));
  chmodSync(top, 0o755);
  const user = asRoot ? { uid: id('-u'), gid: id('-g') } : {};
  const run = (program, args, more = {}) =>
    execFileSync(join(bin, program), args, { ...user, cwd: top, encoding: 'utf8', stdio: ['pipe', 'pipe', 'inherit'], ...more });
  const data = join(top, 'data');
  try {
    run('initdb', ['-D', data, '-U', 'postgres', '-A', 'trust', '-N']);
    const settings = `-c listen_addresses='' -c unix_socket_directories=${top} -c fsync=off -c dynamic_library_path=${top} -c shared_preload_libraries=bench_shm_mq`;
    run('pg_ctl', ['-D', data, '-w', '-l', join(top, 'log'), '-o', settings, 'start'], { stdio: 'ignore' });
    const sql = (text) => run('psql', ['-h', top, '-U', 'postgres', '-At', '-c', text]).trim();
    sql(`CREATE FUNCTION bench_shm_mq(int8, int4, int4, bool) RETURNS float8 AS '${library}' LANGUAGE C STRICT`);
    return SIZES.map(([size, count]) => Array.from({ length: 5 }, () => Number(sql(`SELECT bench_shm_mq(${queue}, ${size}, ${count}, ${flush})`))));
  } finally {
    if (existsSync(join(data, 'postmaster.pid'))) run('pg_ctl', ['-D', data, '-m', 'immediate', 'stop'], { stdio: 'ignore' });
    rmSync(top, { recursive: true, force: true });
  }
}

// --- the table ------------------------------------------------------------------------------------------------------------------------------------

const perSecond = (count, us) => {
  const n = (count / us) * 1e6;
  return n >= 1e6 ? `${(n / 1e6).toFixed(2)} M` : `${(n / 1e3).toFixed(n >= 1e5 ? 0 : 1)} k`;
};

async function main() {
  const { queue } = options({ queue: 65_536 });
  const kinds = [
    ['shm_mq, in batches', await ours(queue, false)],
    ['shm_mq, each flushed', await ours(queue, true)],
    ['process.send, json', await processSend('json')],
    ['process.send, advanced', await processSend('advanced')],
    ['MessagePort', await messagePort()],
    ['PostgreSQL, in batches', postgres(queue, false)],
    ['PostgreSQL, each flushed', postgres(queue, true)],
  ];
  heading(`Messages a second from one process (MessagePort: thread) to another; queues of ${queue} bytes; a batch is all messages of a round`);
  const sends = [2, 3].map((kind) => kinds[kind][1]);
  const rows = kinds.flatMap(([what, results]) =>
    results === null
      ? [{ what, size: '-', n: '-', median: 'no headers', 'p99 (slowest)': '-', 'x process.send': '-' }]
      : SIZES.map(([size, count], i) => ({
          what,
          size: String(size),
          n: `5 x ${count}`,
          median: perSecond(count, median(results[i])),
          'p99 (slowest)': perSecond(count, quantile(results[i], 0.99)),
          'x process.send': (Math.min(...sends.map((send) => median(send[i]))) / median(results[i])).toFixed(1),
        })),
  );
  table(rows);
}

if (process.argv.includes('--echo'))
  process.on(
    'message',
    answerLast(() => process.send(1)),
  );
else if (!isMainThread)
  parentPort.on(
    'message',
    answerLast(() => parentPort.postMessage(1)),
  );
else await main();
