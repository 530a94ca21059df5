// The image: the postmaster's memory, as each child gets it. It is collected and compacted once, before the first fork, and kept small while it serves. Postmaster.
// PostgreSQL has no part like it: what its postmaster has allocated it frees.

import { getHeapStatistics, setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

import { native } from '../native.js';

/** About what a postmaster has resident beside its heap when V8 keeps nothing: code and data of Node's, and of its libraries. */
const NOTHING_KEPT = 64 * 1024 * 1024;
/** To have grown by that is worth a pause: each child gets page tables for it, whether it is alive or not. */
const GROWN_MUCH = 32 * 1024 * 1024;
const LOOK_INTERVAL_MS = 250;
/** Of the time between two, what giving back may take at most: one part of so many. */
const SHARE = 20;

/**
 * Two full collections in which every page is compacted: V8 by itself leaves pages alone that are not very fragmented, and sweeps them, which writes into each gap
 * between objects. The children share these pages; the first full collection in a child copies those that it writes to. Without gaps that was 5 MB instead of 9.
 */
export function compactImage(): void {
  setFlagsFromString('--expose-gc');
  const gc = runInNewContext('gc') as () => void;
  compacting(() => {
    gc();
    gc();
    const { total_heap_size: heap, external_memory: external } = getHeapStatistics();
    if (resident() - heap - external > NOTHING_KEPT + GROWN_MUCH) native.giveBackMemory();
  });
}

/** Only here: children collect as V8 thinks best. */
function compacting(collect: () => void): void {
  setFlagsFromString('--compact-on-every-full-gc');
  collect();
  setFlagsFromString('--no-compact-on-every-full-gc');
}

/** A Node without v8::Isolate::MemoryPressureNotification keeps what it keeps: nothing rests on this but memory. */
function giveBack(): void {
  compacting(() => native.giveBackMemory());
}

/** Bytes; 0 where nobody can tell: no descriptor is left for a look into /proc, or there is no /proc. */
function resident(): number {
  try {
    return process.memoryUsage.rss();
  } catch {
    return 0;
  }
}

/**
 * What a process has allocated once its V8 keeps: the young generation at the size that it grew to, 74 MB for 5 that are alive, and from Node 22 on the pages of
 * what it has collected, 90 to 250 MB where much grows old. Those it would let go, if at all, after eight seconds, by a timer of the event loop, which does not turn
 * in a postmaster. So the postmaster does by hand what nobody does for it: it tells V8 that memory is short, which collects, and gives back at once what it can.
 */
export class ImageKeeper {
  #usual: number = resident();
  #nextLook = 0;

  /** Between two waits. Takes some 20 ms where there is something to give back; else 10 us, four times a second at most. */
  look(now: () => number): void {
    const began = now();
    if (began < this.#nextLook) return;
    this.#nextLook = began + LOOK_INTERVAL_MS;
    if (resident() < this.#usual + GROWN_MUCH) return;
    giveBack();
    // What is still there is alive, or not V8's: shared memory that was touched, malloc's.
    this.#usual = resident() || this.#usual;
    this.#nextLook = now() + Math.max(LOOK_INTERVAL_MS, SHARE * (now() - began));
  }
}
