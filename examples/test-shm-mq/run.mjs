// Runs what PostgreSQL's regression test of test_shm_mq runs, against the postmaster of a data directory: `node examples/test-shm-mq/run.mjs DIR`.
import { fileURLToPath } from 'node:url';
import { connect } from 'bgworker';

const library = fileURLToPath(new URL('test_shm_mq.mjs', import.meta.url));
const text = (length) => Array.from({ length }, () => String.fromCharCode(32 + Math.floor(Math.random() * 95))).join('');

const session = await connect(process.argv[2] ?? '.');
for (const [name, ...args] of [
  ['test_shm_mq', 1024, '', 2000, 1],
  ['test_shm_mq', 1024, 'a', 2001, 1],
  ['test_shm_mq', 32_768, text(Math.floor(900 * Math.random())), 10_000, 1],
  ['test_shm_mq', 100, text(Math.floor(200 * Math.random())), 10_000, 1],
  ['test_shm_mq_async', 32_768, text(900), 10_000, 1],
  ['test_shm_mq_pipelined', 16_384, text(270_000), 200, 3],
]) {
  const begin = performance.now();
  await session.call(library, name, ...args);
  const [queueSize, { length }, count, workers] = args;
  const what = `${name}: ${length} bytes, ${count} times, ${workers} workers, queues of ${queueSize} bytes`;
  process.stdout.write(`${what}: ${Math.round(performance.now() - begin)} ms\n`);
}
await session.close();
