// A message queue's ring from the sender's end: messages into the ring, whole where there is room, else in pieces. ring.ts has the protocol. Backends.
// PostgreSQL: shm_mq_send_bytes and shm_mq_sendv in src/backend/storage/ipc/shm_mq.c.

import { SHM_MQ_DETACHED, SHM_MQ_SUCCESS, SHM_MQ_WOULD_BLOCK, WORD, maxAlign } from './queue.js';
import { LENGTH_SIZE, RingEnd, corrupt } from './ring.js';
import { ERRCODE_INTERNAL_ERROR } from '../elog/errcodes.js';
import { ErrorData } from '../elog/error-data.js';

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
    const bytes = LENGTH_SIZE + maxAlign(total);
    if (this.room < bytes) this.#look();
    const at = this.at;
    // Most messages: all of it, in one piece.
    if (!this.#lengthSent && iov instanceof Uint8Array && bytes <= this.room && at + bytes <= this.size) {
      if (this.gone) return SHM_MQ_DETACHED;
      this.#putLength(at, total);
      this.ring.set(iov, at + LENGTH_SIZE);
      this.advance(bytes);
    } else {
      const result = this.#sendPieces(iov, total);
      if (result !== SHM_MQ_SUCCESS) return result;
    }
    if (forceFlush || this.pending > this.size >> 2) this.publish();
    return this.gone ? SHM_MQ_DETACHED : SHM_MQ_SUCCESS; // M-28: also for a message that is whole in the ring
  }

  #putLength(at: number, total: number): void {
    const word = at >> 2;
    this.lengths[word] = total;
    this.lengths[word + 1] = 0;
  }

  #sendPieces(iov: Uint8Array | readonly Uint8Array[], total: number): number {
    if (this.#lengthSent && total !== this.#total) {
      throw new ErrorData({
        code: ERRCODE_INTERNAL_ERROR,
        message: `a message of ${this.#total} bytes is in the shared memory queue in part, and another of ${total} bytes was given`,
        hint: 'After SHM_MQ_WOULD_BLOCK the same message must be given again.',
      });
    }
    if (!this.#lengthSent) {
      if (this.gone) return SHM_MQ_DETACHED;
      if (this.#free() === 0) return this.#full();
      this.#putLength(this.at, total);
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
    return SHM_MQ_SUCCESS;
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
    this.ring.set(from === 0 && bytes === source.length ? source : source.subarray(from, from + bytes), to);
  }
}
