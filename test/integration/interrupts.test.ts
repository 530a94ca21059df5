// Safe points, interrupts that are held, and signals that Node's listeners share with pqsignal. Contract C-20, C-25, C-29; miscadmin.h.
import { constants } from 'node:os';
import { describe, expect, test } from 'vitest';
import { fixture, withPostmaster } from '../helpers/index.js';
import { STOPPED, launch, logLines, openSession, register, reopenSession, said, sharedPostmaster, waitForSaid, worker } from './support.js';

const LIBRARY = fixture('signal-workers.mjs');
const pm = sharedPostmaster({ preload: [LIBRARY] });
const { SIGUSR2 } = constants.signals;

/** Runs a worker to its end; what it said, and how it exited where that is logged. */
async function run(functionName: string, name: string, mainArg = 0): Promise<(event: string) => unknown[]> {
  const session = await openSession(pm);
  const handle = await register(session, worker(functionName, { name, mainArg, libraryName: LIBRARY }));
  expect(await session.waitForBackgroundWorkerShutdown(handle)).toBe(STOPPED.status);
  return (event) => said(pm, name, event).map(({ data }) => data);
}

const exitLines = (name: string): string[] => logLines(pm, `"${name}" (PID`).map((line) => line.replace(/PID \d+/, 'PID'));
const FATAL = (name: string): string => `FATAL:  terminating background worker "${name}" due to administrator command`;

test('C-25: a handler runs once at each kind of safe point, and not before', async () => {
  const told = await run('safePoints', 'points');
  const [{ seen, runs }] = told('points') as [{ seen: Record<string, number>; runs: number }];
  expect(seen).toEqual(Object.fromEntries(Object.keys(seen).map((point) => [point, 1])));
  expect(Object.keys(seen)).toHaveLength(10);
  expect(runs).toBe(10);
});

describe('holdInterrupts', () => {
  test('holds what `die` noted until the check after the last resume', async () => {
    const told = await run('holdsDie', 'held-die');
    expect(told('step')).toEqual(['inner', 'outer', 'resumed']);
    expect(told('exit')).toEqual([1]);
    expect(logLines(pm, FATAL('held-die'))).toHaveLength(1);
  });

  test.each([
    [0, 'without exit callbacks', []],
    [1, 'with some, longer than their grace, in a computation', [1]],
    [2, 'with some, longer than their grace, in the event loop', [1]],
  ])('holds the default SIGTERM until the last resume: %i: %s', async (mainArg, _what, exits) => {
    const name = `held-default-${mainArg}`;
    const told = await run('holdsDefault', name, mainArg);
    expect(told('step')).toEqual(['held']);
    expect(told('exit')).toEqual(exits);
    expect(logLines(pm, FATAL(name))).toHaveLength(1);
    await pm.waitForLog(`"${name}" (PID`);
    expect(exitLines(name)).toEqual([`LOG:  background worker "${name}" (PID) exited with exit code 1`]);
  });

  test('holdCancelInterrupts holds SIGINT alone; SIGTERM makes it pointless; a resume too many is an error', async () => {
    const told = await run('holdsCancel', 'cancel');
    const canceled = '57014: canceling statement due to user request';
    const notHeld = ['XX000: interrupts are not held', 'XX000: cancel interrupts are not held'];
    expect(told('errors')).toEqual([[...notHeld, null, canceled, null, null, canceled]]);
    expect(told('unreachable')).toEqual([]);
    expect(logLines(pm, FATAL('cancel'))).toHaveLength(1);
  });
});

describe('process.on', () => {
  test('the later of it and pqsignal decides, and the removal of the last listener gives the signal back', async () => {
    const told = await run('listens', 'listens');
    const [{ results, ignored }] = told('listened') as [{ results: string[][]; ignored: string }];
    const listener = [`listener SIGUSR2 ${SIGUSR2}`, 'by the loop'];
    const [handler, later] = [['pqsignal', 'at once'], ['pqsignal again', 'at once']]; // prettier-ignore
    expect(results).toEqual([handler, listener, handler, listener, handler, later, later]);
    // Programs that the worker starts begin with the default, all the same.
    expect(ignored).toBe('0');
    expect(logLines(pm, 'preloaded')).toEqual([]);
  });

  test('a SIGTERM listener keeps the worker; without it the default action is back, exit callbacks included', async () => {
    const session = await openSession(pm);
    const { handle, pid } = await launch(session, worker('listensToTerm', { libraryName: LIBRARY }));
    await waitForSaid(pm, 'listensToTerm', 'ready');
    for (const n of [1, 2]) {
      process.kill(pid, 'SIGTERM');
      expect((await waitForSaid(pm, 'listensToTerm', 'term', n)).data).toBe(n);
    }
    await waitForSaid(pm, 'listensToTerm', 'off');
    process.kill(pid, 'SIGTERM');
    expect(await session.waitForBackgroundWorkerShutdown(handle)).toBe(STOPPED.status);
    expect(said(pm, 'listensToTerm', 'exit').map(({ data }) => data)).toEqual([1]);
    expect(logLines(pm, FATAL('listensToTerm'))).toHaveLength(1);
  });
});

test('with log_min_messages = panic a worker that is terminated says nothing, by `die` or by default', () =>
  withPostmaster({ preload: [LIBRARY], settings: { log_min_messages: 'panic' } }, async (quiet) => {
    const session = await openSession(quiet);
    for (const [functionName, mainArg] of [
      ['holdsDie', 0],
      ['holdsDefault', 0],
      ['holdsDefault', 1],
    ] as const) {
      const handle = await register(session, worker(functionName, { mainArg, libraryName: LIBRARY }));
      expect(await session.waitForBackgroundWorkerShutdown(handle)).toBe(STOPPED.status);
    }
    expect(quiet.log()).not.toContain('FATAL');
  }));

test('L-03: a process that finds its latch owned by another one panics', async () => {
  const session = await openSession(pm);
  expect(await session.call(LIBRARY, 'takesLatchOfNext')).toBe(0);
  await session.registerDynamicBackgroundWorker(worker('safePoints', { name: 'robbed', libraryName: LIBRARY }));
  await session.closed;
  await pm.waitForLog(`PANIC:  latch already owned by PID ${session.backendPid}`);
  await (await reopenSession(pm)).close();
  expect(logLines(pm, 'LOG:  terminating any other active server processes')).toHaveLength(1);
});
