// Values of any kind that the structured clone algorithm carries, as messages of a queue. Backends.
// PostgreSQL has no counterpart: there a message is bytes, and whoever sends a tuple or an error forms them.

import type { ShmMqHandle } from './handle.js';
import { SHM_MQ_SUCCESS } from './queue.js';
import { type ShmMqReceived, shmMqReceive, shmMqReceiveSync, shmMqSend, shmMqSendSync } from './shm-mq.js';
import { deserialize, serialize } from 'node:v8';

/** What a receive gives: the value where the result is SHM_MQ_SUCCESS. */
export interface ShmMqReceivedValue {
  readonly result: number;
  readonly value?: unknown;
}

// A copy first: typed arrays among the values are views of what they were read from, and that is the queue's.
function received({ result, data }: ShmMqReceived): ShmMqReceivedValue {
  return result === SHM_MQ_SUCCESS ? { result, value: deserialize(Buffer.from(data)) } : { result };
}

/**
 * Sends a value: objects, arrays, maps, dates, errors, big integers, typed arrays, cycles. No functions.
 * @returns as {@link shmMqSend}
 * @throws DataCloneError for what cannot be cloned
 * @example await shmMqSendValue(mqh, { rows: [1n, 2n], at: new Date() });
 */
export async function shmMqSendValue(mqh: ShmMqHandle, value: unknown, forceFlush: boolean = true): Promise<number> {
  return shmMqSend(mqh, serialize(value), forceFlush);
}

/** As {@link shmMqSendValue}, and blocks the thread. There is no `nowait`: a value is serialised anew each time. */
export function shmMqSendValueSync(mqh: ShmMqHandle, value: unknown, forceFlush: boolean = true): number {
  return shmMqSendSync(mqh, serialize(value), false, forceFlush);
}

/**
 * Receives a value that {@link shmMqSendValue} sent. It is the receiver's own, unlike the bytes of a message.
 * @example const { result, value } = await shmMqReceiveValue(mqh);
 */
export async function shmMqReceiveValue(mqh: ShmMqHandle): Promise<ShmMqReceivedValue> {
  return received(await shmMqReceive(mqh));
}

/** As {@link shmMqReceiveValue}, and blocks the thread, unless `nowait`. */
export function shmMqReceiveValueSync(mqh: ShmMqHandle, nowait: boolean = false): ShmMqReceivedValue {
  return received(shmMqReceiveSync(mqh, nowait));
}
