// A message queue as it lies in shared memory: its words, who writes them, and the functions that make one and give it its two ends. Backends.
// PostgreSQL: struct shm_mq in src/backend/storage/ipc/shm_mq.c, contract 10.3.
//
//    0  magic            constant from shm_mq_create on
//    4  ring size        constant
//    8  receiver         offset of its latch in shared memory; 0: none. Set once, by compare and exchange
//   12  sender           the same
//   16  detached         1 for good once either end has gone. Writers: both ends, also on their way out (native/core/shm_mq.c)
//   24  written          how far the sender has come. Writer: the sender, after the data; reader: the receiver, before it reads them
//   32  read             how far the receiver has come. Writer: the receiver, when it is done with the data; reader: the sender, before it overwrites them
//   40  receiver's pid, sender's pid: who may use the end. Written by whoever set the end
//   56  the ring
//
// The size of the head is PostgreSQL's on 64 bits, so that a queue of so many bytes has as long a ring as there.
//
// DIFFERS FROM POSTGRES: `written` and `read` count bytes modulo twice the size of the ring, and not to 64 bits: JavaScript has atomic operations on 32-bit
// words at full speed and none worth having on 64. Twice the size is what tells a full ring from an empty one, and the place in the ring follows from it.

import { type PGPROC } from '../ipc/proc.js';
import { setLatch } from '../ipc/latch.js';
import { ERRCODE_INTERNAL_ERROR, ERRCODE_INVALID_PARAMETER_VALUE, ERRCODE_OBJECT_IN_USE } from '../elog/errcodes.js';
import { ErrorData } from '../elog/error-data.js';

/** Sent, received, or nothing is in the way. @pg SHM_MQ_SUCCESS */
export const SHM_MQ_SUCCESS = 0;
/** Not now; only where `nowait` was asked for. @pg SHM_MQ_WOULD_BLOCK */
export const SHM_MQ_WOULD_BLOCK = 1;
/** The other end has gone, or will never come. @pg SHM_MQ_DETACHED */
export const SHM_MQ_DETACHED = 2;

/** A queue: the shared bytes that it lies in, as C has a pointer to them. @pg shm_mq */
export type ShmMq = Uint8Array;

/** Indexes of 32-bit words; native/core/shm_mq.h has the first five. */
export const WORD = { magic: 0, ringSize: 1, receiver: 2, sender: 3, detached: 4, written: 6, read: 8, receiverPid: 10, senderPid: 11 } as const;
export const HEAD_SIZE = 56;
const MAGIC = 0x514d4853; // 'SHMQ'

/** The smallest queue: its head, and eight bytes of ring. @pg shm_mq_minimum_size */
export const shmMqMinimumSize: number = HEAD_SIZE + 8;

/** The longest message, and the largest queue: 1 GB less one byte. C: MaxAllocSize. */
export const MAX_ALLOC_SIZE = 0x3fffffff;

/** Up to a multiple of 8: up to 1 GB. C: MAXALIGN. */
export const maxAlign = (size: number): number => (size + 7) & ~7;

function checkAddress(address: Uint8Array): void {
  if (!(address instanceof Uint8Array)) throw new TypeError('a queue must lie in a Uint8Array over shared memory');
  if (address.byteOffset % 8 !== 0) {
    throw new ErrorData({ code: ERRCODE_INVALID_PARAMETER_VALUE, message: 'a shared memory queue must begin at a multiple of 8 bytes' });
  }
}

/**
 * Makes a queue out of shared bytes: a segment's, or a structure's in the shared memory area. Whatever they held is forgotten.
 *
 * @param address bytes that begin at a multiple of 8
 * @param size how many of them; what is left over from a multiple of 8 stays unused
 * @returns the queue, for `shmMqSetSender`, `shmMqSetReceiver` and {@link shmMqAttach}; in another process, the same bytes are the same queue
 * @throws ErrorData 22023 where the size is less than 64 bytes, or more than there are
 * @example const mq = shmMqCreate(dsmSegmentAddress(dsmCreate(65536))); shmMqSetReceiver(mq, myProc);
 * @pg shm_mq_create
 */
export function shmMqCreate(address: Uint8Array, size: number = address?.length): ShmMq {
  checkAddress(address);
  const invalid = (message: string): ErrorData => new ErrorData({ code: ERRCODE_INVALID_PARAMETER_VALUE, message });
  if (!Number.isInteger(size)) throw invalid(`queue size must be a whole number of bytes, not ${size}`);
  if (size < shmMqMinimumSize) throw invalid(`queue size must be at least ${shmMqMinimumSize} bytes`);
  if (size > address.length) throw invalid(`queue size of ${size} bytes is more than the ${address.length} bytes that it is to lie in`);
  if (size > MAX_ALLOC_SIZE) throw invalid(`queue size must be at most ${MAX_ALLOC_SIZE} bytes`);
  const aligned = size - (size % 8);
  const words = new Int32Array(address.buffer, address.byteOffset, HEAD_SIZE / 4);
  words.fill(0);
  words[WORD.ringSize] = aligned - HEAD_SIZE;
  Atomics.store(words, WORD.magic, MAGIC);
  return address.subarray(0, aligned);
}

/** The words and the ring of a queue. @throws ErrorData where the bytes are no queue, or not all of one */
export function openQueue(mq: ShmMq): { words: Int32Array; ring: Uint8Array } {
  checkAddress(mq);
  const invalid = new ErrorData({ code: ERRCODE_INTERNAL_ERROR, message: 'the bytes are not a shared memory queue, or not all of one' });
  if (mq.length < shmMqMinimumSize) throw invalid;
  const words = new Int32Array(mq.buffer, mq.byteOffset, HEAD_SIZE / 4);
  const ringSize = words[WORD.ringSize] as number;
  if (words[WORD.magic] !== MAGIC || ringSize < 8 || ringSize % 8 !== 0 || ringSize > mq.length - HEAD_SIZE) throw invalid;
  return { words, ring: new Uint8Array(mq.buffer, mq.byteOffset + HEAD_SIZE, ringSize) };
}

type End = 'receiver' | 'sender';

function setEnd(mq: ShmMq, proc: PGPROC, end: End): void {
  const { words } = openQueue(mq);
  const { pid, procLatch } = proc ?? {};
  if (typeof pid !== 'number' || !(procLatch?.offset > 0)) throw new TypeError('proc must be a process of shared memory, such as myProc');
  if (Atomics.compareExchange(words, WORD[end], 0, procLatch.offset) !== 0) {
    throw new ErrorData({
      code: ERRCODE_OBJECT_IN_USE,
      message: `shared memory queue already has a ${end}`,
      detail: `It is process ${Atomics.load(words, end === 'receiver' ? WORD.receiverPid : WORD.senderPid)}.`,
    });
  }
  Atomics.store(words, end === 'receiver' ? WORD.receiverPid : WORD.senderPid, pid);
  // Who waits for us to come: the end was set before this. Pairs with the load in `otherEnd`.
  const other = Atomics.load(words, end === 'receiver' ? WORD.sender : WORD.receiver);
  if (other !== 0) setLatch({ offset: other });
}

/**
 * Says who receives from a queue: this process (`myProc`), mostly. Once, and for good. Wakes the sender.
 * @throws ErrorData 55006 where it has a receiver
 * @pg shm_mq_set_receiver
 */
export function shmMqSetReceiver(mq: ShmMq, proc: PGPROC): void {
  setEnd(mq, proc, 'receiver');
}

/** Says who sends into a queue, as {@link shmMqSetReceiver}. @pg shm_mq_set_sender */
export function shmMqSetSender(mq: ShmMq, proc: PGPROC): void {
  setEnd(mq, proc, 'sender');
}

function getEnd(mq: ShmMq, end: End): PGPROC | null {
  const { words } = openQueue(mq);
  const offset = Atomics.load(words, WORD[end]);
  return offset === 0 ? null : { pid: Atomics.load(words, end === 'receiver' ? WORD.receiverPid : WORD.senderPid), procLatch: { offset } };
}

/** Who receives from a queue; null: nobody yet. @pg shm_mq_get_receiver */
export function shmMqGetReceiver(mq: ShmMq): PGPROC | null {
  return getEnd(mq, 'receiver');
}

/** Who sends into a queue; null: nobody yet. @pg shm_mq_get_sender */
export function shmMqGetSender(mq: ShmMq): PGPROC | null {
  return getEnd(mq, 'sender');
}
