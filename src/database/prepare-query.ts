// Prepares a statement under a name: Parse, Describe, Sync, in one write. Any process that has a connection.
// PostgreSQL: exec_parse_message and exec_describe_statement_message in src/backend/tcop/postgres.c.

import type pg from 'pg';
import { type Protocol, ProtocolQuery } from './protocol-query.js';

/** A statement that the server keeps under a name, until it is closed or the connection ends; no transaction's end touches it. */
export interface PreparedStatement {
  readonly name: string;
  /** OIDs of its parameters' types, as given or inferred. */
  readonly types: readonly number[];
  /** null if it returns no rows. */
  readonly fields: readonly pg.FieldDef[] | null;
}

export class PrepareQuery extends ProtocolQuery<PreparedStatement> {
  readonly #statement: { readonly text: string; readonly name: string; readonly types: readonly number[] };
  #types: readonly number[] = [];
  #fields: readonly pg.FieldDef[] | null = null;

  constructor(statement: { readonly text: string; readonly name: string; readonly types: readonly number[] }) {
    super();
    this.#statement = statement;
  }

  protected override send(connection: Protocol): void {
    // The client leaves this message to whoever asked.
    const parameters = (message: { dataTypeIDs: number[] }): void => {
      this.#types = message.dataTypeIDs;
    };
    connection.on('parameterDescription', parameters);
    const forget = (): void => {
      connection.off('parameterDescription', parameters);
    };
    this.done.then(forget, forget);
    connection.parse(this.#statement);
    connection.describe({ type: 'S', name: this.#statement.name });
    connection.sync();
  }

  override handleRowDescription(message: { fields: pg.FieldDef[] }): void {
    this.#fields = message.fields;
  }

  protected override result(): PreparedStatement {
    return { name: this.#statement.name, types: this.#types, fields: this.#fields };
  }
}
