// When exactly the one who registered a worker gets SIGUSR1, and what it finds then. Contract 4.5. One slot, so that a slot that is not free shows.
import { describe, expect, test } from 'vitest';
import type { Session } from '../../dist/session/client.js';
import { processState, waitUntil } from '../helpers/index.js';
import { CALLS, NOT_YET_STARTED, STOPPED, end, launch, logLines, openSession, register, sharedPostmaster, waitForSaid, worker } from './support.js';

const pm = sharedPostmaster({ settings: { max_worker_processes: 1, log_min_messages: 'debug1' } });

const count = async (session: Session): Promise<number> => (await session.call(CALLS, 'signalCount', 'SIGUSR1')) as number;

/** Waits for the number of signals; a further look, when a whole call has gone by, shows that it stays so. */
async function expectCount(session: Session, expected: number): Promise<void> {
  await waitUntil(async () => (await count(session)) >= expected, { what: `${expected} signals` });
  expect(await count(session)).toBe(expected);
}

/** What is to be done while the postmaster does nothing. */
async function whilePostmasterIsStopped<T>(body: () => Promise<T>): Promise<T> {
  pm.signal('SIGSTOP');
  await waitUntil(() => processState(pm.pid) === 'T', { what: 'the postmaster to stop' });
  try {
    return await body();
  } finally {
    pm.signal('SIGCONT');
  }
}

describe('SIGUSR1 comes', () => {
  test('S-55, X-15: at the start, and at the exit', async () => {
    const session = await openSession(pm);
    const { handle, pid } = await launch(session, worker('idle'));
    await expectCount(session, 1);
    process.kill(pid, 'SIGTERM');
    expect(await session.waitForBackgroundWorkerShutdown(handle)).toBe(STOPPED.status);
    await expectCount(session, 2);
  });

  test('S-55: at each start and each exit of one that is restarted, whose slot stays its own', async () => {
    const session = await openSession(pm);
    const { handle } = await launch(session, worker('ignoresTerm', { name: 'often', restartTime: 0 }));
    const pids = new Set<number>();
    for (let restarts = 0; restarts <= 3; restarts++) {
      // It is ready before the postmaster has come back from the fork, and told anybody.
      const { pid } = await waitForSaid(pm, 'often', 'ready', restarts + 1);
      await waitUntil(async () => (await session.getBackgroundWorkerPid(handle)).pid === pid, { what: 'the start to be told' });
      // Exit and start follow each other at once, so the two signals may be one.
      await waitUntil(async () => (await count(session)) >= 1 + restarts, { what: `${1 + restarts} signals` });
      pids.add(pid);
      if (restarts < 3) process.kill(pid, 'SIGUSR2');
    }
    expect(pids.size).toBe(4);
    // The last signal comes after the slot says what it is about: what the postmaster does next comes after both.
    pm.signal('SIGHUP');
    await pm.waitForLog('received SIGHUP');
    const before = await count(session);
    await session.terminateBackgroundWorker(handle);
    await waitForSaid(pm, 'often', 'term');
    expect(await count(session)).toBe(before); // not at the request of one that runs, only at its exit
    process.kill([...pids].at(-1) as number, 'SIGUSR2');
    await expectCount(session, before + 1);
  });

  test('S-04: once, when one that waits for its restart is terminated', async () => {
    const session = await openSession(pm);
    const handle = await register(session, worker('throws', { name: 'waiting', restartTime: 3600 }));
    await pm.waitForLog(/"waiting" \(PID \d+\) exited with exit code 1/);
    await waitUntil(async () => (await session.getBackgroundWorkerPid(handle)).status === STOPPED.status, { what: 'the exit' });
    expect(await session.registerDynamicBackgroundWorker(worker('returns'))).toBeNull(); // H-10: stopped, and the slot in use
    const before = await count(session);
    await session.terminateBackgroundWorker(handle);
    await expectCount(session, before + 1);
    await pm.waitForLog('unregistering background worker "waiting"');
  });

  test('S-04: once, when one that was never started is terminated', async () => {
    const session = await openSession(pm);
    const handle = await register(session, worker('returns', { name: 'unstarted', startTime: 9 }));
    await pm.waitForLog('registering background worker "unstarted"');
    expect(await session.getBackgroundWorkerPid(handle)).toEqual(NOT_YET_STARTED);
    expect(await count(session)).toBe(0);
    await session.terminateBackgroundWorker(handle);
    await expectCount(session, 1);
    expect(await session.getBackgroundWorkerPid(handle)).toEqual(STOPPED);
  });

  test('S-07: once, when the request to end comes before the postmaster has seen the registration; then the slot is free', async () => {
    const session = await openSession(pm);
    const handle = await whilePostmasterIsStopped(async () => {
      const unseen = worker('idle', { name: 'unseen', notifyPid: 0 });
      return (await session.call(CALLS, 'registersAndTerminates', unseen)) as { slot: number; generation: bigint };
    });
    expect(await session.waitForBackgroundWorkerShutdown(handle)).toBe(STOPPED.status);
    await expectCount(session, 1);
    expect(logLines(pm, '"unseen"')).toEqual([]);
    await end(session, (await launch(session, worker('idle'))).handle);
  });
});

describe('SIGUSR1 finds', () => {
  test('X-14: the slot is free before the exit notification', async () => {
    const session = await openSession(pm);
    expect(await session.call(CALLS, 'reusesSlotAtOnce', worker('quietlyIdle', { notifyPid: 0 }), 40)).toBe(0);
    await waitUntil(async () => (await session.activity()).every(({ slot }) => slot === null), { what: 'the last one to go' });
  });

  test('S-56, H-13, H-22: waits see a worker that is over before they look as STOPPED', async () => {
    const session = await openSession(pm);
    for (let n = 0; n < 20; n++) {
      const handle = await register(session, worker('returns', { name: 'quick' }));
      const { status, pid } = await session.waitForBackgroundWorkerStartup(handle);
      expect([0, 2]).toContain(status);
      expect(pid === undefined).toBe(status === 2);
      expect(await session.waitForBackgroundWorkerShutdown(handle)).toBe(STOPPED.status);
      await waitUntil(async () => (await session.activity()).every(({ slot }) => slot === null), { what: 'the slot to be free' });
    }
  });
});

describe('nobody is signalled', () => {
  test('X-24: the one who registered is gone; its worker runs on, is restarted, and has nobody to notify', async () => {
    const [registrant, other] = [await pm.connect(), await openSession(pm)];
    const { handle, pid } = await launch(registrant, worker('ignoresTerm', { name: 'orphaned', restartTime: 0 }));
    const backend = registrant.backendPid;
    expect((await waitForSaid(pm, 'orphaned', 'start')).data).toBe(backend);
    await waitForSaid(pm, 'orphaned', 'ready');
    await registrant.close();
    await waitUntil(() => processState(backend) === null, { what: 'the backend to be reaped' });
    process.kill(pid, 'SIGUSR2');
    expect((await waitForSaid(pm, 'orphaned', 'start', 2)).data).toBe(0);
    await waitForSaid(pm, 'orphaned', 'ready', 2);
    const again = await other.getBackgroundWorkerPid(handle);
    expect(again).toMatchObject({ status: 0 });
    await other.terminateBackgroundWorker(handle);
    await waitForSaid(pm, 'orphaned', 'term');
    process.kill(again.pid as number, 'SIGUSR2');
    await waitUntil(async () => (await other.getBackgroundWorkerPid(handle)).status === STOPPED.status, { what: 'its end' });
    expect(await count(other)).toBe(0);
  });

  test('H-15: SIGUSR1 is ignored in a worker without the database flag', async () => {
    await pm.waitForLog('unregistering background worker "orphaned"');
    const session = await openSession(pm);
    // One slot: the worker that registers has it, so what it registers has none. It signals itself instead.
    const handle = await register(session, worker('isNotNotified', { name: 'deaf' }));
    expect((await waitForSaid(pm, 'deaf', 'counted')).data).toEqual({ usr1s: 0, latch: 8 });
    expect(await session.waitForBackgroundWorkerShutdown(handle)).toBe(STOPPED.status);
  });

  test('notifyPid 0: no signal at all', async () => {
    const session = await openSession(pm);
    const handle = await register(session, worker('returns', { name: 'silent', notifyPid: 0 }));
    await pm.waitForLog(/"silent" \(PID \d+\) exited with exit code 0/);
    expect([await count(session), await session.getBackgroundWorkerPid(handle)]).toEqual([0, STOPPED]);
  });
});
