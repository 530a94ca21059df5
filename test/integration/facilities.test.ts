// What Node offers works in a forked worker, each facility alone. docs/fork-safety.md.
import { describe, expect, test } from 'vitest';
import { fixture } from '../helpers/index.js';
import { STOPPED, openSession, register, sharedPostmaster, worker } from './support.js';

const LIBRARY = fixture('facility-workers.mjs');
const NAMES = [
  'timers',
  'sockets',
  'fetch',
  'files',
  'dns',
  'thread pool',
  'worker_threads',
  'worker_threads that allocate',
  'worker_threads with wasm',
  'worker_threads, terminated',
  'Atomics.wait in a thread, MessageChannel',
  'child_process',
  'child_process.fork',
  'signals',
  'wasm, at once',
  'wasm, asynchronous',
  'streams',
  'inspector',
  'profiler',
  'heap snapshot',
  'AsyncLocalStorage',
  'garbage, compiling, vm',
  'weak references',
];

const pm = sharedPostmaster({ preload: [LIBRARY] });

describe('in a forked worker', () => {
  test.each(NAMES.map((name, n) => [name, n] as const))('%s', async (name, n) => {
    const session = await openSession(pm);
    const descriptor = worker('facility', { name: `facility ${n}`, mainArg: n + n * NAMES.length, libraryName: LIBRARY });
    expect(await session.waitForBackgroundWorkerShutdown(await register(session, descriptor))).toBe(STOPPED.status);
    expect(pm.log()).toContain(`@facility ${n} worked ${JSON.stringify([name, name])}`);
  });

  // V8 compiles anew what is called often, by a job of the platform's; on Node 20 that job is told of its threads past our table (V4). All pairs: soak:facilities.
  test.each([
    ['wasm, asynchronous', 'inspector'],
    ['fetch', 'worker_threads'],
  ] as const)('%s, beside %s', async (one, other) => {
    const session = await openSession(pm);
    const mainArg = NAMES.indexOf(one) + NAMES.indexOf(other) * NAMES.length;
    const descriptor = worker('facility', { name: `facility ${mainArg}`, mainArg, libraryName: LIBRARY });
    expect(await session.waitForBackgroundWorkerShutdown(await register(session, descriptor))).toBe(STOPPED.status);
    expect(pm.log()).toContain(`worked ${JSON.stringify([one, other])}`);
  });
});
