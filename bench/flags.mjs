// What else Node could be started with, beside what it is (src/launch/node-flags.ts): compiling everything while it is loaded, so that a child need not. In turns.
//
//   npm run bench:flags -- [--count 40] [--rounds 5] [--library PATH]
//
// `ours`: every function of bgworker is compiled while it is loaded, none of the libraries'; `all`: of the libraries too. --library: an application's weight, the
// TypeScript compiler by default. `first line`: from the registration to the first statement of main; image: the postmaster's resident memory; USS: what is a
// worker's own, right after its first line; start: until the postmaster is ready.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { NODE_FLAGS, heading, lines, load, median, microseconds, now, quantile, root, startPostmaster, table, time } from './lib.mjs';
import { memoryOf } from './memory/look.mjs';

const { values } = parseArgs({
  options: {
    count: { type: 'string', default: '40' },
    rounds: { type: 'string', default: '5' },
    library: { type: 'string', default: join(root, 'node_modules/typescript/lib/typescript.js') },
  },
});
const [count, rounds] = [Number(values.count), Number(values.rounds)];
const LIBRARY = join(root, 'bench/library.mjs');
/** Loaded first: what comes after it is compiled when it is used. */
const LAZY = join(root, 'bench/lazy.mjs');

const VARIANTS = {
  'as it is': { flags: NODE_FLAGS, preload: [LIBRARY] },
  'ours, --no-lazy': { flags: [...NODE_FLAGS, '--no-lazy'], preload: [LAZY, LIBRARY] },
  'all, --no-lazy': { flags: [...NODE_FLAGS, '--no-lazy'], preload: [LIBRARY] },
  'as it is, with the library': { flags: NODE_FLAGS, preload: [values.library, LIBRARY] },
  'ours, with the library': { flags: [...NODE_FLAGS, '--no-lazy'], preload: [LAZY, values.library, LIBRARY] },
  'all, with the library': { flags: [...NODE_FLAGS, '--no-lazy'], preload: [values.library, LIBRARY] },
};

const residentMb = (pid) => Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))[1]) / 1024;

async function round({ flags, preload }, found) {
  const begin = now();
  const postmaster = await startPostmaster({ flags, settings: { shared_preload_libraries: preload.map((path) => `"${path}"`).join(',') } });
  found.start.push(microseconds(begin, now()));
  try {
    found.image.push(residentMb(postmaster.pid));
    const session = await postmaster.connect();
    const reports = lines(postmaster.pipe);
    for (let i = -5; i < count; i++) {
      const { registered } = await session.call(LIBRARY, 'startOne');
      const at = BigInt(await reports.next());
      if (i >= 0) found.first.push(microseconds(registered, at));
    }
    const staying = { flags: 1, startTime: 2, restartTime: -1, libraryName: LIBRARY, name: 'own memory', functionName: 'idle', notifyPid: 'self' };
    const handle = await session.registerDynamicBackgroundWorker(staying);
    const { pid } = await session.waitForBackgroundWorkerStartup(handle);
    await new Promise((resolve) => setTimeout(resolve, 300));
    found.uss.push(memoryOf(pid).uss);
    await session.close();
  } finally {
    await postmaster.stop();
  }
}

heading(`Starting a worker, by what is compiled beforehand; ${rounds} rounds of ${count} each, in turns`);
const results = new Map(Object.keys(VARIANTS).map((what) => [what, { start: [], image: [], first: [], uss: [] }]));
for (let n = 0; n < rounds; n++) for (const [what, found] of results) await round(VARIANTS[what], found);
table(
  [...results].map(([what, { start, image, first, uss }]) => ({
    what,
    n: String(first.length),
    'first line, p10': time(quantile(first, 0.1)),
    median: time(median(first)),
    p99: time(quantile(first, 0.99)),
    image: `${median(image).toFixed(0)} MB`,
    USS: `${median(uss).toFixed(2)} MB`,
    start: time(median(start)),
  })),
);
process.stdout.write(`\nload at the end ${load()}\n`);
