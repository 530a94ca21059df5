// Asynchronous waits for what other processes wake by native/core/waiters.h: locks and condition variables. Backends.
//
// Each process has one latch for these, besides its own: nobody else sets or resets it. While somebody waits, one loop waits for that latch and asks
// everybody whether it was for him.

import { WL_EXIT_ON_PM_DEATH, WL_LATCH_SET, waitLatch, waitLatchSync } from './latch.js';
import { onInterrupt } from './signals.js';
import { native } from '../native.js';
import { WAIT_BLOCK_SIZE } from '../shmem/layout.js';
import { sharedMemory } from '../shmem/shmem.js';

let latch = { offset: -1 };
let looping = false;

/** Who waits: says whether it was for him, and then waits no more. And what he waits for, as others see it. */
const waiters = new Map<() => boolean, number>();

/** A child that joins shared memory, by its entry there. */
export function setWaitBlock(index: number): void {
  latch = { offset: sharedMemory().layout.waitBlocksOffset + index * WAIT_BLOCK_SIZE };
}

// Reset first, look second: what is set after the look is seen in the next round.
function look(): void {
  native.resetLatch(latch.offset);
  for (const waiter of waiters.keys()) if (waiter()) waiters.delete(waiter);
}

async function loop(): Promise<void> {
  looping = true;
  while (waiters.size > 0) {
    // Of several the one that began last shows, as of several waits for latches.
    await waitLatch(latch, WL_LATCH_SET | WL_EXIT_ON_PM_DEATH, -1, { waitEventInfo: [...waiters.values()].at(-1) });
    look();
  }
  looping = false;
}

/** Asks `waiter` whenever this process was woken, until it says true. Returns how to stop that. */
export function whenWoken(waiter: () => boolean, waitEventInfo: number): () => void {
  waiters.set(waiter, waitEventInfo);
  if (!looping) void loop();
  return () => {
    waiters.delete(waiter);
    if (waiters.size === 0) native.setLatch(latch.offset); // or the loop would wait on, and keep the process
  };
}

/** Asks everybody who waits, though nobody may have been woken: something is different in this process. */
export function askWaiters(): void {
  if (waiters.size > 0) native.setLatch(latch.offset);
}

/** Blocks until this process may have been woken, an interrupt is pending, or the events say otherwise. Returns the event. */
export function waitWokenSync(events: number, timeoutMs: number, waitEventInfo: number): number {
  // Handlers set the process's own latch, which is not this one.
  const forget = onInterrupt(() => native.setLatch(latch.offset));
  try {
    const event = waitLatchSync(latch, WL_LATCH_SET | WL_EXIT_ON_PM_DEATH | events, timeoutMs, { waitEventInfo });
    if (event === WL_LATCH_SET) look();
    return event;
  } finally {
    forget();
  }
}
