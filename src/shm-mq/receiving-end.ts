// A message queue's ring from the receiver's end: messages out of the ring, as views of it where they lie in one piece, else as copies. ring.ts has the protocol.
// Backends. PostgreSQL: shm_mq_receive_bytes and shm_mq_receive in src/backend/storage/ipc/shm_mq.c.

import { MAX_ALLOC_SIZE, SHM_MQ_DETACHED, SHM_MQ_WOULD_BLOCK, WORD, maxAlign } from './queue.js';
import { LENGTH_SIZE, RingEnd, corrupt } from './ring.js';
import { ERRCODE_PROGRAM_LIMIT_EXCEEDED } from '../elog/errcodes.js';
import { ErrorData } from '../elog/error-data.js';

/** The receiver's end. */
export class ReceivingEnd extends RingEnd {
  /** Of a message under way: its length, -1 while that is not known, and how much of it has been copied. */
  #expected = -1;
  #copied = 0;
  #buffer: Uint8Array | null = null;

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

  /**
   * A whole message, good until the next receive; SHM_MQ_WOULD_BLOCK, and all that was consumed has been given back; or SHM_MQ_DETACHED. Frees what the last message
   * lay in.
   */
  receive(): Uint8Array | number {
    if (this.pending > this.size >> 2) this.publish();
    if (this.#expected < 0 && this.#there(LENGTH_SIZE)) {
      const at = this.at;
      const word = at >> 2;
      const length = this.lengths[word] as number;
      const bytes = LENGTH_SIZE + length;
      // Most messages: all of it is there, in one piece.
      if (length >= 0 && bytes <= this.room && at + bytes <= this.size && this.lengths[word + 1] === 0) {
        this.advance(LENGTH_SIZE + maxAlign(length));
        return this.#view(at + LENGTH_SIZE, length);
      }
    }
    return this.#receiveInSteps();
  }

  /** A view of the ring, which the sender does not get back before the next receive. */
  #view(at: number, length: number): Uint8Array {
    return new Uint8Array(this.ring.buffer, this.ring.byteOffset + at, length);
  }

  #receiveInSteps(): Uint8Array | number {
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
    if (this.#copied > 0 || at + length > this.size) return this.#receivePieces(length);
    if (!this.#there(length)) return this.#nothing(length);
    this.advance(maxAlign(length));
    this.#expected = -1;
    return this.#view(at, length);
  }

  #receivePieces(length: number): Uint8Array | number {
    const buffer = this.#roomFor(length);
    while (this.#copied < length) {
      if (!this.#there(LENGTH_SIZE)) return this.#nothing(LENGTH_SIZE);
      const at = this.at;
      const bytes = Math.min(this.room, this.size - at, length - this.#copied);
      buffer.set(this.ring.subarray(at, at + bytes), this.#copied);
      this.#copied += bytes;
      this.advance(maxAlign(bytes));
    }
    this.#expected = -1;
    return buffer.subarray(0, length);
  }

  // 8 KiB at first, then the next power of two, as in C.
  #roomFor(length: number): Uint8Array {
    if (this.#buffer === null || this.#buffer.length < length) {
      this.#buffer = new Uint8Array(Math.min(Math.max(8192, 2 ** Math.ceil(Math.log2(length))), MAX_ALLOC_SIZE));
    }
    return this.#buffer;
  }

  #nothing(needed: number): Uint8Array | number {
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
