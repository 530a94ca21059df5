// A child of child_process.fork or of cluster, and, with --threads, a process with that many threads, for bench/memory.mjs: it does its work, says so, and sleeps.
import { readFileSync } from 'node:fs';
import { Worker, isMainThread, parentPort } from 'node:worker_threads';
import { fileURLToPath } from 'node:url';
import { WORK } from './work.mjs';

const self = fileURLToPath(import.meta.url);
const at = process.argv.indexOf('--threads');

if (!isMainThread) {
  parentPort.on('message', () => {});
  parentPort.postMessage('ready');
} else if (at > 0) {
  await startThreads(Number(process.argv[at + 1]));
} else {
  process.on('message', () => {}); // keeps the channel, and the process with it
  WORK[Number(process.argv[2] ?? 0)][1]();
  process.send('ready');
}

async function startThreads(count) {
  process.on('message', () => {});
  const threads = [];
  for (let n = 0; n < count; n++) {
    const thread = new Worker(self);
    threads.push(thread);
    await new Promise((resolve, reject) => thread.once('message', resolve).once('error', reject));
  }
  process.send(`ready, ${threads.length} threads, ${readFileSync('/proc/self/stat', 'latin1').split(' ')[0]}`);
}
