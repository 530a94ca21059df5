// The mutex that one writes with Atomics between worker_threads, exclusive only: what LWLocks are measured beside. For bench/lwlock.mjs, whose library says how
// players begin and end. Arguments: players, milliseconds, batch. What each thread tells, as JSON. The cores are those of the process.
import { Worker, isMainThread, parentPort, workerData } from 'node:worker_threads';

/** Words of the game: the mutex, how many are ready, how many are done. */
const [MUTEX, READY, DONE] = [0, 1, 2];
const WARM_UP = 20;

function round(words, batch) {
  let waited = 0;
  for (let n = 0; n < batch; n++) {
    // 0 free, 1 held, 2 held and somebody waits.
    let held = Atomics.compareExchange(words, MUTEX, 0, 1);
    if (held !== 0) waited++;
    while (held !== 0) {
      if (held === 2 || Atomics.compareExchange(words, MUTEX, 1, 2) !== 0) Atomics.wait(words, MUTEX, 2);
      held = Atomics.compareExchange(words, MUTEX, 0, 2);
    }
    if (Atomics.exchange(words, MUTEX, 0) === 2) Atomics.notify(words, MUTEX, 1);
  }
  return waited;
}

function play({ words, players, ms, batch }) {
  for (let n = 0; n < WARM_UP; n++) round(words, batch);
  Atomics.add(words, READY, 1);
  while (Atomics.load(words, READY) < players) round(words, batch);
  const times = [];
  let waited = 0;
  for (let begin = process.hrtime.bigint(), end = begin + BigInt(ms) * 1_000_000n; begin < end;) {
    waited += round(words, batch);
    const now = process.hrtime.bigint();
    times.push(Number(now - begin) / batch);
    begin = now;
  }
  Atomics.add(words, DONE, 1);
  while (Atomics.load(words, DONE) < players) round(words, batch);
  return { waited, times };
}

if (isMainThread) {
  const [players, ms, batch] = process.argv.slice(2).map(Number);
  const game = { words: new Int32Array(new SharedArrayBuffer(12)), players, ms, batch };
  const others = Array.from({ length: players - 1 }, () => new Worker(new URL(import.meta.url), { workerData: game }));
  const told = others.map((worker) => new Promise((resolve) => worker.once('message', resolve)));
  const mine = play(game);
  process.stdout.write(`${JSON.stringify([mine, ...(await Promise.all(told))])}\n`);
} else {
  parentPort.postMessage(play(workerData));
}
