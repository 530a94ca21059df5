// COPY in and out, as streams. Workers. C's SPI refuses it (SPI_ERROR_COPY), because a C worker has no client to copy from or to; ours is one.
// PostgreSQL: src/backend/commands/copy.c at the other end.

import type { Readable } from 'node:stream';
import { ErrorData } from '../elog/error-data.js';
import { ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, ERRCODE_WRONG_OBJECT_TYPE } from '../elog/errcodes.js';
import { CopyInQuery, CopyOutQuery, type CopySource } from './copy-query.js';
import type { DatabaseConnection } from './database-connection.js';
import { statementError } from './server-error.js';
import { type SPIResult, checkCommand, checkStatement, parseCommand } from './spi.js';
import { SPI_OK_UTILITY } from './spi-codes.js';
import { isSpiConnected } from './spi-connect.js';
import { isClientCopy, type SqlStatement } from './sql-statements.js';
import { failing, inHealthyTransaction } from './xact.js';

export type { CopySource } from './copy-query.js';

interface CopyOptions {
  /** Cancels it, as a SIGINT does. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * Copies out of the database: `COPY … TO STDOUT`.
 *
 * Until the stream has ended, it is the one command under way. A consumer that is slow slows the server down. Destroying the stream early cancels the
 * COPY, which fails the transaction (the next command waits until it has ended); so do the signal and a SIGINT, and then the stream ends with the error.
 * @returns when the server begins to send: a stream of bytes, whole rows in each piece
 * @throws ErrorData 42809 for another command, 55000 without spiConnect; else as spiExecute
 * @example await pipeline(await spiCopyTo('COPY t TO STDOUT (FORMAT csv)'), createWriteStream('t.csv'));
 */
export async function spiCopyTo(command: string, options: CopyOptions = {}): Promise<Readable> {
  const { conn, statement } = copyStatement('spiCopyTo', command, 'STDOUT', options);
  const destroyed = new AbortController();
  const query = new CopyOutQuery(statement.text, () => destroyed.abort());
  const signal = options.signal === undefined ? destroyed.signal : AbortSignal.any([options.signal, destroyed.signal]);
  const done = failing(() =>
    conn.perform(query, {
      signal,
      abandoned: destroyed.signal,
      onCancel: () => query.discard(),
      error: (err) => statementError(err, command, statement.text, statement.offset),
    }),
  );
  // An error before that is the caller's; after it, the stream's.
  await Promise.race([query.begun, done]);
  done.then(
    () => query.finish(),
    (err: Error) => {
      // Whoever destroyed it knows.
      if (!destroyed.signal.aborted) query.finish(err);
    },
  );
  return query.data;
}

/**
 * Copies into the database: `COPY … FROM STDIN`.
 * @param source what is read: a stream, or anything else that gives strings (as UTF-8) and bytes; the server's pace is kept. Its error fails the COPY, and is the
 * `cause` of the ErrorData then
 * @returns when the server has it: `processed` is the number of rows
 * @throws ErrorData as spiCopyTo
 * @example const { processed } = await spiCopyFrom('COPY t FROM STDIN (FORMAT csv)', createReadStream('t.csv'));
 */
export async function spiCopyFrom(command: string, source: CopySource, options: CopyOptions = {}): Promise<SPIResult> {
  const { conn, statement } = copyStatement('spiCopyFrom', command, 'STDIN', options);
  const query = new CopyInQuery(statement.text, source);
  const { affected } = await failing(() =>
    conn.perform(query, {
      signal: options.signal,
      onCancel: () => query.cancel(),
      error: (err) => {
        const error = statementError(err, command, statement.text, statement.offset);
        if (query.sourceError !== undefined) error.cause = query.sourceError;
        return error;
      },
    }),
  );
  return { code: SPI_OK_UTILITY, processed: affected, rows: [], fields: [] };
}

function copyStatement(
  caller: string,
  command: string,
  end: 'STDIN' | 'STDOUT',
  options: CopyOptions,
): { conn: DatabaseConnection; statement: SqlStatement } {
  checkCommand(caller, command);
  const conn = inHealthyTransaction();
  if (!isSpiConnected()) {
    const hint = 'Call spiConnect after startTransactionCommand.';
    throw new ErrorData({ code: ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, message: `${caller} called while not connected`, hint });
  }
  const [statement, second] = parseCommand(conn, command);
  if (statement === undefined || second !== undefined || !isClientCopy(statement) || !statement.words.includes(end)) {
    const way = end === 'STDIN' ? 'FROM STDIN' : 'TO STDOUT';
    throw new ErrorData({ code: ERRCODE_WRONG_OBJECT_TYPE, message: `the command of ${caller} must be one COPY … ${way}` });
  }
  checkStatement(conn, statement, options);
  return { conn, statement };
}
