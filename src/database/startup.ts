// The startup process: watches the database server and tells the postmaster in which state it is.
// A child of the postmaster's. PostgreSQL: src/backend/postmaster/startup.c, whose process performs recovery and raises the same signals.
// DIFFERS FROM POSTGRES: theirs ends with recovery; ours stays and watches, because our database can go away alone.
//
//   connecting ──▶ in recovery ──▶ read-write
//       ▲         (asked every     (asleep on the open connection:
//       │          500 ms)          no timer, no system call)
//       └───── connection lost ◀──────┘

import pg from 'pg';
import { connectError, endsConnection } from './server-error.js';

/** The PMSignals that this process raises: PMSIGNAL_RECOVERY_STARTED, PMSIGNAL_BEGIN_HOT_STANDBY, and the end of recovery. */
export type StartupSignal = 'recovery started' | 'begin hot standby' | 'recovery finished';

export interface StartupProcessOptions {
  readonly conninfo: pg.ClientConfig;
  /** Tells the postmaster. Each signal is raised at most once. */
  readonly raise: (signal: StartupSignal) => void;
  /** Logs at LOG. */
  readonly log: (message: string) => void;
  /** Ends the watch; the process itself just exits. */
  readonly signal?: AbortSignal;
}

const FIRST_RETRY_MS = 10;
const SLOWEST_RETRY_MS = 500;
const PROMOTION_POLL_MS = 500;
/** How long a server that is not there yet is nothing to talk about. */
const PATIENCE_MS = 5000;
/** A server that accepts the connection and then says nothing. */
const CONNECT_TIMEOUT_MS = 10_000;

/** Watches the server until `signal`; without one, for ever. Needs a role that may connect, and no more. */
export async function startupProcessMain(options: StartupProcessOptions): Promise<void> {
  const raised = new Set<StartupSignal>();
  const raise = (signal: StartupSignal): void => {
    if (raised.has(signal)) return;
    raised.add(signal);
    options.raise(signal);
  };
  for (let connectedBefore = false; !options.signal?.aborted; connectedBefore = true) {
    const client = await connectPatiently(options, raise);
    if (client === null) return;
    if (connectedBefore) options.log('connection to the database server was restored');
    const failure = await Promise.race([watch(client, raise, options.signal), aborted(options.signal)]);
    client.end().catch(() => undefined);
    if (options.signal?.aborted) return;
    options.log(failure === null ? 'connection to the database server was lost' : `could not watch the database server: ${failure}`);
    // A server that lets us in and throws us out again is not to be run at.
    await sleep(SLOWEST_RETRY_MS, options.signal);
  }
}

/**
 * Follows recovery to its end, then sleeps until the connection ends.
 * @returns null when the connection has ended, else why its server does not answer the question
 */
async function watch(client: pg.Client, raise: (signal: StartupSignal) => void, signal?: AbortSignal): Promise<string | null> {
  const ended = new Promise<null>((resolve) => client.once('end', () => resolve(null)));
  try {
    while (await isInRecovery(client)) {
      raise('recovery started');
      raise('begin hot standby');
      await sleep(PROMOTION_POLL_MS, signal);
      if (signal?.aborted) return null;
    }
  } catch (err) {
    return endsConnection(err) ? null : (err as Error).message;
  }
  raise('recovery finished');
  return ended;
}

async function isInRecovery(client: pg.Client): Promise<boolean> {
  const result = await client.query<{ in_recovery: boolean }>('SELECT pg_catalog.pg_is_in_recovery() AS in_recovery');
  return result.rows[0]?.in_recovery ?? false;
}

/** Tries until it succeeds: often at first, since an owned server is up in a tenth of a second, then every half second. */
async function connectPatiently(options: StartupProcessOptions, raise: (signal: StartupSignal) => void): Promise<pg.Client | null> {
  const begin = Date.now();
  const told = new Set<string>();
  for (let delay = FIRST_RETRY_MS; !options.signal?.aborted; delay = Math.min(delay * 1.5, SLOWEST_RETRY_MS)) {
    const client = new pg.Client({ connectionTimeoutMillis: CONNECT_TIMEOUT_MS, ...options.conninfo, application_name: 'bgworker startup' });
    client.on('error', () => undefined);
    try {
      await client.connect();
      return client;
    } catch (err) {
      client.end().catch(() => undefined);
      const code = (err as { code?: string }).code;
      const { message, detail } = connectError(err, client.host, client.port);
      // A standby that is not consistent yet, or does not allow connections at all (canAcceptConnections, release 14 and later).
      if (code === '57P03' && /not (yet )?accepting connections/.test(message)) raise('recovery started');
      const expected = code === '57P03' || code === 'ENOENT' || code === 'ECONNREFUSED';
      if ((!expected || Date.now() - begin > PATIENCE_MS) && !told.has(message)) {
        told.add(message);
        options.log(`could not connect to the database server, still trying: ${message}${detail === undefined ? '' : ` (${detail})`}`);
      }
    }
    await sleep(delay, options.signal);
  }
  return null;
}

function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(done, ms);
    function done(): void {
      clearTimeout(timer);
      signal?.removeEventListener('abort', done);
      resolve();
    }
    signal?.addEventListener('abort', done, { once: true });
  });
}

function aborted(signal?: AbortSignal): Promise<null> {
  return new Promise((resolve) => signal?.addEventListener('abort', () => resolve(null), { once: true }));
}
