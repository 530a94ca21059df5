// beforeShmemExit, onShmemExit, onProcExit: their order, what they get, and when they run. Contract 10.5, 7.3.
import { describe, expect, test } from 'vitest';
import { withPostmaster } from '../helpers/index.js';
import { STOPPED, launch, logLines, openSession, register, said, sharedPostmaster, waitForSaid, worker } from './support.js';

const pm = sharedPostmaster();

/** What the callbacks said, in order, and how the worker ended. */
async function callbacks(mainArg: number, functionName = 'callbacks'): Promise<{ calls: unknown[]; exit: string[] }> {
  const session = await openSession(pm);
  const name = `callbacks${mainArg}`;
  const handle = await register(session, worker(functionName, { name, mainArg }));
  expect(await session.waitForBackgroundWorkerShutdown(handle)).toBe(STOPPED.status);
  const log = mainArg === 0 || mainArg === 100 ? [] : [await pm.waitForLog(new RegExp(`"${name}" \\(PID \\d+\\) exited`))];
  expect(log.length).toBeLessThan(2);
  return {
    calls: said(pm, name, 'exit').map(({ data }) => data),
    exit: logLines(pm, `"${name}" (PID`).map((line) => line.replace(/PID \d+/, 'PID')),
  };
}

const inOrder = (code: number): unknown[] => ['before', 'shmem', 'proc'].flatMap((list) => [2, 1].map((n) => [list, code, n]));

describe('order', () => {
  test('M-50: before_shmem_exit, on_shmem_exit, on_proc_exit, each last in first out, with the status and the argument', async () => {
    expect((await callbacks(0)).calls).toEqual(inOrder(0));
  });

  test('7.3: at procExit(1)', async () => {
    const { calls, exit } = await callbacks(1);
    expect(calls).toEqual(inOrder(1));
    expect(exit).toEqual(['LOG:  background worker "callbacks1" (PID) exited with exit code 1']);
  });

  test('7.3: at an error', async () => {
    const { calls, exit } = await callbacks(101);
    expect(calls).toEqual(inOrder(1));
    expect(exit).toEqual(['LOG:  background worker "callbacks101" (PID) exited with exit code 1']);
  });

  test('X-04: at process.exit the code is -1, and the status stays', async () => {
    const { calls, exit } = await callbacks(102);
    expect(calls).toEqual(inOrder(-1));
    expect(exit).toEqual(['LOG:  background worker "callbacks102" (PID) exited with exit code 1']);
  });
});

describe('order, on the other orderly ways out', () => {
  test.each([
    [103, 'an uncaught exception'],
    [104, 'an unhandled rejection'],
    [105, 'a report at FATAL'],
    [106, 'a main function that can never settle'],
  ])('C-28: %i: %s', async (mainArg) => {
    const { calls, exit } = await callbacks(mainArg);
    expect(calls).toEqual(inOrder(1));
    expect(exit).toEqual([`LOG:  background worker "callbacks${mainArg}" (PID) exited with exit code 1`]);
  });

  test('L-44: WL_EXIT_ON_PM_DEATH, in both forms of the wait', () =>
    withPostmaster({ settings: { allow_orphan_workers: 'on' } }, async (pm) => {
      const session = await openSession(pm);
      const names = ['asynchronous', 'blocking'];
      for (const [mainArg, name] of names.entries()) await launch(session, worker('callbacksAtPostmasterDeath', { name, mainArg }));
      for (const name of names) await waitForSaid(pm, name, 'ready');
      pm.signal('SIGKILL');
      for (const name of names) {
        await waitForSaid(pm, name, 'exit', 6);
        expect(said(pm, name, 'exit').map(({ data }) => data)).toEqual(inOrder(1));
      }
    }));
});

describe('trouble', () => {
  test('C-29, M-50: a callback that throws acts as FATAL, is not repeated, and the next ones run, with status 1', async () => {
    const { calls } = await callbacks(100);
    await pm.waitForLog(/"callbacks100" \(PID \d+\) exited with exit code 1/);
    expect(calls).toEqual(inOrder(1));
    expect(logLines(pm, 'FATAL:  in a callback')).toHaveLength(1);
  });

  test('M-51: the 21st of a list is FATAL', async () => {
    await callbacks(7, 'tooManyCallbacks');
    expect(logLines(pm, 'FATAL:  out of on_shmem_exit slots')).toHaveLength(1);
    expect(said(pm, 'callbacks7', 'unreachable')).toEqual([]);
  });

  test('M-52: the latest callback alone can be taken back', async () => {
    const session = await openSession(pm);
    const handle = await register(session, worker('takesCallbacksBack'));
    expect(await session.waitForBackgroundWorkerShutdown(handle)).toBe(STOPPED.status);
    const refused = (arg: unknown): string => `ErrorData XX000 before_shmem_exit callback (callback,${String(arg)}) is not the latest entry`;
    expect((await waitForSaid(pm, 'takesCallbacksBack', 'outcomes')).data).toEqual([refused('first'), null, refused('second'), refused(7)]);
    expect(said(pm, 'takesCallbacksBack', 'exit').map(({ data }) => data)).toEqual([[0, 'first']]);
  });

  test('M-53: none run in those who are forked next', async () => {
    expect((await callbacks(0)).calls).toHaveLength(12); // six of the first test, six of its own
  });
});

describe('SIGTERM by default', () => {
  /** A worker with callbacks is terminated where it is; what they said, and its FATAL lines. */
  async function terminated(mainArg: number): Promise<{ calls: unknown[]; fatal: string[] }> {
    const session = await openSession(pm);
    const name = `stays${mainArg}`;
    const handle = await register(session, worker('callbacksThenStays', { name, mainArg }));
    await waitForSaid(pm, name, 'ready');
    await session.terminateBackgroundWorker(handle);
    expect(await session.waitForBackgroundWorkerShutdown(handle)).toBe(STOPPED.status);
    await pm.waitForLog(new RegExp(`"${name}" \\(PID \\d+\\) exited with exit code 1`));
    return { calls: said(pm, name, 'exit').map(({ data }) => data), fatal: logLines(pm, `terminating background worker "${name}"`) };
  }
  const all = [['before', 1], ['shmem', 1], ['proc', 1]]; // prettier-ignore

  test.each([
    [0, 'in the event loop'],
    [1, 'in a blocking wait'],
  ])('C-20: %i: %s, the callbacks run with status 1, after one FATAL line', async (mainArg) => {
    const { calls, fatal } = await terminated(mainArg);
    expect(calls).toEqual(all);
    expect(fatal).toHaveLength(1);
  });

  test('C-20: in a computation that reaches no safe point it ends all the same, without them, and has left shared memory', async () => {
    const { calls, fatal } = await terminated(2);
    expect(calls).toEqual([]);
    expect(fatal).toHaveLength(1);
    expect(logLines(pm, 'terminating any other active server processes')).toEqual([]);
  });

  test('C-29: one that comes while callbacks run is discarded: the rest run, and the status stays 0', async () => {
    const session = await openSession(pm);
    const handle = await register(session, worker('callbacksThenStays', { name: 'leaves', mainArg: 3 }));
    expect(await session.waitForBackgroundWorkerShutdown(handle)).toBe(STOPPED.status);
    expect(said(pm, 'leaves', 'exit').map(({ data }) => data)).toEqual([['before', 0], ['shmem', 0], ['proc', 0]]); // prettier-ignore
    expect(logLines(pm, '"leaves" (PID')).toEqual([]); // a status of 0 is no line of level LOG
  });
});
