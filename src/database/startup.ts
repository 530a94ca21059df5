// The startup process: watches the database server and tells the postmaster in which state it is.
// A child of the postmaster's. PostgreSQL: src/backend/postmaster/startup.c, whose process performs recovery and raises the same signals.
// DIFFERS FROM POSTGRES: theirs ends with recovery; ours stays and watches, because our database can go away alone.
//
//   connecting ──▶ in recovery ──▶ read-write
//       ▲         (asked every     (owned: asleep on the open connection, no timer, no system call;
//       │          500 ms)          attached: asked every database_check_interval)
//       └── lost, or silent: away ◀─┘
//
// How far recovery has come is told once each, as PostgreSQL does it: PM states never go back. What the server is now is told at every change, and
// holds back the workers that would connect to it (schedule.ts). The question needs no privilege but CONNECT.

import pg from 'pg';
import { LOG, WARNING, type ErrorData, type ErrorFields } from '../elog/error-data.js';
import { ERRCODE_CANNOT_CONNECT_NOW, ERRCODE_INSUFFICIENT_PRIVILEGE } from '../elog/errcodes.js';
import { connectClient, hangUp } from './connect.js';
import type { DatabaseConninfo } from './conninfo.js';
import { endsConnection } from './server-error.js';

/** The PMSignals that this process raises: PMSIGNAL_RECOVERY_STARTED, PMSIGNAL_BEGIN_HOT_STANDBY, and the end of recovery. */
export type StartupSignal = 'recovery started' | 'begin hot standby' | 'recovery finished';

/** What is seen of the server now. */
export type SeenServer = 'away' | 'closed' | 'standby' | 'primary';

export interface StartupProcessOptions {
  /** Asked before each attempt to connect, so that a password or a certificate that has been changed is used. What it throws at the beginning ends the process. */
  readonly conninfo: () => DatabaseConninfo;
  /** Tells the postmaster. Each signal is raised at most once. */
  readonly raise: (signal: StartupSignal) => void;
  /** The same at every change of what is seen; called before `raise`. */
  readonly report: (server: SeenServer) => void;
  /** Logs a record. */
  readonly log: (level: number, fields: ErrorFields) => void;
  /** How often a server that reads and writes is asked whether it still does; 0: never, the end of the connection says enough. */
  readonly checkIntervalMs: number;
  /** Says in the log if a pooler stands between us and the server. */
  readonly lookForPooler?: boolean;
  /** Ends the watch; the process itself just exits. */
  readonly signal?: AbortSignal;
}

const FIRST_RETRY_MS = 10;
/** For a server that is not there, or not yet: it is let in as soon as it can be, and within a second. */
const SLOWEST_RETRY_MS = 500;
/** For one that refuses us, for a reason that somebody has to remove. */
const SLOWEST_REFUSED_RETRY_MS = 5000;
const PROMOTION_POLL_MS = 500;
/** How long a server that is not there yet is nothing to talk about. */
const PATIENCE_MS = 5000;
/** A server that accepts the connection, or a question, and then says nothing. */
const ANSWER_TIMEOUT_MS = 10_000;

/** Watches the server until `signal`; without one, for ever. Needs a role that may connect, and no more. */
export async function startupProcessMain(options: StartupProcessOptions): Promise<void> {
  await new Watch(options).run();
}

class Watch {
  readonly #options: StartupProcessOptions;
  readonly #raised = new Set<StartupSignal>();
  /** null: nothing yet. */
  #seen: SeenServer | null = null;
  #closed = false;
  #wasPrimary = false;
  #lookedForPooler = false;
  /** What has been said of a server that does not let us in; said again when it has let us in meanwhile. */
  readonly #told = new Set<string>();

  constructor(options: StartupProcessOptions) {
    this.#options = options;
  }

  async run(): Promise<void> {
    const { signal, log } = this.#options;
    while (!this.#options.signal?.aborted) {
      const client = await this.#connectPatiently();
      if (client === null) return;
      const since = Date.now();
      const { lost, reason } = await this.#follow(client);
      hangUp(client);
      if (signal?.aborted) return;
      const detail = reason === null ? {} : { detail: `${reason}.` };
      if (!lost) this.#tellOnce({ message: `could not watch the database server: ${reason}` });
      else if (this.#seen !== null) log(LOG, { message: 'connection to the database server was lost', ...detail });
      this.#see('away');
      // A server that lets us in and throws us out again is not to be run at.
      await sleep(Date.now() - since > PATIENCE_MS ? FIRST_RETRY_MS : SLOWEST_RETRY_MS, signal);
    }
  }

  /** Until the connection ends, or the server does not answer the question. */
  async #follow(client: pg.Client): Promise<{ lost: boolean; reason: string | null }> {
    const { signal, checkIntervalMs } = this.#options;
    const over = new AbortController();
    let end: string | null = null;
    client.on('error', (err) => (end ??= err.message));
    client.once('end', () => over.abort());
    signal?.addEventListener('abort', () => over.abort(), { once: true });
    try {
      while (!over.signal.aborted) {
        const inRecovery = await withTimeout(isInRecovery(client));
        this.#see(inRecovery ? 'standby' : 'primary');
        await this.#lookForPooler(client);
        await sleep(inRecovery ? PROMOTION_POLL_MS : checkIntervalMs || Infinity, over.signal);
      }
    } catch (err) {
      return { lost: endsConnection(err), reason: end ?? (err as Error).message };
    }
    return { lost: true, reason: end };
  }

  #see(server: SeenServer): void {
    const { report, log } = this.#options;
    const before = this.#seen;
    if (server === before || (server === 'away' && before === null)) return;
    this.#seen = server;
    this.#told.clear();
    report(server);
    if (before === 'away') log(LOG, { message: 'connection to the database server was restored' });
    if (server === 'standby') {
      this.#raise('recovery started');
      this.#raise('begin hot standby');
      if (this.#wasPrimary) log(LOG, { message: 'database server is in recovery again', detail: WAITING_AGAIN });
    } else if (server === 'primary') {
      this.#raise('recovery finished');
      if (this.#wasPrimary && before === 'standby') log(LOG, { message: 'database server has finished recovery again' });
      this.#wasPrimary = true;
    }
  }

  /** Before it has let us in for the first time: does it let in nobody at all, or is it away, or not ready? */
  #seeRefusal(closed: boolean): void {
    if (this.#seen !== null || closed === this.#closed) return;
    this.#closed = closed;
    this.#options.report(closed ? 'closed' : 'away');
  }

  #raise(signal: StartupSignal): void {
    if (this.#raised.has(signal)) return;
    this.#raised.add(signal);
    this.#options.raise(signal);
  }

  /** Once. Whoever is told a backend's pid that is not that of the backend which serves it has a pooler in between. */
  async #lookForPooler(client: pg.Client): Promise<void> {
    const { lookForPooler, conninfo, log } = this.#options;
    if (lookForPooler !== true || this.#lookedForPooler) return;
    this.#lookedForPooler = true;
    const pid = await withTimeout(backendPid(client));
    if (pid === (client as unknown as { processID: number }).processID) return;
    // A pool of transactions has lent our idle connection's backend to nobody else yet, and lends it to the next who asks; a pool of sessions cannot.
    const other = await connectClient(conninfo(), { overrides: { application_name: 'bgworker startup' } });
    const pools = await withTimeout(backendPid(other)).finally(() => hangUp(other));
    if (pools === pid)
      log(WARNING, { message: 'database server is reached through a pooler of transactions', detail: `${NO_SESSION}.`, hint: POOLER_HINT });
    else
      log(LOG, {
        message: 'database server is reached through a connection pooler',
        detail: `If it pools transactions: ${NO_SESSION}.`,
        hint: POOLER_HINT,
      });
  }

  #tellOnce(fields: ErrorFields): void {
    if (this.#told.has(fields.message)) return;
    this.#told.add(fields.message);
    this.#options.log(LOG, fields);
  }

  /** Tries until it succeeds: often at first, since an owned server is up in a tenth of a second. */
  async #connectPatiently(): Promise<pg.Client | null> {
    const { conninfo, signal } = this.#options;
    const begin = Date.now();
    let delay = FIRST_RETRY_MS;
    while (!this.#options.signal?.aborted) {
      try {
        const parameters = conninfo();
        const connectionTimeoutMillis = parameters.connectionTimeoutMillis ?? ANSWER_TIMEOUT_MS;
        return await connectClient(parameters, { overrides: { connectionTimeoutMillis, application_name: 'bgworker startup' } });
      } catch (err) {
        const { code, message, detail, severity, cause } = err as ErrorData;
        // No connection failed: the string is bad, or what it names cannot be read. A server that is up does not fall for a file that is being changed.
        if (severity !== 'FATAL' && this.#seen === null) throw err;
        // A standby that is not consistent yet, or does not allow connections at all (canAcceptConnections, release 14 and later). Of those who say
        // "not now" they alone say why, in whatever language.
        this.#seeRefusal(code === ERRCODE_CANNOT_CONNECT_NOW && detail === HOT_STANDBY_DISABLED);
        if (code === ERRCODE_CANNOT_CONNECT_NOW && detail !== undefined) this.#raise('recovery started');
        const patient = severity === 'FATAL' && isNotThere(cause);
        if (!patient || Date.now() - begin > PATIENCE_MS) {
          this.#tellOnce({
            message: `could not connect to the database server, still trying: ${message}${detail === undefined ? '' : ` (${detail})`}`,
          });
        }
        delay = Math.min(delay * 1.5, patient ? SLOWEST_RETRY_MS : SLOWEST_REFUSED_RETRY_MS);
      }
      await sleep(delay, signal);
    }
    return null;
  }
}

/** In another language it is taken for one that is not consistent yet. */
const HOT_STANDBY_DISABLED = 'Hot standby mode is disabled.';

const WAITING_AGAIN =
  'Workers that connect to it are started if they ask for no more than BgWorkerStart_ConsistentState; the others wait for its promotion.';

const NO_SESSION =
  'LISTEN, SET, prepared plans, temporary tables and session-level advisory locks do not last longer than a transaction there, and may meet another client';
const POOLER_HINT = 'Workers that need them want a pool of sessions, or a connection to the server itself.';

async function backendPid(client: pg.Client): Promise<number> {
  return (await client.query<[number]>({ text: 'SELECT pg_catalog.pg_backend_pid()', rowMode: 'array' })).rows[0]?.[0] ?? 0;
}

/** The server is not running, or not ready: it takes its time, and there is nothing to be done about it. */
function isNotThere(err: unknown): boolean {
  const { code } = err as { code?: string };
  return code === ERRCODE_CANNOT_CONNECT_NOW || code === 'ENOENT' || code === 'ECONNREFUSED';
}

/** A role from which even this function was taken still has the setting of releases 14 and later. */
async function isInRecovery(client: pg.Client): Promise<boolean> {
  try {
    const result = await client.query<[boolean]>({ text: 'SELECT pg_catalog.pg_is_in_recovery()', rowMode: 'array' });
    return result.rows[0]?.[0] ?? false;
  } catch (err) {
    if (!(err instanceof pg.DatabaseError) || err.code !== ERRCODE_INSUFFICIENT_PRIVILEGE) throw err;
    const result = await client.query<[string]>({ text: 'SHOW in_hot_standby', rowMode: 'array' });
    return result.rows[0]?.[0] === 'on';
  }
}

function withTimeout<T>(answer: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`The server has not answered for ${ANSWER_TIMEOUT_MS / 1000} s`)), ANSWER_TIMEOUT_MS);
    answer.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}

/** Until then or the abort. */
function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted) return resolve();
    const timer = ms === Infinity ? undefined : setTimeout(done, ms);
    function done(): void {
      clearTimeout(timer);
      signal?.removeEventListener('abort', done);
      resolve();
    }
    signal?.addEventListener('abort', done, { once: true });
  });
}
