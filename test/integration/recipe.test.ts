// Steps of the recipe whose effect shows nowhere else: what they keep from happening would only cost. src/launch/fork.ts has the recipe.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, readdirSync } from 'node:fs';
import { expect, onTestFinished, test } from 'vitest';
import { fixture, waitUntil, withPostmaster } from '../helpers/index.js';
import { end, launch, openSession, register, said, sharedPostmaster, waitForSaid, worker } from './support.js';

const LIBRARY = fixture('heaps.mjs');
const pm = sharedPostmaster({ preload: [LIBRARY, fixture('preload/heavy.mjs')] });

/** Private memory without a file that a fork would leave out: addresses. */
function unforkable(pid: number): string[] {
  const found: string[] = [];
  for (const mapping of readFileSync(`/proc/${pid}/smaps`, 'latin1').split(/^(?=[0-9a-f]+-[0-9a-f]+ )/m)) {
    const [head, flags] = [mapping.slice(0, mapping.indexOf('\n')), /^VmFlags: (.*)$/m.exec(mapping)?.[1] ?? ''];
    if (/ 00:00 0\s*$/.test(head) && flags.split(' ').includes('dc')) found.push(head);
  }
  return found;
}

test('F1: no memory of the postmaster’s or of a worker’s is marked as not to be forked', async () => {
  const session = await openSession(pm);
  const { handle, pid } = await launch(session, worker('staysIdle', { libraryName: LIBRARY, name: 'grown' }));
  await waitForSaid(pm, 'grown', 'ready');
  expect(unforkable(pm.pid)).toEqual([]);
  expect(unforkable(pid)).toEqual([]);
  // Node by itself does mark its heap, or this would prove nothing.
  const plain = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1 << 30); console.log("ready")'], { stdio: ['ignore', 'pipe', 'inherit'] });
  onTestFinished(async () => {
    const exited = once(plain, 'exit');
    plain.kill('SIGKILL');
    await exited;
  });
  await once(plain.stdout, 'data');
  expect(unforkable(plain.pid as number).length).toBeGreaterThan(5);
  await end(session, handle);
});

test('V3: an idle worker’s heap is left alone, where a plain Node’s is collected by time', { timeout: 240_000 }, async () => {
  const session = await openSession(pm);
  const { handle } = await launch(session, worker('staysIdle', { libraryName: LIBRARY, name: 'idle' }));
  await waitForSaid(pm, 'idle', 'ready');
  // Begins later, and so is due later.
  const plain = spawn(process.execPath, [LIBRARY, 'plain'], { stdio: ['ignore', 'inherit', 'inherit'] });
  expect(await once(plain, 'exit')).toEqual([0, null]);
  expect(said(pm, 'idle', 'collected')).toEqual([]);
  await end(session, handle);
});

test('V5: before it serves, the postmaster compacts its heap', async () => {
  const session = await openSession(pm);
  await register(session, worker('looksAtHeap', { libraryName: LIBRARY }));
  const { before, now, kept } = (await waitForSaid(pm, 'looksAtHeap', 'filled')).data as { before: number; now: number; kept: number };
  expect(kept).toBe(100_000);
  expect(before).toBeLessThan(0.7); // V8 leaves such pages as they are: the gaps were there
  expect(now).toBeGreaterThan(0.9);
});

function kb(pid: number, field: string): number {
  return Number(new RegExp(`^${field}:\\s+(\\d+)`, 'm').exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1]);
}

test('V7: what V8 keeps of collected pages for later is given back before it serves', async () => {
  await withPostmaster({ preload: [fixture('preload/garbage.mjs')] }, (running) => {
    // The most that it ever had, which was garbage, and what it has.
    expect(kb(running.pid, 'VmHWM')).toBeGreaterThan(200 * 1024);
    expect(kb(running.pid, 'VmRSS')).toBeLessThan(140 * 1024);
  });
});

test('V7: and while it serves', { timeout: 120_000 }, async () => {
  const libraryName = fixture('preload/garbage-in-turns.mjs');
  await withPostmaster({ preload: [libraryName] }, async (running) => {
    const session = await running.connect();
    const before = kb(running.pid, 'VmRSS');
    let forks = 0;
    const grown = (): string => `${kb(running.pid, 'VmRSS') - before} KB more than before, ${kb(running.pid, 'VmHWM') - before} at most`;
    // Each fork is some turns of its loop: by the twentieth V8 holds far more than is alive (97 MB on Node 24, which it never gave back by itself).
    await waitUntil(
      async () => {
        const handle = await register(session, worker('endsAtOnce', { libraryName, notifyPid: 'self' }));
        await session.waitForBackgroundWorkerShutdown(handle);
        return ++forks >= 20 && kb(running.pid, 'VmRSS') - before < 64 * 1024;
      },
      { timeoutMs: 90_000, what: () => `memory to be given back: after ${forks} forks ${grown()}` },
    );
  });
});

test('M1: a child’s page tables are small, where a plain Node’s are not', async () => {
  const LARGE = fixture('preload/large.mjs');
  const tables = (pid: number): number => kb(pid, 'VmPTE') / (kb(pid, 'VmRSS') / 1024);
  await withPostmaster({ preload: [LARGE] }, async (running) => {
    const session = await running.connect();
    const { pid } = await launch(session, worker('staysIdle', { libraryName: LIBRARY, name: 'small' }));
    await waitForSaid(running, 'small', 'ready');
    expect(kb(pid, 'VmRSS')).toBeGreaterThan(100 * 1024);
    // 2 KB of each MB would be no gap at all. With the address sanitizer it was 11: its shadow has gaps of its own.
    expect(tables(pid)).toBeLessThan(15);
  });
  const plain = spawn(process.execPath, [LARGE, 'plain'], { stdio: ['ignore', 'pipe', 'inherit'] });
  onTestFinished(async () => {
    const exited = once(plain, 'exit');
    plain.kill('SIGKILL');
    await exited;
  });
  await once(plain.stdout, 'data');
  expect(tables(plain.pid as number)).toBeGreaterThan(20);
});

/** The threads but the first that will wake by themselves: what /proc says of the system call that each sleeps in. */
function withTimeLimit(pid: number): string[] {
  const others = readdirSync(`/proc/${pid}/task`).filter((tid) => Number(tid) !== pid);
  expect(others.length).toBeGreaterThan(2);
  const calls = others.map((tid) => readFileSync(`/proc/${pid}/task/${tid}/syscall`, 'latin1'));
  return calls.filter((call) => {
    const [number = '', , , , fourth = ''] = call.split(' ');
    const [none, forEver] = [number === '202' && fourth === '0x0', number === '281' && fourth === '0xffffffff'];
    return !(none || forEver);
  });
}

test('V6: no other thread of the postmaster’s wakes by itself, between a look at it and a fork, after WebAssembly was instantiated', async () => {
  await withPostmaster({ preload: [fixture('preload/wasm.mjs')] }, async (running) => {
    let found: string[] = [];
    // A thread that has just been born or woken may still be on its way to sleep.
    await waitUntil(() => (found = withTimeLimit(running.pid)).length === 0, { what: () => found.join('') });
  });
});
