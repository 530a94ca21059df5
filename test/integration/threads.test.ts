// Threads of a worker: born with every signal blocked, for ever, whoever starts them. docs/fork-safety.md, T1 to T3.
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { createRequire } from 'node:module';
import { beforeAll, describe, expect, test } from 'vitest';
import { fixture, makeTempDir, removeTempDir, withPostmaster } from '../helpers/index.js';
import { STOPPED, openSession, register, waitForSaid, worker } from './support.js';

const THREADS = fixture('thread-workers.mjs');
const ALL_BLOCKED = 'fffffffe7ffbfeff'; // all but KILL and STOP, which cannot be, and 32 and 33, which are the C library's
const URG_BLOCKED = '0000000000400000';

interface Thread {
  readonly main: boolean;
  readonly name: string;
  readonly blocked: string;
}

let addon = '';

beforeAll(() => {
  const dir = makeTempDir('addon');
  addon = join(dir, 'threads.node');
  const headers = (createRequire(import.meta.url)('node-api-headers') as { include_dir: string }).include_dir;
  const output = ['-o', addon, fixture('threads-addon.c')];
  execFileSync('cc', ['-shared', '-fPIC', '-pthread', '-I', headers, '-DNODE_GYP_MODULE_NAME=threads', ...output], { stdio: 'inherit' });
  return () => removeTempDir(dir);
});

function withThreads(preloaded: boolean, functionName: string, body: (data: unknown) => void): Promise<void> {
  const env = { THREADS_ADDON: addon, THREADS_PRELOAD: preloaded ? '1' : '0' };
  // An addon that starts a thread while it is loaded is one that the audit refuses; here it sleeps, which a fork does not mind.
  return withPostmaster({ preload: [THREADS], env, settings: { preload_audit: 'off' } }, async (pm) => {
    const session = await openSession(pm);
    const handle = await register(session, worker(functionName, { libraryName: THREADS }));
    expect(await session.waitForBackgroundWorkerShutdown(handle)).toBe(STOPPED.status);
    body((await waitForSaid(pm, functionName, functionName === 'startsThreads' ? 'threads' : 'pending')).data);
  });
}

describe.each([
  ['the worker', false],
  ['the postmaster, while preloading', true],
])('with an addon that is loaded by %s', (_by, preloaded) => {
  test('everything is blocked on all threads but the main one: thread pool, worker_threads, inspector, addons', () =>
    withThreads(preloaded, 'startsThreads', (data) => {
      const { counts, threads } = data as { counts: number[]; threads: Thread[] };
      // Each kind did start threads: the thread pool four; worker_threads one, and its addon one (and one while it is loaded); the addon; the inspector.
      expect(counts).toEqual([1, 5, preloaded ? 7 : 8, preloaded ? 8 : 9, preloaded ? 9 : 10]);
      expect(threads.filter(({ main }) => main)).toEqual([{ main: true, name: expect.any(String) as string, blocked: URG_BLOCKED }]);
      // The C library blocks its own two besides while a thread is being born.
      const blocksAll = (blocked: string): boolean => (BigInt(`0x${blocked}`) & BigInt(`0x${ALL_BLOCKED}`)) === BigInt(`0x${ALL_BLOCKED}`);
      expect(threads.filter(({ main, blocked }) => !main && !blocksAll(blocked))).toEqual([]);
      const named = threads.map(({ name }) => name).filter((name) => name.startsWith('addon-'));
      expect(named.toSorted()).toEqual(preloaded ? ['addon-called', 'addon-called'] : ['addon-called', 'addon-called', 'addon-loading']);
    }));

  test('a signal that is blocked stays pending, whatever threads there are, and comes once', () =>
    withThreads(preloaded, 'keepsSignalsPending', (data) => {
      expect(data).toEqual({ before: [0, 0], after: [1, 1] });
    }));
});
