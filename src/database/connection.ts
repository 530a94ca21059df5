// A background worker's connection to the database: `BackgroundWorkerInitializeConnection`. Runs in workers.
// The client library is loaded with this file, before the fork; everything else (the connection string, its password, the socket) comes after it.
// PostgreSQL: src/backend/postmaster/bgworker.c and src/backend/utils/init/postinit.c, REL_15_STABLE.

import type pg from 'pg';
import { myBgworkerEntry } from '../bgworker/background-worker.js';
import { BGWORKER_BACKEND_DATABASE_CONNECTION } from '../constants.js';
import { ereport } from '../elog/elog.js';
import { ERROR, ErrorData, FATAL, type ErrorFields } from '../elog/error-data.js';
import {
  ERRCODE_INSUFFICIENT_PRIVILEGE,
  ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
  ERRCODE_PROGRAM_LIMIT_EXCEEDED,
  ERRCODE_QUERY_CANCELED,
} from '../elog/errcodes.js';
import { dataDir } from '../globals.js';
import { getConfigOption } from '../guc/guc.js';
import { beforeShmemExit } from '../ipc/exit.js';
import { checkForInterrupts } from '../ipc/signals.js';
import { receiveNotifications } from './async-notify.js';
import { databaseConninfo } from './conninfo.js';
import type { ConnectionOwner, DatabaseConnection } from './database-connection.js';
import { openConnection, openConnectionByOid } from './open-connection.js';
import { setDatabaseConnection } from './xact.js';

/** Connect although the database allows no connections. @pg BGWORKER_BYPASS_ALLOWCONN */
export const BGWORKER_BYPASS_ALLOWCONN = 0x0001;
/** Connect although the role may not log in. @pg BGWORKER_BYPASS_ROLELOGINCHECK */
export const BGWORKER_BYPASS_ROLELOGINCHECK = 0x0002;

/** OID of the database that this process is connected to; 0 before, and when it is connected to none. A live binding. @pg MyDatabaseId */
export let myDatabaseId = 0;

/** PostgreSQL's processing mode, as far as it matters here: "init" until this is set. */
let initialized = false;

/**
 * Connects this background worker to a database. Once in its life; a worker cannot change databases.
 *
 * @param dbname null: no particular database. Only shared catalogs may be read then (`tableBeginscanCatalog`), and `myDatabaseId` is 0.
 * @param username null: in `owned` mode the superuser that initdb made, in attached mode the connection string's user
 * @param flags BGWORKER_BYPASS_…: taken, but a client connection cannot bypass anything; where one would have been needed, the error says so
 * @returns when connected. Does not return if it cannot connect: the worker ends with the server's FATAL line and status 1.
 * @throws ErrorData `invalid processing mode in background worker` on a second call
 * @example
 * backgroundWorkerUnblockSignals();
 * await backgroundWorkerInitializeConnection('postgres', null);
 * @pg BackgroundWorkerInitializeConnection
 */
export async function backgroundWorkerInitializeConnection(dbname: string | null, username: string | null, flags = 0): Promise<void> {
  const owner = beginInitialization();
  await initialize(owner, flags, (conninfo) => openConnection({ conninfo, database: dbname, user: username, owner }));
}

/**
 * The same with OIDs; 0 stands for null.
 * @param dboid of pg_database
 * @param useroid of pg_authid
 * @param flags as in `backgroundWorkerInitializeConnection`
 * @throws ErrorData as `backgroundWorkerInitializeConnection`
 * @example await backgroundWorkerInitializeConnectionByOid(16384, 0);
 * @pg BackgroundWorkerInitializeConnectionByOid
 */
export async function backgroundWorkerInitializeConnectionByOid(dboid: number, useroid: number, flags = 0): Promise<void> {
  const owner = beginInitialization();
  await initialize(owner, flags, (conninfo) => openConnectionByOid({ conninfo, databaseOid: dboid, userOid: useroid, owner }));
}

/** What is checked before anything is done; from here on there is no second time. */
function beginInitialization(): ConnectionOwner {
  const worker = myBgworkerEntry;
  if (worker === null) {
    const hint = 'Only a background worker has a connection of its own.';
    throw new ErrorData({ code: ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, message: 'unable to find bgworker entry', hint });
  }
  if ((worker.flags & BGWORKER_BACKEND_DATABASE_CONNECTION) === 0) {
    ereport(FATAL, { code: ERRCODE_PROGRAM_LIMIT_EXCEEDED, message: 'database connection requirement not indicated during registration' });
  }
  // DIFFERS FROM POSTGRES: release 15 gets as far as this error by initializing everything twice, and crashes on the way out.
  if (initialized) ereport(ERROR, { message: 'invalid processing mode in background worker' });
  initialized = true;
  return {
    type: worker.type || worker.name,
    fatal: (fields) => ereport(FATAL, fields),
    report: (level, fields) => ereport(level, fields),
  };
}

async function initialize(owner: ConnectionOwner, flags: number, open: (conninfo: pg.ClientConfig) => Promise<DatabaseConnection>): Promise<void> {
  checkForInterrupts();
  try {
    const connection = await open(workerConninfo());
    // Ends the server's side in order, also when the process leaves in the middle of a transaction. PostgreSQL: ShutdownPostgres.
    beforeShmemExit(() => connection.closeSync());
    receiveNotifications(connection);
    myDatabaseId = connection.databaseOid;
    setDatabaseConnection(connection);
  } catch (err) {
    // A SIGINT while connecting is an ERROR, as in C; what keeps us from connecting is FATAL.
    if (err instanceof ErrorData && err.code === ERRCODE_QUERY_CANCELED && err.severity === 'ERROR') throw err;
    owner.fatal(connectFailure(err, flags));
    throw err;
  }
  checkForInterrupts();
}

/** Which server this process connects to, and how. @throws ErrorData 55000 where there is none */
export function workerConninfo(): pg.ClientConfig {
  const conninfo = databaseConninfo(getConfigOption('database'), dataDir);
  if (conninfo !== null) return conninfo;
  throw new ErrorData({
    code: ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
    message: 'no database is configured',
    hint: 'Set the configuration parameter "database" to "owned" or to a connection string.',
  });
}

/** A bypass flag that would have been needed is owned up to. */
function connectFailure(err: unknown, flags: number): ErrorFields {
  if (!(err instanceof ErrorData)) return { message: err instanceof Error ? err.message : String(err), cause: err };
  const { message, code, detail, hint, cause } = err;
  const fields = { message, code, detail, hint, cause };
  // The later releases of 15 bypass the database's permission as well (D-08).
  const closed = code === ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE || code === ERRCODE_INSUFFICIENT_PRIVILEGE;
  const allowConn = closed && (flags & BGWORKER_BYPASS_ALLOWCONN) !== 0;
  const loginCheck = message.endsWith('is not permitted to log in') && (flags & BGWORKER_BYPASS_ROLELOGINCHECK) !== 0;
  if (!allowConn && !loginCheck) return fields;
  const flag = allowConn ? 'BGWORKER_BYPASS_ALLOWCONN' : 'BGWORKER_BYPASS_ROLELOGINCHECK';
  return { ...fields, hint: `The flag ${flag} cannot be honoured over a client connection.` };
}
