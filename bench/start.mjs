// How fast a worker starts, beside child_process.fork, in turns of the same run:
//
//   npm run bench:start -- [--count 300] [--ballast MB]
//
// "register → first line": the clock is read in the registering backend before registerDynamicBackgroundWorker, and again in the first statement of the
// worker's main function. "child_process.fork → first message": before fork(), and when the message arrives that is the child's first statement. Both one at a
// time. STOPPED means that the worker was reaped, its slot is free and its registrant knows.
import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { heading, lines, load, microseconds, now, options, row, startPostmaster, table } from './lib.mjs';

const self = fileURLToPath(import.meta.url);
if (process.send !== undefined) {
  process.send(String(now()));
  process.disconnect();
} else {
  await main();
}

async function forkNode() {
  const begin = now();
  const child = fork(self);
  const exited = new Promise((resolve) => child.once('exit', resolve));
  const firstLine = BigInt(await new Promise((resolve) => child.once('message', resolve)));
  const message = now();
  await exited;
  return { firstLine: microseconds(begin, firstLine), message: microseconds(begin, message), gone: microseconds(begin, now()) };
}

async function main() {
  const { count, ballast } = options({ count: 300, ballast: 0 });
  heading(`Starting a worker, ${count} times in turns${ballast > 0 ? `, image with ${ballast} MB of live objects` : ''}`);
  const postmaster = await startPostmaster({ settings: { log_min_messages: 'panic' }, env: { BENCH_BALLAST_MB: String(ballast) } });
  const times = { first: [], fromApplication: [], started: [], stopped: [], exit: [], terminated: [], node: [], nodeFirst: [], nodeGone: [] };
  try {
    const session = await postmaster.connect();
    const reports = lines(postmaster.pipe);
    const library = 'bench/library.mjs';
    for (let i = -10; i < count; i++) {
      const asked = now();
      const { registered, started, stopped } = await session.call(library, 'startOne');
      const firstLine = BigInt(await reports.next());
      const stay = await session.call(library, 'startAndTerminate');
      const node = await forkNode();
      if (i < 0) continue; // warming up
      times.first.push(microseconds(registered, firstLine));
      times.fromApplication.push(microseconds(asked, firstLine));
      times.started.push(microseconds(registered, started));
      times.stopped.push(microseconds(registered, stopped));
      times.exit.push(microseconds(firstLine, stopped));
      times.terminated.push(microseconds(stay.started, stay.stopped));
      times.node.push(node.message);
      times.nodeFirst.push(node.firstLine);
      times.nodeGone.push(node.gone);
    }
    await session.close();
  } finally {
    await postmaster.stop();
  }
  table([
    row('child_process.fork → first message', times.node),
    row('child_process.fork → its first line', times.nodeFirst, times.node),
    row('register → first line of main', times.first, times.node),
    row('… asked for by an application', times.fromApplication, times.node),
    row('register → STARTED', times.started),
    row('first line → STOPPED (exit 0, slot free)', times.exit),
    row('terminate → STOPPED', times.terminated),
    row('child_process.fork → exit seen', times.nodeGone),
    row('register → STOPPED', times.stopped, times.nodeGone),
  ]);
  process.stdout.write(`\nratio: how many times sooner than child_process.fork, by medians; load at the end ${load()}\n`);
}
