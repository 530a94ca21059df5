// LISTEN and NOTIFY: notifications wake the worker's latch and wait in a queue for whoever asks. Workers.
// PostgreSQL: src/backend/commands/async.c; the queue is libpq's (PQnotifies in src/interfaces/libpq/fe-exec.c).
// DIFFERS FROM POSTGRES: a C worker cannot LISTEN ("cannot execute LISTEN within a background process"), since nothing in it would take what comes (D-21). Ours is
// a client, and this is what takes it.
//
//   server ── NotificationResponse ──▶ socket ──▶ event loop: queue.push, setLatch(myLatch)
//                                                      worker: resetLatch(myLatch); while ((n = pqNotifies()) !== null) …
//
// The socket is read by the event loop: a worker that only ever blocks (`waitLatchSync`) hears nothing.

import { checkForInterrupts } from '../ipc/signals.js';
import { WL_EXIT_ON_PM_DEATH, WL_LATCH_SET, myLatch, resetLatch, setLatch, waitLatch } from '../ipc/latch.js';
import type { DatabaseConnection } from './database-connection.js';
import { warnOfPooler } from './pooler.js';
import { failing, inHealthyTransaction, quoteIdentifier } from './xact.js';

/** One notification. @pg PGnotify */
export interface PGnotify {
  /** The channel. */
  readonly relname: string;
  /** Pid of the server's process that sent it. */
  readonly bePid: number;
  /** The payload; empty where there was none. */
  readonly extra: string;
}

/** Not limited: what nobody takes, grows. */
const queue: PGnotify[] = [];

/** From here on what the connection hears is queued, and sets the latch. */
export function receiveNotifications(connection: DatabaseConnection): void {
  queue.length = 0;
  connection.onNotification(({ processId, channel, payload = '' }) => {
    queue.push({ relname: channel, bePid: processId, extra: payload });
    setLatch(myLatch);
  });
}

/**
 * The next notification that has come; null where there is none. Look after `resetLatch`, until it is null.
 * @example for (let n = pqNotifies(); n !== null; n = pqNotifies()) work(n.extra);
 * @pg PQnotifies
 */
export function pqNotifies(): PGnotify | null {
  return queue.shift() ?? null;
}

/**
 * Notifications for ever, one after the other: waits for the latch between them, resets it, serves interrupts, and ends the process when the postmaster has died.
 * @example for await (const { relname, extra } of notifications()) elog(LOG, `${relname}: ${extra}`);
 */
export async function* notifications(): AsyncGenerator<PGnotify, never> {
  for (;;) {
    for (let next = pqNotifies(); next !== null; next = pqNotifies()) yield next;
    await waitLatch(myLatch, WL_LATCH_SET | WL_EXIT_ON_PM_DEATH);
    resetLatch(myLatch);
    checkForInterrupts();
  }
}

/**
 * Listens on a channel, from the commit of this transaction on, until `asyncUnlisten` or the worker's end.
 * @throws ErrorData 25P01 outside of a transaction
 * @example await asyncListen('jobs');
 * @pg Async_Listen
 */
export async function asyncListen(channel: string): Promise<void> {
  warnOfPooler(inHealthyTransaction(), 'LISTEN');
  return run(`LISTEN ${quoteIdentifier(channel)}`);
}

/**
 * Listens on it no more, from the commit on.
 * @example await asyncUnlisten('jobs');
 * @pg Async_Unlisten
 */
export function asyncUnlisten(channel: string): Promise<void> {
  return run(`UNLISTEN ${quoteIdentifier(channel)}`);
}

/**
 * Listens on no channel any more.
 * @example await asyncUnlistenAll();
 * @pg Async_UnlistenAll
 */
export function asyncUnlistenAll(): Promise<void> {
  return run('UNLISTEN *');
}

/**
 * Notifies whoever listens on a channel, when this transaction commits; the same twice in one transaction is one notification.
 * @param payload up to 7,999 bytes
 * @throws ErrorData 22023 for a payload or channel name that is too long
 * @example await asyncNotify('jobs', '42');
 * @pg Async_Notify
 */
export function asyncNotify(channel: string, payload: string = ''): Promise<void> {
  return run('SELECT pg_catalog.pg_notify($1, $2)', [channel, payload]);
}

async function run(text: string, values: readonly unknown[] = []): Promise<void> {
  const conn = inHealthyTransaction();
  checkForInterrupts();
  await failing(() => conn.run({ text, offset: 0 }, values));
}
