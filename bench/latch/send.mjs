// process.send between a process and its child, for bench/latch.mjs: send.mjs CORE0 CORE1 ROUNDS; prints microseconds as JSON.
import { execFileSync, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const [core0, core1, rounds] = process.argv.slice(2).map(Number);
const pin = (core) => execFileSync('taskset', ['-apc', String(core), String(process.pid)], { stdio: 'ignore' });
const WARM_UP = 1000;

if (process.send !== undefined) {
  pin(core1);
  process.on('message', (message) => process.send(message));
} else {
  pin(core0);
  const child = fork(fileURLToPath(import.meta.url), process.argv.slice(2));
  const times = [];
  let begin = 0;
  const serve = () => {
    begin = performance.now();
    child.send(times.length);
  };
  child.on('message', () => {
    times.push((performance.now() - begin) * 1000);
    if (times.length < rounds + WARM_UP) return serve();
    child.disconnect();
    process.stdout.write(JSON.stringify(times.slice(WARM_UP)));
  });
  serve();
}
