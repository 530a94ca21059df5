// Some seconds of the stress of shared memory, on all processors and on one, and some kills: that the scripts work (`npm run stress:shm-mq`, `stress:lwlock`,
// `stress:kills`), and find nothing.
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { projectRoot } from '../helpers/paths.js';

const run = promisify(execFile);
const SCRIPT = [process.execPath, join(projectRoot, 'test/stress/run.mjs')];
const ON_ONE = ['taskset', '-c', '0'];

test.each([
  ['message queues, on all processors', [...SCRIPT, '--only', 'shm-mq', '--minutes', '0.05'], /rings, \d+ messages: nothing was lost, nobody hung/],
  ['message queues, on one', [...ON_ONE, ...SCRIPT, '--only', 'shm-mq', '--minutes', '0.05'], /rings, \d+ messages: nothing was lost, nobody hung/],
  ['locks, on all processors', [...SCRIPT, '--only', 'lwlock', '--minutes', '0.03'], /segments: nothing was lost, nobody hung/],
  ['locks, on one', [...ON_ONE, ...SCRIPT, '--only', 'lwlock', '--minutes', '0.03'], /segments: nothing was lost, nobody hung/],
  ['kill -9 of anybody', [...SCRIPT, '--kills', '20'], /20 kills: nobody hung, nothing was left/],
] as const)('%s', { timeout: 180_000 }, async (_, [file = '', ...args], line) => {
  expect((await run(file, args)).stdout).toMatch(line);
});
