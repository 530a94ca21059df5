// Messages a second from one process to another: shm_mq of ours, process.send, MessagePort, and PostgreSQL's own shm_mq between two of its processes, side by
// side. `npm run bench:shm-mq -- --queue 65536 --repeat 3`. PostgreSQL's is measured where its headers are installed (bench/postgres.mjs), with the C module
// bench/shm-mq/postgres.c, which does what bench/shm-mq/library.mjs does.
import { fork } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Worker, isMainThread, parentPort } from 'node:worker_threads';
import { heading, load, median, options, quantile, root, startPostmaster, table } from './lib.mjs';
import { NO_HEADERS, havePostgres, startPostgres } from './postgres.mjs';

/** Of all kinds alike, before they are measured: V8 compiles what is hot, which takes it as long as some hundred thousand messages. */
const WARM_UP = 2;
const ROUNDS = 5;
const SIZES = [
  [16, 1_000_000],
  [1024, 300_000],
  [65_536, 4_000],
];
const LIBRARY = join(root, 'bench/shm-mq/library.mjs');
const self = fileURLToPath(import.meta.url);

// --- the other end of process.send and of MessagePort ----------------------------------------------------------------------------------------

/** What is slower by more than that sends so many of the messages. */
const fewer = (count) => Math.ceil(count / 20);

const answerLast = (answer) => (message) => {
  if (message[0] === 9 || message[0] === '9') answer();
};

// --- each of the four: microseconds of each round -----------------------------------------------------------------------------------------------

async function ours(queue, flush) {
  const pm = await startPostmaster({ settings: { shared_preload_libraries: LIBRARY, log_min_messages: 'panic' } });
  const results = [];
  for (const [size, count] of SIZES) {
    const session = await pm.connect();
    results.push((await session.call(LIBRARY, 'sends', queue, size, count, flush, WARM_UP + ROUNDS)).slice(WARM_UP));
    await session.close();
  }
  await pm.stop();
  return results;
}

async function channel(send, onAnswer, make) {
  const results = [];
  for (const [size, full] of SIZES) {
    const count = fewer(full);
    const [message, last] = [make(size, 7), make(size, 9)];
    const rounds = [];
    for (let round = 0; round < WARM_UP + ROUNDS; round++) {
      const answered = new Promise((resolve) => onAnswer(resolve));
      const begin = process.hrtime.bigint();
      for (let n = 1; n < count; n++) send(message);
      send(last);
      await answered;
      rounds.push((Number(process.hrtime.bigint() - begin) / 1000) * (full / count));
    }
    results.push(rounds.slice(WARM_UP));
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

/** PostgreSQL's own. */
async function postgres(queue, flush) {
  const server = await startPostgres({ name: 'bench_shm_mq', source: join(root, 'bench/shm-mq/postgres.c') });
  try {
    await server.until(() => answers(server));
    server.sql(`CREATE FUNCTION bench_shm_mq(int8, int4, int4, bool) RETURNS float8 AS '${server.library}' LANGUAGE C STRICT`);
    return SIZES.map(([size, count]) =>
      Array.from({ length: WARM_UP + ROUNDS }, () => Number(server.sql(`SELECT bench_shm_mq(${queue}, ${size}, ${count}, ${flush})`))).slice(WARM_UP),
    );
  } finally {
    await server.stop();
  }
}

function answers(server) {
  try {
    return server.sql('SELECT 1');
  } catch {
    return null;
  }
}

// --- the table ------------------------------------------------------------------------------------------------------------------------------------

const perSecond = (count, us) => {
  const n = (count / us) * 1e6;
  return n >= 1e6 ? `${(n / 1e6).toFixed(2)} M` : `${(n / 1e3).toFixed(n >= 1e5 ? 0 : 1)} k`;
};

/** What is measured: by what name, how, how many messages of so many, and beside which of PostgreSQL's. */
const kindsFor = (queue) => [
  { what: 'shm_mq, in batches', measure: () => ours(queue, false), own: 'PostgreSQL, in batches' },
  { what: 'shm_mq, each flushed', measure: () => ours(queue, true), own: 'PostgreSQL, each flushed' },
  { what: 'process.send, json', measure: () => processSend('json'), sent: fewer },
  { what: 'process.send, advanced', measure: () => processSend('advanced'), sent: fewer },
  { what: 'MessagePort', measure: () => messagePort(), sent: fewer },
  ...(havePostgres()
    ? [
        { what: 'PostgreSQL, in batches', measure: () => postgres(queue, false) },
        { what: 'PostgreSQL, each flushed', measure: () => postgres(queue, true) },
      ]
    : []),
];

async function main() {
  const { queue, repeat } = options({ queue: 65_536, repeat: 3 });
  const kinds = kindsFor(queue);
  const times = Object.fromEntries(kinds.map(({ what }) => [what, SIZES.map(() => [])]));
  for (let turn = 0; turn < repeat; turn++) {
    for (const { what, measure } of kinds) (await measure()).forEach((rounds, i) => times[what][i].push(...rounds));
  }
  heading(
    `Messages a second from one process (MessagePort: thread) to another; queues of ${queue} bytes; a batch is all messages of a round; ` +
      `${repeat} runs of ${ROUNDS} rounds, in turns, each run after ${WARM_UP} that are not measured`,
  );
  if (!havePostgres()) process.stdout.write(NO_HEADERS);
  // The better of the two is what ours is measured by.
  const send = (i) => Math.min(...['process.send, json', 'process.send, advanced'].map((what) => median(times[what][i])));
  const rows = kinds.flatMap(({ what, own, sent = (count) => count }) =>
    SIZES.map(([size, count], i) => {
      const rounds = times[what][i];
      return {
        what,
        size: String(size),
        n: `${rounds.length} x ${sent(count)}`,
        median: perSecond(count, median(rounds)),
        'p99 (slowest)': perSecond(count, quantile(rounds, 0.99)),
        'x process.send': (send(i) / median(rounds)).toFixed(1),
        "of PostgreSQL's": times[own] === undefined ? '' : (median(times[own][i]) / median(rounds)).toFixed(2),
      };
    }),
  );
  table(rows);
  process.stdout.write(`\nload at the end ${load()}\n`);
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
