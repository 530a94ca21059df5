// One statement over the extended protocol: Parse, Bind, Describe, Execute with a row limit, Sync, in one write. Any process that has a connection.
// It plugs into the client as pg-cursor does (a "submittable"). The client's own Query does not do: with a row limit it fetches page after page until the end, and
// it does not say whether a statement returns rows at all, which is the difference between SPI_OK_INSERT and SPI_OK_INSERT_RETURNING.

import type pg from 'pg';
import { endsConnection } from './server-error.js';
import { columnParser, parameterValue } from './values.js';

/** What came back from a statement. */
export interface StatementResult {
  /** As the server reports it: `SELECT`, `INSERT`, `CREATE TABLE`; null when the row limit ended it, or when there was nothing to run. */
  readonly tag: string | null;
  /** Rows affected, as the command tag says; null where it says nothing. */
  readonly affected: number | null;
  /** null if the statement returns no rows by its nature. */
  readonly fields: readonly pg.FieldDef[] | null;
  readonly rows: Record<string, unknown>[];
}

/** What we use of the client's connection; its published types have other signatures than its code. */
interface Protocol {
  readonly stream: { cork(): void; uncork(): void };
  parse(message: { text: string; name: string; types: number[] }): void;
  bind(message: { values: readonly (string | Buffer | null)[] }): void;
  describe(message: { type: 'P' }): void;
  execute(message: { rows: number }): void;
  sync(): void;
  sendCopyFail(reason: string): void;
  once(event: 'readyForQuery' | 'end', listener: () => void): this;
  off(event: 'readyForQuery' | 'end', listener: () => void): this;
}

/** Runs one statement; the connection must be idle. Rejects with what the client reports. */
export function runStatement(client: pg.Client, text: string, values: readonly unknown[] = [], limit = 0): Promise<StatementResult> {
  const parameters = values.map(parameterValue);
  return new Promise((resolve, reject) => {
    client.query(new StatementQuery(text, parameters, limit, resolve, reject) as unknown as pg.Submittable);
  });
}

class StatementQuery {
  /** The client looks for one, to put its own timeout around it. */
  callback: () => void = () => undefined;
  #tag: string | null = null;
  #affected: number | null = null;
  #fields: pg.FieldDef[] | null = null;
  #parsers: ((text: string) => unknown)[] = [];
  readonly #rows: Record<string, unknown>[] = [];
  /** A column that could not be read: reported when the server is done, as the connection is in the middle of an answer until then. */
  #failure: unknown;
  readonly #text: string;
  readonly #values: readonly (string | Buffer | null)[];
  readonly #limit: number;
  readonly #resolve: (result: StatementResult) => void;
  readonly #reject: (reason: unknown) => void;

  constructor(
    text: string,
    values: readonly (string | Buffer | null)[],
    limit: number,
    resolve: (result: StatementResult) => void,
    reject: (reason: unknown) => void,
  ) {
    this.#text = text;
    this.#values = values;
    this.#limit = limit;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  submit(connection: Protocol): void {
    connection.stream.cork();
    connection.parse({ text: this.#text, name: '', types: [] });
    connection.bind({ values: this.#values });
    connection.describe({ type: 'P' });
    connection.execute({ rows: this.#limit });
    connection.sync();
    connection.stream.uncork();
  }

  handleRowDescription(message: { fields: pg.FieldDef[] }): void {
    this.#fields = message.fields;
    this.#parsers = message.fields.map((field) => columnParser(field.dataTypeID));
  }

  handleDataRow(message: { fields: (string | null)[] }): void {
    const row: Record<string, unknown> = {};
    try {
      message.fields.forEach((text, i) => {
        const name = this.#fields?.[i]?.name ?? String(i);
        const value = text === null ? null : this.#parsers[i]?.(text);
        // A column may be called __proto__.
        if (name === '__proto__') Object.defineProperty(row, name, { value, enumerable: true, configurable: true, writable: true });
        else row[name] = value;
      });
      this.#rows.push(row);
    } catch (err) {
      this.#failure ??= err;
    }
  }

  handleCommandComplete(message: { text: string }): void {
    const [, tag, affected] = /^(.*?)(?: (?:\d+ )?(\d+))?$/.exec(message.text) ?? [];
    this.#tag = tag ?? message.text;
    this.#affected = affected === undefined ? null : Number(affected);
  }

  /** The row limit was reached. The Sync is on its way already; the portal goes with the transaction, or with the next one. */
  handlePortalSuspended(): void {}

  handleEmptyQuery(): void {}

  handleCopyInResponse(connection: Protocol): void {
    connection.sendCopyFail('COPY from the client is not supported');
  }

  handleCopyData(): void {}

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

  handleReadyForQuery(): void {
    if (this.#failure !== undefined) this.#reject(this.#failure);
    else this.#resolve({ tag: this.#tag, affected: this.#affected, fields: this.#fields, rows: this.#rows });
  }
}
