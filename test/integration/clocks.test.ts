// What the postmaster does by the clock, and by which: with clocks that the test steps (fixtures/preload/clocks.mjs). Contract S-39, T-34.
import { copyFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { type Postmaster, fixture, withPostmaster } from '../helpers/index.js';
import { WORKERS, end, launch, logLines, register, waitForSaid, worker } from './support.js';

const PRELOAD = [fixture('preload/clocks.mjs'), WORKERS];
const HOUR_MS = 3_600_000;

/** Whoever looks at the clock has the right time or the wrong one, and none in between. */
function step(pm: Postmaster, clock: 'wall' | 'steady', byMs: number): void {
  writeFileSync(join(pm.dir, 'clock.new'), String(byMs));
  renameSync(join(pm.dir, 'clock.new'), join(pm.dir, `clock.${clock}`));
}

/** Has it look at its clocks, and find out anew how long it may sleep. */
async function wake(pm: Postmaster): Promise<void> {
  pm.signal('SIGHUP');
  await pm.waitForLog('received SIGHUP, reloading configuration files');
}

describe('S-39: an interval counts from the moment the end was seen, by a clock that nobody sets', () => {
  test('the wall clock goes back by an hour: a restart is not put off', async () => {
    await withPostmaster({ preload: PRELOAD }, async (pm) => {
      const session = await pm.connect();
      const handle = await register(session, worker('failsOnce', { name: 'soon', restartTime: 2 }));
      await pm.waitForLog(/"soon" \(PID \d+\) exited with exit code 1/);
      step(pm, 'wall', -HOUR_MS);
      await wake(pm);
      await waitForSaid(pm, 'soon', 'start', 2);
      await end(session, handle);
    });
  });

  test('the wall clock goes forward by two: a restart is not brought forward', async () => {
    await withPostmaster({ preload: PRELOAD, settings: { log_min_messages: 'debug1' } }, async (pm) => {
      const session = await pm.connect();
      const late = await register(session, worker('throws', { name: 'late', restartTime: HOUR_MS / 1000 }));
      await pm.waitForLog(/"late" \(PID \d+\) exited with exit code 1/);
      step(pm, 'wall', 2 * HOUR_MS);
      await wake(pm);
      // Whoever is due is started in the pass that starts this one, or in those that its end calls for.
      await end(session, (await launch(session, worker('quietlyIdle'))).handle);
      expect(logLines(pm, 'starting background worker process "late"')).toHaveLength(1);
      // It is the wall clock's step that was not looked at: by the other clock two hours have not passed, and then they have.
      step(pm, 'steady', 2 * HOUR_MS);
      await end(session, (await launch(session, worker('quietlyIdle'))).handle);
      expect(logLines(pm, 'starting background worker process "late"')).toHaveLength(2);
      await end(session, late);
    });
  });
});

// The clock is put forward to two seconds before the minute is over: those the postmaster sleeps through, and wakes by itself.
describe('T-34: the postmaster looks at its lock file once a minute, and ends at once where it is not its own', () => {
  test.each([
    ['gone', (path: string) => rmSync(path), () => 'could not open file "postmaster.pid": No such file or directory'],
    [
      'another’s',
      (path: string) => writeFileSync(path, '1\n'),
      (pm: Postmaster) => `lock file "postmaster.pid" contains wrong PID: 1 instead of ${pm.pid}`,
    ],
    [
      'a copy',
      (path: string) => {
        copyFileSync(path, `${path}.new`);
        renameSync(`${path}.new`, path);
      },
      () => 'lock file "postmaster.pid" has been replaced',
    ],
  ])('it is %s', async (_what, change, line) => {
    await withPostmaster({ preload: PRELOAD }, async (pm) => {
      change(join(pm.dir, 'postmaster.pid'));
      step(pm, 'steady', 58_000);
      await wake(pm);
      expect(await pm.exited).toBe(0);
      const because = 'LOG:  performing immediate shutdown because data directory lock file is invalid';
      const lines = logLines(pm);
      const end = ['LOG:  received immediate shutdown request', 'LOG:  database system is shut down'];
      expect(lines.slice(lines.indexOf(because) - 1)).toEqual([`LOG:  ${line(pm)}`, because, ...end, '']);
    });
  });
});
