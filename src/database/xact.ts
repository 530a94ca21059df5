// Transactions and subtransactions of this process's one connection, as its code sees them. Workers.
// PostgreSQL: src/backend/access/transam/xact.c, REL_15_STABLE.
//
//   startTransactionCommand ─▶ STARTED ─▶ commitTransactionCommand, abortCurrentTransaction
//                                │ ▲
//   beginInternalSubTransaction  ▼ │  releaseCurrentSubTransaction, rollbackAndReleaseCurrentSubTransaction
//                          SUBINPROGRESS (they nest)
//
// An error leaves the innermost of them failed: it can only be rolled back. Of its own errors the server knows; `failed` is for ours, of which it does not.

import { ErrorData } from '../elog/error-data.js';
import { ERRCODE_IN_FAILED_SQL_TRANSACTION, ERRCODE_NO_ACTIVE_SQL_TRANSACTION, ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE } from '../elog/errcodes.js';
import type { DatabaseConnection } from './database-connection.js';

let connection: DatabaseConnection | null = null;
/** TBLOCK_DEFAULT or TBLOCK_STARTED. */
let started = false;
let failed = false;
/** Open subtransactions, by the names of their savepoints; the innermost last. */
const subtransactions: string[] = [];

/** What ended. C: XactEvent and SubXactEvent. */
export type TransactionEnd = 'commit' | 'abort' | 'subcommit' | 'subabort';
/** Called when a transaction or subtransaction has ended, with how deep it was: 1, or 2 and more for subtransactions. */
export type TransactionEndListener = (end: TransactionEnd, depth: number, conn: DatabaseConnection) => void;

const listeners: TransactionEndListener[] = [];

/** For SPI, whose state lives by transactions. C: AtEOXact_SPI, AtEOSubXact_SPI, and their likes. */
export function onTransactionEnd(listener: TransactionEndListener): void {
  listeners.push(listener);
}

/** Gives this process its connection: `backgroundWorkerInitializeConnection` does. Null takes it away. */
export function setDatabaseConnection(to: DatabaseConnection | null): void {
  if (connection !== null) ended('abort', 1);
  [connection, started, failed] = [to, false, false];
  subtransactions.length = 0;
}

/** Is a transaction under way, and has it not failed? @pg IsTransactionState */
export function isTransactionState(): boolean {
  return started && !isAbortedTransactionBlockState();
}

/** Has the current transaction failed, so that it can only be aborted? @pg IsAbortedTransactionBlockState */
export function isAbortedTransactionBlockState(): boolean {
  return started && (failed || connection?.transactionStatus === 'E');
}

/** How deep the current subtransaction is: 0 outside of a transaction, 1 in one, and 1 more for each subtransaction. @pg GetCurrentTransactionNestLevel */
export function getCurrentTransactionNestLevel(): number {
  return started ? 1 + subtransactions.length : 0;
}

/**
 * Begins a transaction. Its isolation level, and whether it may write, are the session's defaults; `SET TRANSACTION …` as its first command says otherwise.
 *
 * DIFFERS FROM POSTGRES: the server begins it along with its first command, so that it costs no round trip of its own: `now()` is the time of that command, and
 * nobody sees an idle transaction before it.
 * @throws ErrorData where one is under way
 * @example await startTransactionCommand();
 * @pg StartTransactionCommand
 */
export async function startTransactionCommand(): Promise<void> {
  const conn = connected();
  if (started) throw unexpectedState('StartTransactionCommand');
  [started, failed] = [true, false];
  conn.beginLater();
}

/**
 * Commits the transaction. Its error (a deferred constraint's, for example) leaves it rolled back.
 *
 * DIFFERS FROM POSTGRES: with a subtransaction open it is an ERROR; C passes over it, and commits nothing.
 * @throws ErrorData 25P02 if an error in the transaction was caught and passed over: it cannot be committed any more
 * @example await commitTransactionCommand();
 * @pg CommitTransactionCommand
 */
export async function commitTransactionCommand(): Promise<void> {
  const conn = connected();
  if (!started) {
    // In C this is FATAL and not ERROR: whoever commits nothing has lost track.
    const error = unexpectedState('CommitTransactionCommand');
    conn.owner.fatal({ message: error.message, code: error.code });
    throw error;
  }
  if (isAbortedTransactionBlockState()) throw transactionFailed();
  if (subtransactions.length > 0) throw unexpectedState('CommitTransactionCommand');
  let end: TransactionEnd = 'abort';
  try {
    if (await conn.hasBegun()) await conn.run({ text: 'COMMIT', offset: 0, cancellation: 'if it waits' });
    end = 'commit';
  } finally {
    started = !conn.isIdle;
    if (!started) ended(end, 1);
  }
}

/**
 * Rolls the transaction back, with all of its subtransactions, and forgets open spiConnect calls. Does nothing outside a transaction.
 * @example await abortCurrentTransaction();
 * @pg AbortCurrentTransaction
 */
export async function abortCurrentTransaction(): Promise<void> {
  if (!started) return;
  const conn = connected();
  try {
    if (await conn.hasBegun()) await conn.run({ text: 'ROLLBACK', offset: 0, cancellation: 'never' });
  } finally {
    started = !conn.isIdle;
    if (!started) {
      subtransactions.length = 0;
      ended('abort', 1);
    }
  }
}

/**
 * Begins a subtransaction: what follows can be rolled back without the rest of the transaction.
 * @param name of its savepoint, for the server's messages; null: one of ours
 * @throws ErrorData 25P01 outside of a transaction; 25P02 in a failed one
 * @example
 * await beginInternalSubTransaction(null);
 * try {
 *   await spiExecute('INSERT INTO t VALUES (1)');
 *   await releaseCurrentSubTransaction();
 * } catch (err) {
 *   await rollbackAndReleaseCurrentSubTransaction();
 * }
 * @pg BeginInternalSubTransaction
 */
export async function beginInternalSubTransaction(name: string | null): Promise<void> {
  const conn = inTransaction();
  if (isAbortedTransactionBlockState()) throw transactionFailed();
  const savepoint = quoteIdentifier(name ?? `bgw ${subtransactions.length + 1}`);
  await failing(() => conn.run({ text: `SAVEPOINT ${savepoint}`, offset: 0, cancellation: 'if it waits' }));
  subtransactions.push(savepoint);
}

/**
 * Ends the innermost subtransaction; what it did is the surrounding transaction's now.
 * @throws ErrorData where there is none, or where it has failed (25P02)
 * @example await releaseCurrentSubTransaction();
 * @pg ReleaseCurrentSubTransaction
 */
export async function releaseCurrentSubTransaction(): Promise<void> {
  const conn = connected();
  const savepoint = subtransactions.at(-1);
  if (savepoint === undefined) throw unexpectedState('ReleaseCurrentSubTransaction');
  if (isAbortedTransactionBlockState()) throw transactionFailed();
  await conn.run({ text: `RELEASE SAVEPOINT ${savepoint}`, offset: 0, cancellation: 'if it waits' });
  subtransactions.pop();
  ended('subcommit', 2 + subtransactions.length);
}

/**
 * Undoes the innermost subtransaction; the surrounding transaction goes on as if it had not been, whatever error it ended with.
 * @throws nothing: where there is no subtransaction it is FATAL, as in C
 * @example await rollbackAndReleaseCurrentSubTransaction();
 * @pg RollbackAndReleaseCurrentSubTransaction
 */
export async function rollbackAndReleaseCurrentSubTransaction(): Promise<void> {
  const conn = connected();
  const savepoint = subtransactions.at(-1);
  if (savepoint === undefined) {
    const error = unexpectedState('RollbackAndReleaseCurrentSubTransaction');
    conn.owner.fatal({ message: error.message, code: error.code });
    throw error;
  }
  await conn.run({ text: `RELEASE SAVEPOINT ${savepoint}`, first: `ROLLBACK TO SAVEPOINT ${savepoint}`, offset: 0, cancellation: 'never' });
  subtransactions.pop();
  failed = false;
  ended('subabort', 2 + subtransactions.length);
}

/** Has this process a connection? */
export function hasConnection(): boolean {
  return connection !== null;
}

/** The connection; without one, an ERROR. */
export function connected(): DatabaseConnection {
  if (connection !== null) return connection;
  // DIFFERS FROM POSTGRES: a C worker crashes here, and every other process with it.
  const hint = 'Call backgroundWorkerInitializeConnection first.';
  throw new ErrorData({ code: ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, message: 'background worker is not connected to a database', hint });
}

/** The connection, in a transaction that may have failed; else an ERROR. */
export function inTransaction(): DatabaseConnection {
  const conn = connected();
  if (started) return conn;
  const hint = 'Call startTransactionCommand first.';
  throw new ErrorData({ code: ERRCODE_NO_ACTIVE_SQL_TRANSACTION, message: 'there is no transaction in progress', hint });
}

/** The same where something is to be run: not in a transaction that has failed. */
export function inHealthyTransaction(): DatabaseConnection {
  const conn = inTransaction();
  if (isAbortedTransactionBlockState()) throw transactionFailed();
  return conn;
}

/** Runs something in the transaction. Whatever goes wrong, and wherever: as after an ERROR in C, only rolling back is possible then. */
export async function failing<T>(body: () => Promise<T>): Promise<T> {
  try {
    return await body();
  } catch (err) {
    failed = true;
    throw err;
  }
}

/** PostgreSQL: quote_identifier, src/backend/utils/adt/ruleutils.c; ours quotes always. */
export function quoteIdentifier(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

function ended(end: TransactionEnd, depth: number): void {
  if (connection !== null) for (const listener of listeners) listener(end, depth, connection);
}

function unexpectedState(where: string): ErrorData {
  const inSub = isAbortedTransactionBlockState() ? 'SUBABORT' : 'SUBINPROGRESS';
  const state = subtransactions.length > 0 ? inSub : started ? 'STARTED' : 'DEFAULT';
  return new ErrorData({ message: `${where}: unexpected state ${state}` });
}

function transactionFailed(): ErrorData {
  const message = 'current transaction is aborted, commands ignored until end of transaction block';
  const hint =
    subtransactions.length > 0
      ? 'Call rollbackAndReleaseCurrentSubTransaction, or abortCurrentTransaction, after an error.'
      : 'Call abortCurrentTransaction after an error.';
  return new ErrorData({ code: ERRCODE_IN_FAILED_SQL_TRANSACTION, message, hint });
}
