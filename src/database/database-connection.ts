// An open connection to the database: one exchange at a time, and its end. Workers, and whoever else among the children talks to the database.
// Policy-free: what FATAL means, and where notices go, is handed in. How one is opened: open-connection.ts.

import pg from 'pg';
import { ErrorData, type ErrorFields } from '../elog/error-data.js';
import { ERRCODE_OBJECT_IN_USE, ERRCODE_QUERY_CANCELED } from '../elog/errcodes.js';
import { getConfigOption } from '../guc/guc.js';
import { type Cancellation, endIfAsked, interruptible, queryWasCanceled } from './cancel.js';
import type { ProtocolQuery } from './protocol-query.js';
import { endsConnection, lostConnection, noticeLevel, sayGoodbye, serverFields, statementError } from './server-error.js';
import { SilenceWatch } from './sign-of-life.js';
import { type StatementOptions, StatementQuery, type StatementResult } from './statement-query.js';

export interface ConnectionOwner {
  /** application_name, and the name in the line of a worker that `pg_terminate_backend` ended. */
  readonly type: string;
  /** Reports and ends the process. Where it returns (tests), the error is thrown instead. */
  readonly fatal: (fields: ErrorFields) => void;
  /** Logs a record. */
  readonly report: (level: number, fields: ErrorFields) => void;
}

/** How an exchange may end early, and how its error is told. */
export interface Exchange {
  /** Default: at once. */
  readonly cancellation?: Cancellation | undefined;
  /** Cancels it as a SIGINT does. */
  readonly signal?: AbortSignal | undefined;
  /** Is called when it is being cancelled: whoever holds up the answer lets it come. */
  readonly onCancel?: (() => void) | undefined;
  /** Is aborted when nobody waits for its end any more, and it is being cancelled: the next one waits for that, in place of its caller. */
  readonly abandoned?: AbortSignal | undefined;
  /** The server's error as the caller's. */
  readonly error: (err: InstanceType<typeof pg.DatabaseError>) => ErrorData;
}

/** One statement, as part of a command string. */
export interface Command extends Pick<StatementOptions, 'types' | 'prepared'>, Pick<Exchange, 'cancellation' | 'signal'> {
  /** Runs before it, in the same round trip. */
  readonly first?: string;
  readonly text: string;
  /** Where it begins in the command string. */
  readonly offset: number;
}

/** What is known of the other end. */
export interface ServerSide extends Pick<DatabaseConnection, 'databaseOid' | 'behindPooler'> {
  /** As the server reports them, at the start and whenever they change. */
  readonly parameters: ReadonlyMap<string, string>;
}

/** An open connection. It is never reopened: session state would be lost silently. Its end is the end of its owner. */
export class DatabaseConnection {
  /** OID of the database; 0 if none was asked for. */
  readonly databaseOid: number;
  /** Does something between us and the server lend its sessions to us? */
  readonly behindPooler: boolean;
  readonly owner: ConnectionOwner;
  readonly #client: pg.Client;
  readonly #parameters: ReadonlyMap<string, string>;
  #unneeded: string[] = [];
  /** The BEGIN that goes along with the next exchange. */
  #beginPending = false;
  readonly #silence: SilenceWatch;
  /** What is under way. */
  #current: { readonly abandoned: AbortSignal | undefined; readonly over: Promise<void> } | null = null;
  #closing = false;
  #lost = false;

  constructor(client: pg.Client, server: ServerSide, owner: ConnectionOwner) {
    this.#silence = new SilenceWatch(client, getConfigOption('database_check_interval') * 1000);
    this.#client = client;
    this.#parameters = server.parameters;
    this.databaseOid = server.databaseOid;
    this.behindPooler = server.behindPooler;
    this.owner = owner;
    client.on('error', (err) => {
      if (!this.#closing) this.#lose(err);
    });
    client.on('notice', (notice) => owner.report(noticeLevel(notice), serverFields(notice)));
  }

  /** Was no database asked for? Then only shared catalogs are there to be read. */
  get withoutDatabase(): boolean {
    return this.databaseOid === 0;
  }

  /** `I` outside a transaction, `T` in one, `E` in one that has failed. */
  get transactionStatus(): 'I' | 'T' | 'E' {
    return this.#client.getTransactionStatus() ?? 'I';
  }

  get standardConformingStrings(): boolean {
    return this.#parameters.get('standard_conforming_strings') !== 'off';
  }

  /** Calls back for each notification that a LISTEN of this connection brings. */
  onNotification(listener: (message: { processId: number; channel: string; payload?: string | undefined }) => void): void {
    this.#client.on('notification', listener);
  }

  /**
   * A transaction begins, with the next exchange: a round trip is saved, and a transaction in which nothing is run costs none.
   */
  beginLater(): void {
    this.#beginPending = true;
  }

  /**
   * The transaction is to end, unless that has been said already. Is there one for the server to end? Not where nothing was run in it, nor where its beginning was
   * cancelled. Waits for what nobody else waits for.
   */
  async hasBegun(): Promise<boolean> {
    await this.#abandonedEnds();
    if (!this.#beginPending) return !this.isIdle;
    this.#beginPending = false;
    return false;
  }

  /** Nothing is under way, and the server is in no transaction. */
  get isIdle(): boolean {
    return this.#current === null && this.transactionStatus === 'I';
  }

  /** A prepared statement that nobody needs any more: closed along with the next exchange. */
  closeStatement(name: string): void {
    this.#unneeded.push(name);
  }

  /**
   * Runs one statement; see `perform`.
   * @throws ErrorData as the server words it; TypeError for a value that cannot be a parameter
   */
  run(statement: Command, values: readonly unknown[] = [], limit = 0, command: string = statement.text): Promise<StatementResult> {
    const { text, offset, types, prepared, cancellation, signal, first } = statement;
    const query = new StatementQuery({ ...(prepared === undefined ? { text } : { prepared }), values, types, limit });
    if (first !== undefined) query.runFirst = [first];
    return this.perform(query, { cancellation, signal, error: (err) => statementError(err, command, text, offset) });
  }

  /**
   * Performs one exchange. One at a time: a second call before the first is done is an error and not queued, because in a worker it is a forgotten `await`.
   * An interrupt that becomes pending meanwhile cancels it on the server.
   * @throws what the exchange makes of the server's error; the connection's end does not return
   */
  async perform<T>(query: ProtocolQuery<T>, exchange: Exchange): Promise<T> {
    if (this.#current?.abandoned?.aborted === true) await this.#abandonedEnds();
    if (this.#current !== null) {
      const hint = 'A transaction runs one command at a time: await the earlier one first.';
      throw new ErrorData({ code: ERRCODE_OBJECT_IN_USE, message: 'another command is already in progress', hint });
    }
    let ended = (): void => undefined;
    this.#current = { abandoned: exchange.abandoned, over: new Promise((resolve) => (ended = resolve)) };
    this.#silence.begin();
    query.closeFirst = this.#unneeded;
    this.#unneeded = [];
    if (this.#beginPending) query.runFirst = ['BEGIN', ...query.runFirst];
    this.#beginPending = false;
    try {
      this.#client.query(query as unknown as pg.Submittable);
      return await interruptible(this.#client, query.done, exchange);
    } catch (err) {
      const canceled = err instanceof pg.DatabaseError && err.code === ERRCODE_QUERY_CANCELED;
      if (canceled) queryWasCanceled();
      if (err instanceof pg.DatabaseError && !endsConnection(err)) {
        const error = exchange.error(err);
        if (canceled && exchange.signal?.aborted) error.cause = exchange.signal.reason;
        throw error;
      }
      // A column that we could not convert leaves the connection as it was.
      if (query.failure !== undefined && err === query.failure) throw err;
      this.#lose(err);
      throw new ErrorData({ ...lostConnection(err, this.owner.type), severity: 'FATAL' });
    } finally {
      this.#current = null;
      ended();
      this.#silence.end();
    }
  }

  async #abandonedEnds(): Promise<void> {
    while (this.#current?.abandoned?.aborted === true) await this.#current.over;
  }

  /** Ends the connection in an orderly way; a transaction under way is rolled back. */
  async close(): Promise<void> {
    this.#closing = true;
    await this.#client.end();
  }

  /** The same from an exit callback, which cannot wait. */
  closeSync(): void {
    this.#closing = true;
    if (!this.#lost) sayGoodbye(this.#client.connection.stream);
  }

  /** The first error says why; those that follow it are the same end seen elsewhere. */
  #lose(err: unknown): void {
    if (this.#lost) return;
    this.#lost = true;
    endIfAsked();
    this.owner.fatal(lostConnection(err, this.owner.type));
  }
}
