// A few seconds of the fuzz of shared memory: that `npm run fuzz:shmem` works, and finds nothing.
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { projectRoot } from '../helpers/paths.js';

const run = promisify(execFile);

test('a worker that writes garbage over shared memory harms its peers, and not the postmaster', { timeout: 240_000 }, async () => {
  const { stdout } = await run(process.execPath, [join(projectRoot, 'test/fuzz/shmem.mjs'), '--seconds', '5', '--seed', '20261123']);
  expect(stdout).toMatch(/rounds, \d+ crash cycles, \d+ times an inconsistent state was logged; the postmaster lived through all/);
});
