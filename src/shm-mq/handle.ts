// One process's hold on one end of a message queue: what shm_mq_attach returns. Backends.
// PostgreSQL: struct shm_mq_handle, shm_mq_attach, shm_mq_detach, shm_mq_counterparty_gone in src/backend/storage/ipc/shm_mq.c.

import { SHM_MQ_DETACHED, SHM_MQ_SUCCESS, SHM_MQ_WOULD_BLOCK, type ShmMq, WORD, openQueue } from './queue.js';
import { ReceivingEnd } from './receiving-end.js';
import { SendingEnd } from './sending-end.js';
import { type BackgroundWorkerHandle, getBackgroundWorkerPid } from '../bgworker/handle.js';
import { BGWH_STOPPED } from '../constants.js';
import { ERRCODE_INTERNAL_ERROR, ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE } from '../elog/errcodes.js';
import { ErrorData } from '../elog/error-data.js';
import { myProcPid } from '../globals.js';
import { cancelOnDsmDetach, onDsmDetach } from '../ipc/dsm.js';
import type { DsmSegment } from '../ipc/dsm-segment.js';
import { setLatch } from '../ipc/latch.js';
import { myProc } from '../ipc/proc.js';
import { native } from '../native.js';
import { sharedMemory } from '../shmem/shmem.js';

function stateError(message: string): ErrorData {
  return new ErrorData({ code: ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, message });
}

/** Detaches, when the segment that the queue lies in goes. */
const detachCallback = (_segment: DsmSegment, handle: unknown): void => (handle as ShmMqHandle).detach();

/** This process's end of a queue. Opaque: made by {@link shmMqAttach}. @pg shm_mq_handle */
export class ShmMqHandle {
  readonly #mq: ShmMq;
  readonly #words: Int32Array;
  readonly #segment: DsmSegment | null;
  #worker: BackgroundWorkerHandle | null;
  readonly #sending: SendingEnd | null;
  readonly #receiving: ReceivingEnd | null;
  #otherAttached = false;
  #open = true;
  /** Asynchronous calls under way, one after the other. */
  #queued: Promise<unknown> | null = null;

  /** @internal */
  constructor(mq: ShmMq, segment: DsmSegment | null, worker: BackgroundWorkerHandle | null) {
    const { words, ring } = openQueue(mq);
    const mine = myProc?.procLatch.offset ?? -1;
    const isMine = (end: number, pid: number): boolean => Atomics.load(words, end) === mine && Atomics.load(words, pid) === myProcPid;
    const sends = isMine(WORD.sender, WORD.senderPid);
    const receives = isMine(WORD.receiver, WORD.receiverPid);
    if (!sends && !receives) throw stateError(`process ${myProcPid} is neither sender nor receiver of this shared memory queue`);
    this.#mq = mq;
    this.#words = words;
    this.#segment = segment;
    this.#worker = worker;
    this.#sending = sends ? new SendingEnd(words, ring, () => this.#wake(WORD.receiver)) : null;
    this.#receiving = receives ? new ReceivingEnd(words, ring, () => this.#wake(WORD.sender)) : null;
    // The way out of the process marks the queue, also where no JavaScript runs any more.
    const tracked = native.shmMqTrack(mq);
    if (tracked < 0) throw stateError('the bytes of the shared memory queue are not shared memory');
    if (segment !== null) onDsmDetach(segment, detachCallback, this);
  }

  #wake(end: number): void {
    const latch = Atomics.load(this.#words, end);
    // A latch that is set need not be set again: BgwSetLatch looks first, too, but a call into C costs more than the look. What it is set for was stored by
    // Atomics before this load, which is the order that BgwSetLatch's first fence gives. The latch's first word is is_set.
    // The word may hold anything, if somebody wrote over the queue.
    const memory = sharedMemory();
    if (latch > 0 && latch % 4 === 0 && latch < memory.layout.size && memory.load(latch) === 0) setLatch({ offset: latch });
  }

  #checkOpen(): void {
    if (!this.#open) throw stateError('this end of the shared memory queue has been detached');
  }

  /** @internal */
  get sending(): SendingEnd {
    this.#checkOpen();
    if (this.#sending === null) throw stateError(`process ${myProcPid} is not the sender of this shared memory queue`);
    return this.#sending;
  }

  /** @internal */
  get receiving(): ReceivingEnd {
    this.#checkOpen();
    if (this.#receiving === null) throw stateError(`process ${myProcPid} is not the receiver of this shared memory queue`);
    return this.#receiving;
  }

  /** @internal */
  get mq(): ShmMq {
    this.#checkOpen();
    return this.#mq;
  }

  /** @internal */
  get detached(): boolean {
    return Atomics.load(this.#words, WORD.detached) !== 0;
  }

  /** @internal Asynchronous calls of one end take turns. @returns what the call returns, at once where none is under way */
  inTurn<T>(call: () => T | Promise<T>): Promise<T> {
    const turn = this.#queued === null ? Promise.resolve(call()) : this.#queued.then(call, call);
    const settled: Promise<void> = turn.then(
      () => this.#turnOver(settled),
      () => this.#turnOver(settled),
    );
    this.#queued = settled;
    return turn;
  }
  #turnOver(settled: Promise<unknown>): void {
    if (this.#queued === settled) this.#queued = null;
  }
  /** @internal */
  get busy(): boolean {
    return this.#queued !== null;
  }

  /** @internal */
  setWorker(worker: BackgroundWorkerHandle): void {
    this.#checkOpen();
    if (this.#worker !== null)
      throw new ErrorData({ code: ERRCODE_INTERNAL_ERROR, message: 'the shared memory queue has a background worker handle already' });
    this.#worker = worker;
  }

  /**
   * @internal Has the other end come? SHM_MQ_WOULD_BLOCK: not yet; SHM_MQ_DETACHED: it will not. First whether it is gone, then whether it was ever there: it
   * may come and go between two looks.
   */
  otherEnd(): number {
    if (this.#otherAttached) return SHM_MQ_SUCCESS;
    const gone = this.detached || (this.#worker !== null && getBackgroundWorkerPid(this.#worker).status === BGWH_STOPPED);
    if (Atomics.load(this.#words, this.#sending === null ? WORD.sender : WORD.receiver) !== 0) {
      this.#otherAttached = true;
      return SHM_MQ_SUCCESS;
    }
    if (!gone) return SHM_MQ_WOULD_BLOCK;
    Atomics.store(this.#words, WORD.detached, 1);
    return SHM_MQ_DETACHED;
  }

  /** @internal Has {@link otherEnd} seen it? */
  get otherCame(): boolean {
    return this.#otherAttached;
  }

  /** @internal */
  trySend(iov: Uint8Array | readonly Uint8Array[], total: number, forceFlush: boolean): number {
    const result = this.sending.send(iov, total, forceFlush);
    return result === SHM_MQ_WOULD_BLOCK && this.otherEnd() === SHM_MQ_DETACHED ? SHM_MQ_DETACHED : result;
  }

  /** @internal The message, SHM_MQ_WOULD_BLOCK or SHM_MQ_DETACHED. */
  tryReceive(): Uint8Array | number {
    const end = this.receiving;
    if (!this.#otherAttached) {
      const result = this.otherEnd();
      if (result !== SHM_MQ_SUCCESS) return result;
    }
    return end.receive();
  }

  /** @internal What has been written and not been told of is published first. Again is harmless. */
  detach(): void {
    if (!this.#open) return;
    this.#open = false;
    if (this.#segment !== null) cancelOnDsmDetach(this.#segment, detachCallback, this);
    if (this.#sending !== null && this.#sending.unpublished) this.#sending.publish();
    Atomics.store(this.#words, WORD.detached, 1);
    this.#wake(WORD.receiver);
    this.#wake(WORD.sender);
    native.shmMqUntrack(this.#mq);
  }
}

/**
 * Attaches this process to the end of a queue that was given to it with `shmMqSetSender` or `shmMqSetReceiver`.
 *
 * @param mq the queue
 * @param segment the segment that it lies in, where it lies in one: the queue is detached with it. Else null
 * @param handle the worker at the other end, where this process has registered it with `notifyPid: myProcPid`: if it stops before it has attached, waits for it
 * end with SHM_MQ_DETACHED. Without it such a wait lasts for ever
 * @throws ErrorData 55000 where this process is neither sender nor receiver
 * @example shmMqSetSender(mq, myProc); const mqh = shmMqAttach(mq, segment, handle);
 * @pg shm_mq_attach
 */
export function shmMqAttach(mq: ShmMq, segment: DsmSegment | null = null, handle: BackgroundWorkerHandle | null = null): ShmMqHandle {
  if (handle !== null) getBackgroundWorkerPid(handle); // throws for what is none
  return new ShmMqHandle(mq, segment, handle);
}

function handleOf(mqh: ShmMqHandle): ShmMqHandle {
  if (mqh instanceof ShmMqHandle) return mqh;
  throw new TypeError('mqh must be a handle of a shared memory queue, as shmMqAttach returns it');
}
export { handleOf as checkMqHandle };

/** Names the worker at the other end later than {@link shmMqAttach} does; once. @pg shm_mq_set_handle */
export function shmMqSetHandle(mqh: ShmMqHandle, handle: BackgroundWorkerHandle): void {
  getBackgroundWorkerPid(handle);
  handleOf(mqh).setWorker(handle);
}

/** The queue that a handle is for. @pg shm_mq_get_queue */
export function shmMqGetQueue(mqh: ShmMqHandle): ShmMq {
  return handleOf(mqh).mq;
}

/**
 * Gives up this process's end, for good, and wakes the other. What was sent stays to be received. The handle cannot be used any more; to detach again does
 * nothing.
 * @pg shm_mq_detach
 */
export function shmMqDetach(mqh: ShmMqHandle): void {
  handleOf(mqh).detach();
}
