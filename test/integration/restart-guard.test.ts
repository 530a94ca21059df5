// The guard against what fails again and again, in a real postmaster. Each rule is tested in test/unit/postmaster; here it is seen to be wired up.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { type Postmaster, waitUntil, withPostmaster } from '../helpers/index.js';
import { CALLS, WORKERS, launch, logLines, openSession, register, reopenSession, waitForSaid, worker } from './support.js';

const PRELOAD = [WORKERS, CALLS];

/** When the log says this, in milliseconds. */
function timesOf(pm: Postmaster, what: string): number[] {
  const lines = pm.log().split('\n').filter((line) => line.includes(what)); // prettier-ignore
  return lines.map((line) => Date.parse(`${line.slice(0, 10)}T${line.slice(11, 23)}Z`));
}

test('worker_give_up_after: unregistered, and the registrant sees the end; log_fold_repeats: its exits are one line and a count', () =>
  withPostmaster({ preload: PRELOAD, settings: { worker_give_up_after: 5, log_fold_repeats: 'on' } }, async (pm) => {
    const session = await openSession(pm);
    const handle = await register(session, worker('procExits', { name: 'w', type: 'kind', mainArg: 1, restartTime: 0 }));
    await pm.waitForLog('giving up');
    const pid = (line: string | undefined): string => line?.replace(/\(PID \d+\)/, '(PID)') ?? '';
    expect(logLines(pm, 'kind').concat(logLines(pm, 'last message')).map(pid).toSorted()).toEqual([
      'DETAIL:  The last one was: background worker "kind" (PID) exited with exit code 1.',
      'LOG:  background worker "kind" (PID) exited with exit code 1',
      'LOG:  background worker "kind" (PID) exited with exit code 1',
      'LOG:  giving up background worker "kind" after 5 failures in a row',
      'LOG:  last message repeated 3 times',
    ]); // prettier-ignore
    expect(logLines(pm, 'HINT')).toEqual(['HINT:  Register it again when the cause has been removed. The limit is set by "worker_give_up_after".']);
    expect((await session.activity()).filter(({ name }) => name === 'w')).toEqual([]);
    expect(await session.waitForBackgroundWorkerShutdown(handle)).toBe(2);
    // The slot is free: as many as there are slots can be registered.
    const all = await Promise.all(Array.from({ length: 8 }, (_, n) => session.registerDynamicBackgroundWorker(worker('idle', { name: `w${n}` }))));
    expect(all).not.toContain(null);
  }));

test('worker_restart_backoff_max: the delay is served by its deadline, and a reload takes it back', () =>
  withPostmaster({ preload: PRELOAD, conf: 'worker_restart_backoff_max = 1h\n' }, async (pm) => {
    const session = await openSession(pm);
    const before = Date.now(); // an exit is noted before its line is written
    await register(session, worker('procExits', { name: 'w', mainArg: 1, restartTime: 0 }));
    await pm.waitForLog('It has failed 2 times in a row and will be restarted in 2 s.');
    const [, second] = timesOf(pm, 'exited with exit code 1') as [number, number];
    expect(second - before).toBeGreaterThanOrEqual(995); // two clocks
    expect(logLines(pm, 'DETAIL')[0]).toBe('DETAIL:  It has failed once and will be restarted in 1 s.');
    writeFileSync(join(pm.dir, 'bgworker.conf'), 'worker_restart_backoff_max = 0\n');
    pm.signal('SIGHUP');
    // As PostgreSQL then: at once, again and again.
    await waitUntil(() => timesOf(pm, 'exited with exit code 1').length > 8, { what: 'restarts without a delay', timeoutMs: 10_000 });
  }));

test('worker_restart_backoff_max: a worker that crashes the server waits, when all the others are back at once', () =>
  withPostmaster({ preload: PRELOAD, settings: { worker_restart_backoff_max: 3600 } }, async (pm) => {
    const session = await pm.connect();
    await launch(session, worker('idle', { name: 'bystander', restartTime: 3600 }));
    await waitForSaid(pm, 'bystander', 'ready');
    await register(session, worker('procExits', { name: 'culprit', mainArg: 2, restartTime: 1800 }));
    await session.closed;
    const again = await reopenSession(pm);
    await waitForSaid(pm, 'bystander', 'ready', 2);
    const workers = (await again.activity()).filter(({ slot }) => slot !== null);
    const running = workers.filter(({ pid }) => pid !== 0 && pid !== null);
    expect([workers.map(({ name }) => name).toSorted(), running.map(({ name }) => name)]).toEqual([['bystander', 'culprit'], ['bystander']]);
    expect(timesOf(pm, 'terminating any other active server processes')).toHaveLength(1);
  }));

test('crash_cycle_backoff_max, crash_give_up_after: the pause grows, nobody is let in, and the server ends with status 1', () =>
  withPostmaster({ preload: PRELOAD, settings: { crash_cycle_backoff_max: 60, crash_give_up_after: 4 } }, async (pm) => {
    const session = await pm.connect();
    await register(session, worker('procExits', { name: 'w', mainArg: 2, restartTime: 3600 }));
    await pm.waitForLog('reinitializing in 2 s after 3 crashes in a row');
    await expect(pm.connect()).rejects.toMatchObject({ code: '57P03', message: 'the database system is in recovery mode' });
    expect(await pm.exited).toBe(1);
    const begun = timesOf(pm, 'all server processes terminated; reinitializing');
    expect(begun).toHaveLength(3);
    expect(begun[2]! - begun[1]!).toBeGreaterThanOrEqual(1_995); // the crash lies between them
    expect(logLines(pm, '] LOG:').slice(-2)).toEqual(['LOG:  shutting down after 4 crashes in a row', 'LOG:  database system is shut down']);
  }));

test('a shutdown does not wait for the pause after a crash', () =>
  withPostmaster({ preload: PRELOAD, settings: { crash_cycle_backoff_max: 60 } }, async (pm) => {
    const session = await pm.connect();
    await register(session, worker('procExits', { name: 'w', mainArg: 2, restartTime: 3600 }));
    await pm.waitForLog('reinitializing in 2 s after 3 crashes in a row');
    expect(await pm.stop('fast')).toBe(1);
    expect(logLines(pm, '] LOG:').slice(-3)).toEqual([
      'LOG:  received fast shutdown request',
      'LOG:  abnormal database system shutdown',
      'LOG:  database system is shut down',
    ]);
  }));
