// The ways out that Node and native code have, besides those of exit-matrix.test.ts: each ends as PostgreSQL's worker would, none hangs. docs/fork-safety.md.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { buildCrashAddon } from '../helpers/crash-addon.js';
import { type Postmaster, fixture, makeTempDir, removeTempDir, startPostmaster } from '../helpers/index.js';
import { STOPPED, logLines, openSession, register, said, worker } from './support.js';

const WAYS = fixture('ways-out.mjs');
const top = makeTempDir('addon');
let pm: Postmaster;
let end: () => Promise<void>;

beforeAll(async () => {
  const env = { BGW_TEST_ADDON: buildCrashAddon(top), NODE_OPTIONS: '--max-old-space-size=64' };
  ({ pm, end } = await startPostmaster({ preload: [WAYS], env, settings: { log_min_messages: 'debug1' } }));
});
afterAll(async () => {
  await end?.();
  removeTempDir(top);
});

/** Runs a worker to its end: how it exited, which callbacks ran, and the errors that it logged. */
async function leave(functionName: string, flags: number): Promise<{ how: string; callbacks: string[]; errors: string[] }> {
  const session = await openSession(pm);
  const handle = await register(session, worker(functionName, { name: functionName, libraryName: WAYS, flags }));
  expect(await session.waitForBackgroundWorkerShutdown(handle)).toBe(STOPPED.status);
  const line = new RegExp(`background worker "${functionName}" \\(PID (\\d+)\\) (.*)`);
  const [, pid, how] = line.exec(await pm.waitForLog(line)) as unknown as [string, string, string];
  const callbacks = ['beforeShmemExit', 'onShmemExit', 'onProcExit'].filter((name) => said(pm, functionName, name).length > 0);
  const own = pm.log().split('\n').filter((text) => text.includes(`[${pid}] `)); // prettier-ignore
  return { how, callbacks, errors: own.map((text) => text.slice(text.indexOf('] ') + 2)).filter((text) => text.startsWith('ERROR')) };
}

const SHMEM = 1;
const ALL = ['beforeShmemExit', 'onShmemExit', 'onProcExit'];

describe('in order, so that nobody else notices', () => {
  test.each([
    ['exitsTwice', 1, []],
    ['exitsInCallback', 1, []],
    ['exitsInCallbackOfExit', 1, []],
    ['failsInCallbackOfExit', 1, []],
    ['reallyExits', 1, []],
    ['handlerThrows', 1, []],
    ['noHandler', 1, []],
    ['exitsInTheMidst', 0, []],
    ['overflows', 1, ['ERROR:  Maximum call stack size exceeded']],
    ['threadExits', 0, []],
    ['threadThrows', 1, ['ERROR:  in a thread']],
    ['threadRunsOn', 0, []],
  ] as const)('%s: status %d, all callbacks', async (functionName, status, errors) => {
    const { how, ...rest } = await leave(functionName, SHMEM);
    expect({ how, ...rest }).toEqual({ how: `exited with exit code ${status}`, callbacks: ALL, errors });
  });

  test('a listener of "exit" changes the status', async () => {
    expect(await leave('exitListenerSetsCode', SHMEM)).toMatchObject({ how: 'exited with exit code 1' });
  });

  test('process.exit writes a megabyte first, into a pipe too', async () => {
    expect(await leave('exitsWithOutput', SHMEM)).toMatchObject({ how: 'exited with exit code 0' });
    expect(pm.log()).toContain(`${'x'.repeat(1 << 20)}END\n`);
  });
});

// Without shared memory these are nobody else's end; with it, each is a crash (exit-matrix.test.ts has one of a kind).
describe('by a signal, which is what it was', () => {
  test.each([
    ['runsOutOfMemory', 'was terminated by signal 6: Aborted'],
    ['fatal', 'was terminated by signal 6: Aborted'],
    ['segv', 'was terminated by signal 11: Segmentation fault'],
    ['segvInThread', 'was terminated by signal 11: Segmentation fault'],
    ['bus', 'was terminated by signal 7: Bus error'],
    ['threadCrashes', 'was terminated by signal 11: Segmentation fault'],
    ['threadKills', 'was terminated by signal 9: Killed'],
  ])('%s: %s', async (functionName, how) => {
    expect((await leave(functionName, 0)).how).toBe(how);
  });
});

test('exit(3) of a library leaves shared memory in order, but runs no JavaScript', async () => {
  expect(await leave('cExit', SHMEM)).toEqual({ how: 'exited with exit code 0', callbacks: [], errors: [] });
});

test('none of them was a crash of all', () => {
  expect(logLines(pm, 'terminating any other')).toEqual([]);
});
