// The layout of shared memory: nothing overlaps, everything is aligned, and it all fits.
import { describe, expect, test } from 'vitest';
import {
  ADDIN_SHMEM_INIT_LOCK_OFFSET,
  AREA,
  AREA_ALIGN,
  AREA_SLACK,
  BACKGROUND_WORKER_LOCK_OFFSET,
  DSM_REGISTRY_ENTRIES,
  DSM_REGISTRY_ENTRY_SIZE,
  HEADER,
  INDEX_ENTRIES,
  INDEX_ENTRY,
  INDEX_ENTRY_SIZE,
  LWLOCK_SIZE,
  NUM_PMSIGNALS,
  PARALLEL,
  PMSIGNAL_OFFSET,
  PROC,
  PROC_SIZE,
  SHMEM_INDEX_LOCK_OFFSET,
  SLOT,
  SLOT_SIZE,
  STATUS,
  STATUS_ACTIVITY_SIZE,
  STATUS_SIZE,
  WAIT_EVENT_CUSTOM,
  WAIT_EVENT_CUSTOM_MAX,
  WAIT_EVENT_NAME_SIZE,
  layoutShmem,
} from '../../../src/shmem/layout.js';

interface Span {
  readonly name: string;
  readonly at: number;
  readonly size: number;
}

const TEXTS: Record<string, number> = {
  name: 96,
  type: 96,
  functionName: 96,
  libraryName: 1024,
  extra: 128,
  latch: 16,
  activity: STATUS_ACTIVITY_SIZE,
};
const LONGS = new Set(['generation', 'mainArg', 'startedAt', 'freeOffset', 'stateStart', 'activityStart']);
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

  test('what a process reports does not overlap, and is aligned', () => expectApart(spans(STATUS), STATUS_SIZE));

  test('header, flags, lock and counters stand apart, before the slots', () => {
    const flags = { name: 'pmsignal', at: PMSIGNAL_OFFSET, size: 4 * NUM_PMSIGNALS };
    const locks = [BACKGROUND_WORKER_LOCK_OFFSET, SHMEM_INDEX_LOCK_OFFSET, ADDIN_SHMEM_INIT_LOCK_OFFSET, WAIT_EVENT_CUSTOM.lock];
    const customEvents = { name: 'count of wait events', at: WAIT_EVENT_CUSTOM.count, size: 4 };
    const lockSpans = locks.map((at) => ({ name: `lock at ${at}`, at, size: LWLOCK_SIZE }));
    expectApart([...spans(HEADER), flags, ...lockSpans, customEvents, ...spans(PARALLEL), ...spans(AREA)], layoutShmem(1, 1).slotsOffset);
  });

  test('an index entry’s fields do not overlap', () => {
    const { name, offset, size } = INDEX_ENTRY;
    expect([name, offset, size, INDEX_ENTRY_SIZE]).toEqual([0, 48, 56, 64]);
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
    const dsmEnd = layout.dsmRegistryOffset + DSM_REGISTRY_ENTRIES + items * DSM_REGISTRY_ENTRY_SIZE;
    expect([layout.dsmControlOffset % 64, layout.dsmRegistryOffset % 64, DSM_REGISTRY_ENTRY_SIZE % 16]).toEqual([0, 0, 0]);
    expect(layout.waitEventsOffset).toBeGreaterThanOrEqual(dsmEnd);
    expect(layout.indexOffset).toBeGreaterThanOrEqual(layout.waitEventsOffset + WAIT_EVENT_CUSTOM_MAX * WAIT_EVENT_NAME_SIZE);
    expect(layout.areaOffset).toBeGreaterThanOrEqual(layout.indexOffset + INDEX_ENTRIES * INDEX_ENTRY_SIZE);
    expect([layout.indexOffset % 8, layout.areaOffset % AREA_ALIGN]).toEqual([0, 0]);
    const end = layout.areaOffset + AREA_SLACK;
    expect([layout.size % 4096, layout.size >= end, layout.size - end < 4096]).toEqual([0, true, true]);
    expect(layoutShmem(slots, procs, 12_345_678).size - layout.size).toBeGreaterThanOrEqual(12_345_678 - 4096);
    expect([layout.slotsOffset % 8, layout.procsOffset % 8, SLOT_SIZE % 8, PROC_SIZE % 8]).toEqual([0, 0, 0, 0]);
  });
});
