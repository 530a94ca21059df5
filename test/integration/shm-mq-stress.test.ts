// A few seconds of the stress script of message queues, on all processors and on one, and some kills: that `npm run stress:shm-mq` works, and finds nothing.
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { projectRoot } from '../helpers/paths.js';

const run = promisify(execFile);
const SCRIPT = join(projectRoot, 'test/stress/shm-mq.mjs');

test.each([
  ['on all processors', [process.execPath, SCRIPT, '--minutes', '0.05'], /rounds, \d+ messages, every one as it was sent/],
  ['on one', ['taskset', '-c', '0', process.execPath, SCRIPT, '--minutes', '0.05'], /rounds, \d+ messages, every one as it was sent/],
  ['with kill -9 of anybody', [process.execPath, SCRIPT, '--kills', '10'], /10 kills: .* nobody hung, nothing was left/],
] as const)('%s', { timeout: 120_000 }, async (_, [file, ...args], line) => {
  expect((await run(file, args)).stdout).toMatch(line);
});
