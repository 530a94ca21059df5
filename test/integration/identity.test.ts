// Who a worker is, by everything that could have kept the answer of its postmaster. docs/fork-safety.md, "What a child has for its identity".
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { fixture, titleOf } from '../helpers/index.js';
import { STOPPED, end, launch, openSession, register, sharedPostmaster, waitForSaid, worker } from './support.js';

const LIBRARY = fixture('identity-workers.mjs');
const pm = sharedPostmaster({ preload: [LIBRARY] });

interface Told {
  readonly kernel: readonly [number, number];
  readonly report: readonly [number, number, string];
  readonly wallClockApart: number;
  readonly cpuApart: number;
  readonly uptime: number;
}

test('pid, parent, reports, times, arguments, threads: its own, or the postmaster’s where that is what they mean', async () => {
  const session = await openSession(pm);
  const begin = Date.now();
  const handle = await register(session, worker('tells', { libraryName: LIBRARY }));
  const { pid, data } = await waitForSaid(pm, 'tells', 'tells');
  const told = data as Told;
  expect(told).toMatchObject({
    kernel: [pid, pm.pid],
    process: [pid, pm.pid],
    postmaster: pm.pid,
    report: [pid, pid, expect.stringContaining(`.${pid}.`) as string],
    reportIsOfNow: true,
    sameTimeOrigin: true,
    sameArguments: true,
    channel: ['undefined', expect.toBeOneOf([undefined, false, null]) as unknown],
    threads: [true, 0, pid, 1],
    inspector: null,
  });
  expect(told.uptime * 1000).toBeLessThan(Date.now() - begin);
  // The clocks that are compared run apart by what adjusts one of them.
  expect(told.wallClockApart).toBeLessThan(2000);
  expect(told.cpuApart).toBeLessThan(100);
  expect(await session.waitForBackgroundWorkerShutdown(handle)).toBe(STOPPED.status);
});

test('title, environment, directory and mask of files: what a worker changes stays with it', async () => {
  const session = await openSession(pm);
  const title = titleOf(pm.pid);
  const { handle, pid } = await launch(session, worker('changes', { libraryName: LIBRARY }));
  await waitForSaid(pm, 'changes', 'changed');
  expect(titleOf(pid)).toBe('another title');
  expect(titleOf(pm.pid)).toBe(title);
  expect(readFileSync(`/proc/${pm.pid}/comm`, 'latin1')).toBe('bgworker\n');
  const other = await register(session, worker('sees', { libraryName: LIBRARY }));
  expect((await waitForSaid(pm, 'sees', 'sees')).data).toEqual({ changed: null, cwd: pm.dir, umask: 0o077, files: true });
  expect(await session.waitForBackgroundWorkerShutdown(other)).toBe(STOPPED.status);
  await end(session, handle);
});
