// Transactions and SPI: how a worker works on the database. Runs in workers (and wherever else a connection was set).
// PostgreSQL: src/backend/executor/spi.c and src/backend/access/transam/xact.c, REL_15_STABLE.
//
// The shape is C's: startTransactionCommand, spiConnect, spiExecute…, spiFinish, commitTransactionCommand. An SQL error is thrown with the server's
// own fields and leaves the transaction failed: whoever catches it calls abortCurrentTransaction, and where nobody does the worker ends
// with that ERROR. What C reports by a negative result code (SPI_ERROR_TRANSACTION, SPI_ERROR_COPY) is a result code here; what C does not survive
// (no connection, no transaction, not connected to SPI) is an ERROR.

import { ErrorData, WARNING } from '../elog/error-data.js';
import {
  ERRCODE_FEATURE_NOT_SUPPORTED,
  ERRCODE_INVALID_TRANSACTION_STATE,
  ERRCODE_NO_ACTIVE_SQL_TRANSACTION,
  ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
  ERRCODE_SYNTAX_ERROR,
  ERRCODE_WRONG_OBJECT_TYPE,
} from '../elog/errcodes.js';
import { checkForInterrupts } from '../ipc/signals.js';
import type { DatabaseConnection } from './open-connection.js';
import { SPI_ERROR_ARGUMENT, SPI_ERROR_COPY, SPI_ERROR_TRANSACTION, SPI_ERROR_UNCONNECTED, SPI_OK_CONNECT, SPI_OK_FINISH } from './spi-codes.js';
import { noDatabaseSelected, resultCode } from './spi-result.js';
import { isClientCopy, isTransactionStatement, splitStatements, writingCommand, type SqlStatement } from './sql-statements.js';

export * from './spi-codes.js';

/** What a query returned. */
export interface SPIResult<Row = Record<string, unknown>> {
  /** One of the SPI_OK_… codes; negative (SPI_ERROR_…) if the command was refused. */
  readonly code: number;
  /** Rows returned, or affected where none are returned. @pg SPI_processed */
  readonly processed: number;
  /** Of the last statement, where the command holds several. @pg SPI_tuptable */
  readonly rows: Row[];
  readonly fields: readonly SPIField[];
}

export interface SPIField {
  readonly name: string;
  /** OID of the column's type in pg_type. */
  readonly typeOid: number;
}

export interface SPIExecuteOptions {
  /** Values for $1, $2, … */
  readonly values?: readonly unknown[] | undefined;
  /** Refuses everything that is not a plain query, as a non-volatile function would. */
  readonly readOnly?: boolean | undefined;
  /** Stop after so many rows; 0 is no limit. */
  readonly count?: number | undefined;
}

/** errcodes.txt: in_failed_sql_transaction. */
const ERRCODE_IN_FAILED_SQL_TRANSACTION = '25P02';

let connection: DatabaseConnection | null = null;
/** TBLOCK_DEFAULT or TBLOCK_STARTED. */
let started = false;
/** An error of ours has failed the transaction; of its own errors the server knows. */
let failed = false;
/** How many spiConnect calls are open. */
let level = 0;

/** Gives this process its connection: `backgroundWorkerInitializeConnection` does. Null takes it away. */
export function setSpiConnection(to: DatabaseConnection | null): void {
  [connection, started, failed, level] = [to, false, false, 0];
}

/** Is a transaction under way, and has it not failed? @pg IsTransactionState */
export function isTransactionState(): boolean {
  return started && !isAbortedTransactionBlockState();
}

/** Has the current transaction failed, so that it can only be aborted? @pg IsAbortedTransactionBlockState */
export function isAbortedTransactionBlockState(): boolean {
  return started && (failed || connection?.transactionStatus === 'E');
}

/** Begins a transaction. @pg StartTransactionCommand */
export async function startTransactionCommand(): Promise<void> {
  const conn = connected();
  if (started) throw unexpectedState('StartTransactionCommand', 'STARTED');
  [started, failed] = [true, false];
  try {
    await conn.run({ text: 'BEGIN', offset: 0, cancellation: 'if it waits' });
  } catch (err) {
    started = false;
    throw err;
  }
}

/**
 * Commits the transaction. Its error (a deferred constraint's, for example) leaves it rolled back.
 * @throws ErrorData 25P02 if an error in the transaction was caught and passed over: it cannot be committed any more
 * @pg CommitTransactionCommand
 */
export async function commitTransactionCommand(): Promise<void> {
  const conn = connected();
  if (!started) {
    // In C this is FATAL and not ERROR: whoever commits nothing has lost track.
    const error = unexpectedState('CommitTransactionCommand', 'DEFAULT');
    conn.owner.fatal({ message: error.message, code: error.code });
    throw error;
  }
  if (isAbortedTransactionBlockState()) throw transactionFailed();
  try {
    await conn.run({ text: 'COMMIT', offset: 0, cancellation: 'if it waits' });
  } finally {
    started = conn.transactionStatus !== 'I';
  }
  if (level > 0) {
    const hint = 'Check for missing "SPI_finish" calls.';
    conn.owner.report(WARNING, { code: ERRCODE_INVALID_TRANSACTION_STATE, message: 'transaction left non-empty SPI stack', hint });
  }
  level = 0;
}

/** Rolls the transaction back, and forgets open spiConnect calls. Does nothing outside a transaction. @pg AbortCurrentTransaction */
export async function abortCurrentTransaction(): Promise<void> {
  level = 0;
  if (!started) return;
  const conn = connected();
  try {
    await conn.run({ text: 'ROLLBACK', offset: 0, cancellation: 'never' });
  } finally {
    started = conn.transactionStatus !== 'I';
  }
}

/** Opens SPI for this transaction; calls nest. @pg SPI_connect */
export function spiConnect(): number {
  inTransaction();
  level++;
  return SPI_OK_CONNECT;
}

/** Closes what the latest spiConnect opened. @pg SPI_finish */
export function spiFinish(): number {
  if (level === 0) return SPI_ERROR_UNCONNECTED;
  level--;
  return SPI_OK_FINISH;
}

/**
 * Runs an SQL command, which may be several statements; the result is that of the last.
 *
 * `count` stops a query after that many rows. DIFFERS FROM POSTGRES: with RETURNING, C stops modifying after `count` rows; here all are
 * modified and `count` of them returned.
 * @returns `code` is negative, and nothing was run, for transaction control (SPI_ERROR_TRANSACTION) and for COPY from or to the client (SPI_ERROR_COPY)
 * @throws ErrorData with the server's fields; the transaction has failed then. 57014 for a SIGINT (`statementCancelHandler`), which cancels the query on the
 * server; with `die` a SIGTERM cancels it too, and the process ends. One that came before is served here, as in `checkForInterrupts`
 * @example
 * const { rows } = await spiExecute<{ n: bigint }>('SELECT count(*) AS n FROM t WHERE kind = $1', { values: ['delta'] });
 * @pg SPI_execute
 */
export async function spiExecute<Row = Record<string, unknown>>(command: string, options: SPIExecuteOptions = {}): Promise<SPIResult<Row>> {
  if (typeof command !== 'string')
    throw new TypeError(`the command of spiExecute must be a string, not ${command === null ? 'null' : typeof command}`);
  const { values = [], readOnly = false, count = 0 } = options;
  if (!Array.isArray(values)) throw new TypeError('the option "values" of spiExecute must be an array');
  const conn = inTransaction();
  if (isAbortedTransactionBlockState()) throw transactionFailed();
  if (level === 0) {
    const hint = 'Call spiConnect after startTransactionCommand.';
    throw new ErrorData({ code: ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, message: 'SPI_execute called while not connected', hint });
  }
  if (!Number.isInteger(count) || count < 0 || count > MAX_COUNT) return refused<Row>(SPI_ERROR_ARGUMENT);
  try {
    return (await executeAll(conn, command, { values, readOnly, count })) as SPIResult<Row>;
  } catch (err) {
    // Whatever went wrong, and wherever: as after an ERROR in C, only aborting is possible now.
    failed = true;
    throw err;
  }
}

/** The protocol counts rows in 31 bits. */
const MAX_COUNT = 0x7fffffff;

async function executeAll(conn: DatabaseConnection, command: string, options: Required<SPIExecuteOptions>): Promise<SPIResult> {
  // The server would take what follows for another message.
  if (command.includes('\0')) throw new ErrorData({ code: ERRCODE_SYNTAX_ERROR, message: 'null character not permitted in a command' });
  const statements = splitStatements(command, conn.standardConformingStrings);
  if (options.values?.length && statements.length > 1) {
    throw new ErrorData({ code: ERRCODE_SYNTAX_ERROR, message: 'cannot insert multiple commands into a prepared statement' });
  }
  let result = refused(0);
  for (const statement of statements) {
    result = await executeOne(conn, command, statement, options);
    if (result.code < 0) break;
  }
  return result;
}

/**
 * Read-only is judged by the statement, as in C, and not by a read-only transaction: a query may call a volatile function that writes, and
 * a "SET TRANSACTION READ ONLY" would need a subtransaction around each call (three round trips) to be taken back.
 */
async function executeOne(conn: DatabaseConnection, command: string, statement: SqlStatement, options: SPIExecuteOptions): Promise<SPIResult> {
  if (isClientCopy(statement)) return refused(SPI_ERROR_COPY);
  if (isTransactionStatement(statement)) return refused(SPI_ERROR_TRANSACTION);
  const writing = options.readOnly ? writingCommand(statement) : null;
  if (writing !== null) {
    const message = `${writing} is not allowed in a non-volatile function`;
    throw new ErrorData({ code: ERRCODE_FEATURE_NOT_SUPPORTED, message, context: `SQL statement "${statement.text}"` });
  }
  if (conn.withoutDatabase) {
    const fatal = noDatabaseSelected(statement);
    conn.owner.fatal(fatal);
    throw new ErrorData({ ...fatal, severity: 'FATAL' });
  }
  checkForInterrupts();
  const { affected, fields, rows } = await conn.run(statement, options.values, options.count, command);
  return {
    code: resultCode(statement, fields !== null),
    processed: fields === null ? (affected ?? 0) : rows.length,
    rows,
    fields: (fields ?? []).map((field) => ({ name: field.name, typeOid: field.dataTypeID })),
  };
}

/**
 * Reads a shared catalog whole: all that a worker without a database (`dbname` null) can read, as C code does with a scan instead of SPI.
 * @param catalog `pg_database`, for example
 * @throws ErrorData 42809 for a table that is not a shared catalog
 * @pg table_beginscan_catalog
 */
export async function tableBeginscanCatalog<Row = Record<string, unknown>>(catalog: string): Promise<Row[]> {
  const conn = inTransaction();
  if (isAbortedTransactionBlockState()) throw transactionFailed();
  if (!SHARED_CATALOGS.has(catalog)) throw new ErrorData({ code: ERRCODE_WRONG_OBJECT_TYPE, message: `"${catalog}" is not a shared catalog` });
  checkForInterrupts();
  const { rows } = await conn.run({ text: `SELECT * FROM pg_catalog.${catalog}`, offset: 0 });
  return rows as Row[];
}

/** PostgreSQL: IsSharedRelation, src/backend/catalog/catalog.c. */
const SHARED_CATALOGS = new Set(
  ['authid', 'auth_members', 'database', 'db_role_setting', 'parameter_acl', 'replication_origin', 'shdepend', 'shdescription'].map(
    (name) => `pg_${name}`,
  ),
);
for (const name of ['pg_shseclabel', 'pg_subscription', 'pg_tablespace']) SHARED_CATALOGS.add(name);

function connected(): DatabaseConnection {
  if (connection !== null) return connection;
  // DIFFERS FROM POSTGRES: a C worker crashes here, and every other process with it.
  const hint = 'Call backgroundWorkerInitializeConnection first.';
  throw new ErrorData({ code: ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, message: 'background worker is not connected to a database', hint });
}

function inTransaction(): DatabaseConnection {
  const conn = connected();
  if (started) return conn;
  const hint = 'Call startTransactionCommand first.';
  throw new ErrorData({ code: ERRCODE_NO_ACTIVE_SQL_TRANSACTION, message: 'there is no transaction in progress', hint });
}

function unexpectedState(where: string, state: string): ErrorData {
  return new ErrorData({ message: `${where}: unexpected state ${state}` });
}

function transactionFailed(): ErrorData {
  const message = 'current transaction is aborted, commands ignored until end of transaction block';
  return new ErrorData({ code: ERRCODE_IN_FAILED_SQL_TRANSACTION, message, hint: 'Call abortCurrentTransaction after an error.' });
}

function refused<Row = Record<string, unknown>>(code: number): SPIResult<Row> {
  return { code, processed: 0, rows: [], fields: [] };
}
