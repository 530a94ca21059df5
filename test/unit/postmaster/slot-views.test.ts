// What is read of which slot. Shared memory is an array here; what the machine makes of it: registry.test.ts.

import { expect, test, vi } from 'vitest';
import type { Descriptor } from '../../../src/bgworker/background-worker.js';
import type { RegisteredBgWorker } from '../../../src/postmaster/state.js';
import { readSlots } from '../../../src/postmaster/slot-views.js';

const copied = vi.hoisted(() => [] as number[]);
const PARALLEL = 0x10;

// Slot 0 is free, 1 and 2 are in use; each field of a slot says which it is.
vi.mock('../../../src/bgworker/slots.js', () => ({
  totalSlots: () => 3,
  claimedTotalSlots: () => 4,
  slotInUse: (slot: number) => slot > 0,
  slotTerminate: (slot: number) => slot === 1,
  slotNotifyPid: (slot: number) => 100 + slot,
  copySlotDescriptor: (slot: number): Partial<Descriptor> => {
    copied.push(slot);
    return { name: `w${slot}`, flags: PARALLEL, notifyPid: 200 + slot };
  },
}));

test('S-02: the descriptor is read of slots in use whose worker is not on the list, and once', () => {
  expect(readSlots([{ slot: 1 } as RegisteredBgWorker])).toEqual({
    totalSlots: 4,
    slots: [
      { slot: 0, inUse: false, terminate: false, notifyPid: 100, parallel: false, descriptor: null },
      { slot: 1, inUse: true, terminate: true, notifyPid: 101, parallel: false, descriptor: null },
      { slot: 2, inUse: true, terminate: false, notifyPid: 202, parallel: true, descriptor: { name: 'w2', flags: PARALLEL, notifyPid: 202 } },
    ],
  });
  expect(copied).toEqual([2]);
});
