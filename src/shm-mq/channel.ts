// A worker and who registered it, with a queue each way between them: arguments and results of any kind, where a Datum has eight bytes. Backends.
// PostgreSQL: what each user of dynamic workers writes for itself; see execParallel.c and test_shm_mq's setup.c.

import { type ShmMqHandle, shmMqAttach, shmMqDetach } from './handle.js';
import { MAX_ALLOC_SIZE, SHM_MQ_DETACHED, SHM_MQ_SUCCESS, shmMqCreate, shmMqMinimumSize, shmMqSetReceiver, shmMqSetSender } from './queue.js';
import { shmMqReceive, shmMqReceiveSync, shmMqSend, shmMqSendSync } from './shm-mq.js';
import { shmTocAllocate, shmTocAttach, shmTocCreate, shmTocEstimate, shmTocInsert, shmTocLookup } from './toc.js';
import type { BackgroundWorker, Datum } from '../bgworker/background-worker.js';
import type { BackgroundWorkerHandle } from '../bgworker/handle.js';
import { registerDynamicBackgroundWorker } from '../bgworker/register.js';
import { ERRCODE_INVALID_PARAMETER_VALUE, ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE } from '../elog/errcodes.js';
import { ErrorData } from '../elog/error-data.js';
import { myProcPid } from '../globals.js';
import { dsmAttach, dsmCreate, dsmDetach, dsmSegmentAddress, dsmSegmentHandle } from '../ipc/dsm.js';
import type { DsmSegment } from '../ipc/dsm-segment.js';
import { type PGPROC, myProc } from '../ipc/proc.js';
import { deserialize, serialize } from 'node:v8';

const CHANNEL_MAGIC = 0x6368616e;
const TO_WORKER = 1;
const FROM_WORKER = 2;
/** Bytes of each of the two queues, where nothing else is asked for. Longer messages go through in pieces. */
const QUEUE_SIZE = 65_536;

/** One end of a channel. Iterate over it to receive until the other end closes. */
export class WorkerChannel {
  /** The worker, at its registrant's end; null at the worker's own. */
  readonly handle: BackgroundWorkerHandle | null;
  readonly #segment: DsmSegment;
  readonly #output: ShmMqHandle;
  readonly #input: ShmMqHandle;
  #closed = false;

  /** @internal */
  constructor(segment: DsmSegment, handle: BackgroundWorkerHandle | null, output: Uint8Array, input: Uint8Array) {
    this.handle = handle;
    this.#segment = segment;
    this.#output = shmMqAttach(output, segment, handle);
    this.#input = shmMqAttach(input, segment, handle);
  }

  /**
   * Sends any value that the structured clone algorithm carries. Resolves when it is in the queue: wait for it, and the other end sets the pace.
   * @returns false where the other end has closed, has ended, or will never come
   */
  async send(value: unknown): Promise<boolean> {
    return this.sendBytes(serialize(value));
  }
  /** As {@link WorkerChannel.send}, and blocks the thread. */
  sendSync(value: unknown): boolean {
    return shmMqSendSync(this.#output, serialize(value)) === SHM_MQ_SUCCESS;
  }

  /** The next value; `done` where the other end has closed or ended, and everything that it sent has been received. */
  async receive(): Promise<IteratorResult<unknown, undefined>> {
    const bytes = await this.receiveBytes();
    return bytes === null ? { done: true, value: undefined } : { done: false, value: deserialize(bytes) };
  }
  /** As {@link WorkerChannel.receive}, and blocks the thread. */
  receiveSync(): IteratorResult<unknown, undefined> {
    const { result, data } = shmMqReceiveSync(this.#input);
    return result === SHM_MQ_DETACHED ? { done: true, value: undefined } : { done: false, value: deserialize(Buffer.from(data)) };
  }

  /** @internal A value as it travels: for who only passes it on. */
  async sendBytes(bytes: Uint8Array): Promise<boolean> {
    return (await shmMqSend(this.#output, bytes)) === SHM_MQ_SUCCESS;
  }
  /** @internal */
  async receiveBytes(): Promise<Buffer | null> {
    // Copied at once: calls that wait for their turn begin where this one ends.
    const { result, data } = await shmMqReceive(this.#input);
    return result === SHM_MQ_DETACHED ? null : Buffer.from(data);
  }

  /** No more is to be sent from here: the other end's {@link WorkerChannel.receive} will say `done`. Receiving goes on. */
  end(): void {
    if (!this.#closed) shmMqDetach(this.#output);
  }
  /** Gives up both directions. Calls under way fail. Again is harmless. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    dsmDetach(this.#segment);
  }
  [Symbol.dispose](): void {
    this.close();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<unknown, undefined> {
    for (;;) {
      const next = await this.receive();
      if (next.done === true) return undefined;
      yield next.value;
    }
  }
}

/**
 * Registers a worker with a channel to it. The worker opens its end with `acceptWorkerChannel(mainArg)`.
 *
 * @param worker as for `registerDynamicBackgroundWorker`; `mainArg` and `notifyPid` are set here. It needs BGWORKER_SHMEM_ACCESS
 * @param options `queueSize`: bytes of the queue in each direction
 * @returns null where no slot is free
 * @throws ErrorData what registering and `dsmCreate` throw
 * @example
 * const channel = openWorkerChannel({ ...worker, functionName: 'summarise' });
 * await channel.send({ from: new Date(0), tables: ['a', 'b'] });
 * for await (const row of channel) console.log(row);
 * channel.close();
 */
export function openWorkerChannel(
  worker: Omit<BackgroundWorker, 'mainArg' | 'notifyPid'>,
  { queueSize = QUEUE_SIZE }: { readonly queueSize?: number } = {},
): WorkerChannel | null {
  if (!Number.isInteger(queueSize) || queueSize < shmMqMinimumSize || queueSize > MAX_ALLOC_SIZE) {
    throw new ErrorData({
      code: ERRCODE_INVALID_PARAMETER_VALUE,
      message: `queueSize must be an integer from ${shmMqMinimumSize} to ${MAX_ALLOC_SIZE} bytes, not ${queueSize}`,
    });
  }
  const chunk = Math.ceil(queueSize / 32) * 32;
  const segment = dsmCreate(shmTocEstimate({ spaceForChunks: 2 * chunk, numberOfKeys: 2 }));
  try {
    const toc = shmTocCreate(CHANNEL_MAGIC, dsmSegmentAddress(segment));
    const output = shmMqCreate(shmTocAllocate(toc, queueSize));
    const input = shmMqCreate(shmTocAllocate(toc, queueSize));
    shmMqSetSender(output, myProc as PGPROC);
    shmMqSetReceiver(input, myProc as PGPROC);
    shmTocInsert(toc, TO_WORKER, output);
    shmTocInsert(toc, FROM_WORKER, input);
    const handle = registerDynamicBackgroundWorker({
      ...worker,
      mainArg: BigInt(dsmSegmentHandle(segment)),
      notifyPid: myProcPid,
    });
    if (handle !== null) return new WorkerChannel(segment, handle, output, input);
  } catch (err) {
    dsmDetach(segment);
    throw err;
  }
  dsmDetach(segment);
  return null;
}

/**
 * The worker's end of the channel with which it was registered.
 * @param mainArg what its main function was given
 * @throws ErrorData 55000 where its registrant has gone meanwhile, or there is no channel
 * @example
 * export async function summarise(mainArg) {
 *   backgroundWorkerUnblockSignals();
 *   const channel = acceptWorkerChannel(mainArg);
 *   const { value: request } = await channel.receive();
 *   for (const row of rowsOf(request)) await channel.send(row);
 *   channel.close();
 * }
 */
export function acceptWorkerChannel(mainArg: Datum): WorkerChannel {
  const missing = (message: string): ErrorData => new ErrorData({ code: ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, message });
  const segment = dsmAttach(Number(mainArg));
  if (segment === null) throw missing('unable to map dynamic shared memory segment');
  const toc = shmTocAttach(CHANNEL_MAGIC, dsmSegmentAddress(segment));
  if (toc === null) throw missing('bad magic number in dynamic shared memory segment');
  const input = shmTocLookup(toc, TO_WORKER);
  const output = shmTocLookup(toc, FROM_WORKER);
  shmMqSetReceiver(input, myProc as PGPROC);
  shmMqSetSender(output, myProc as PGPROC);
  return new WorkerChannel(segment, null, output, input);
}
