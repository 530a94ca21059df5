// The mutex that one writes with Atomics between worker_threads, exclusive only: what LWLocks are measured beside. For bench/lwlock.mjs.
// Arguments: cores, players, rounds, batch. The first thread's times, in nanoseconds for an operation, as JSON. Threads of one process are pinned together:
// cores are given as a list for the process.
import { Worker, isMainThread, workerData } from 'node:worker_threads';

function play({ words, players, rounds, batch }) {
  Atomics.add(words, 1, 1);
  while (Atomics.load(words, 1) < players) Atomics.wait(words, 2, 0, 1);
  const times = [];
  for (let round = 0; round < rounds; round++) {
    const begin = process.hrtime.bigint();
    for (let n = 0; n < batch; n++) {
      // 0 free, 1 held, 2 held and somebody waits.
      let held = Atomics.compareExchange(words, 0, 0, 1);
      while (held !== 0) {
        if (held === 2 || Atomics.compareExchange(words, 0, 1, 2) !== 0) Atomics.wait(words, 0, 2);
        held = Atomics.compareExchange(words, 0, 0, 2);
      }
      if (Atomics.exchange(words, 0, 0) === 2) Atomics.notify(words, 0, 1);
    }
    times.push(Number(process.hrtime.bigint() - begin) / batch);
  }
  return times;
}

if (isMainThread) {
  const [players, rounds, batch] = process.argv.slice(2).map(Number);
  const game = { words: new Int32Array(new SharedArrayBuffer(12)), players, rounds, batch };
  const others = Array.from({ length: players - 1 }, () => new Worker(new URL(import.meta.url), { workerData: game }));
  const times = play(game);
  await Promise.all(others.map((worker) => new Promise((resolve) => worker.once('exit', resolve))));
  process.stdout.write(`${JSON.stringify(times)}\n`);
} else {
  play(workerData);
}
