// Latches: who owns them, who sets them, and several waits at once, in both forms. Contract section L.
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { fixture, openFds, withPostmaster } from '../helpers/index.js';
import { launch, logLines, openSession, register, sharedPostmaster, waitForSaid, worker } from './support.js';

const LATCHES = fixture('latches.mjs');
const pm = sharedPostmaster({ preload: [LATCHES] });

/** O_NONBLOCK and O_CLOEXEC, as /proc shows them. */
const NONBLOCKING_AND_CLOSED_BY_EXEC = 0o4000 | 0o2000000;

const ERROR = 'ErrorData XX000';
const FOREIGN = `${ERROR} cannot wait on a latch owned by another process`;

/** What a worker of the fixture says as its result. */
async function results(functionName: string, mainArg = 0): Promise<unknown> {
  const session = await openSession(pm);
  const name = `${functionName}${mainArg}`;
  await register(session, worker(functionName, { name, mainArg, libraryName: LATCHES }));
  return (await waitForSaid(pm, name, 'results')).data;
}

describe('rules', () => {
  test('L-01, L-05, L-06, L-10 … L-13: private latches are the process’s own, and independent', async () => {
    const both = [8, 8, 1, 8, 1];
    expect(await results('privateLatches')).toEqual([both, both, 1]);
  });

  test('L-07, L-16, L-17: what waits and owners refuse, in PostgreSQL’s words', async () => {
    const waits = [
      FOREIGN,
      `${ERROR} cannot wait on latch without a specified latch`,
      `${ERROR} cannot wait without watching the postmaster`,
      'RangeError  timeout must be 0 to 2147483647 milliseconds, not -1',
      'RangeError  timeout must be 0 to 2147483647 milliseconds, not 2147483648',
      8,
      8,
    ];
    expect(await results('refusals')).toEqual([
      ...waits,
      ...waits,
      `${ERROR} cannot reset a latch owned by another process`,
      `${ERROR} cannot disown a latch owned by another process`,
      `${ERROR} latch is not in shared memory`,
      `${ERROR} latch is not in shared memory`,
      'TypeError  latch must be a Latch, not object',
      true,
      null,
      true,
    ]);
  });

  test('L-02, L-04: a shared latch belongs to whoever takes it, and keeps its set', async () => {
    expect(await results('sharedLatches')).toEqual([
      FOREIGN,
      1,
      1,
      `${ERROR} cannot disown a latch while waiting on it`,
      1,
      `${ERROR} cannot reset a latch owned by another process`,
      `${ERROR} latch is not in shared memory`,
    ]);
  });

  test('L-03: taking a latch that has an owner is a PANIC', async () => {
    await withPostmaster({ preload: [LATCHES] }, async (own) => {
      const session = await own.connect();
      await register(session, worker('sharedLatches', { name: 'greedy', mainArg: 1, libraryName: LATCHES })).catch(() => null);
      await own.waitForLog('all server processes terminated; reinitializing');
      expect(logLines(own, 'PANIC')).toEqual([expect.stringMatching(/^PANIC: {2}latch already owned by PID \d+$/)]);
    });
  });
});

describe('several waits in one process', () => {
  test('all waits for a latch end when it is set, in their order; a reset ends those that it would leave asleep', async () => {
    expect(await results('manyWaits')).toEqual({
      together: [['a', 1], ['b', 1], ['c', 1]],
      rest: [['waiting', 1], ['other', 8]],
    }); // prettier-ignore
  });

  test('blocking waits in the middle of an asynchronous one take nothing away from it', async () => {
    expect(await results('mixedWaits')).toEqual(['8,8,1']);
  });

  test('an AbortSignal ends asynchronous waits and leaves nothing behind', async () => {
    const abort = 'AbortError 20 This operation was aborted';
    expect(await results('aborts')).toEqual({ aborted: [abort, abort], before: 'Error  no more', fine: 1, next: 8 });
    expect(logLines(pm, 'MaxListenersExceededWarning')).toEqual([]);
  });
});

describe('the latch of a worker', () => {
  test('C-09: it is set once before main begins', async () => expect(await results('firstLook')).toEqual([1, 8]));

  test('L-30: a SIGURG alone ends no wait; it stays blocked, and none is left', async () => {
    expect(await results('strayWakeUps')).toEqual([8, 8, '0000000000000000', '0000000000400000']);
  });

  test('L-30: SIGURG is read through a descriptor of the process’s own, which does not block and does not survive an exec', async () => {
    const session = await openSession(pm);
    const { pid } = await launch(session, worker('idle'));
    await waitForSaid(pm, 'idle', 'ready');
    const fds = [...openFds(pid)]
      .filter(([, file]) => file === 'anon_inode:[signalfd]')
      .map(([fd]) => readFileSync(`/proc/${pid}/fdinfo/${fd}`, 'utf8'));
    expect(fds).toHaveLength(1);
    expect(fds[0]).toMatch(/^sigmask:\s*0000000000400000$/m);
    const flags = Number.parseInt(/^flags:\s*(\d+)$/m.exec(fds[0] as string)?.[1] as string, 8);
    expect(flags & NONBLOCKING_AND_CLOSED_BY_EXEC).toBe(NONBLOCKING_AND_CLOSED_BY_EXEC);
  });

  test('waits that find it set take a turn of the event loop all the same, every so often', async () => {
    expect(await results('servesLoop', 1000)).toBeGreaterThanOrEqual(15);
  });
});

describe('between processes', () => {
  test('C-42: a worker wakes its registrant, and bears that it is gone', async () => {
    const session = await openSession(pm);
    await register(session, worker('registrant', { libraryName: LATCHES }));
    expect((await waitForSaid(pm, 'registrant', 'results')).data).toBe(1);
    expect((await waitForSaid(pm, 'wakesRegistrant', 'results')).data).toEqual([true, 'gone']);
  });

  test('L-05: an owner that waits asynchronously but is awake gets no signal', async () => {
    const session = await openSession(pm);
    const { pid } = await launch(session, worker('awakeOwner', { libraryName: LATCHES }));
    await waitForSaid(pm, 'awakeOwner', 'awake');
    await register(session, worker('setsLatchOf', { mainArg: pid, libraryName: LATCHES }));
    expect((await waitForSaid(pm, 'awakeOwner', 'results')).data).toEqual(['0000000000000000', 1]);
  });

  test('2,000 rounds of set and wait, in alternating forms', async () => {
    const session = await openSession(pm);
    const { pid } = await launch(session, worker('pingPong', { name: 'pong', libraryName: LATCHES }));
    await waitForSaid(pm, 'pong', 'ready');
    await register(session, worker('pingPong', { name: 'ping', mainArg: pid, libraryName: LATCHES }));
    for (const name of ['ping', 'pong']) await waitForSaid(pm, name, 'done');
  });
});
