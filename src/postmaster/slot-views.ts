// The slots of background workers as the state machine is shown them: each field loaded once, into numbers and text of the postmaster's own. Postmaster.
// PostgreSQL: BackgroundWorkerStateChange in src/backend/postmaster/bgworker.c, contract S-01, S-02, S-10.
//
// A backend may write while we read, and anything at all. So nothing is looked at in shared memory, decided upon, and looked at again.

import type { SlotView } from './state.js';
import {
  claimedTotalSlots,
  copySlotDescriptor,
  slotGeneration,
  slotInUse,
  slotNotifyPid,
  slotPid,
  slotTerminate,
  totalSlots,
} from '../bgworker/slots.js';
import { BGWORKER_CLASS_PARALLEL } from '../constants.js';

/** All slots, and how many there are by what shared memory says. */
export function readSlots(): { readonly totalSlots: number; readonly slots: readonly SlotView[] } {
  const slots: SlotView[] = [];
  for (let slot = 0; slot < totalSlots(); slot++) {
    const inUse = slotInUse(slot); // first: what follows is complete where this is true
    const descriptor = inUse ? copySlotDescriptor(slot) : null;
    slots.push({
      slot,
      inUse,
      terminate: slotTerminate(slot),
      generation: slotGeneration(slot),
      notifyPid: descriptor?.notifyPid ?? slotNotifyPid(slot),
      parallel: descriptor !== null && (descriptor.flags & BGWORKER_CLASS_PARALLEL) !== 0,
      pid: slotPid(slot),
      descriptor,
    });
  }
  return { totalSlots: claimedTotalSlots(), slots };
}
