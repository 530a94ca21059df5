// What is sent to the server and answered as one: the shape of everything that our connection runs. Any process that has a connection.
// It plugs into the client as pg-cursor does (a "submittable"): the client hands it the messages that come back, up to ReadyForQuery.

import type pg from 'pg';
import { endsConnection } from './server-error.js';

/** What we use of the client's connection; its published types have other signatures than its code. */
export interface Protocol {
  readonly stream: {
    cork(): void;
    uncork(): void;
    pause(): void;
    resume(): void;
    readonly writableNeedDrain: boolean;
    once(event: 'drain', listener: () => void): void;
  };
  parse(message: { text: string; name: string; types: readonly number[] }): void;
  bind(message: { portal?: string; statement?: string; values: readonly (string | Buffer | null)[] }): void;
  describe(message: { type: 'P' | 'S'; name?: string }): void;
  execute(message: { portal?: string; rows: number }): void;
  close(message: { type: 'P' | 'S'; name: string }): void;
  flush(): void;
  sync(): void;
  sendCopyFromChunk(chunk: Uint8Array): void;
  endCopyFrom(): void;
  sendCopyFail(reason: string): void;
  on(event: ProtocolEvent, listener: (message: never) => void): this;
  once(event: ProtocolEvent, listener: (message: never) => void): this;
  off(event: ProtocolEvent, listener: (message: never) => void): this;
}

/** Messages that the client does not hand on. */
type ProtocolEvent = 'readyForQuery' | 'end' | 'parameterDescription' | 'noData' | 'copyOutResponse';

/** One exchange with the server, from its first message to ReadyForQuery. Subclasses send, and take what comes. */
export abstract class ProtocolQuery<Result> {
  /** The client looks for one, to put its own timeout around it. */
  callback: () => void = () => undefined;
  /** What came of it: rejects with what the server, or the client, reports. */
  readonly done: Promise<Result>;
  /** What we could not do with an answer: reported when the server is done, as the connection is in the middle of an answer until then. */
  failure: unknown = undefined;
  /** Names of prepared statements that nobody needs any more: closed in the same write, so that it costs no round trip. */
  closeFirst: readonly string[] = [];
  /** Statements without parameters, and without rows, that are run first, in the same write: an error of theirs is this query's, which is not run then. */
  runFirst: readonly string[] = [];
  /** How many of them the server has not run yet. */
  #ahead = 0;
  #resolve!: (result: Result) => void;
  #reject!: (reason: unknown) => void;

  constructor() {
    this.done = new Promise((resolve, reject) => {
      [this.#resolve, this.#reject] = [resolve, reject];
    });
  }

  /** Writes the messages; called when the connection is idle. */
  protected abstract send(connection: Protocol): void;

  /** What `done` resolves with. */
  protected abstract result(): Result;

  submit(connection: Protocol): void {
    connection.stream.cork();
    for (const name of this.closeFirst) connection.close({ type: 'S', name });
    this.#ahead = this.runFirst.length;
    for (const text of this.runFirst) {
      connection.parse({ text, name: '', types: [] });
      connection.bind({ values: [] });
      connection.execute({ rows: 0 });
    }
    this.send(connection);
    connection.stream.uncork();
  }

  handleRowDescription(_message: { fields: pg.FieldDef[] }): void {}
  handleDataRow(_message: { fields: (string | null)[]; length: number }): void {}
  handleCommandComplete(message: { text: string }): void {
    if (this.#ahead > 0) this.#ahead--;
    else this.completed(message.text);
  }
  /** The statement has been run; what the server says of it. */
  protected completed(_tag: string): void {}
  /** The row limit was reached. The Sync is on its way already; the portal goes with the transaction, or with the next one. */
  handlePortalSuspended(): void {}
  handleEmptyQuery(_connection: Protocol): void {}
  handleCopyData(_message: { chunk: Buffer }, _connection: Protocol): void {}

  /** The server has taken our Sync for a part of the data (which it ignores): it waits for another one after the refusal. */
  handleCopyInResponse(connection: Protocol): void {
    connection.sendCopyFail('COPY from the client is not expected here');
    connection.sync();
  }

  /**
   * The server's error comes before the word that it is ready again, and with that word the state of the transaction: the caller is not told earlier, or it
   * would ask for a state that is no longer true. (The client has taken this query off by then, so `handleReadyForQuery` is not called.)
   */
  handleError(err: unknown, connection: Protocol): void {
    if (endsConnection(err)) {
      this.#reject(err);
      return;
    }
    const settle = (): void => {
      connection.off('readyForQuery', settle).off('end', settle);
      this.#reject(err);
    };
    connection.once('readyForQuery', settle);
    connection.once('end', settle);
  }

  handleReadyForQuery(_connection: Protocol): void {
    if (this.failure !== undefined) this.#reject(this.failure);
    else this.#resolve(this.result());
  }
}
