// Running commands: spiExecute, and what all of SPI's ways to run something share. Workers (and wherever else a connection was set).
// PostgreSQL: src/backend/executor/spi.c, REL_15_STABLE.
//
// The shape is C's: startTransactionCommand, spiConnect, spiExecute…, spiFinish, commitTransactionCommand. An SQL error is thrown with the server's
// own fields and leaves the transaction failed: whoever catches it calls abortCurrentTransaction, and where nobody does the worker ends
// with that ERROR. What C reports by a negative result code is a result code here; what C does not survive (no connection, no transaction) is an ERROR.

import { ErrorData } from '../elog/error-data.js';
import { ERRCODE_FEATURE_NOT_SUPPORTED, ERRCODE_QUERY_CANCELED, ERRCODE_SYNTAX_ERROR, ERRCODE_WRONG_OBJECT_TYPE } from '../elog/errcodes.js';
import { checkForInterrupts } from '../ipc/signals.js';
import type { DatabaseConnection } from './database-connection.js';
import { sessionStateOf, warnOfPooler } from './pooler.js';
import { SPI_ERROR_ARGUMENT, SPI_ERROR_COPY, SPI_ERROR_PARAM, SPI_ERROR_TRANSACTION, SPI_ERROR_UNCONNECTED } from './spi-codes.js';
import { isSpiConnected } from './spi-connect.js';
import { noDatabaseSelected, resultCode } from './spi-result.js';
import { isClientCopy, isTransactionStatement, splitStatements, writingCommand, type SqlStatement } from './sql-statements.js';
import { failing, inHealthyTransaction } from './xact.js';

/** What a query returned. */
export interface SPIResult<Row = Record<string, unknown>> {
  /** One of the SPI_OK_… codes; negative (SPI_ERROR_…) if the command was refused. */
  readonly code: number;
  /** Rows returned, or affected where none are returned. @pg SPI_processed */
  readonly processed: number;
  /** Of the last statement, where the command holds several. Of columns with one name the first is there, as with SPI_fnumber. @pg SPI_tuptable */
  readonly rows: Row[];
  readonly fields: readonly SPIField[];
}

export interface SPIField {
  readonly name: string;
  /** OID of the column's type in pg_type. */
  readonly typeOid: number;
}

/** @pg SPIExecuteOptions */
export interface SPIExecuteOptions {
  /** Values for $1, $2, … */
  readonly values?: readonly unknown[] | undefined;
  /** OIDs of their types (`INT4OID` …), as many as there are values; 0, or none at all: the server infers them from the command. */
  readonly argTypes?: readonly number[] | undefined;
  /** Refuses everything that is not a plain query, as a non-volatile function would. */
  readonly readOnly?: boolean | undefined;
  /** Stop after so many rows; 0 is no limit. */
  readonly count?: number | undefined;
  /** Cancels the command, as a SIGINT does: ERROR 57014, with the signal's reason as its cause. */
  readonly signal?: AbortSignal | undefined;
}

/** Options of what runs something that is known already. */
export type SPIRunOptions = Pick<SPIExecuteOptions, 'readOnly' | 'count' | 'signal'>;

/** One statement to run: its text, or what the server has prepared of it. */
export interface RunnableStatement extends SqlStatement {
  readonly prepared?: string | undefined;
}

/**
 * Runs an SQL command, which may be several statements; the result is that of the last.
 *
 * `count` stops a query after that many rows. DIFFERS FROM POSTGRES: with RETURNING, C stops modifying after `count` rows; here all are
 * modified and `count` of them returned.
 *
 * `readOnly` is about what the command may be. DIFFERS FROM POSTGRES: C also runs it with the snapshot that is active, so that it does not see what came since;
 * ours sees what any statement of the transaction sees. Where several have to see the same, `SET TRANSACTION ISOLATION LEVEL REPEATABLE READ` comes first.
 * @returns `code` is negative, and nothing was run: SPI_ERROR_UNCONNECTED without spiConnect, SPI_ERROR_ARGUMENT for a bad `count`, SPI_ERROR_PARAM for types without
 * their values, SPI_ERROR_TRANSACTION for transaction control, SPI_ERROR_COPY for COPY from or to the client
 * @throws ErrorData with the server's fields; the transaction has failed then. 57014 for a SIGINT (`statementCancelHandler`), which cancels the query on the
 * server; with `die` a SIGTERM cancels it too, and the process ends. One that came before is served here, as in `checkForInterrupts`
 * @example
 * const { rows } = await spiExecute<{ n: bigint }>('SELECT count(*) AS n FROM t WHERE kind = $1', { values: ['delta'] });
 * @pg SPI_execute
 */
export async function spiExecute<Row = Record<string, unknown>>(command: string, options: SPIExecuteOptions = {}): Promise<SPIResult<Row>> {
  checkCommand('spiExecute', command);
  checkArrays('spiExecute', options);
  const { values = [], argTypes = [], count = 0 } = options;
  const conn = inHealthyTransaction();
  if (!isSpiConnected()) return refused<Row>(SPI_ERROR_UNCONNECTED);
  if (!isCount(count)) return refused<Row>(SPI_ERROR_ARGUMENT);
  if (argTypes.length > 0 && argTypes.length !== values.length) return refused<Row>(SPI_ERROR_PARAM);
  return failing(async () => {
    const statements = parseCommand(conn, command);
    if (values.length > 0 && argTypes.length === 0 && statements.length > 1) {
      const hint = 'Give the types of the values (argTypes) too: each statement has the same parameters then.';
      throw new ErrorData({ code: ERRCODE_SYNTAX_ERROR, message: 'cannot insert multiple commands into a prepared statement', hint });
    }
    return (await runStatements(conn, command, statements, options)) as SPIResult<Row>;
  });
}

/** The protocol counts rows in 31 bits. */
const MAX_COUNT = 0x7fffffff;

export function isCount(count: unknown): boolean {
  return Number.isInteger(count) && (count as number) >= 0 && (count as number) <= MAX_COUNT;
}

export function checkCommand(caller: string, command: unknown): void {
  if (typeof command !== 'string')
    throw new TypeError(`the command of ${caller} must be a string, not ${command === null ? 'null' : typeof command}`);
}

export function checkArrays(caller: string, { values, argTypes }: { values?: unknown; argTypes?: unknown }): void {
  if (values !== undefined && !Array.isArray(values)) throw new TypeError(`the option "values" of ${caller} must be an array`);
  const oids = argTypes === undefined || (Array.isArray(argTypes) && argTypes.every((oid) => Number.isInteger(oid) && oid >= 0 && oid <= 0xffffffff));
  if (!oids) throw new TypeError(`the option "argTypes" of ${caller} must be an array of OIDs`);
}

/** The statements of a command. */
export function parseCommand(conn: DatabaseConnection, command: string): readonly SqlStatement[] {
  const key = `${conn.standardConformingStrings ? '' : '\\'}${command}`;
  const known = recentCommands.get(key);
  if (known !== undefined) return known;
  // The server would take what follows for another message.
  if (command.includes('\0')) throw new ErrorData({ code: ERRCODE_SYNTAX_ERROR, message: 'null character not permitted in a command' });
  const statements = splitStatements(command, conn.standardConformingStrings);
  if (command.length > LONGEST_KEPT) return statements;
  if (recentCommands.size === MOST_KEPT) recentCommands.clear();
  recentCommands.set(key, statements);
  return statements;
}

/** Commands as they were cut into statements: most workers run the same few all their life. */
const recentCommands = new Map<string, readonly SqlStatement[]>();
const MOST_KEPT = 100;
const LONGEST_KEPT = 2000;

/** Runs statements one after the other; the result is the last one's. */
export async function runStatements(
  conn: DatabaseConnection,
  command: string,
  statements: readonly RunnableStatement[],
  options: SPIExecuteOptions,
): Promise<SPIResult> {
  let result = refused(0);
  for (const statement of statements) {
    result = await runOne(conn, command, statement, options);
    if (result.code < 0) break;
  }
  return result;
}

async function runOne(conn: DatabaseConnection, command: string, statement: RunnableStatement, options: SPIExecuteOptions): Promise<SPIResult> {
  if (isClientCopy(statement)) return refused(SPI_ERROR_COPY);
  if (isTransactionStatement(statement)) return refused(SPI_ERROR_TRANSACTION);
  checkStatement(conn, statement, options);
  const { values, argTypes: types, count, signal } = options;
  const { text, offset, prepared } = statement;
  const { affected, fields, rows } = await conn.run({ text, offset, prepared, types, signal }, values, count, command);
  return {
    code: resultCode(statement, fields !== null),
    processed: fields === null ? (affected ?? 0) : rows.length,
    rows,
    fields: (fields ?? []).map((field) => ({ name: field.name, typeOid: field.dataTypeID })),
  };
}

/**
 * What has to be right before a statement is sent, interrupts included.
 *
 * Read-only is judged by the statement, as in C (CommandIsReadOnly), and not by a read-only transaction: that would refuse more than C does (nextval, in a
 * function), and could be taken back by a subtransaction around each call alone. As in C, a query may call a volatile function that writes.
 */
export function checkStatement(conn: DatabaseConnection, statement: SqlStatement, options: Pick<SPIExecuteOptions, 'readOnly' | 'signal'>): void {
  const state = conn.behindPooler ? sessionStateOf(statement) : null;
  if (state !== null) warnOfPooler(conn, state);
  const context = `SQL statement "${statement.text}"`;
  const writing = options.readOnly ? writingCommand(statement) : null;
  if (writing !== null) {
    const message = `${writing} is not allowed in a non-volatile function`;
    throw new ErrorData({ code: ERRCODE_FEATURE_NOT_SUPPORTED, message, context });
  }
  if (conn.withoutDatabase) {
    const fatal = noDatabaseSelected(statement);
    conn.owner.fatal(fatal);
    throw new ErrorData({ ...fatal, severity: 'FATAL' });
  }
  if (options.signal?.aborted) {
    const message = 'canceling statement due to user request';
    throw new ErrorData({ code: ERRCODE_QUERY_CANCELED, message, context, cause: options.signal.reason });
  }
  serveInterrupts(context);
}

/** `checkForInterrupts` where C has a statement on its error context stack. */
function serveInterrupts(context: string): void {
  try {
    checkForInterrupts();
  } catch (err) {
    if (!(err instanceof ErrorData) || err.context !== undefined) throw err;
    const { message, code, severity, detail, hint, cause } = err;
    throw new ErrorData({ message, code, severity, detail, hint, cause, context });
  }
}

/**
 * Reads a shared catalog whole: all that a worker without a database (`dbname` null) can read, as C code does with a scan instead of SPI.
 * @param catalog `pg_database`, for example
 * @throws ErrorData 42809 for a table that is not a shared catalog
 * @pg table_beginscan_catalog
 */
export async function tableBeginscanCatalog<Row = Record<string, unknown>>(catalog: string): Promise<Row[]> {
  const conn = inHealthyTransaction();
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

export function refused<Row = Record<string, unknown>>(code: number): SPIResult<Row> {
  return { code, processed: 0, rows: [], fields: [] };
}
