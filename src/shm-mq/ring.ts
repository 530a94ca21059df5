// The ring of a message queue, worked from one end: bytes in, bytes out, and never a wait. No process but this one is touched except through `wake`, so that
// tests can drive both ends in every order.
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

import { HEAD_SIZE, MAX_ALLOC_SIZE, SHM_MQ_DETACHED, SHM_MQ_SUCCESS, SHM_MQ_WOULD_BLOCK, WORD, maxAlign } from './queue.js';
import { ERRCODE_INTERNAL_ERROR, ERRCODE_PROGRAM_LIMIT_EXCEEDED } from '../elog/errcodes.js';
import { ErrorData } from '../elog/error-data.js';

/** Before each message: its length, as a machine word. */
const LENGTH_SIZE = 8;
/** Below this, a loop is faster than `set`. */
const SHORT = 24;

function corrupt(what: string): ErrorData {
  return new ErrorData({ code: ERRCODE_INTERNAL_ERROR, message: `shared memory queue is corrupt: ${what}` });
}

/** What both ends have. Counts go from 0 to twice the size of the ring, exclusive. */
abstract class RingEnd {
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

/** The sender's end. */
export class SendingEnd extends RingEnd {
  /** Of a message under way: is its length in the ring, and how much of its body. */
  #lengthSent = false;
  #sent = 0;
  #total = 0;

  constructor(words: Int32Array, ring: Uint8Array, wake: () => void) {
    super(words, ring, WORD.written, WORD.read, wake);
  }

  /** Is a message in the ring in part? */
  get unfinished(): boolean {
    return this.#lengthSent;
  }

  #look(): void {
    const used = this.count - this.otherCount();
    this.room = this.size - (used < 0 ? used + 2 * this.size : used);
    if (this.room < 0) throw corrupt('the receiver is ahead of the sender');
  }

  /** Bytes that can be written now. Looks again where it thinks that there are none. */
  #free(): number {
    if (this.room === 0) this.#look();
    return this.room;
  }

  /**
   * As much of a message as there is room for. SHM_MQ_WOULD_BLOCK: all that is in the ring has been published; call again with the same message.
   */
  send(iov: Uint8Array | readonly Uint8Array[], total: number, forceFlush: boolean): number {
    if (this.#lengthSent && total !== this.#total) {
      throw new ErrorData({
        code: ERRCODE_INTERNAL_ERROR,
        message: `a message of ${this.#total} bytes is in the shared memory queue in part, and another of ${total} bytes was given`,
        hint: 'After SHM_MQ_WOULD_BLOCK the same message must be given again.',
      });
    }
    if (!this.#lengthSent) {
      if (this.detached) return SHM_MQ_DETACHED;
      if (this.#free() === 0) return this.#full();
      const word = this.at >> 2;
      this.lengths[word] = total;
      this.lengths[word + 1] = 0;
      this.advance(LENGTH_SIZE);
      this.#lengthSent = true;
      this.#sent = 0;
      this.#total = total;
    }
    while (this.#sent < total) {
      const room = this.#free();
      if (room === 0) return this.#full();
      const at = this.at;
      const bytes = Math.min(room, this.size - at, total - this.#sent);
      if (iov instanceof Uint8Array) this.#copyOne(iov, this.#sent, at, bytes);
      else this.#copy(iov, this.#sent, at, bytes);
      this.#sent += bytes;
      this.advance(maxAlign(bytes));
    }
    this.#lengthSent = false;
    if (forceFlush || this.pending > this.size >> 2) this.publish();
    return this.detached ? SHM_MQ_DETACHED : SHM_MQ_SUCCESS; // M-28: also for a message that is whole in the ring
  }

  #full(): number {
    if (this.pending > 0) this.publish();
    return this.detached ? SHM_MQ_DETACHED : SHM_MQ_WOULD_BLOCK;
  }

  #copy(iov: readonly Uint8Array[], from: number, to: number, bytes: number): void {
    let skip = from;
    let at = to;
    let left = bytes;
    for (const source of iov) {
      if (skip >= source.length) {
        skip -= source.length;
        continue;
      }
      const n = Math.min(left, source.length - skip);
      this.#copyOne(source, skip, at, n);
      skip = 0;
      at += n;
      left -= n;
      if (left === 0) return;
    }
  }

  #copyOne(source: Uint8Array, from: number, to: number, bytes: number): void {
    const { ring } = this;
    if (bytes <= SHORT) for (let i = 0; i < bytes; i++) ring[to + i] = source[from + i] as number;
    else ring.set(from === 0 && bytes === source.length ? source : source.subarray(from, from + bytes), to);
  }
}

/** The receiver's end. */
export class ReceivingEnd extends RingEnd {
  /** Of a message under way: its length, -1 while that is not known, and how much of it has been copied. */
  #expected = -1;
  #copied = 0;
  #buffer: Uint8Array | null = null;
  /** The message, after {@link receive} has said SHM_MQ_SUCCESS. Good until the next receive. */
  message: Uint8Array = new Uint8Array(0);

  constructor(words: Int32Array, ring: Uint8Array, wake: () => void) {
    super(words, ring, WORD.read, WORD.written, wake);
  }

  #look(): void {
    const unread = this.otherCount() - this.count;
    this.room = unread < 0 ? unread + 2 * this.size : unread;
    if (this.room > this.size) throw corrupt('the receiver is ahead of the sender');
  }

  /** Are so many bytes there? Looks again where it thinks that they are not. */
  #there(bytes: number): boolean {
    if (this.room >= bytes) return true;
    this.#look();
    return this.room >= bytes;
  }

  /** A whole message, SHM_MQ_WOULD_BLOCK (all that was consumed has been given back), or SHM_MQ_DETACHED. Frees what the last message lay in. */
  receive(): number {
    if (this.pending > this.size >> 2) this.publish();
    if (this.#expected < 0) {
      if (!this.#there(LENGTH_SIZE)) return this.#nothing(LENGTH_SIZE);
      const word = this.at >> 2;
      const length = this.lengths[word] as number;
      if (length < 0 || length > MAX_ALLOC_SIZE || this.lengths[word + 1] !== 0) throw invalidSize(length, this.lengths[word + 1] as number);
      this.#expected = length;
      this.#copied = 0;
      this.advance(LENGTH_SIZE);
    }
    const length = this.#expected;
    const at = this.at;
    if (this.#copied === 0 && at + length <= this.size) {
      // In one piece: a view of the ring, which the sender does not get back before the next receive.
      if (!this.#there(length)) return this.#nothing(length);
      this.message = new Uint8Array(this.ring.buffer, this.ring.byteOffset + at, length);
      this.advance(maxAlign(length));
      this.#expected = -1;
      return SHM_MQ_SUCCESS;
    }
    return this.#receivePieces(length);
  }

  #receivePieces(length: number): number {
    const buffer = this.#roomFor(length);
    while (this.#copied < length) {
      if (!this.#there(LENGTH_SIZE)) return this.#nothing(LENGTH_SIZE);
      const at = this.at;
      const bytes = Math.min(this.room, this.size - at, length - this.#copied);
      buffer.set(this.ring.subarray(at, at + bytes), this.#copied);
      this.#copied += bytes;
      this.advance(maxAlign(bytes));
    }
    this.message = buffer.subarray(0, length);
    this.#expected = -1;
    return SHM_MQ_SUCCESS;
  }

  // 8 KiB at first, then the next power of two, as in C.
  #roomFor(length: number): Uint8Array {
    if (this.#buffer === null || this.#buffer.length < length) {
      this.#buffer = new Uint8Array(Math.min(Math.max(8192, 2 ** Math.ceil(Math.log2(length))), MAX_ALLOC_SIZE));
    }
    return this.#buffer;
  }

  #nothing(needed: number): number {
    // What the sender wrote before it left is still to be had: look at the flag, then once more at its count.
    if (this.detached && !this.#there(needed)) return SHM_MQ_DETACHED;
    if (this.room >= needed) return this.receive();
    if (this.pending > 0) this.publish();
    return SHM_MQ_WOULD_BLOCK;
  }
}

function invalidSize(low: number, high: number): ErrorData {
  const size = (BigInt(high >>> 0) << 32n) | BigInt(low >>> 0);
  return new ErrorData({ code: ERRCODE_PROGRAM_LIMIT_EXCEEDED, message: `invalid message size ${size} in shared memory queue` });
}

/** The bytes that a queue with a ring of so many takes. */
export const queueSize = (ringSize: number): number => HEAD_SIZE + ringSize;
