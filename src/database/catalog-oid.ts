// OIDs of databases and roles by their names. A connected worker asks in its transaction; who has no connection, such as a session's backend, makes one for the
// question. PostgreSQL: get_database_oid in src/backend/commands/dbcommands.c, get_role_oid in src/backend/utils/adt/acl.c, REL_15_STABLE.
// DIFFERS FROM POSTGRES: there every backend is in a database.

import { ErrorData, errorFields } from '../elog/error-data.js';
import { ERRCODE_UNDEFINED_DATABASE, ERRCODE_UNDEFINED_OBJECT } from '../elog/errcodes.js';
import { checkForInterrupts } from '../ipc/signals.js';
import { abandonable } from './cancel.js';
import { connectClient, hangUp } from './connect.js';
import { workerConninfo } from './connection.js';
import { connectError } from './server-error.js';
import { runStatement } from './statement-query.js';
import { failing, hasConnection, inHealthyTransaction } from './xact.js';

/**
 * The OID of a database.
 * @param missingOk 0 where there is none, instead of the error
 * @throws ErrorData 3D000 `database "…" does not exist`; in a connected worker 25P01 outside of a transaction; where a connection had to be made, what kept it from it
 * @example const dboid = await getDatabaseOid('postgres', false);
 * @pg get_database_oid
 */
export async function getDatabaseOid(dbname: string, missingOk: boolean): Promise<number> {
  const oid = await lookUp('SELECT oid FROM pg_catalog.pg_database WHERE datname = $1', dbname);
  if (oid === 0 && !missingOk) throw new ErrorData({ code: ERRCODE_UNDEFINED_DATABASE, message: `database "${dbname}" does not exist` });
  return oid;
}

/**
 * The OID of a role.
 * @param missingOk 0 where there is none, instead of the error
 * @throws ErrorData 42704 `role "…" does not exist`; else as `getDatabaseOid`
 * @example const roleoid = await getRoleOid('postgres', false);
 * @pg get_role_oid
 */
export async function getRoleOid(rolname: string, missingOk: boolean): Promise<number> {
  // Not everybody may read pg_authid.
  const oid = await lookUp('SELECT oid FROM pg_catalog.pg_roles WHERE rolname = $1', rolname);
  if (oid === 0 && !missingOk) throw new ErrorData({ code: ERRCODE_UNDEFINED_OBJECT, message: `role "${rolname}" does not exist` });
  return oid;
}

async function lookUp(text: string, name: string): Promise<number> {
  if (typeof name !== 'string') throw new TypeError(`the name must be a string, not ${name === null ? 'null' : typeof name}`);
  checkForInterrupts();
  const { rows } = hasConnection() ? await failing(() => inHealthyTransaction().run({ text, offset: 0 }, [name])) : await askOnce(text, name);
  return (rows[0]?.['oid'] as number | undefined) ?? 0;
}

async function askOnce(text: string, name: string): ReturnType<typeof runStatement> {
  const overrides = { application_name: 'bgworker lookup' };
  const client = await connectClient(workerConninfo(), {
    overrides,
    wait: (attempt, answer) => abandonable(answer, () => attempt.connection.stream.destroy()),
  }).catch((err: unknown) => {
    // FATAL is what it would be to a worker that has to connect.
    throw new ErrorData({ ...errorFields(err), severity: 'ERROR' });
  });
  try {
    return await abandonable(runStatement(client, text, [name]), () => client.connection.stream.destroy());
  } catch (err) {
    throw err instanceof ErrorData ? err : new ErrorData(connectError(err, client.host, client.port));
  } finally {
    hangUp(client);
  }
}
