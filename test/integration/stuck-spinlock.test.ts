// A spinlock that somebody has written over: who spins does not spin for ever, but PANICs, as in PostgreSQL (s_lock_stuck), and all of shared memory is made anew.
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { fixture, tempDir, withPostmaster } from '../helpers/index.js';
import { errorOf, logLines, reopenSession } from './support.js';

const LIBRARY = fixture('spinlocks.mjs');

test('a stuck spinlock is a PANIC, a crash, and gone afterwards: of a lock, of a condition variable, of a table of contents', async () => {
  const noSleep = join(tempDir('no-sleep'), 'no-sleep.so');
  execFileSync('cc', ['-shared', '-fPIC', '-D_GNU_SOURCE', fixture('native/no-sleep.c'), '-o', noSleep]);
  const env = { LD_PRELOAD: [process.env['LD_PRELOAD'], noSleep].filter(Boolean).join(':') };
  await withPostmaster({ preload: [LIBRARY], env }, async (pm) => {
    for (const [n, what] of ['lock', 'condition', 'contents'].entries()) {
      const session = await reopenSession(pm);
      expect(await session.call(LIBRARY, 'works')).toBe(true);
      expect(await errorOf(session.call(LIBRARY, 'spin', what))).toMatchObject({ name: 'ErrorData' });
      await pm.waitForLog(new RegExp(`(?:reinitializing[^]*){${n + 1}}`));
      await session.closed;
    }
    expect(await (await reopenSession(pm)).call(LIBRARY, 'works')).toBe(true);
    expect(logLines(pm, 'stuck spinlock')).toEqual(Array(3).fill('PANIC:  stuck spinlock detected'));
    expect(logLines(pm, 'was terminated by signal 6: Aborted')).toHaveLength(3);
  });
});
