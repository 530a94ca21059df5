// An idle postmaster with ten idle workers makes no system call: strace watches all eleven processes, all their threads, for twenty seconds.
//
//   node bench/idle.mjs [--seconds 20] [--workers 10]
//
// Exit status 0 only where the count is 0. Needs strace, and permission to trace.
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { heading, options, startPostmaster } from './lib.mjs';
import { descriptor } from './library.mjs';

// Until all of them sleep. A postmaster's look at its lock file is due after a minute; what V8 of Node 20 wanted to measure 5 and 20 s after a WebAssembly module
// was instantiated, which importing a CommonJS module does, falls into the time that is counted: it takes no such tasks (V6 in docs/fork-safety.md).
const SETTLE_MS = 3_000;

const { seconds, workers } = options({ seconds: 20, workers: 10 });
heading(`System calls of an idle postmaster with ${workers} idle workers in ${seconds} s`);
const postmaster = await startPostmaster({ settings: { max_worker_processes: workers, log_min_messages: 'panic' } });
const traces = mkdtempSync(join(tmpdir(), 'bgw-idle-'));
try {
  const session = await postmaster.connect();
  const pids = [postmaster.pid];
  for (let i = 0; i < workers; i++) {
    const handle = await session.registerDynamicBackgroundWorker({ ...descriptor('idle', undefined), notifyPid: 'self' });
    pids.push((await session.waitForBackgroundWorkerStartup(handle)).pid);
  }
  await session.close();
  await sleep(Math.max(0, SETTLE_MS - performance.now()));
  const threads = threadsOf(pids);
  const calls = await trace(pids);
  for (const [tid, text] of calls) if (text !== '') process.stdout.write(`${threads.get(tid)?.name} (${tid}):\n${text}\n`);
  const count = calls.reduce((sum, [, text]) => sum + text.split('\n').filter((line) => line !== '').length, 0);
  process.stdout.write(`${count} system calls by ${pids.length} processes (${threads.size} threads)\n`);
  process.exitCode = count === 0 ? 0 : 1;
} finally {
  await postmaster.stop();
  rmSync(traces, { recursive: true });
}

function sleep(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

function threadsOf(pids) {
  const name = (pid, tid) => `${pid === postmaster.pid ? 'postmaster' : 'worker'}${tid === pid ? '' : `, thread of ${pid}`}`;
  return new Map(pids.flatMap((pid) => readdirSync(`/proc/${pid}/task`).map((tid) => [Number(tid), { name: name(pid, Number(tid)) }])));
}

/**
 * What each thread called in that time, as text. Attaching interrupts every sleep, and whoever is woken so goes back to sleep by a call of its own: the first
 * second is not counted.
 */
async function trace(pids) {
  const begin = Date.now() / 1000 + 1;
  const strace = spawn('strace', ['-f', '-ff', '-ttt', '-q', '-o', join(traces, 't'), ...pids.flatMap((pid) => ['-p', String(pid)])], {
    stdio: 'inherit',
  });
  const ended = new Promise((resolve, reject) => {
    strace.once('error', reject);
    strace.once('exit', resolve);
  });
  await Promise.race([sleep((seconds + 1) * 1000), ended]);
  strace.kill('SIGINT');
  await ended;
  return readdirSync(traces).map((name) => {
    const lines = readFileSync(join(traces, name), 'utf8').split('\n');
    return [Number(name.split('.')[1]), lines.filter((line) => Number.parseFloat(line) >= begin).join('\n')];
  });
}
