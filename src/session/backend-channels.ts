// The channels that a session's application has opened, in its backend: it passes bytes on between the socket and the queues, as they are asked for and as
// there is room, and holds none back itself.

import { ERRCODE_UNDEFINED_OBJECT } from '../elog/errcodes.js';
import { ErrorData } from '../elog/error-data.js';
import type { BackgroundWorker } from '../bgworker/background-worker.js';
import { type WorkerChannel, openWorkerChannel } from '../shm-mq/channel.js';

const channels = new Map<number, WorkerChannel>();
let lastId = 0;

function channel(id: number): WorkerChannel {
  const found = channels.get(id);
  if (found === undefined) throw new ErrorData({ code: ERRCODE_UNDEFINED_OBJECT, message: 'the channel has been closed' });
  return found;
}

/** The ready-made calls of SessionChannel. */
export const channelCalls: Readonly<Record<string, (...args: never[]) => unknown>> = {
  channelOpen: (worker: BackgroundWorker, options?: { queueSize?: number }) => {
    const opened = openWorkerChannel(worker, options);
    if (opened === null) return null;
    channels.set(++lastId, opened);
    return { id: lastId, handle: opened.handle };
  },
  channelSend: (id: number, bytes: Uint8Array) => channel(id).sendBytes(bytes),
  channelReceive: (id: number) => channel(id).receiveBytes(),
  channelEnd: (id: number) => channel(id).end(),
  channelClose: (id: number) => {
    channels.get(id)?.close();
    channels.delete(id);
  },
};
