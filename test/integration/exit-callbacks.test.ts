// beforeShmemExit, onShmemExit, onProcExit: their order, what they get, and when they run. Contract 10.5, 7.3.
import { describe, expect, test } from 'vitest';
import { STOPPED, openSession, register, said, logLines, sharedPostmaster, worker } from './support.js';

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

  test('M-53: none run at the default SIGTERM’s exit, nor in those who are forked next', async () => {
    expect((await callbacks(0)).calls).toHaveLength(12); // six of the first test, six of its own
  });
});
