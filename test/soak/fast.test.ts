// A short soak. The program runs as a process of its own, compiled (npm test compiles it before). All of it: npm run soak.

import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { projectRoot } from '../helpers/paths.js';

test('200 workers from a busy postmaster, and 20 at once, twice: nothing hangs, crashes, stays or grows', async () => {
  const args = [join(projectRoot, 'build-test/soak/run.js'), '--forks', '200', '--alive', '20', '--json'];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const [output, status] = await Promise.all([
    child.stdout.setEncoding('utf8').toArray(),
    new Promise((resolve, reject) => {
      child.once('error', reject);
      child.once('exit', resolve);
    }),
  ]);
  const { violations, forks } = JSON.parse(output.join('')) as { violations: string[]; forks: number };
  expect(violations).toEqual([]);
  expect([forks, status]).toEqual([240, 0]);
});
