// One statement over the extended protocol: Parse, Bind, Describe, Execute with a row limit, Sync, in one write. Any process that has a connection.
// The client's own Query does not do: with a row limit it fetches page after page until the end, and it does not say whether a statement returns rows at all,
// which is the difference between SPI_OK_INSERT and SPI_OK_INSERT_RETURNING.

import type pg from 'pg';
import { type Protocol, ProtocolQuery } from './protocol-query.js';
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
  /** What the rows had on their way. */
  readonly bytes: number;
}

export interface StatementOptions {
  /** Not given where `prepared` names a statement that the server has already. */
  readonly text?: string | undefined;
  readonly prepared?: string | undefined;
  readonly values?: readonly unknown[] | undefined;
  /** OIDs of the parameters' types; 0 or nothing: the server infers it. */
  readonly types?: readonly number[] | undefined;
  /** 0: all rows. */
  readonly limit?: number | undefined;
  /** Binds a portal of this name and leaves it open, without running it. */
  readonly portal?: string | undefined;
}

/** Runs one statement on a bare client; it must be idle. Rejects with what the client reports. */
export function runStatement(client: pg.Client, text: string, values: readonly unknown[] = []): Promise<StatementResult> {
  return client.query(new StatementQuery({ text, values }) as unknown as pg.Submittable & StatementQuery).done;
}

/** `INSERT 0 3` says three rows, `CREATE TABLE` nothing. */
export function commandTag(text: string): { tag: string; affected: number | null } {
  const [, tag, affected] = /^(.*?)(?: (?:\d+ )?(\d+))?$/.exec(text) ?? [];
  return { tag: tag ?? text, affected: affected === undefined ? null : Number(affected) };
}

/** @throws TypeError for a value that cannot be a parameter; nothing has been sent then */
export class StatementQuery extends ProtocolQuery<StatementResult> {
  #tag: string | null = null;
  #affected: number | null = null;
  #fields: pg.FieldDef[] | null = null;
  /** Of columns with one name the first has it, as SPI_fnumber finds it; the others have none. */
  #names: readonly (string | null)[] = [];
  #parsers: readonly ((text: string) => unknown)[] = [];
  readonly #rows: Record<string, unknown>[] = [];
  #bytes = 0;
  readonly #options: StatementOptions;
  readonly #values: readonly (string | Buffer | null)[];

  constructor(options: StatementOptions) {
    super();
    this.#options = options;
    this.#values = (options.values ?? []).map(parameterValue);
  }

  protected override send(connection: Protocol): void {
    const { text, prepared = '', types = [], limit = 0, portal } = this.#options;
    if (text !== undefined) connection.parse({ text, name: '', types });
    connection.bind({ portal: portal ?? '', statement: prepared, values: this.#values });
    connection.describe({ type: 'P', name: portal ?? '' });
    if (portal === undefined) connection.execute({ rows: limit });
    connection.sync();
  }

  protected override result(): StatementResult {
    return { tag: this.#tag, affected: this.#affected, fields: this.#fields, rows: this.#rows, bytes: this.#bytes };
  }

  override handleRowDescription(message: { fields: pg.FieldDef[] }): void {
    this.#fields = message.fields;
    const taken = new Set<string>();
    this.#names = message.fields.map(({ name }) => (taken.size < taken.add(name).size ? name : null));
    this.#parsers = message.fields.map((field) => columnParser(field.dataTypeID));
  }

  override handleDataRow(message: { fields: (string | null)[]; length: number }): void {
    const row: Record<string, unknown> = {};
    this.#bytes += message.length;
    try {
      for (let i = 0; i < message.fields.length; i++) {
        const name = this.#names[i] ?? null;
        if (name === null) continue;
        const text = message.fields[i] ?? null;
        const value = text === null ? null : this.#parsers[i]?.(text);
        // A column may be called __proto__.
        if (name === '__proto__') Object.defineProperty(row, name, { value, enumerable: true, configurable: true, writable: true });
        else row[name] = value;
      }
      this.#rows.push(row);
    } catch (err) {
      this.failure ??= err;
    }
  }

  protected override completed(tag: string): void {
    ({ tag: this.#tag, affected: this.#affected } = commandTag(tag));
  }
}
