// The example test_shm_mq, PostgreSQL's own test of its message queues, ported: a ring of workers, in the blocking, the non-blocking and the asynchronous form.
// Contract 12.3.
import { describe, expect, test } from 'vitest';
import { waitUntil } from '../helpers/index.js';
import { errorOf, logLines, openSession, sharedPostmaster } from './support.js';

const TEST_SHM_MQ = './examples/test-shm-mq/test_shm_mq.mjs';
const pm = sharedPostmaster({ preload: [TEST_SHM_MQ], settings: { max_worker_processes: '6', log_min_messages: 'debug1' } });

async function run(name: string, ...args: unknown[]): Promise<unknown> {
  const session = await openSession(pm);
  try {
    return await session.call(TEST_SHM_MQ, name, ...args);
  } finally {
    await session.close();
    await workersGone();
  }
}

async function workersGone(): Promise<void> {
  const session = await openSession(pm);
  await waitUntil(async () => (await session.activity()).every(({ type }) => type !== 'test_shm_mq'), { what: 'the workers to leave' });
  await session.close();
}

const random = (seed: number, length: number): string => {
  let state = seed;
  return Array.from({ length }, () => String.fromCharCode(32 + (((state = (state * 1_103_515_245 + 12_345) % 2 ** 31) >> 16) % 94))).join('');
};

// W-24's own sizes and counts, but for the fourth's, which is cut to its tenth.
describe.each(['test_shm_mq', 'test_shm_mq_async', 'test_shm_mq_pipelined'])('W-20, W-24: %s', (form) => {
  test.each([
    ['an empty message', 1024, '', 2000, 1],
    ['one byte', 1024, 'a', 2001, 1],
    ['some text through 32 KiB', 32_768, random(1, 913), 10_000, 1],
    ['some text through a queue of 100 bytes, which it does not fit into', 100, random(2, 287), 1000, 2],
  ])('%s', async (_, queueSize, message, count, workers) => {
    expect(await run(form, queueSize, message, count, workers)).toBeUndefined();
  });
});

describe('test_shm_mq_pipelined', () => {
  test('W-24: 270,000 bytes, 200 times, over three workers through 16 KiB', async () => {
    expect(await run('test_shm_mq_pipelined', 16_384, random(3, 270_000), 200, 3)).toBeUndefined();
  });

  test('W-21: without a worker, through a queue to itself', async () => {
    for (const verify of [true, false]) expect(await run('test_shm_mq_pipelined', 16_384, random(4, 2700), 2000, 0, verify)).toBeUndefined();
  });
});

describe('bad input', () => {
  const COUNT = 'repeat count size must be an integer value greater than or equal to zero';
  test.each([
    ['test_shm_mq', [1024, '', -1, 1], COUNT],
    ['test_shm_mq', [1024, '', 1, 0], 'number of workers must be an integer value greater than zero'],
    ['test_shm_mq', [10, '', 1, 1], 'queue size must be at least 64 bytes'],
    ['test_shm_mq', [-1, '', 1, 1], 'queue size must be at least 64 bytes'],
    ['test_shm_mq_pipelined', [1024, '', -1, 1], COUNT],
    ['test_shm_mq_pipelined', [1024, '', 1, -1], 'number of workers must be an integer value greater than or equal to zero'],
    ['test_shm_mq_async', [1024, '', 1, -1], 'number of workers must be an integer value greater than or equal to zero'],
  ])('%s%j: %s', async (form, args, message) => {
    expect(await errorOf(run(form, ...args))).toMatchObject({ code: '22023', message });
  });

  test('W-23: no slot for a worker: an error, and those that were registered are ended', async () => {
    expect(await errorOf(run('test_shm_mq', 1024, '', 1, 7))).toMatchObject({
      code: '53000',
      message: 'could not register background process',
      hint: 'You may need to increase max_worker_processes.',
    });
  });
});

test('W-22: a worker ends with status 1, and has a type and no name of its own', async () => {
  await run('test_shm_mq', 1024, 'x', 1, 1);
  await waitUntil(() => logLines(pm, 'background worker "test_shm_mq"', 'exited with exit code 1').length > 0, { what: 'the line of its exit' });
});
