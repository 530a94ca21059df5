// From connection parameters to a connected client: attempt by attempt, and whether the server is one of those that are wanted. Children.
// PostgreSQL: PQconnectPoll, src/interfaces/libpq/fe-connect.c.

import pg from 'pg';
import { ErrorData, type ErrorFields } from '../elog/error-data.js';
import { ERRCODE_CONNECTION_FAILURE, ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION } from '../elog/errcodes.js';
import type { DatabaseConninfo } from './conninfo.js';
import { connectError, sayGoodbye } from './server-error.js';

export interface ConnectOptions {
  /** What stands above the parameters: database, user, application_name. */
  readonly overrides: pg.ClientConfig;
  /** Each client before it connects, to listen to it. */
  readonly prepare?: (client: pg.Client) => void;
  /** Each attempt under way, so that the caller can wait in its own way, and give up by an ErrorData. Default: just wait. */
  readonly wait?: <T>(client: pg.Client, answer: Promise<T>) => Promise<T>;
}

/**
 * Connects to the first server that lets us in and is one of those that are wanted.
 * @throws ErrorData in the server's words and with its SQLSTATE if it answered, else in libpq's; `cause` is the client's error
 */
export async function connectClient(conninfo: DatabaseConninfo, options: ConnectOptions): Promise<pg.Client> {
  const { alternatives = [], targetSessionAttrs = 'any', ...first } = conninfo;
  const attempts = [first, ...alternatives];
  // A second round takes any server, where a standby is no more than preferred.
  const rounds = targetSessionAttrs === 'prefer-standby' ? (['standby', 'any'] as const) : [targetSessionAttrs];
  const failures: ErrorFields[] = [];
  for (const wanted of rounds) {
    for (let at = 0; at < attempts.length; at++) {
      const attempt = { ...attempts[at], ...options.overrides };
      const result = await tryOne(attempt, wanted, options);
      if (result instanceof pg.Client) return result;
      failures.push(result);
      // What follows at the same address is the same with TLS, or without.
      while (isSameServer(attempts[at], attempts[at + 1]) && !otherTlsMayHelp(result.cause)) at++;
    }
  }
  throw new ErrorData({ ...summary(failures), severity: 'FATAL' });
}

async function tryOne(
  attempt: pg.ClientConfig,
  wanted: string,
  { prepare, wait = (_client, answer) => answer }: ConnectOptions,
): Promise<pg.Client | ErrorFields> {
  const client = new pg.Client(attempt);
  // Between connecting and its owner's listener an error has no other one; what it breaks rejects.
  client.on('error', () => undefined);
  prepare?.(client);
  try {
    const unwanted = await wait(
      client,
      client.connect().then(() => whyUnwanted(client, wanted)),
    );
    if (unwanted === null) return client;
    hangUp(client);
    return connectError(new Error(unwanted), client.host, client.port);
  } catch (err) {
    hangUp(client);
    // Not of the attempt, but of its wait.
    if (err instanceof ErrorData) throw err;
    return connectError(err, client.host, client.port);
  }
}

/** Without waiting for the other end, which may be silent. */
export function hangUp(client: pg.Client): void {
  const { stream } = client.connection;
  sayGoodbye(stream);
  stream.destroy();
}

/** libpq's words for a server that is not what target_session_attrs asks for; null where it is. */
async function whyUnwanted(client: pg.Client, wanted: string): Promise<string | null> {
  if (wanted === 'any') return null;
  const text = `SELECT pg_catalog.pg_is_in_recovery(), pg_catalog.current_setting('transaction_read_only') = 'on'`;
  const { rows } = await client.query<[boolean, boolean]>({ text, rowMode: 'array' });
  const [inRecovery, readOnly] = rows[0] ?? [false, false];
  const refusals: Record<string, string | false> = {
    'read-write': (inRecovery || readOnly) && 'session is read-only',
    'read-only': !inRecovery && !readOnly && 'session is not read-only',
    primary: inRecovery && 'server is in hot standby mode',
    standby: !inRecovery && 'server is not in hot standby mode',
  };
  return refusals[wanted] || null;
}

function isSameServer(one: pg.ClientConfig | undefined, other: pg.ClientConfig | undefined): boolean {
  return one !== undefined && other !== undefined && one.host === other.host && one.port === other.port;
}

/** A server without TLS, a handshake that failed, or a line of pg_hba.conf that is for the other kind. Not: nobody there. */
function otherTlsMayHelp(err: unknown): boolean {
  if (err instanceof pg.DatabaseError) return err.code === ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION;
  const { code, message } = err as NodeJS.ErrnoException;
  return code?.startsWith('ERR_') === true || code === 'EPROTO' || code === 'ECONNRESET' || /SSL connection/.test(message);
}

/** The last failure, with the others that say something else as its detail. */
function summary(failures: readonly ErrorFields[]): ErrorFields {
  const last = failures.at(-1) ?? { code: ERRCODE_CONNECTION_FAILURE, message: 'no host to connect to' };
  const others = [...new Set(failures.map(({ message }) => message))].filter((message) => message !== last.message);
  if (others.length === 0) return last;
  return { ...last, detail: [last.detail, ...others.map((message) => `Before that: ${message}`)].filter(Boolean).join('\n') };
}
