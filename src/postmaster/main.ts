// The postmaster: from its command line to ServerLoop, and the fork in the road where a child goes its own way.
// PostgreSQL: src/backend/postmaster/postmaster.c (PostmasterMain), src/backend/main/main.c.
//
// Order matters: who we are, and the flags of Node, before anything else; the lock before anything in the directory is touched, the identity
// wrappers before user code is loaded, the database server as early as possible since it starts while modules load, descriptors and signals last,
// right before the first fork. Steps 1 to 10 of the recipe at the head of src/launch/fork.ts are here.

import { rmSync } from 'node:fs';
import { constants } from 'node:os';
import { join, resolve } from 'node:path';

import { becomeChild } from './child-main.js';
import { type PostmasterOptions, checkNode, checkNodeOptions, parseCommandLine, reexecuteIfNeeded, warnOfUntriedNode } from './command-line.js';
import { DatabaseServer } from './database-server.js';
import { checkDataDir } from './data-dir.js';
import { compactImage } from './image.js';
import { createDataDirLockFile, lockFileIsValid, removeLockFile, updateStatus } from './lock-file.js';
import { Performer } from './performer.js';
import { processSharedPreloadLibraries } from './preload.js';
import { becomeConfiguredUser, checkUser, hasBecomeUser } from './privileges.js';
import { ServerLoop } from './server-loop.js';
import { initialState, type PMState, type PostmasterSettings, type RegisteredBgWorker, type ReloadableSettings } from './state.js';
import type { Descriptor } from '../bgworker/background-worker.js';
import { initializeSlot } from '../bgworker/slots.js';
import { prepareOwnedCluster } from '../database/owned.js';
import { rehearseConnection } from '../database/rehearsal.js';
import { DEBUG1, ErrorData, FATAL, LOG } from '../elog/error-data.js';
import { elog, emitErrorReport } from '../elog/elog.js';
import { libDir, myProcPid, setMyBackendType, setPostmaster } from '../globals.js';
import { CONFIG_FILE_NAME, getConfigOption, processConfigFileInternal, setConfigOption } from '../guc/guc.js';
import { prepareIdentity } from '../launch/identity.js';
import { processShmemRequests, processShmemStartup } from '../ipc/ipci.js';
import { check, native } from '../native.js';
import { SOCKET_NAME } from '../session/protocol.js';
import { HEADER } from '../shmem/layout.js';
import { createSharedMemory, sharedMemory } from '../shmem/shmem.js';
import { VERSION } from '../version.js';

function readSettings({ dataDir, settings }: PostmasterOptions): void {
  for (const [name, value] of settings) setConfigOption(name, value, 'command line');
  processConfigFileInternal(join(dataDir, CONFIG_FILE_NAME), 'postmaster');
}

function startDatabase(dataDir: string): DatabaseServer | null {
  if (getConfigOption('database') !== 'owned') return null;
  const log = (message: string): void => elog(LOG, message);
  // We are in the data directory by now: a relative path starts where the postmaster was started.
  const setting = getConfigOption('pg_bindir');
  const bindirSetting = setting === '' ? '' : resolve(libDir, setting);
  const database = new DatabaseServer(prepareOwnedCluster({ dataDir, bindirSetting, log }));
  const failure = database.start();
  if (failure?.type === 'database lost') throw new ErrorData({ severity: 'FATAL', message: failure.message });
  return database;
}

/** In the data directory, which is our working directory: a relative address is never too long. */
function listen(dataDir: string): number {
  rmSync(SOCKET_NAME, { force: true }); // the lock is ours, so whoever made it is gone
  const fd = check(native.listen(SOCKET_NAME), 'bind');
  elog(LOG, `listening on Unix socket "${join(dataDir, SOCKET_NAME)}"`);
  return fd;
}

function installSignals(): void {
  const { SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGCHLD, SIGALRM, SIGPIPE, SIGTTIN, SIGTTOU, SIGXFSZ, SIGURG } = constants.signals;
  const RECORD = 2;
  const IGNORE = 1;
  native.signalsInit();
  native.blockAllSignals();
  for (const signo of [SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGCHLD]) check(native.signal(signo, RECORD), 'sigaction');
  for (const signo of [SIGALRM, SIGPIPE, SIGTTIN, SIGTTOU, SIGXFSZ, SIGURG]) check(native.signal(signo, IGNORE), 'sigaction');
}

/** Static workers in list order, with the slots that they have from the start (P-12). */
function registeredWorkers(descriptors: readonly Descriptor[]): RegisteredBgWorker[] {
  return descriptors.map((descriptor, slot) => ({ id: slot + 1, slot, descriptor, notifyPid: 0, pid: 0, crashedAt: null, terminate: false }));
}

function reloadableSettings(): ReloadableSettings {
  return {
    restartAfterCrash: getConfigOption('restart_after_crash'),
    guard: {
      workerRestartBackoffMax: getConfigOption('worker_restart_backoff_max'),
      workerGiveUpAfter: getConfigOption('worker_give_up_after'),
      crashCycleBackoffMax: getConfigOption('crash_cycle_backoff_max'),
      crashGiveUpAfter: getConfigOption('crash_give_up_after'),
      logFoldRepeats: getConfigOption('log_fold_repeats'),
    },
  };
}

function machineSettings(): PostmasterSettings {
  const database = getConfigOption('database');
  return {
    maxWorkerProcesses: getConfigOption('max_worker_processes'),
    maxConnections: getConfigOption('max_connections'),
    ...reloadableSettings(),
    hasDatabase: database !== 'none',
    ownedDatabase: database === 'owned',
  };
}

const PM_STATES: readonly PMState[] = [
  'PM_INIT',
  'PM_STARTUP',
  'PM_RECOVERY',
  'PM_HOT_STANDBY',
  'PM_RUN',
  'PM_STOP_BACKENDS',
  'PM_WAIT_BACKENDS',
  'PM_SHUTDOWN',
  'PM_WAIT_DEAD_END',
  'PM_NO_CHILDREN',
];

function reload(dataDir: string): void {
  try {
    processConfigFileInternal(join(dataDir, CONFIG_FILE_NAME), 'sighup');
  } catch (err) {
    emitErrorReport(err, LOG);
  }
}

function performer(dataDir: string, listenFd: number, database: DatabaseServer | null): Performer {
  let said = '';
  return new Performer({
    listenFd,
    database,
    lockFileIsValid,
    onReload: () => reload(dataDir),
    reloadedSettings: reloadableSettings,
    onState: (state) => sharedMemory().store(HEADER.pmState, PM_STATES.indexOf(state)),
    setStatus: (status, database) => {
      const words = `${status} ${database}`;
      if (words !== said) updateStatus(status, database);
      said = words;
    },
    onExit: (status) => {
      database?.endLeftBehind();
      rmSync(join(dataDir, SOCKET_NAME), { force: true });
      removeLockFile();
      process.exit(status);
    },
  });
}

/** Where it cannot be done, children connect all the same, and take longer. */
async function rehearse(): Promise<void> {
  try {
    await rehearseConnection('.s.rehearsal');
  } catch (err) {
    elog(DEBUG1, `could not rehearse a connection to the database server: ${(err as Error).message}`);
  }
}

/** Everything up to the first fork. */
async function start({ dataDir }: PostmasterOptions): Promise<ServerLoop> {
  elog(LOG, `starting bgworker ${VERSION} on Node ${process.version}, ${process.arch}`);
  warnOfUntriedNode();
  prepareIdentity();
  const database = startDatabase(dataDir);
  try {
    const descriptors = await processSharedPreloadLibraries(getConfigOption('shared_preload_libraries'));
    const settings = machineSettings();
    const processes = settings.maxConnections + settings.maxWorkerProcesses + 1; // and the startup process
    createSharedMemory(settings.maxWorkerProcesses, processes, processShmemRequests(), myProcPid);
    processShmemStartup();
    const workers = registeredWorkers(descriptors);
    workers.forEach(({ slot, descriptor }) => initializeSlot(slot, descriptor as Descriptor));
    check(native.deathPipeCreate(), 'pipe2');
    const listenFd = listen(dataDir);
    installSignals();
    if (settings.hasDatabase) await rehearse();
    compactImage();
    return new ServerLoop(initialState(settings, workers), performer(dataDir, listenFd, database));
  } catch (err) {
    database?.stopAndWait();
    throw err;
  }
}

function fail(err: unknown): never {
  emitErrorReport(err, FATAL);
  process.exit(1);
}

async function postmasterMain(): Promise<void> {
  const options = parseCommandLine(process.argv.slice(2), process.env);
  checkNodeOptions(process.execArgv, process.env);
  becomeConfiguredUser(options);
  reexecuteIfNeeded(options, hasBecomeUser());
  // The loop does not turn: nobody would answer. And a child would take what is meant for the postmaster (docs/fork-safety.md, P6).
  if (process.connected) process.disconnect();
  process.umask(0o077);
  setMyBackendType('postmaster');
  // Not the whole command line: a connection string given with -c is nobody's business.
  process.title = `bgworker -D ${options.dataDir}`;
  check(native.setName('bgworker'), 'prctl');
  setPostmaster(process.pid, options.dataDir, process.cwd());
  checkNode();
  checkDataDir(options.dataDir);
  readSettings(options);
  checkUser();
  createDataDirLockFile(options.dataDir, join(options.dataDir, SOCKET_NAME), native);
  process.chdir(options.dataDir);
  let loop: ServerLoop;
  try {
    loop = await start(options);
  } catch (err) {
    removeLockFile();
    throw err;
  }
  // From the loop's own callback, with no promise under way: a child returns from here to an event loop that has nothing of the parent's to do.
  setImmediate(() => {
    try {
      becomeChild(loop.run());
    } catch (err) {
      fail(err);
    }
  });
}

postmasterMain().catch(fail);
