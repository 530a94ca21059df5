// How much of a stretch of time a process waited for a processor, by looks that were taken now and then.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { coveredByOneWait, RunQueue, waitedAtLast, waitedBetween } from '../../conformance/run-queue.js';
import { forkedBy } from '../../helpers/processes.js';
import { waitUntil } from '../../helpers/wait-until.js';

describe('what is counted', () => {
  const samples = [
    { epochMs: 100, waitedMs: 5 },
    { epochMs: 200, waitedMs: 25 },
    { epochMs: 300, waitedMs: 75 },
  ];

  it('is from the last look before to the first one after', () => {
    expect(waitedBetween(samples, 200, 300)).toBe(50);
    expect(waitedBetween(samples, 110, 190)).toBe(20);
    expect(waitedBetween(samples, 110, 210)).toBe(70);
  });

  it('is what is known where there was no look', () => {
    expect(waitedBetween(samples, 0, 1000)).toBe(70);
    expect(waitedBetween([], 0, 1000)).toBe(0);
  });
});

describe('what was waited within a pause', () => {
  const samples = Array.from({ length: 41 }, (_, at) => ({ epochMs: at * 10, waitedMs: Math.min(at, 30) * 2 }));

  it('is added up over 200 ms, and what was before is forgotten', () => {
    expect(waitedAtLast(samples.slice(0, 11))).toBe(20); // all that is known
    expect(waitedAtLast(samples.slice(0, 31))).toBe(40);
    expect(waitedAtLast(samples)).toBe(20); // nothing in the last 100
    expect(waitedAtLast([])).toBe(0);
  });
});

describe('a wait without an end', () => {
  // What the look at 300 finds are 50 ms that were over after 200: they began at 150 at the earliest.
  const samples = [
    { epochMs: 100, waitedMs: 5 },
    { epochMs: 200, waitedMs: 5 },
    { epochMs: 300, waitedMs: 55 },
    { epochMs: 400, waitedMs: 56 },
  ];

  it.each([
    [210, 211, true],
    [150, 200, true],
    [149, 150, false],
    [249, 300, false], // longer than it waited
    [250, 300, true],
    [299, 300, true],
    [301, 301, true],
    [301, 303, false],
    [120, 121, false],
    [0, 1, false],
    [500, 500, false],
  ])('from %i to %i: could it be? %s', (from, to, could) => {
    expect(coveredByOneWait(samples, from, to)).toBe(could);
  });

  it('is none of a process that nobody looked at', () => {
    expect(coveredByOneWait([], 0, 0)).toBe(false);
    expect(new RunQueue(() => []).mayHaveWaitedThrough(1, 0, 0)).toBe(false);
  });
});

describe('the kernel', () => {
  it('says of a process that computes beside another on the same processor that it waited', async () => {
    const children = [0, 1].map(() => spawn('taskset', ['-c', '0', process.execPath, '-e', 'for (;;);'], { stdio: 'ignore' }));
    const queue = new RunQueue(() => children.flatMap(({ pid }) => pid ?? []));
    const begin = Date.now();
    queue.begin();
    try {
      await waitUntil(() => queue.waitedMs(begin, Date.now()) > 50, { what: 'one to wait for the other', timeoutMs: 20_000 });
      expect(queue.worstMs).toBeGreaterThan(0);
      expect(queue.worstMs).toBeLessThanOrEqual(Math.ceil(queue.waitedMs(begin, Date.now())));
    } finally {
      queue.end();
      for (const child of children) child.kill('SIGKILL');
      await Promise.all(children.map((child) => once(child, 'close')));
    }
  });

  it('says so of the children of a process', async () => {
    // Two that compute on one processor, and a parent that only waits for them.
    const parent = spawn('taskset', ['-c', '0', 'sh', '-c', 'while :; do :; done & while :; do :; done & wait'], { detached: true, stdio: 'ignore' });
    const pid = parent.pid as number;
    const children = RunQueue.ofChildren(() => [pid]);
    const itself = new RunQueue(() => [pid]);
    const begin = Date.now();
    children.begin();
    itself.begin();
    try {
      await waitUntil(() => children.waitedMs(begin, Date.now()) > 50, { what: 'one to wait for the other', timeoutMs: 20_000 });
      expect(forkedBy(pid)).toHaveLength(2);
      expect(itself.waitedMs(begin, Date.now())).toBeLessThan(children.waitedMs(begin, Date.now()));
    } finally {
      children.end();
      itself.end();
      process.kill(-pid, 'SIGKILL');
      await once(parent, 'close');
    }
  });

  it('says of a process that was born between two looks all that it waited', async () => {
    const pids: number[] = [];
    const queue = new RunQueue(() => pids);
    const begin = Date.now();
    queue.begin();
    const children = [0, 1].map(() => spawn('taskset', ['-c', '0', 'sh', '-c', 'while :; do :; done'], { stdio: 'ignore' }));
    try {
      const waited = (): number =>
        Math.max(...children.map(({ pid }) => Number(readFileSync(`/proc/${pid}/schedstat`, 'latin1').split(' ')[1]) / 1e6));
      await waitUntil(() => waited() > 50, { what: 'one to wait for the other', timeoutMs: 20_000 });
      queue.end();
      pids.push(...children.flatMap(({ pid }) => pid ?? []));
      expect(queue.waitedMs(begin, Infinity)).toBeGreaterThan(50);
    } finally {
      queue.end();
      for (const child of children) child.kill('SIGKILL');
      await Promise.all(children.map((child) => once(child, 'close')));
    }
  });

  it('says nothing of a process that is gone', () => {
    const queue = new RunQueue(() => [2 ** 22 + 1]);
    queue.begin();
    queue.end();
    expect(queue.waitedMs(0, Date.now())).toBe(0);
  });
});
