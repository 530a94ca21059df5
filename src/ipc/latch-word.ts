// Looking at a latch, setting and clearing it, without a call into C where it lies in the main mapping: an asynchronous wait does each of these once, and a call
// costs more than all of them. For any other latch, and for signals, native/core/latch.c, whose protocol this is. Any process.
//
// Atomics are sequentially consistent, and an exchange is a fence for everything around it on the processors that Node runs on; so they stand for C's fences:
//
//   set    exchange is_set: C's first fence, look, store and second fence in one.   Then maybe_sleeping. Pairs with BgwLatchPrepareSleep, BgwBeforeLoopSleeps
//   reset  exchange is_set: what comes after it is looked at after it.               Pairs with the exchange of `set`, and with C's first fence

import { myProcPid } from '../globals.js';
import { native } from '../native.js';
import { LATCH, LATCH_SIZE } from '../shmem/layout.js';
import { hasSharedMemory, sharedMemory } from '../shmem/shmem.js';

const EPERM = -1;

function inMainMapping(name: number): boolean {
  return name >= 0 && (name & 3) === 0 && hasSharedMemory() && name + LATCH_SIZE <= sharedMemory().layout.size;
}

/** 0, or -errno. */
export function setLatchWord(name: number): number {
  if (!inMainMapping(name)) return native.setLatch(name);
  const memory = sharedMemory();
  if (memory.exchange(name + LATCH.isSet, 1) === 0 && memory.load(name + LATCH.maybeSleeping) !== 0) native.wakeLatchOwner(name);
  return 0;
}

/** 1 where it was set, 0; -EPERM: it is somebody else's; another -errno. */
export function resetLatchWord(name: number): number {
  if (!inMainMapping(name)) return native.resetLatch(name);
  const memory = sharedMemory();
  return memory.load(name + LATCH.ownerPid) === myProcPid ? Number(memory.exchange(name + LATCH.isSet, 0) !== 0) : EPERM;
}

/** 1 where it is set, 0; -EPERM: it is somebody else's; another -errno. */
export function latchWord(name: number): number {
  if (!inMainMapping(name)) return native.latchIsSet(name);
  const memory = sharedMemory();
  return memory.load(name + LATCH.ownerPid) === myProcPid ? Number(memory.load(name + LATCH.isSet) !== 0) : EPERM;
}
