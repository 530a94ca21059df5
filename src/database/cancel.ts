// Waiting for the database server so that an interrupt ends the wait: what CHECK_FOR_INTERRUPTS inside of a query is to a C worker. Workers.
// PostgreSQL: ProcessInterrupts in src/backend/tcop/postgres.c; PQcancel in src/interfaces/libpq/fe-connect.c.
//
// Our query runs in a process of the server's, which only a CancelRequest reaches: a connection of its own that names that process and its key.
//
//   the worker    query ─────────── SIGINT ── CancelRequest ───── answer ── end of the request ── next query
//   the server          running … ─────────────────── 57014 ──────┘                    │
//                                                     kill(pid, SIGINT) ── closes ─────┘
//
// The server closes a cancel connection after its signal is sent, and a signal that finds the process idle is dropped. So whoever waits for
// that close before the next query is sent cannot hit it. A signal that comes before the query has been read is dropped as well: the request is repeated
// until there is an answer.

import { isIP } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { ErrorData } from '../elog/error-data.js';
import { ERRCODE_QUERY_CANCELED } from '../elog/errcodes.js';
import { procExit } from '../ipc/exit.js';
import { postmasterDeathSeen } from '../ipc/own-words.js';
import { pgstatReportWaitEnd } from '../ipc/proc.js';
import { hideWait, showWait } from '../ipc/shown-waits.js';
import { checkForInterrupts, onInterrupt, procDiePending, queryCancelPending } from '../ipc/signals.js';
import { WAIT_EVENT_LIBPQWALRECEIVER_CONNECT, WAIT_EVENT_LIBPQWALRECEIVER_RECEIVE } from '../ipc/wait-event.js';
import { native } from '../native.js';

/** A process that is to end waits so long for the answer to a query that it has cancelled, and then goes without. */
const ANSWER_DEADLINE_MS = 5000;
/** The same where nothing can be cancelled: in a rollback. */
const UNCANCELLABLE_DEADLINE_MS = 1000;
/** What takes longer than this does wait. */
const GRACE_MS = 100;
/** Doubled each time: a function that catches query_canceled is not to be hit again and again. */
const FIRST_REPEAT_MS = 100;
/** A server that takes a cancel request and does not close its connection. */
const REQUEST_TIMEOUT_MS = 5000;

/**
 * When an interrupt cancels a command: a query at once; BEGIN and COMMIT only if they wait (for a deferred trigger, a synchronous standby), since in C nothing
 * interrupts a commit that does not; never what must not be cut short (ROLLBACK).
 */
export type Cancellation = 'at once' | 'if it waits' | 'never';

/** What we use of the client's insides; its published types leave them out. */
interface ClientInternals {
  readonly host: string;
  readonly port: number;
  /** null before the server has said it, and behind a pooler that does not. */
  readonly processID: number | null;
  readonly secretKey: number;
  readonly ssl: boolean | { readonly key?: unknown };
  readonly sslNegotiation: 'postgres' | 'direct';
  readonly connection: { readonly stream: { readonly remoteAddress?: string; readonly remotePort?: number } };
}

interface CancelConnection {
  readonly stream: { destroy(): void };
  connect(portOrPath: number | string, host?: string): void;
  requestSsl(): void;
  cancel(processID: number, secretKey: number): void;
  on(event: 'connect' | 'sslconnect' | 'error' | 'end', listener: () => void): void;
}

/** Is the process to end? By a SIGTERM that `die` noted, or because the postmaster is dead: a query is a wait with WL_EXIT_ON_PM_DEATH. */
function mustEnd(): boolean {
  return procDiePending || native.postmasterIsAlive() === 0;
}

/** Ends the process where it is to end: silently for a dead postmaster (L-44), else with the FATAL line. */
export function endIfAsked(): void {
  if (native.postmasterIsAlive() === 0) procExit(1);
  if (procDiePending) checkForInterrupts();
}

/**
 * From here on others see that this process waits for the server, until the function that is returned is called: right after the answer, in the middle of the event
 * loop's poll. C: what its backends that wait for another server show, src/backend/replication/libpqwalreceiver/libpqwalreceiver.c.
 */
function showWaitFor(waitEventInfo: number): () => void {
  const wait = { waitEventInfo };
  showWait(wait);
  return () => {
    hideWait(wait);
    pgstatReportWaitEnd();
  };
}

/** After the server's 57014: ends the process where that is why we asked. Otherwise the server's error serves the SIGINT, and stands for ours. */
export function queryWasCanceled(): void {
  endIfAsked();
  if (!queryCancelPending) return;
  try {
    checkForInterrupts();
  } catch {
    // "canceling statement due to user request", which the server has said with more.
  }
}

/** How a wait for the server may end early. */
export interface Waiting {
  /** Default: at once. */
  readonly cancellation?: Cancellation | undefined;
  /** Cancels what is under way, at once, as a SIGINT does. */
  readonly signal?: AbortSignal | undefined;
  /** Is called when that happens: whoever holds up the answer lets it come. */
  readonly onCancel?: (() => void) | undefined;
}

/**
 * Waits for an answer of the server's. An interrupt cancels what is under way, and the answer comes the sooner; what it is, an error or a result that
 * was done already, is the caller's. Only a process that is to end does not wait longer than a deadline.
 */
export async function interruptible<T>(client: pg.Client, answer: Promise<T>, waiting: Waiting): Promise<T> {
  const { cancellation = 'at once', signal, onCancel } = waiting;
  // Made where there is something to cancel: most answers come before that, and an AbortController that is aborted costs as much as their whole way.
  let request: { readonly answered: AbortController; readonly over: Promise<void> } | undefined;
  let deadline: NodeJS.Timeout | undefined;
  let grace: NodeJS.Timeout | undefined;
  const cancel = (): void => {
    onCancel?.();
    if (request !== undefined) return;
    const answered = new AbortController();
    request = { answered, over: cancelUntil(client, answered.signal) };
  };
  const interrupt = (): void => {
    grace = undefined;
    if (cancellation !== 'never') cancel();
    if (mustEnd()) deadline ??= setTimeout(endIfAsked, cancellation === 'never' ? UNCANCELLABLE_DEADLINE_MS : ANSWER_DEADLINE_MS);
  };
  const interruptLater = (): void => {
    grace ??= setTimeout(interrupt, GRACE_MS);
  };
  const forget = onInterrupt(cancellation === 'if it waits' ? interruptLater : interrupt);
  signal?.addEventListener('abort', cancel);
  if (signal?.aborted) cancel();
  // A query's interrupts were served before it began; the postmaster's death has to be served only by a query that waits, too.
  if (procDiePending || queryCancelPending || postmasterDeathSeen()) interruptLater();
  const waitEnds = showWaitFor(WAIT_EVENT_LIBPQWALRECEIVER_RECEIVE);
  try {
    return await answer;
  } finally {
    forget();
    signal?.removeEventListener('abort', cancel);
    clearTimeout(grace);
    if (request !== undefined) {
      request.answered.abort();
      await request.over;
    }
    clearTimeout(deadline);
    waitEnds();
  }
}

/**
 * Waits for a connection to be made. There is nothing to cancel yet, so an interrupt gives the attempt up and is served at once: FATAL for a SIGTERM, ERROR
 * 57014 for a SIGINT. The server finds its end of the socket closed.
 */
export async function abandonable<T>(attempt: Promise<T>, abandon: () => void): Promise<T> {
  let interrupt: () => void = () => undefined;
  const interrupted = new Promise<null>((resolve) => {
    interrupt = () => {
      if (mustEnd() || queryCancelPending) resolve(null);
    };
  });
  const forget = onInterrupt(interrupt);
  const waitEnds = showWaitFor(WAIT_EVENT_LIBPQWALRECEIVER_CONNECT);
  try {
    const made = await Promise.race([attempt.then((value) => ({ value })), interrupted]);
    if (made !== null) return made.value;
  } finally {
    waitEnds();
    forget();
  }
  abandon();
  endIfAsked();
  checkForInterrupts();
  throw new ErrorData({ code: ERRCODE_QUERY_CANCELED, message: 'canceling statement due to user request' });
}

async function cancelUntil(client: pg.Client, answered: AbortSignal): Promise<void> {
  for (let pause = FIRST_REPEAT_MS; !answered.aborted; pause *= 2) {
    await requestCancel(client as unknown as ClientInternals).catch(() => undefined);
    await sleep(pause, undefined, { signal: answered }).catch(() => undefined);
  }
}

/** A name may have several addresses, so we take the one that we have; a certificate is checked for the name all the same. The client hides the key. */
function tlsOptions(host: string, given: { readonly key?: unknown }): object {
  return { ...(isIP(host) === 0 ? { servername: host } : {}), ...given, ...('key' in given ? { key: given.key } : {}) };
}

/** Sends one CancelRequest, to where the client is connected. Resolves when its connection has ended, however; a failure is not reported, as it is repeated. */
function requestCancel(client: ClientInternals): Promise<void> {
  const { host, port, processID, secretKey, sslNegotiation } = client;
  if (processID === null) return Promise.resolve();
  const peer = client.connection.stream;
  const ssl = client.ssl && tlsOptions(host, client.ssl === true ? {} : client.ssl);
  return new Promise((resolve) => {
    const connection = new pg.Connection({ ssl, sslNegotiation } as never) as unknown as CancelConnection;
    const timer = setTimeout(() => {
      connection.stream.destroy();
      resolve();
    }, REQUEST_TIMEOUT_MS);
    const send = (): void => connection.cancel(processID, secretKey);
    connection.on('connect', () => {
      if (!ssl) send();
      else if (sslNegotiation !== 'direct') connection.requestSsl();
    });
    connection.on('sslconnect', send);
    connection.on('error', () => undefined);
    connection.on('end', () => {
      clearTimeout(timer);
      resolve();
    });
    if (host.startsWith('/')) connection.connect(`${host}/.s.PGSQL.${port}`);
    else connection.connect(peer.remotePort ?? port, peer.remoteAddress ?? host);
  });
}
