// worker_spi: PostgreSQL's sample background worker (src/test/modules/worker_spi), ported. Each worker keeps a table `counted` in a schema of its
// own: rows of type `delta` that anybody inserts are deleted, and their sum is added to the one row of type `total`.
//
// Patterns shown:
//   - settings of a module's own, changed at run time by a reload (SIGHUP)
//   - static workers, registered while the postmaster preloads this module
//   - a dynamic worker, launched from a session, whose start-up is waited for
//   - the main loop: handlers, latch, interrupts, and an end when the postmaster has died
//   - transactions through SPI: DDL once, then one DELETE … UPDATE statement per round
//
// To run it, with a database of its own (as root, add `-c allow_root=on`):
//
//   npx bgworker start -D /tmp/spi -c shared_preload_libraries=./examples/worker-spi/worker_spi.mjs -c worker_spi.naptime=1
//
// To see it work: `npx bgworker ps -D /tmp/spi` lists both workers. Insert rows with psql and look again a second later:
//
//   psql -h /tmp/spi/pgsocket -U postgres -c "INSERT INTO schema1.counted VALUES ('total', 0), ('delta', 5), ('delta', 37)"
//   psql -h /tmp/spi/pgsocket -U postgres -c "TABLE schema1.counted"

import { fileURLToPath } from 'node:url';
import {
  BGWH_POSTMASTER_DIED,
  BGWH_STARTED,
  BGWORKER_BACKEND_DATABASE_CONNECTION,
  BGWORKER_BYPASS_ALLOWCONN,
  BGWORKER_BYPASS_ROLELOGINCHECK,
  BGWORKER_SHMEM_ACCESS,
  BGW_NEVER_RESTART,
  BgWorkerStart_RecoveryFinished,
  ERROR,
  FATAL,
  LOG,
  SPI_OK_SELECT,
  SPI_OK_UPDATE_RETURNING,
  SPI_OK_UTILITY,
  STATE_IDLE,
  STATE_RUNNING,
  WL_EXIT_ON_PM_DEATH,
  WL_LATCH_SET,
  WL_TIMEOUT,
  backgroundWorkerInitializeConnection,
  backgroundWorkerInitializeConnectionByOid,
  backgroundWorkerUnblockSignals,
  checkForInterrupts,
  commitTransactionCommand,
  configReload,
  defineCustomIntVariable,
  defineCustomStringVariable,
  die,
  elog,
  ereport,
  getConfigOption,
  getDatabaseOid,
  getRoleOid,
  markGUCPrefixReserved,
  myBgworkerEntry,
  myLatch,
  myProcPid,
  pgstatReportActivity,
  pqsignal,
  processConfigFile,
  processSharedPreloadLibrariesInProgress,
  registerBackgroundWorker,
  registerDynamicBackgroundWorker,
  resetLatch,
  signalHandlerForConfigReload,
  spiConnect,
  spiExecute,
  spiFinish,
  startTransactionCommand,
  waitEventExtensionNew,
  waitForBackgroundWorkerStartup,
  waitLatch,
} from 'bgworker';

const INT_MAX = 2147483647;

/** What all of this module's workers have in common. There is no `main`: the worker looks its function up in this library by itself. */
const workerSpi = {
  flags: BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION,
  startTime: BgWorkerStart_RecoveryFinished,
  restartTime: BGW_NEVER_RESTART,
  libraryName: fileURLToPath(import.meta.url),
  functionName: 'worker_spi_main',
};

/** Runs when the module is loaded: in the postmaster while it preloads, else in the session or worker that needs it first. */
export function _PG_init() {
  defineCustomIntVariable('worker_spi.naptime', {
    shortDesc: 'Duration between each check (in seconds).',
    bootValue: 10,
    minValue: 1,
    unit: 's',
  });
  defineCustomStringVariable('worker_spi.database', { shortDesc: 'Database to connect to.', bootValue: 'postgres' });
  defineCustomStringVariable('worker_spi.role', { shortDesc: 'Role to connect with.', bootValue: null });

  // The rest is for the postmaster alone: a server that is up takes no more static workers.
  if (!processSharedPreloadLibrariesInProgress) return;
  defineCustomIntVariable('worker_spi.total_workers', {
    shortDesc: 'Number of workers.',
    bootValue: 2,
    minValue: 1,
    maxValue: 100,
    context: 'postmaster',
  });
  markGUCPrefixReserved('worker_spi');

  for (let index = 1; index <= Number(getConfigOption('worker_spi.total_workers')); index++) {
    registerBackgroundWorker({ ...workerSpi, name: `worker_spi worker ${index}`, type: 'worker_spi', mainArg: index });
  }
}

/**
 * Launches a worker from a session: `session.call('./examples/worker-spi/worker_spi.mjs', 'worker_spi_launch', 3)`.
 *
 * @param {number} index the number of the worker's schema
 * @param {number} [dboid] OID of the database; 0: the one in the settings
 * @param {number} [roleoid] OID of the role; 0: the one in the settings
 * @param {readonly string[]} [flags] 'ALLOWCONN', 'ROLELOGINCHECK'
 * @returns {Promise<number | null>} the worker's pid; null where no slot is free
 */
export async function worker_spi_launch(index, dboid = 0, roleoid = 0, flags = []) {
  const bypass = connectionFlags(flags);
  const role = setting('worker_spi.role');
  const database = dboid === 0 ? await getDatabaseOid(String(setting('worker_spi.database')), false) : dboid;
  const user = roleoid === 0 && role !== null ? await getRoleOid(role, false) : roleoid; // 0: the superuser
  const handle = registerDynamicBackgroundWorker({
    ...workerSpi,
    name: `worker_spi dynamic worker ${index}`,
    type: 'worker_spi dynamic',
    mainArg: index,
    extra: new Uint8Array(Uint32Array.of(database, user, bypass).buffer),
    notifyPid: myProcPid, // without it there would be nothing to wait for
  });
  if (handle === null) return null;

  const { status, pid } = await waitForBackgroundWorkerStartup(handle);
  if (status === BGWH_STARTED) return pid ?? null;
  if (status === BGWH_POSTMASTER_DIED) {
    const hint = 'Kill all remaining database processes and restart the database.';
    ereport(ERROR, { code: '53000', message: 'cannot start background processes without postmaster', hint });
  }
  const hint = 'More details may be available in the server log.';
  ereport(ERROR, { code: '53000', message: 'could not start background process', hint });
  return null; // not reached: ereport(ERROR) throws
}

/** @param {readonly unknown[]} words */
function connectionFlags(words) {
  let flags = 0;
  if (!Array.isArray(words) || words.some(Array.isArray)) ereport(ERROR, { code: '2202E', message: 'flags array must be one-dimensional' });
  if (words.some((word) => word == null)) ereport(ERROR, { code: '22004', message: 'flags array must not contain nulls' });
  for (const word of words) {
    if (word === 'ALLOWCONN') flags |= BGWORKER_BYPASS_ALLOWCONN;
    else if (word === 'ROLELOGINCHECK') flags |= BGWORKER_BYPASS_ROLELOGINCHECK;
    else ereport(ERROR, { code: '22023', message: 'incorrect flag value found in array' });
  }
  return flags;
}

/**
 * The worker's life. It has no end of its own: SIGTERM ends it, or the postmaster's death.
 * @param {bigint} index what it was registered with as `mainArg`
 */
export async function worker_spi_main(index) {
  const schema = `schema${index}`; // a plain identifier, as is the table's name: neither needs quotes
  const name = myBgworkerEntry?.name;

  // Signals are blocked until now, so that none can arrive before its handler is there.
  pqsignal('SIGHUP', signalHandlerForConfigReload);
  pqsignal('SIGTERM', die);
  backgroundWorkerUnblockSignals();

  await connectToDatabase();
  await initializeWorkerSpi(schema);
  elog(LOG, `${name} initialized with ${schema}.counted`);

  const waitEventInfo = waitEventExtensionNew('WorkerSpiMain'); // under this name `bgworker ps` shows its sleep
  for (;;) {
    // Sleeps, and the event loop goes on: this worker could serve HTTP besides. Any wake-up makes a round, a reload's as well.
    const naptimeMs = Math.min(Number(getConfigOption('worker_spi.naptime')) * 1000, INT_MAX);
    await waitLatch(myLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, naptimeMs, { waitEventInfo });
    resetLatch(myLatch);
    checkForInterrupts(); // here SIGTERM's handler, die, has its effect

    if (configReload.pending) {
      configReload.pending = false;
      processConfigFile('sighup');
    }

    const count = await addDeltas(schema);
    if (count !== null) elog(LOG, `${name}: count in ${schema}.counted is now ${count}`);
  }
}

/** To the database that the launcher named by OID; a static worker, to the one in the settings. */
async function connectToDatabase() {
  const extra = myBgworkerEntry?.extra ?? new Uint8Array(12);
  const [dboid = 0, roleoid = 0, flags = 0] = new Uint32Array(extra.slice(0, 12).buffer);
  if (dboid !== 0) await backgroundWorkerInitializeConnectionByOid(dboid, roleoid, flags);
  else await backgroundWorkerInitializeConnection(setting('worker_spi.database'), setting('worker_spi.role'), flags);
}

/** @param {string} name */
function setting(name) {
  return /** @type {string | null} */ (getConfigOption(name));
}

/**
 * Makes schema, table and index where they are missing. An error here is no reason to try again: FATAL.
 * @param {string} schema
 */
async function initializeWorkerSpi(schema) {
  await startTransactionCommand();
  spiConnect();
  pgstatReportActivity(STATE_RUNNING, 'initializing worker_spi schema');

  const namespaces = await spiExecute('SELECT 1 FROM pg_namespace WHERE nspname = $1', { values: [schema] });
  if (namespaces.code !== SPI_OK_SELECT) elog(FATAL, `SPI_execute failed: error code ${namespaces.code}`);
  if (namespaces.processed === 0) {
    const created = await spiExecute(`
      CREATE SCHEMA ${schema}
        CREATE TABLE counted (type text CHECK (type IN ('total', 'delta')), value integer)
        CREATE UNIQUE INDEX counted_unique_total ON counted (type) WHERE type = 'total'`);
    if (created.code !== SPI_OK_UTILITY) elog(FATAL, 'failed to create my schema');
  }

  spiFinish();
  await commitTransactionCommand();
  pgstatReportActivity(STATE_IDLE, null);
}

/**
 * One round, in one transaction and one statement: whatever is inserted meanwhile waits for the next.
 * @param {string} schema
 * @returns {Promise<number | null>} the new total; null where there is no `total` row yet
 */
async function addDeltas(schema) {
  await startTransactionCommand();
  spiConnect();

  const command = `
    WITH deleted AS (DELETE FROM ${schema}.counted WHERE type = 'delta' RETURNING value),
         total AS (SELECT coalesce(sum(value), 0) AS sum FROM deleted)
    UPDATE ${schema}.counted SET value = counted.value + total.sum
      FROM total WHERE type = 'total' RETURNING counted.value`;
  pgstatReportActivity(STATE_RUNNING, command); // `bgworker ps` shows it; what the query does, the database knows by itself
  const { code, rows } = await spiExecute(command);
  if (code !== SPI_OK_UPDATE_RETURNING) elog(FATAL, `cannot select from table ${schema}.counted: error code ${code}`);

  spiFinish();
  await commitTransactionCommand();
  pgstatReportActivity(STATE_IDLE, null);
  return rows.length === 0 ? null : Number(rows[0]?.['value']);
}
