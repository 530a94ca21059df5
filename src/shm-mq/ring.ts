// The ring of a message queue: what its two ends (sending-end.ts, receiving-end.ts) have in common. Bytes in, bytes out, and never a wait. No process but this one
// is touched except through `wake`, so that tests can drive both ends in every order. Backends.
// PostgreSQL: shm_mq_send_bytes, shm_mq_receive_bytes, shm_mq_inc_bytes_read, shm_mq_inc_bytes_written in src/backend/storage/ipc/shm_mq.c.
//
// The protocol. The sender owns the free part of the ring, the receiver the rest; each gives ground by storing its own count, and takes ground by loading
// the other's. All stores and loads of words are sequentially consistent (Atomics), so data are written before the count that publishes them is seen, and
// read before the count that gives them back is.
//
//   sender:   write data, store `written`, set the receiver's latch      receiver: reset its latch, load `written`, nothing new? load `detached`, sleep
//   receiver: copy data, store `read`, set the sender's latch            sender:   reset its latch, load `read`, no room? load `detached`, sleep
//
// Neither count is stored for each message: the other end would be woken for each. A quarter of the ring is what is held back at most (M-30).

import { WORD } from './queue.js';
import { ERRCODE_INTERNAL_ERROR } from '../elog/errcodes.js';
import { ErrorData } from '../elog/error-data.js';

/** Before each message: its length, as a machine word. */
export const LENGTH_SIZE = 8;

export function corrupt(what: string): ErrorData {
  return new ErrorData({ code: ERRCODE_INTERNAL_ERROR, message: `shared memory queue is corrupt: ${what}` });
}

/** What both ends have. Counts go from 0 to twice the size of the ring, exclusive. */
export abstract class RingEnd {
  protected readonly words: Int32Array;
  protected readonly ring: Uint8Array;
  protected readonly lengths: Int32Array;
  protected readonly size: number;
  /** How far this end has come, and what of it the other end has not been told. */
  protected count: number;
  protected pending = 0;
  /** How far it may go: bytes to write or to read. A lower bound; the other end's count tells more. */
  protected room = 0;
  readonly #own: number;
  readonly #other: number;
  readonly #wake: () => void;

  constructor(words: Int32Array, ring: Uint8Array, own: number, other: number, wake: () => void) {
    this.words = words;
    this.ring = ring;
    this.lengths = new Int32Array(ring.buffer, ring.byteOffset, ring.length / 4);
    this.size = ring.length;
    this.#own = own;
    this.#other = other;
    this.#wake = wake;
    this.count = Atomics.load(words, own);
    this.otherCount(); // that the counts make sense
  }

  /** The other end's count, checked: whoever scribbles over shared memory gets an error here and no loop without end. */
  protected otherCount(): number {
    const other = Atomics.load(this.words, this.#other);
    if (other < 0 || other >= 2 * this.size || other % 8 !== 0) throw corrupt('a position is outside of the ring');
    return other;
  }

  get detached(): boolean {
    return Atomics.load(this.words, WORD.detached) !== 0;
  }

  /**
   * The same by a plain load, which costs nothing beside a message: nothing is read by what it says, and the flag stays. Who is about to wait asks
   * {@link detached}, after its own count is stored.
   */
  protected get gone(): boolean {
    return this.words[WORD.detached] !== 0;
  }

  /** Where in the ring this end is. */
  protected get at(): number {
    return this.count >= this.size ? this.count - this.size : this.count;
  }

  protected advance(bytes: number): void {
    const next = this.count + bytes;
    this.count = next >= 2 * this.size ? next - 2 * this.size : next;
    this.room -= bytes;
    this.pending += bytes;
  }

  /** Is there anything that the other end has not been told? */
  get unpublished(): boolean {
    return this.pending > 0;
  }

  /** Tells the other end how far this one is, and wakes it. Pairs with the load in `otherCount`. */
  publish(): void {
    this.pending = 0;
    Atomics.store(this.words, this.#own, this.count);
    this.#wake();
  }
}
