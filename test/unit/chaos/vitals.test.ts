// What the chaos run calls growth, in vitals that were made up, on both sides of each limit; and that it sees the descriptors of real processes.

import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { type CollectedVitals, type Vitals, growth, newDescriptors, vitalsOf } from '../../chaos/vitals.js';
import { waitUntil } from '../../helpers/wait-until.js';

const warm: CollectedVitals = {
  descriptors: ['pipe:[N]', 'pipe:[N]', 'socket:[N]'],
  mappings: 300,
  anonymousKb: 50_000,
  rssKb: 90_000,
  heapKb: 9000,
};
const later = (fields: Partial<CollectedVitals>): CollectedVitals => ({ ...warm, ...fields });

describe('newDescriptors', () => {
  test('none: the same, in whatever order', () => {
    expect(newDescriptors(warm, later({ descriptors: ['socket:[N]', 'pipe:[N]', 'pipe:[N]'] }))).toBeNull();
  });

  test.each([
    ['another kind', [...warm.descriptors, '/dev/null'], 'new: /dev/null; gone: '],
    ['one more of a kind that is there', [...warm.descriptors, 'pipe:[N]'], 'new: pipe:[N]; gone: '],
    ['one in place of another', ['pipe:[N]', 'pipe:[N]', 'pipe:[N]'], 'new: pipe:[N]; gone: socket:[N]'],
    ['one less', ['pipe:[N]', 'socket:[N]'], 'new: ; gone: pipe:[N]'],
  ])('%s', (_, descriptors, complaint) => {
    expect(newDescriptors(warm, later({ descriptors }))).toBe(complaint);
  });

  test('of two real processes, one of which has one more', async () => {
    const fd = openSync('/dev/null', 'r');
    const start = (...more: number[]): ChildProcess => spawn('cat', { stdio: ['pipe', 'ignore', 'ignore', ...more] });
    const processes = [start(), start(), start(fd)];
    closeSync(fd);
    const look = (n: number): Vitals => vitalsOf(processes[n]?.pid as number);
    try {
      // The loader has libraries open at first.
      const compare = (n: number): string | null => newDescriptors(look(0), look(n));
      await waitUntil(() => compare(1) === null, { what: () => `no difference: ${compare(1)}` });
      await waitUntil(() => compare(2) === 'new: /dev/null; gone: ', { what: () => `one descriptor: ${compare(2)}` });
    } finally {
      for (const { stdin } of processes) stdin?.end();
    }
  });
});

describe('growth', () => {
  test.each([
    ['mappings', later({ mappings: 360 }), later({ mappings: 361 }), /^61 more mappings/],
    ['memory of its own', later({ anonymousKb: 50_000 + 24 * 1024 }), later({ anonymousKb: 50_001 + 24 * 1024 }), /24577 KB more of its own/],
    ['what lives on its heap', later({ heapKb: 9000 + 1024 }), later({ heapKb: 9001 + 1024 }), /1025 KB more on its heap$/],
  ] as const)('%s: as much as is allowed, and one more', (_, allowed, tooMuch, complaint) => {
    expect(growth(warm, allowed)).toBeNull();
    expect(growth(warm, tooMuch)).toMatch(complaint);
  });

  test('none: the same, less, or more of what the libraries map', () => {
    expect(growth(warm, warm)).toBeNull();
    expect(growth(warm, later({ mappings: 200, anonymousKb: 40_000, heapKb: 8000, rssKb: 900_000 }))).toBeNull();
  });
});
