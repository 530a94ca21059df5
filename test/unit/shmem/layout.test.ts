// The layout of shared memory: nothing overlaps, everything is aligned, and it all fits.
import { describe, expect, test } from 'vitest';
import {
  BACKGROUND_WORKER_LOCK_OFFSET,
  DSM_REGISTRY_ENTRIES,
  DSM_REGISTRY_ENTRY_SIZE,
  HEADER,
  NUM_PMSIGNALS,
  PARALLEL,
  PMSIGNAL_OFFSET,
  PROC,
  PROC_SIZE,
  SLOT,
  SLOT_SIZE,
  layoutShmem,
} from '../../../src/shmem/layout.js';

interface Span {
  readonly name: string;
  readonly at: number;
  readonly size: number;
}

const TEXTS: Record<string, number> = { name: 96, type: 96, functionName: 96, libraryName: 1024, extra: 128, latch: 16 };
const LONGS = new Set(['generation', 'mainArg', 'startedAt']);
const spans = (fields: Readonly<Record<string, number>>): Span[] =>
  Object.entries(fields).map(([name, at]) => ({ name, at, size: TEXTS[name] ?? (LONGS.has(name) ? 8 : 4) }));

function expectApart(all: readonly Span[], size: number): void {
  const sorted = all.toSorted((a, b) => a.at - b.at);
  for (const [index, { name, at, size: bytes }] of sorted.entries()) {
    expect(at % Math.min(bytes, 8), name).toBe(0);
    expect(at + bytes, name).toBeLessThanOrEqual(sorted[index + 1]?.at ?? size);
  }
}

describe('layout', () => {
  test('a slot’s fields do not overlap, and are aligned', () => expectApart(spans(SLOT), SLOT_SIZE));
  test('a process’s fields do not overlap, and are aligned', () => expectApart(spans(PROC), PROC_SIZE));

  test('header, flags, lock and counters stand apart, before the slots', () => {
    const flags = { name: 'pmsignal', at: PMSIGNAL_OFFSET, size: 4 * NUM_PMSIGNALS };
    const lock = { name: 'lock', at: BACKGROUND_WORKER_LOCK_OFFSET, size: 8 };
    expectApart([...spans(HEADER), flags, lock, ...spans(PARALLEL)], layoutShmem(1, 1).slotsOffset);
  });

  test.each([
    [0, 1],
    [1, 1],
    [8, 109],
    [262_143, 262_143],
  ])('%i slots and %i processes fit, in whole pages', (slots, procs) => {
    const layout = layoutShmem(slots, procs);
    expect(layout).toMatchObject({ totalSlots: slots, totalProcs: procs });
    expect(layout.procsOffset).toBe(layout.slotsOffset + slots * SLOT_SIZE);
    const items = 64 + 5 * procs; // M-10
    expect(layout.dsmMaxItems).toBe(items);
    expect(layout.dsmControlOffset).toBeGreaterThanOrEqual(layout.procsOffset + procs * PROC_SIZE);
    expect(layout.dsmRegistryOffset).toBeGreaterThanOrEqual(layout.dsmControlOffset + 128 + 32 * items);
    const end = layout.dsmRegistryOffset + DSM_REGISTRY_ENTRIES + items * DSM_REGISTRY_ENTRY_SIZE;
    expect([layout.dsmControlOffset % 64, layout.dsmRegistryOffset % 64, DSM_REGISTRY_ENTRY_SIZE % 16]).toEqual([0, 0, 0]);
    expect([layout.size % 4096, layout.size >= end, layout.size - end < 4096]).toEqual([0, true, true]);
    expect([layout.slotsOffset % 8, layout.procsOffset % 8, SLOT_SIZE % 8, PROC_SIZE % 8]).toEqual([0, 0, 0, 0]);
  });
});
