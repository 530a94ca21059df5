// The slots of background workers as the state machine is shown them: each field loaded once, into numbers and text of the postmaster's own. Postmaster.
// PostgreSQL: BackgroundWorkerStateChange in src/backend/postmaster/bgworker.c, contract S-01, S-02, S-10.
//
// A backend may write while we read, and anything at all. So nothing is looked at in shared memory, decided upon, and looked at again.

import type { RegisteredBgWorker, SlotView } from './state.js';
import { claimedTotalSlots, copySlotDescriptor, slotInUse, slotNotifyPid, slotTerminate, totalSlots } from '../bgworker/slots.js';
import { BGWORKER_CLASS_PARALLEL } from '../constants.js';

/**
 * All slots, and how many there are by what shared memory says. Of workers that are on the list already no descriptor is read, as in PostgreSQL: to copy a
 * thousand of them took some 3 ms at each change, and what malloc had given for the copies left gaps in the image of each child to come.
 */
export function readSlots(workers: readonly RegisteredBgWorker[]): { readonly totalSlots: number; readonly slots: readonly SlotView[] } {
  const known = new Set(workers.map(({ slot }) => slot));
  const slots: SlotView[] = [];
  for (let slot = 0; slot < totalSlots(); slot++) {
    const inUse = slotInUse(slot); // first: what follows is complete where this is true
    const descriptor = inUse && !known.has(slot) ? copySlotDescriptor(slot) : null;
    slots.push({
      slot,
      inUse,
      terminate: slotTerminate(slot),
      notifyPid: descriptor?.notifyPid ?? slotNotifyPid(slot),
      parallel: descriptor !== null && (descriptor.flags & BGWORKER_CLASS_PARALLEL) !== 0,
      descriptor,
    });
  }
  return { totalSlots: claimedTotalSlots(), slots };
}
