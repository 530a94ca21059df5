// Signals as main finds them, and what they do. Contract 7.2.
import { writeFileSync } from 'node:fs';
import { constants } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { waitUntil, withPostmaster } from '../helpers/index.js';
import { STOPPED, WORKERS, end, launch, logLines, openSession, register, said, sharedPostmaster, waitForSaid, worker } from './support.js';

const pm = sharedPostmaster();
const { signals } = constants;

/** As /proc shows sets of signals. */
const mask = (...names: NodeJS.Signals[]): bigint => names.reduce((set, name) => set | (1n << BigInt(signals[name] - 1)), 0n);
const NEVER_BLOCKED = mask('SIGTRAP', 'SIGABRT', 'SIGILL', 'SIGFPE', 'SIGSEGV', 'SIGBUS', 'SIGSYS', 'SIGCONT', 'SIGQUIT');
/** The kernel blocks neither of the two, and the C library keeps 32 and 33 for itself. */
const CANNOT_BE_BLOCKED = mask('SIGKILL', 'SIGSTOP') | (3n << 31n);
const BLOCKABLE = 2n ** 64n - 1n - CANNOT_BE_BLOCKED;

async function masksOf(flags: number): Promise<Record<string, bigint>> {
  const session = await openSession(pm);
  const name = `masks${flags}`;
  const handle = await register(session, worker('masks', { name, flags }));
  const { data } = await waitForSaid(pm, name, 'masks');
  await session.waitForBackgroundWorkerShutdown(handle);
  return Object.fromEntries(Object.entries(data as Record<string, string>).map(([key, set]) => [key, BigInt(`0x${set}`)]));
}

describe('masks', () => {
  test('C-12, C-22, C-23: everything is blocked at entry but what reports faults, SIGCONT and SIGQUIT; unblocking leaves SIGURG', async () => {
    const { atEntry, blocked, unblocked, afterOneUnblock } = await masksOf(1);
    expect(atEntry).toBe(BLOCKABLE & ~NEVER_BLOCKED);
    expect(blocked).toBe(atEntry);
    expect(unblocked).toBe(mask('SIGURG'));
    expect(afterOneUnblock).toBe(unblocked); // no nesting
  });

  test('C-07, 7.2: what is ignored and what is caught, without the database flag and with it', async () => {
    const ignored = mask('SIGHUP', 'SIGUSR2', 'SIGPIPE', 'SIGTTIN', 'SIGTTOU', 'SIGXFSZ');
    const caught = mask('SIGTERM', 'SIGQUIT', 'SIGALRM', 'SIGPWR');
    const [plain, connects] = [await masksOf(1), await masksOf(3)];
    for (const [masks, ignoredToo, caughtToo] of [
      [plain, mask('SIGINT', 'SIGUSR1'), 0n],
      [connects, 0n, mask('SIGINT', 'SIGUSR1')],
    ] as const) {
      expect((masks['ignored'] as bigint) & (ignored | ignoredToo)).toBe(ignored | ignoredToo);
      expect((masks['caught'] as bigint) & (caught | caughtToo)).toBe(caught | caughtToo);
      expect((masks['ignored'] as bigint) & (caught | caughtToo)).toBe(0n);
      expect((masks['ignored'] as bigint) & mask('SIGCHLD')).toBe(0n);
    }
  });
});

describe('SIGTERM', () => {
  test.each(['busyLoop', 'waitsSync', 'idle'])('C-20: by default it ends a worker with the FATAL line and status 1: %s', async (functionName) => {
    const session = await openSession(pm);
    const { handle, pid } = await launch(session, worker(functionName, { type: `type of ${functionName}`, restartTime: 3600 }));
    await waitForSaid(pm, functionName, 'ready');
    process.kill(pid, 'SIGTERM');
    expect(await session.waitForBackgroundWorkerShutdown(handle)).toBe(STOPPED.status);
    const type = `background worker "type of ${functionName}"`;
    await pm.waitForLog(`${type} (PID ${pid}) exited with exit code 1`);
    expect(pm.log()).toMatch(
      new RegExp(
        `^\\d{4}-\\d\\d-\\d\\d \\d\\d:\\d\\d:\\d\\d\\.\\d{3} UTC \\[${pid}\\] FATAL: {2}terminating ${type} due to administrator command$`,
        'm',
      ),
    );
    await end(session, handle);
  });

  test('C-20: its line has the log_line_prefix of the latest reload', () =>
    withPostmaster({ preload: [WORKERS] }, async (pm) => {
      const session = await openSession(pm);
      const { handle, pid } = await launch(session, worker('reloadsSettings'));
      await waitForSaid(pm, 'reloadsSettings', 'ready');
      writeFileSync(join(pm.dir, 'bgworker.conf'), `log_line_prefix = 'new %p '\n`);
      pm.signal('SIGHUP');
      await pm.waitForLog(`\nnew ${pid} LOG:  @reloadsSettings prefixed null\n`);
      await session.terminateBackgroundWorker(handle);
      await pm.waitForLog(`\nnew ${pid} FATAL:  terminating background worker "reloadsSettings" due to administrator command\n`);
    }));

  test('C-22: a pending one waits until signals are unblocked, and then nothing follows it', async () => {
    const session = await openSession(pm);
    const { handle, pid } = await launch(session, worker('blocked'));
    await waitForSaid(pm, 'blocked', 'ready');
    process.kill(pid, 'SIGTERM');
    const pending = BigInt(`0x${String((await waitForSaid(pm, 'blocked', 'pending')).data)}`);
    expect(pending & mask('SIGTERM')).toBe(mask('SIGTERM'));
    expect(await session.waitForBackgroundWorkerShutdown(handle)).toBe(STOPPED.status);
    expect(said(pm, 'blocked', 'unblocked')).toEqual([]);
  });

  test('C-20, C-21: with `die` it ends the worker in order, at its next check: exit callbacks run', async () => {
    const session = await openSession(pm);
    const { handle, pid } = await launch(session, worker('diesWhenAsked', { name: 'dies' }));
    await waitForSaid(pm, 'dies', 'ready');
    process.kill(pid, 'SIGTERM');
    expect(await session.waitForBackgroundWorkerShutdown(handle)).toBe(STOPPED.status);
    expect(said(pm, 'dies', 'callback').map(({ data }) => data)).toEqual([1]);
    expect(logLines(pm, 'FATAL:  terminating background worker "dies" due to administrator command')).toHaveLength(1);
  });
});

describe('handlers', () => {
  test('C-22: those of pending signals have run when backgroundWorkerUnblockSignals returns, not before, once each', async () => {
    const session = await openSession(pm);
    const handle = await register(session, worker('handlersRun', { name: 'handlers' }));
    const { data } = await waitForSaid(pm, 'handlers', 'handlers');
    // Two SIGHUPs were one pending signal. The highest number first, as C's handlers, each interrupted by the next, come to their bodies.
    expect(data).toEqual({ before: [], after: ['TERM', signals.SIGUSR2, signals.SIGHUP], hups: 1, usr1s: 0 });
    expect(await session.waitForBackgroundWorkerShutdown(handle)).toBe(STOPPED.status);
  });

  test('L-22: one that sets the latch ends a wait; SIGHUP to the postmaster reaches every worker', async () => {
    const session = await openSession(pm);
    const { handle } = await launch(session, worker('countsReloads', { name: 'reloads' }));
    await waitForSaid(pm, 'reloads', 'ready');
    pm.signal('SIGHUP');
    expect((await waitForSaid(pm, 'reloads', 'reloaded')).data).toBe(1);
    expect(await session.waitForBackgroundWorkerShutdown(handle)).toBe(STOPPED.status);
    expect(logLines(pm, 'LOG:  received SIGHUP, reloading configuration files')).toHaveLength(1);
  });

  test('C-25: signals that are ignored by default do not end a worker', async () => {
    const session = await openSession(pm);
    const { handle, pid } = await launch(session, worker('idle', { name: 'calm' }));
    await waitForSaid(pm, 'calm', 'ready');
    for (const signal of ['SIGINT', 'SIGHUP', 'SIGUSR1', 'SIGUSR2', 'SIGPIPE', 'SIGALRM', 'SIGPWR', 'SIGURG'] as const) process.kill(pid, signal);
    await end(session, handle);
    await pm.waitForLog(`background worker "calm" (PID ${pid}) exited with exit code 1`);
  });
});

describe('latches', () => {
  test('L-10 … L-17: both forms of the wait report one event, a set latch first', async () => {
    const session = await openSession(pm);
    const handle = await register(session, worker('latches'));
    const { data } = await waitForSaid(pm, 'latches', 'latches');
    const refused = ['cannot wait without watching the postmaster', 'timeout must be 0 to 2147483647 milliseconds, not -2'];
    expect(data).toEqual({ results: [[8, 1, 1, 8, 8], [8, 1, 1, 8, 8]], refused }); // prettier-ignore
    expect(await session.waitForBackgroundWorkerShutdown(handle)).toBe(STOPPED.status);
  });
});

test('the postmaster survives all of this', async () => {
  await waitUntil(() => pm.status() === 'ready', { what: 'the postmaster to be ready' });
});
