// A few seconds of the stress script of locks, on all processors and on one, and some kills: that `npm run stress:lwlock` works, and finds nothing.
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { projectRoot } from '../helpers/paths.js';

const run = promisify(execFile);
const SCRIPT = join(projectRoot, 'test/stress/lwlock.mjs');

test.each([
  ['on all processors', [process.execPath, SCRIPT, '--minutes', '0.03'], /segments: nothing was lost, nobody hung/],
  ['on one', ['taskset', '-c', '0', process.execPath, SCRIPT, '--minutes', '0.03'], /segments: nothing was lost, nobody hung/],
  ['with kill -9 of anybody', [process.execPath, SCRIPT, '--kills', '10'], /10 kills: .* nobody hung, nothing was left/],
] as const)('%s', { timeout: 180_000 }, async (_, [file, ...args], line) => {
  expect((await run(file, args)).stdout).toMatch(line);
});
