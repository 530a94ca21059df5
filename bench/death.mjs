// kill -9 of a postmaster → the last of its workers is gone. Each of them, idle in an asynchronous wait, holds the other end of a pipe: its end is theirs.
//
//   npm run bench:death -- [--rounds 10] [--most 1000]
import { heading, median, microseconds, now, options, row, startPostmaster, table } from './lib.mjs';
import { descriptor, library } from './library.mjs';

const { rounds, most } = options({ rounds: 10, most: 1000 });
heading('A postmaster is killed: until the last of its workers is gone');

async function round(workers) {
  const postmaster = await startPostmaster({ settings: { max_worker_processes: workers } });
  try {
    const session = await postmaster.connect();
    for (let n = 0; n < workers; n++) {
      const handle = await session.registerDynamicBackgroundWorker(descriptor('idle', 'self'));
      await session.waitForBackgroundWorkerStartup(handle);
    }
    const ended = new Promise((resolve) => postmaster.pipe.once('end', resolve).resume());
    session.closed.catch(() => undefined);
    const killed = now();
    process.kill(postmaster.pid, 'SIGKILL');
    await ended;
    return microseconds(killed, now());
  } finally {
    await postmaster.stop();
  }
}

// Once in a session's backend, which asks the kernel for the same signal as a worker.
const LOOKS = 100_000;
async function looks() {
  const postmaster = await startPostmaster();
  try {
    const session = await postmaster.connect();
    const times = await session.call(library, 'looksAtPostmaster', 20);
    const reads = await session.call(library, 'readsOfLooks', LOOKS);
    await session.close();
    return { times, reads };
  } finally {
    await postmaster.stop();
  }
}

const { times: nanoseconds, reads } = await looks();
process.stdout.write(`postmasterIsAlive() while it lives: median ${median(nanoseconds).toFixed(1)} ns a call, ${reads} reads in ${LOOKS} calls\n\n`);

const rows = [];
for (const workers of [1, 10, 100, 1000].filter((n) => n <= most)) {
  const times = [];
  // What takes long is done less often.
  for (let n = 0; n < Math.max(3, workers < 100 ? rounds : rounds / 2); n++) times.push(await round(workers));
  rows.push(row(`${workers} worker${workers === 1 ? '' : 's'}`, times));
}
table(rows);
