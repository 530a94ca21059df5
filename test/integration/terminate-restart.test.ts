// Ending workers in every state that they can be in, and starting them again by their interval. Contract 3.1, 4.1, 4.2, H-04, H-17, H-18.
import { describe, expect, test } from 'vitest';
import { isAlive, waitUntil } from '../helpers/index.js';
import { STOPPED, end, launch, logLines, openSession, register, said, sharedPostmaster, waitForSaid, worker } from './support.js';

const pm = sharedPostmaster({ settings: { log_min_messages: 'debug1' } });

/** When the postmaster wrote the lines that have this. */
function timesOf(...parts: string[]): number[] {
  const lines = pm.log().split('\n').filter((line) => parts.every((part) => line.includes(part))); // prettier-ignore
  return lines.map((line) => Date.parse(line.slice(0, 23).replace(' ', 'T')));
}

describe('terminateBackgroundWorker', () => {
  test('S-03, H-18: a running worker gets SIGTERM, says so, and is forgotten though it would be restarted', async () => {
    const session = await openSession(pm);
    const { handle, pid } = await launch(session, worker('idle', { name: 'ended', type: 'a type', restartTime: 0 }));
    await waitForSaid(pm, 'ended', 'ready');
    await end(session, handle);
    await pm.waitForLog(`"a type" (PID ${pid}) exited with exit code 1`);
    // O-02: unregistering stands before the exit. The name is in the one, the type in the others.
    expect(logLines(pm, 'a type').concat(logLines(pm, 'unregistering', '"ended"'))).toEqual([
      'FATAL:  terminating background worker "a type" due to administrator command',
      `LOG:  background worker "a type" (PID ${pid}) exited with exit code 1`,
      'DEBUG:  unregistering background worker "ended"',
    ]);
    const log = pm.log();
    expect(log.indexOf('unregistering background worker "ended"')).toBeLessThan(log.indexOf(`(PID ${pid}) exited`));
    expect(said(pm, 'ended', 'ready')).toHaveLength(1);
  });

  test('H-17, S-05: one that ignores SIGTERM stays STARTED, and is not asked again', async () => {
    const session = await openSession(pm);
    const { handle, pid } = await launch(session, worker('ignoresTerm', { name: 'stubborn', restartTime: 0 }));
    await waitForSaid(pm, 'stubborn', 'ready');
    await session.terminateBackgroundWorker(handle);
    await waitForSaid(pm, 'stubborn', 'term');
    for (let n = 0; n < 3; n++) await session.terminateBackgroundWorker(handle);
    // The postmaster has seen the requests when it has seen a registration that came later.
    await end(session, (await launch(session, worker('quietlyIdle'))).handle);
    expect(await session.getBackgroundWorkerPid(handle)).toEqual({ status: 0, pid });
    process.kill(pid, 'SIGUSR2');
    expect(await session.waitForBackgroundWorkerShutdown(handle)).toBe(STOPPED.status);
    await pm.waitForLog(`"stubborn" (PID ${pid}) exited with exit code 1`);
    expect(logLines(pm, 'unregistering', '"stubborn"')).toHaveLength(1);
    expect(said(pm, 'stubborn', 'term').map(({ data }) => data)).toEqual([1]);
  });

  test('C-24: one that blocks SIGTERM is not ended by it until it unblocks', async () => {
    const session = await openSession(pm);
    const { handle, pid } = await launch(session, worker('blocked'));
    await waitForSaid(pm, 'blocked', 'ready');
    await session.terminateBackgroundWorker(handle);
    await waitForSaid(pm, 'blocked', 'pending'); // it runs on with the signal pending, and says so
    expect(await session.waitForBackgroundWorkerShutdown(handle)).toBe(STOPPED.status);
    expect(said(pm, 'blocked', 'unblocked')).toEqual([]);
    await pm.waitForLog(`"blocked" (PID ${pid}) exited with exit code 1`);
    expect(logLines(pm, 'FATAL:  terminating background worker "blocked" due to administrator command')).toHaveLength(1);
  });

  test('S-03: SIGTERM goes to the worker alone, not to what it has started', async () => {
    const session = await openSession(pm);
    const { handle } = await launch(session, worker('hasChild', { name: 'parent' }));
    const program = (await waitForSaid(pm, 'parent', 'child')).data as number;
    await end(session, handle);
    expect(isAlive(program)).toBe(true);
    process.kill(program, 'SIGKILL');
  });

  test('H-04: twice is once', async () => {
    const session = await openSession(pm);
    const { handle } = await launch(session, worker('idle'));
    await Promise.all([session.terminateBackgroundWorker(handle), session.terminateBackgroundWorker(handle)]);
    expect(await session.waitForBackgroundWorkerShutdown(handle)).toBe(STOPPED.status);
    await session.terminateBackgroundWorker(handle);
    expect(await session.getBackgroundWorkerPid(handle)).toEqual(STOPPED);
  });
});

describe('restart', () => {
  test('X-12, X-16: exit 1 is restarted when its interval has passed since the exit, and not before', async () => {
    const session = await openSession(pm);
    const before = Date.now();
    const handle = await register(session, worker('failsOnce', { name: 'again', restartTime: 1 }));
    await waitForSaid(pm, 'again', 'start', 2);
    // Not from the line of the exit: the exit is noted before its line is written, and a busy machine may come between.
    const [, restart] = timesOf('starting background worker process "again"');
    expect((restart as number) - before).toBeGreaterThanOrEqual(995); // two clocks
    await end(session, handle);
  });

  test('S-40: interval 0 restarts at once, without end; H-18: until it is terminated', async () => {
    const session = await openSession(pm);
    const handle = await register(session, worker('throws', { name: 'forever', restartTime: 0 }));
    const starts = (): number => timesOf('starting background worker process "forever"').length;
    await waitUntil(() => starts() >= 10, { what: 'ten starts' });
    await session.terminateBackgroundWorker(handle);
    await pm.waitForLog('unregistering background worker "forever"');
    const last = starts();
    await end(session, (await launch(session, worker('quietlyIdle'))).handle);
    expect(starts()).toBe(last);
  });

  test('R-09: an interval that overflows 32 bits of milliseconds is no interval', async () => {
    const session = await openSession(pm);
    const handle = await register(session, worker('failsOnce', { name: 'overflow', restartTime: 2_500_000 }));
    await waitForSaid(pm, 'overflow', 'start', 2);
    await end(session, handle);
  });

  test('one that waits for its restart does not keep others from starting, nor from being restarted', async () => {
    const session = await openSession(pm);
    const late = await register(session, worker('throws', { name: 'late', restartTime: 3600 }));
    await pm.waitForLog(/"late" \(PID \d+\) exited with exit code 1/);
    const soon = await register(session, worker('failsOnce', { name: 'soon', restartTime: 0 }));
    await waitForSaid(pm, 'soon', 'start', 2);
    expect(timesOf('starting background worker process "late"')).toHaveLength(1);
    const listed = (await session.activity()).find(({ name }) => name === 'late');
    expect(listed).toMatchObject({ pid: null, state: 'stopped', restartTime: 3600 });
    for (const handle of [late, soon]) await end(session, handle);
  });
});
