// A connection to the database: opening it, and noticing its end. Workers, and whoever else among the children talks to the database.
// Policy-free: what FATAL means, and where notices go, is handed in. PostgreSQL: InitPostgres (src/backend/utils/init/postinit.c) from the other end of a socket.

import pg from 'pg';
import { ErrorData, type ErrorFields } from '../elog/error-data.js';
import {
  ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION,
  ERRCODE_OBJECT_IN_USE,
  ERRCODE_QUERY_CANCELED,
  ERRCODE_UNDEFINED_DATABASE,
} from '../elog/errcodes.js';
import { type Cancellation, endIfAsked, interruptible, queryWasCanceled } from './cancel.js';
import { connectError, endsConnection, lostConnection, noticeLevel, sayGoodbye, serverFields, statementError } from './server-error.js';
import { runStatement, type StatementResult } from './statement-query.js';
import type { SqlStatement } from './sql-statements.js';

export interface ConnectionOwner {
  /** application_name, and the name in the line of a worker that `pg_terminate_backend` ended. */
  readonly type: string;
  /** Reports and ends the process. Where it returns (tests), the error is thrown instead. */
  readonly fatal: (fields: ErrorFields) => void;
  /** Logs a record. */
  readonly report: (level: number, fields: ErrorFields) => void;
}

export interface OpenConnectionOptions {
  readonly conninfo: pg.ClientConfig;
  /** Overrides the conninfo's; null is "no database": the conninfo's is connected to, as a client cannot do without. */
  readonly database: string | null;
  /** Overrides the conninfo's; null leaves it. */
  readonly user: string | null;
  readonly owner: ConnectionOwner;
}

/** One statement, as part of a command string. */
interface Command extends Pick<SqlStatement, 'text' | 'offset'> {
  /** Default: at once. */
  readonly cancellation?: Cancellation;
}

/** An open connection. It is never reopened: session state would be lost silently. Its end is the end of its owner. */
export class DatabaseConnection {
  /** OID of the database; 0 if none was asked for. */
  readonly databaseOid: number;
  readonly owner: ConnectionOwner;
  readonly #client: pg.Client;
  readonly #parameters: Map<string, string>;
  #busy = false;
  #closing = false;
  #lost = false;

  constructor(client: pg.Client, parameters: Map<string, string>, databaseOid: number, owner: ConnectionOwner) {
    this.#client = client;
    this.#parameters = parameters;
    this.databaseOid = databaseOid;
    this.owner = owner;
    client.on('error', (err) => {
      if (!this.#closing) this.#lose(err);
    });
    client.on('notice', (notice) => owner.report(noticeLevel(notice.severity), serverFields(notice)));
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

  /**
   * Runs one statement. One at a time: a second call before the first is done is an error and not queued, because in a worker it is a forgotten `await`.
   * An interrupt that becomes pending meanwhile cancels it on the server.
   * @throws ErrorData as the server words it; the connection's end does not return
   */
  async run(statement: Command, values: readonly unknown[] = [], limit = 0, command: string = statement.text): Promise<StatementResult> {
    if (this.#busy) {
      const hint = 'A transaction runs one command at a time: await the earlier one first.';
      throw new ErrorData({ code: ERRCODE_OBJECT_IN_USE, message: 'another command is already in progress', hint });
    }
    this.#busy = true;
    try {
      return await interruptible(this.#client, runStatement(this.#client, statement.text, values, limit), statement.cancellation ?? 'at once');
    } catch (err) {
      if (err instanceof pg.DatabaseError && err.code === ERRCODE_QUERY_CANCELED) queryWasCanceled();
      if (err instanceof pg.DatabaseError && !endsConnection(err)) throw statementError(err, command, statement.text, statement.offset);
      // A parameter or a column that we could not convert leaves the connection as it was.
      if (err instanceof TypeError || err instanceof RangeError || err instanceof SyntaxError) throw err;
      this.#lose(err);
      throw new ErrorData({ ...lostConnection(err, this.owner.type), severity: 'FATAL' });
    } finally {
      this.#busy = false;
    }
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

/**
 * Opens a connection.
 * @throws ErrorData with severity FATAL, in the server's words and with its SQLSTATE if it answered
 */
export async function openConnection(options: OpenConnectionOptions): Promise<DatabaseConnection> {
  const { conninfo, owner } = options;
  const client = new pg.Client({
    ...conninfo,
    ...(options.database === null ? {} : { database: options.database }),
    ...(options.user === null ? {} : { user: options.user }),
    application_name: owner.type,
  });
  // The server reports these at the start and whenever they change.
  const parameters = new Map<string, string>();
  client.connection.on('parameterStatus', (message: { parameterName: string; parameterValue: string }) => {
    parameters.set(message.parameterName, message.parameterValue);
  });
  // Between connecting and the constructor below an error has no other listener; what it breaks rejects.
  client.on('error', () => undefined);
  try {
    const establish = async (): Promise<number> => {
      await client.connect();
      await settleFormats(client, parameters);
      return options.database === null ? 0 : currentDatabaseOid(client);
    };
    const oid = await interruptible(client, establish(), 'never');
    return new DatabaseConnection(client, parameters, oid, owner);
  } catch (err) {
    client.end().catch(() => undefined);
    if (err instanceof ErrorData) throw err;
    throw new ErrorData({ ...connectError(err, client.host, client.port), severity: 'FATAL' });
  }
}

export interface OpenConnectionByOidOptions {
  readonly conninfo: pg.ClientConfig;
  /** 0: none, as a null name. */
  readonly databaseOid: number;
  /** 0: the conninfo's, as a null name. */
  readonly userOid: number;
  readonly owner: ConnectionOwner;
}

/**
 * The same by OIDs. A client connects by name, so the names are asked for first, on a connection of its own; a database that is renamed in
 * between is not found.
 */
export async function openConnectionByOid(options: OpenConnectionByOidOptions): Promise<DatabaseConnection> {
  const { conninfo, databaseOid, userOid, owner } = options;
  if (databaseOid === 0 && userOid === 0) return openConnection({ conninfo, database: null, user: null, owner });
  const catalog = await openConnection({ conninfo, database: null, user: null, owner });
  const result = await catalog.run(NAMES_BY_OID, [userOid, databaseOid]);
  await catalog.close();
  const { role, name } = result.rows[0] as { role: string | null; name: string | null };
  if (userOid !== 0 && role === null) throw fatal(ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION, `role with OID ${userOid} does not exist`);
  if (databaseOid !== 0 && name === null) throw fatal(ERRCODE_UNDEFINED_DATABASE, `database ${databaseOid} does not exist`);
  return openConnection({ conninfo, database: name, user: role, owner });
}

/** pg_roles, because not everybody may read pg_authid. */
const NAMES_BY_OID = {
  text: `SELECT (SELECT rolname::text FROM pg_catalog.pg_roles WHERE oid = $1::oid) AS role,
                (SELECT datname::text FROM pg_catalog.pg_database WHERE oid = $2::oid) AS name`,
  offset: 0,
};

function fatal(code: string, message: string): ErrorData {
  return new ErrorData({ code, message, severity: 'FATAL' });
}

/**
 * What our client relies on, where the settings of the database or the role say otherwise.
 * DIFFERS FROM POSTGRES: a C worker's client encoding is the server's; a JavaScript string needs UTF-8.
 */
async function settleFormats(client: pg.Client, parameters: Map<string, string>): Promise<void> {
  if (parameters.get('client_encoding') !== 'UTF8') await runStatement(client, "SET client_encoding = 'UTF8'");
  // Changes how dates are written and not the order of day and month in which they are read.
  if (!parameters.get('DateStyle')?.startsWith('ISO')) await runStatement(client, "SET DateStyle = 'ISO'");
}

async function currentDatabaseOid(client: pg.Client): Promise<number> {
  const result = await runStatement(client, 'SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()');
  const oid = result.rows[0]?.['oid'];
  if (typeof oid === 'number') return oid;
  throw fatal(ERRCODE_UNDEFINED_DATABASE, `database "${client.database}" does not exist`);
}
