// A session's channel to a worker, from the application's side: each call is one of its backend, which has the queues. Any Node process.
// What travels is the value as the application serialised it; the backend passes it on unread (backend-channels.ts).

import { deserialize, serialize } from 'node:v8';

import type { SessionBackgroundWorker } from './client.js';
import type { BackgroundWorkerHandle } from '../bgworker/handle.js';

type Call = (name: string, ...args: unknown[]) => Promise<unknown>;

/** A worker of a session's, and values to it and from it. Made by `session.openChannel`. Iterate over it to receive until the worker closes. */
export class SessionChannel {
  readonly handle: BackgroundWorkerHandle;
  readonly #call: Call;
  readonly #id: number;

  /** @internal */
  constructor(call: Call, { id, handle }: { id: number; handle: BackgroundWorkerHandle }) {
    this.#call = call;
    this.#id = id;
    this.handle = handle;
  }

  /** @internal */
  static async open(call: Call, worker: SessionBackgroundWorker, options: object | undefined): Promise<SessionChannel | null> {
    const opened = (await call('channelOpen', worker, options)) as { id: number; handle: BackgroundWorkerHandle } | null;
    return opened === null ? null : new SessionChannel(call, opened);
  }

  /**
   * Sends a value. Resolves when it is in the worker's queue: wait for it, and the worker sets the pace.
   * @returns false where the worker has closed, has ended, or will never come
   * @throws DataCloneError for what cannot be cloned
   */
  async send(value: unknown): Promise<boolean> {
    return (await this.#call('channelSend', this.#id, serialize(value))) as boolean;
  }

  /** The next value; `done` where the worker has closed or ended, and everything that it sent has been received. The backend takes none before it is asked for. */
  async receive(): Promise<IteratorResult<unknown, undefined>> {
    const bytes = (await this.#call('channelReceive', this.#id)) as Uint8Array | null;
    return bytes === null ? { done: true, value: undefined } : { done: false, value: deserialize(bytes) };
  }

  /** No more is to be sent: the worker's `receive` will say `done`. Receiving goes on. */
  async end(): Promise<void> {
    await this.#call('channelEnd', this.#id);
  }

  /** Gives up both directions. Calls under way fail. Again is harmless. */
  async close(): Promise<void> {
    await this.#call('channelClose', this.#id);
  }
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<unknown, undefined> {
    for (;;) {
      const next = await this.receive();
      if (next.done === true) return undefined;
      yield next.value;
    }
  }
}
