// From kill(2) to the handler: a worker's, in a wait that blocks and in one that lets the event loop run, and process.on's in plain Node. In turns.
//
//   npm run bench:signals -- [--count 1000]
import { spawn } from 'node:child_process';
import { heading, lines, microseconds, now, options, row, startPostmaster, table } from './lib.mjs';
import { descriptor } from './library.mjs';

const PLAIN = `
  const { writeSync } = require('node:fs');
  process.on('SIGUSR2', () => { const at = process.hrtime.bigint(); writeSync(3, at + '\\n'); });
  setInterval(() => {}, 1 << 30);
  writeSync(3, 'ready\\n');`;

const { count } = options({ count: 1000 });
heading(`A signal, from kill to the first statement of its handler, ${count} times each, in turns`);

/** Each has a postmaster of its own: workers share their descriptor 3. */
async function worker(mainArg) {
  const postmaster = await startPostmaster();
  const told = lines(postmaster.pipe);
  const session = await postmaster.connect();
  const handle = await session.registerDynamicBackgroundWorker({ ...descriptor('handlesSignals', 'self'), mainArg });
  const { pid } = await session.waitForBackgroundWorkerStartup(handle);
  await told.next();
  await session.close();
  return { pid, told, stop: postmaster.stop };
}

async function plain() {
  const child = spawn(process.execPath, ['-e', PLAIN], { stdio: ['ignore', 'inherit', 'inherit', 'pipe'] });
  const told = lines(child.stdio[3]);
  await told.next();
  const exited = new Promise((resolve) => child.once('exit', resolve));
  return { pid: child.pid, told, stop: () => (child.kill('SIGKILL'), exited) };
}

const measured = {
  'a worker, blocking wait': await worker(0),
  'a worker, asynchronous wait': await worker(1),
  'process.on, plain Node': await plain(),
};
try {
  const times = Object.fromEntries(Object.keys(measured).map((name) => [name, []]));
  for (let n = 0; n < count; n++) {
    for (const [name, { pid, told }] of Object.entries(measured)) {
      const sent = now();
      process.kill(pid, 'SIGUSR2');
      times[name].push(microseconds(sent, BigInt(await told.next())));
    }
  }
  const base = times['process.on, plain Node'];
  table(Object.entries(times).map(([name, values]) => row(name, values, values === base ? undefined : base)));
} finally {
  for (const { stop } of Object.values(measured)) await stop();
}
