// What the database server, or the way to it, reports, as our own errors. Pure; any process that talks to a database.
// PostgreSQL: _SPI_error_callback in src/backend/executor/spi.c for the context of a failed statement; fe-connect.c for the words of failed connections.

import { Socket } from 'node:net';
import pg from 'pg';
import { DEBUG1, ErrorData, INFO, LOG, NOTICE, WARNING, type ErrorFields } from '../elog/error-data.js';
import { ERRCODE_ADMIN_SHUTDOWN, ERRCODE_CONNECTION_FAILURE } from '../elog/errcodes.js';

/** An ErrorData of a failed statement, with the fields that PostgreSQL logs as `at character N` and as QUERY. */
export interface StatementError extends ErrorData {
  /** 1-based position in `internalquery`. */
  internalpos?: number;
  internalquery?: string;
}

/** Does this error mean that the connection is gone? A server's FATAL does, and so does everything that the server did not send. */
export function endsConnection(err: unknown): boolean {
  return !(err instanceof pg.DatabaseError) || err.severity === 'FATAL' || err.severity === 'PANIC';
}

/**
 * A server's error about one statement as C's SPI would have raised it: with the position in the command, or else with the statement as context.
 * @param offset where the statement begins in `command`, which may hold several
 */
export function statementError(err: InstanceType<typeof pg.DatabaseError>, command: string, statement: string, offset: number): StatementError {
  const position = Number(err.position ?? 0);
  const context = position > 0 ? err.where : [err.where, `SQL statement "${statement}"`].filter(Boolean).join('\n');
  const error: StatementError = new ErrorData({ ...serverFields(err), context, cause: err });
  if (position > 0) {
    error.internalpos = position + offset;
    error.internalquery = command;
  } else if (err.internalPosition !== undefined) {
    // Of a query that a function of the server ran for us.
    error.internalpos = Number(err.internalPosition);
    if (err.internalQuery !== undefined) error.internalquery = err.internalQuery;
  }
  return error;
}

/** What errors and notices have in common. */
type ServerReport = Partial<Record<'message' | 'code' | 'detail' | 'hint' | 'where', string | undefined>>;

/** The fields of a server's error or notice. */
export function serverFields(err: ServerReport): ErrorFields {
  return { message: err.message ?? '', code: err.code, detail: err.detail, hint: err.hint, context: err.where };
}

/** The level at which a server's notice goes to our log: its own. A server that speaks another language (`lc_messages`) is understood by its SQLSTATE. */
export function noticeLevel(notice: { readonly severity?: string | undefined; readonly code?: string | undefined }): number {
  const levels: Readonly<Record<string, number>> = { WARNING, NOTICE, INFO, LOG, DEBUG: DEBUG1 };
  return levels[notice.severity ?? ''] ?? (notice.code?.startsWith('01') ? WARNING : NOTICE);
}

/** What our client says in words of its own. */
const LIBPQ_WORDS: Readonly<Record<string, string>> = {
  'The server does not support SSL connections': 'server does not support SSL, but SSL was required',
  'Connection terminated unexpectedly': 'server closed the connection unexpectedly',
};

/** A failed attempt to connect: the server's own words if it answered, else libpq's. */
export function connectError(err: unknown, host: string, port: number): ErrorFields {
  if (err instanceof pg.DatabaseError) return { ...serverFields(err), cause: err };
  const socket = host.startsWith('/');
  const where = socket ? `server on socket "${host}/.s.PGSQL.${port}"` : `server at "${host}", port ${port}`;
  const failure = err as NodeJS.ErrnoException & { errors?: NodeJS.ErrnoException[] };
  // A name with several addresses gives an AggregateError without a message.
  const errno = failure.code ?? failure.errors?.[0]?.code;
  const reasons: Record<string, string> = {
    ECONNREFUSED: 'Connection refused',
    ENOENT: 'No such file or directory',
    EACCES: 'Permission denied',
    ETIMEDOUT: 'Connection timed out',
    EHOSTUNREACH: 'No route to host',
    ENOTFOUND: 'Name or service not known',
    ECONNRESET: 'Connection reset by peer',
  };
  const running = socket ? 'locally and accepting connections on that socket' : 'on that host and accepting TCP/IP connections';
  return {
    code: ERRCODE_CONNECTION_FAILURE,
    message: `connection to ${where} failed: ${reasons[errno ?? ''] ?? LIBPQ_WORDS[failure.message] ?? (failure.message || errno || 'unknown error')}`,
    ...(errno === 'ECONNREFUSED' || errno === 'ENOENT' ? { hint: `Is the server running ${running}?` } : {}),
    cause: err,
  };
}

/**
 * The end of a worker whose connection has ended. A server that says why is quoted; `pg_terminate_backend` and a shutdown of the server (57P01) give
 * the line that a C worker dies with.
 */
export function lostConnection(err: unknown, workerType: string): ErrorFields {
  if (err instanceof pg.DatabaseError) {
    if (err.code !== ERRCODE_ADMIN_SHUTDOWN) return { ...serverFields(err), cause: err };
    return { code: ERRCODE_ADMIN_SHUTDOWN, message: `terminating background worker "${workerType}" due to administrator command`, cause: err };
  }
  return {
    code: ERRCODE_CONNECTION_FAILURE,
    message: 'terminating connection because the connection to the database server was lost',
    detail: err instanceof Error && err.message !== '' ? `${err.message}.` : undefined,
    hint: 'The database server went away or closed the connection. The background worker is restarted by its restart interval.',
    cause: err,
  };
}

/** The last words to a server, from a process that is about to end: Terminate, so that no "unexpected EOF" is logged there. */
export function sayGoodbye(stream: NodeJS.WritableStream): void {
  // libuv tries a socket write at once, so these five bytes are with the kernel when this returns.
  if (stream instanceof Socket && stream.writable) stream.write(Buffer.from([0x58, 0, 0, 0, 4]));
}
