// Opening a connection to the database. Workers, and whoever else among the children talks to the database.
// PostgreSQL: InitPostgres (src/backend/utils/init/postinit.c) from the other end of a socket.

import type pg from 'pg';
import { ErrorData } from '../elog/error-data.js';
import { ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION, ERRCODE_UNDEFINED_DATABASE } from '../elog/errcodes.js';
import { abandonable } from './cancel.js';
import { connectClient, hangUp } from './connect.js';
import type { DatabaseConninfo } from './conninfo.js';
import { type ConnectionOwner, DatabaseConnection, type ServerSide } from './database-connection.js';
import { connectError, endsConnection } from './server-error.js';
import { runStatement } from './statement-query.js';

/** How often the server looks whether a worker whose query it runs is still there. */
const CHECK_INTERVAL = '1s';

export interface OpenConnectionOptions {
  readonly conninfo: DatabaseConninfo;
  /** Overrides the conninfo's; null is "no database": the conninfo's is connected to, as a client cannot do without. */
  readonly database: string | null;
  /** Overrides the conninfo's; null leaves it. */
  readonly user: string | null;
  readonly owner: ConnectionOwner;
}

/**
 * Opens a connection.
 * @throws ErrorData with severity FATAL, in the server's words and with its SQLSTATE if it answered; with severity ERROR (57014) after a SIGINT
 */
export async function openConnection(options: OpenConnectionOptions): Promise<DatabaseConnection> {
  const { conninfo, owner } = options;
  // The server reports these at the start and whenever they change.
  const parameters = new Map<string, string>();
  const client = await connectClient(conninfo, {
    overrides: {
      ...(options.database === null ? {} : { database: options.database }),
      ...(options.user === null ? {} : { user: options.user }),
      application_name: owner.type,
    },
    prepare: ({ connection }) => {
      parameters.clear();
      connection.on('parameterStatus', (message: { parameterName: string; parameterValue: string }) => {
        parameters.set(message.parameterName, message.parameterValue);
      });
    },
    wait: (attempt, answer) => abandonable(answer, () => attempt.connection.stream.destroy()),
  });
  try {
    const establish = async (): Promise<ServerSide> => {
      await settleFormats(client, parameters);
      const { databaseOid, behindPooler } = await introduceOurselves(client);
      return { databaseOid: options.database === null ? 0 : databaseOid, behindPooler, parameters };
    };
    const server = await abandonable(establish(), () => client.connection.stream.destroy());
    return new DatabaseConnection(client, server, owner);
  } catch (err) {
    hangUp(client);
    if (err instanceof ErrorData) throw err;
    throw new ErrorData({ ...connectError(err, client.host, client.port), severity: 'FATAL' });
  }
}

export interface OpenConnectionByOidOptions {
  readonly conninfo: DatabaseConninfo;
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

/**
 * Which database this is, and whose session: not the one that we were told of where a pooler has told us. And asks the server to look now and then, while
 * a query runs, whether we are still there: a worker that left from inside a signal handler, or by SIGKILL, could not cancel its query, which would go on
 * and hold its locks. A setting that somebody made for the database or the role stands; a server before release 14 has no such look, and one on another
 * system than Linux refuses it.
 */
async function introduceOurselves(client: pg.Client): Promise<Omit<ServerSide, 'parameters'>> {
  const name = 'client_connection_check_interval';
  const lookForUs = `CASE WHEN pg_catalog.current_setting('${name}', true) = '0' THEN pg_catalog.set_config('${name}', '${CHECK_INTERVAL}', false) END`;
  const where = `SELECT oid, pg_catalog.pg_backend_pid() AS pid`;
  const database = 'FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()';
  const ask = (text: string): ReturnType<typeof runStatement> => runStatement(client, text);
  const result = await ask(`${where}, ${lookForUs} ${database}`).catch((err: unknown) => {
    if (endsConnection(err)) throw err;
    return ask(`${where} ${database}`);
  });
  const { oid, pid } = result.rows[0] ?? {};
  if (typeof oid === 'number') return { databaseOid: oid, behindPooler: pid !== (client as unknown as { processID: number | null }).processID };
  throw fatal(ERRCODE_UNDEFINED_DATABASE, `database "${client.database}" does not exist`);
}
