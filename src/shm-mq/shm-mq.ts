// Sending and receiving through a message queue: at once or not at all, blocking, and asynchronously. Backends.
// PostgreSQL: shm_mq_send, shm_mq_sendv, shm_mq_receive, shm_mq_wait_for_attach in src/backend/storage/ipc/shm_mq.c, contract 10.3.

import { type ShmMqHandle, checkMqHandle } from './handle.js';
import { MAX_ALLOC_SIZE, SHM_MQ_SUCCESS, SHM_MQ_WOULD_BLOCK } from './queue.js';
import { ERRCODE_OBJECT_IN_USE, ERRCODE_PROGRAM_LIMIT_EXCEEDED } from '../elog/errcodes.js';
import { ErrorData } from '../elog/error-data.js';
import { WL_EXIT_ON_PM_DEATH, WL_LATCH_SET, myLatch, resetLatch, waitLatch, waitLatchSync } from '../ipc/latch.js';
import { WAIT_EVENT_MQ_INTERNAL, WAIT_EVENT_MQ_RECEIVE, WAIT_EVENT_MQ_SEND } from '../ipc/wait-event.js';
import type { WaitOptions } from '../ipc/waiters.js';
import { checkForInterrupts } from '../ipc/signals.js';

/** What a receive gives. C: the result, and two out-parameters. */
export interface ShmMqReceived {
  /** SHM_MQ_SUCCESS, SHM_MQ_WOULD_BLOCK or SHM_MQ_DETACHED. */
  readonly result: number;
  /** The message where the result is SHM_MQ_SUCCESS, else empty. Mostly a view of the queue: good until the next receive, so copy what is to be kept. */
  readonly data: Uint8Array;
}

const NO_DATA = new Uint8Array(0);

// What others see it wait for.
const TO_SEND: WaitOptions = { waitEventInfo: WAIT_EVENT_MQ_SEND };
const TO_RECEIVE: WaitOptions = { waitEventInfo: WAIT_EVENT_MQ_RECEIVE };
const TO_ATTACH: WaitOptions = { waitEventInfo: WAIT_EVENT_MQ_INTERNAL };

// The wait of M-25. The latch is looked at by whoever waits first: look, wait, reset, and look again (contract L-20, B). Where the other end is not there yet,
// that is what is waited for.
function waitSync(mqh: ShmMqHandle, waits: WaitOptions): void {
  waitLatchSync(myLatch, WL_LATCH_SET | WL_EXIT_ON_PM_DEATH, -1, mqh.otherCame ? waits : TO_ATTACH);
  resetLatch(myLatch);
  checkForInterrupts();
}
async function wait(mqh: ShmMqHandle, waits: WaitOptions): Promise<void> {
  await waitLatch(myLatch, WL_LATCH_SET | WL_EXIT_ON_PM_DEATH, -1, mqh.otherCame ? waits : TO_ATTACH);
  resetLatch(myLatch);
  checkForInterrupts();
}

function totalOf(iov: readonly Uint8Array[]): number {
  let total = 0;
  for (const part of iov) {
    if (!(part instanceof Uint8Array)) throw new TypeError('a message must be a Uint8Array');
    total += part.length;
  }
  if (total > MAX_ALLOC_SIZE) {
    throw new ErrorData({ code: ERRCODE_PROGRAM_LIMIT_EXCEEDED, message: `cannot send a message of size ${total} via shared memory queue` });
  }
  return total;
}

function notBusy(mqh: ShmMqHandle): ShmMqHandle {
  if (checkMqHandle(mqh).busy) {
    throw new ErrorData({ code: ERRCODE_OBJECT_IN_USE, message: 'an asynchronous call is under way on this end of the shared memory queue' });
  }
  return mqh;
}

/**
 * Sends a message of several parts, which the receiver gets as one. All of {@link shmMqSendSync} holds.
 * @pg shm_mq_sendv
 */
export function shmMqSendvSync(mqh: ShmMqHandle, iov: readonly Uint8Array[], nowait: boolean = false, forceFlush: boolean = true): number {
  const total = totalOf(iov);
  notBusy(mqh);
  for (;;) {
    const result = mqh.trySend(iov, total, forceFlush);
    if (nowait || result !== SHM_MQ_WOULD_BLOCK) return result;
    waitSync(mqh, TO_SEND);
  }
}

/**
 * Sends a message, and blocks the thread until it is in the queue. It may be longer than the queue: it then goes as the receiver makes room.
 *
 * @param mqh a handle of the sender's
 * @param data the message; up to 1 GB less one byte, and none at all is a message, too
 * @param nowait true: never waits, and does not touch the latch. After SHM_MQ_WOULD_BLOCK send the same message again when the latch has been set; it may be in
 * the queue in part, and only detaching takes it back
 * @param forceFlush false: the receiver need not be told of this message yet. It is when a quarter of the queue is full, with the next message that is flushed,
 * when the sender has to wait, and when it detaches with {@link shmMqDetach}: a batch is sent so. C has no default
 * @returns SHM_MQ_SUCCESS; SHM_MQ_DETACHED: the receiver has gone, or its worker will never come; SHM_MQ_WOULD_BLOCK only with `nowait`
 * @throws ErrorData 54000 for a message that is too long; 55000 where this process is not the sender, or has detached
 * @example if (shmMqSendSync(mqh, Buffer.from('hello')) !== SHM_MQ_SUCCESS) return;
 * @pg shm_mq_send
 */
export function shmMqSendSync(mqh: ShmMqHandle, data: Uint8Array, nowait: boolean = false, forceFlush: boolean = true): number {
  if (!(data instanceof Uint8Array) || data.length > MAX_ALLOC_SIZE) totalOf([data]); // throws
  notBusy(mqh);
  for (;;) {
    const result = mqh.trySend(data, data.length, forceFlush);
    if (nowait || result !== SHM_MQ_WOULD_BLOCK) return result;
    waitSync(mqh, TO_SEND);
  }
}

async function finishSend(mqh: ShmMqHandle, iov: readonly Uint8Array[], total: number, forceFlush: boolean): Promise<number> {
  for (;;) {
    await wait(mqh, TO_SEND);
    const result = mqh.trySend(iov, total, forceFlush);
    if (result !== SHM_MQ_WOULD_BLOCK) return result;
  }
}

/** As {@link shmMqSend}, for a message of several parts. @pg shm_mq_sendv */
export function shmMqSendv(mqh: ShmMqHandle, iov: readonly Uint8Array[], forceFlush: boolean = true): Promise<number> {
  return checked(() => {
    const total = totalOf(iov);
    return checkMqHandle(mqh).inTurn(() => {
      const result = mqh.trySend(iov, total, forceFlush);
      return result === SHM_MQ_WOULD_BLOCK ? finishSend(mqh, iov, total, forceFlush) : result;
    });
  });
}

/**
 * Sends a message; the event loop goes on. Several sends may be under way: they are sent one after the other. The bytes must stay as they are until the promise
 * settles. Parameters and results as {@link shmMqSendSync}.
 * @example await shmMqSend(mqh, Buffer.from('hello'));
 * @pg shm_mq_send
 */
export function shmMqSend(mqh: ShmMqHandle, data: Uint8Array, forceFlush: boolean = true): Promise<number> {
  return shmMqSendv(mqh, [data], forceFlush);
}

// What throws at once in the blocking form rejects in this one.
function checked<T>(call: () => Promise<T>): Promise<T> {
  try {
    return call();
  } catch (err) {
    return Promise.reject(err);
  }
}

function received(result: Uint8Array | number): ShmMqReceived {
  return typeof result === 'number' ? { result, data: NO_DATA } : { result: SHM_MQ_SUCCESS, data: result };
}

/**
 * Receives the next message, and blocks the thread until there is one. What was sent before the sender detached can still be received.
 *
 * @param mqh a handle of the receiver's
 * @param nowait true: never waits, and does not touch the latch
 * @returns the result and the message. SHM_MQ_DETACHED: the sender has gone and nothing whole is left, or its worker will never come
 * @throws ErrorData 54000 `invalid message size`: somebody has written over the queue; 55000 where this process is not the receiver, or has detached
 * @example for (let m = shmMqReceiveSync(mqh); m.result === SHM_MQ_SUCCESS; m = shmMqReceiveSync(mqh)) handle(m.data);
 * @pg shm_mq_receive
 */
export function shmMqReceiveSync(mqh: ShmMqHandle, nowait: boolean = false): ShmMqReceived {
  notBusy(mqh);
  for (;;) {
    const result = mqh.tryReceive();
    if (nowait || result !== SHM_MQ_WOULD_BLOCK) return received(result);
    waitSync(mqh, TO_RECEIVE);
  }
}

async function finishReceive(mqh: ShmMqHandle): Promise<ShmMqReceived> {
  for (;;) {
    await wait(mqh, TO_RECEIVE);
    const result = mqh.tryReceive();
    if (result !== SHM_MQ_WOULD_BLOCK) return received(result);
  }
}

/**
 * Receives the next message; the event loop goes on. One after the other: the message is good until the next receive begins. Results as
 * {@link shmMqReceiveSync}.
 * @example const { result, data } = await shmMqReceive(mqh);
 * @pg shm_mq_receive
 */
export function shmMqReceive(mqh: ShmMqHandle): Promise<ShmMqReceived> {
  return checked(() =>
    checkMqHandle(mqh).inTurn(() => {
      const result = mqh.tryReceive();
      return result === SHM_MQ_WOULD_BLOCK ? finishReceive(mqh) : received(result);
    }),
  );
}

/**
 * Waits until the other end has attached, and blocks the thread.
 * @returns SHM_MQ_SUCCESS, or SHM_MQ_DETACHED where it has gone, or its worker will never come
 * @pg shm_mq_wait_for_attach
 */
export function shmMqWaitForAttachSync(mqh: ShmMqHandle): number {
  void checkMqHandle(mqh).mq; // an error where it is detached
  for (;;) {
    const result = mqh.otherEnd();
    if (result !== SHM_MQ_WOULD_BLOCK) return result;
    waitSync(mqh, TO_ATTACH);
  }
}

/** As {@link shmMqWaitForAttachSync}; the event loop goes on. @pg shm_mq_wait_for_attach */
export async function shmMqWaitForAttach(mqh: ShmMqHandle): Promise<number> {
  for (;;) {
    void checkMqHandle(mqh).mq;
    const result = mqh.otherEnd();
    if (result !== SHM_MQ_WOULD_BLOCK) return result;
    await wait(mqh, TO_ATTACH);
  }
}
