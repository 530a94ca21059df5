// The owned database cluster: its directories, its creation, and how its server is to be started.
// The postmaster, once, before it installs its signal handlers: everything here is synchronous and starts no server itself.
// PostgreSQL: initdb.c, and the checks that a server makes of its directory (checkDataDir and CreateLockFile in src/backend/utils/init/,
// ValidatePgVersion, check_root), made here as well so that their errors appear in our log and not only in the server's.
//
//   <D>/            0700 ours; or, as root, 0710 root:<the database user's group>, so that this user gets through and sees nothing
//   <D>/pgdata/     0700 the database user's: the cluster. It has this name only when initdb has finished.
//   <D>/pgsocket/   0700 the database user's: the only place where the server listens
//   <D>/database.log     the server's standard error, written through a descriptor that the postmaster opened
//
// Authentication is "trust": who may connect is decided by the mode of the socket directory, which only that user and root can enter. "peer" would not
// do, because the workers of a root postmaster are another operating-system user than the server.

import { spawnSync } from 'node:child_process';
import { appendFileSync, chmodSync, chownSync, existsSync, mkdirSync, readFileSync, realpathSync, renameSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { ClientConfig } from 'pg';
import { ErrorData } from '../elog/error-data.js';
import {
  ERRCODE_CONFIGURATION_LIMIT_EXCEEDED,
  ERRCODE_INSUFFICIENT_PRIVILEGE,
  ERRCODE_INVALID_PARAMETER_VALUE,
  ERRCODE_LOCK_FILE_EXISTS,
  ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
  ERRCODE_SYSTEM_ERROR,
} from '../elog/errcodes.js';
import { ownedConninfo, ownedSocketDir, OWNED_PORT } from './conninfo.js';
import { findPostgres, majorVersion, type PostgresInstallation } from './find-postgres.js';
import { endLeftBehind, isServerOf, isStopping, lockFilePid, waitForShutdown } from './left-behind.js';
import { copyNpmPostgres } from './npm-postgres.js';
import { chooseDatabaseUser, firstClosedDirectory, type OsUser } from './os-user.js';

/** sizeof(sockaddr_un.sun_path) on Linux, without its terminating zero: UNIXSOCK_PATH_BUFLEN - 1. */
const SOCKET_PATH_MAX = 107;

export interface PrepareOwnedClusterOptions {
  /** Absolute; exists. */
  readonly dataDir: string;
  /** The setting "pg_bindir". */
  readonly bindirSetting: string;
  readonly log: (message: string) => void;
}

/** How to start the server (fork and exec `file` with `args`), and how to reach it. */
export interface OwnedCluster {
  readonly file: string;
  /** Without the program's own name. */
  readonly args: readonly string[];
  /** The whole environment: nothing of ours is handed on. */
  readonly env: Readonly<Record<string, string>>;
  /** Whom to become; undefined where the server runs as ourselves. */
  readonly uid: number | undefined;
  readonly gid: number | undefined;
  readonly cwd: string;
  /** Open it for appending, mode 0600, as standard output and standard error of the server. */
  readonly logFile: string;
  readonly conninfo: ClientConfig;
  readonly bindir: string;
  readonly version: string;
  /** Whether this call created the cluster. */
  readonly created: boolean;
}

/**
 * Makes the owned cluster ready to be started: finds PostgreSQL, makes the directories, runs initdb where there is no cluster yet, and checks
 * what would stop the server.
 * @throws ErrorData for everything that stands in the way
 */
export function prepareOwnedCluster(options: PrepareOwnedClusterOptions): OwnedCluster {
  const dataDir = realpathSync(options.dataDir);
  const pgdata = join(dataDir, 'pgdata');
  checkSocketPath(dataDir);
  const user = databaseUser(dataDir, pgdata);
  makeDirectories(dataDir, user);
  const clusterVersion = readClusterVersion(pgdata);
  const postgres = reachable(findInstallation(options, dataDir, clusterVersion), dataDir, user);
  if (clusterVersion !== null) {
    checkVersion(clusterVersion, postgres);
    checkNotRunning(pgdata, options.log);
  } else {
    options.log(`creating a database cluster with PostgreSQL ${postgres.version} in "${pgdata}"`);
    createCluster(pgdata, postgres, user);
  }
  return {
    file: join(postgres.bindir, 'postgres'),
    args: serverArguments(dataDir, pgdata),
    env: programEnvironment(postgres),
    uid: user?.uid,
    gid: user?.gid,
    cwd: pgdata,
    logFile: join(dataDir, 'database.log'),
    conninfo: ownedConninfo(dataDir),
    bindir: postgres.bindir,
    version: postgres.version,
    created: clusterVersion === null,
  };
}

function checkSocketPath(dataDir: string): void {
  const path = join(ownedSocketDir(dataDir), `.s.PGSQL.${OWNED_PORT}`);
  if (Buffer.byteLength(path) <= SOCKET_PATH_MAX) return;
  throw new ErrorData({
    code: ERRCODE_CONFIGURATION_LIMIT_EXCEEDED,
    message: `Unix-domain socket path "${path}" is too long (maximum ${SOCKET_PATH_MAX} bytes)`,
    hint: `Use a data directory with a path of at most ${SOCKET_PATH_MAX - Buffer.byteLength(path) + Buffer.byteLength(dataDir)} bytes.`,
  });
}

/** Whom the server runs as: null means as ourselves. */
function databaseUser(dataDir: string, pgdata: string): OsUser | null {
  const owner = existsSync(pgdata) ? statSync(pgdata).uid : null;
  const ourselves = process.geteuid?.() ?? 0;
  if (owner !== null && (ourselves === 0 ? owner === 0 : owner !== ourselves)) {
    throw new ErrorData({
      code: ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
      message: `data directory "${pgdata}" has wrong ownership`,
      detail: `It belongs to user ID ${owner}, and the server would run as ${ourselves === 0 ? 'an unprivileged user' : `user ID ${ourselves}`}.`,
      hint: 'The server must be started by the user that owns the data directory.',
    });
  }
  if (ourselves !== 0) return null;
  const user = chooseDatabaseUser(owner);
  const closed = firstClosedDirectory(join(dataDir, '..'), user);
  if (closed === null) return user;
  throw new ErrorData({
    code: ERRCODE_INSUFFICIENT_PRIVILEGE,
    message: `could not access directory "${dataDir}" as user "${user.name}": Permission denied`,
    detail: `The database server does not run as root, and user "${user.name}" may not enter "${closed}".`,
    hint: `Use a data directory elsewhere, for example below "/var/lib", or run "chmod o+x ${closed}".`,
  });
}

function makeDirectories(dataDir: string, user: OsUser | null): void {
  if (user === null || statSync(dataDir).uid === user.uid) {
    chmodSync(dataDir, 0o700);
  } else {
    chownSync(dataDir, 0, user.gid);
    chmodSync(dataDir, 0o710);
  }
  makePrivateDirectory(ownedSocketDir(dataDir), user);
}

function makePrivateDirectory(path: string, user: OsUser | null): void {
  mkdirSync(path, { recursive: true, mode: 0o700 });
  if (user !== null) chownSync(path, user.uid, user.gid);
  chmodSync(path, 0o700);
}

function findInstallation(options: PrepareOwnedClusterOptions, dataDir: string, wantMajor: string | null): PostgresInstallation {
  return findPostgres({ bindirSetting: options.bindirSetting, wantMajor, copyTo: dataDir });
}

/** The same binaries where the database user can run them: those of an npm package below root's home directory have to be copied. */
function reachable(postgres: PostgresInstallation, dataDir: string, user: OsUser | null): PostgresInstallation {
  const closed = user === null ? null : firstClosedDirectory(realpathSync(postgres.bindir), user);
  if (user === null || closed === null) return postgres;
  if (postgres.npmNative !== null) {
    const copy = copyNpmPostgres(postgres.npmNative, dataDir);
    return { ...postgres, bindir: join(copy, 'bin'), npmNative: copy };
  }
  throw new ErrorData({
    code: ERRCODE_INSUFFICIENT_PRIVILEGE,
    message: `could not execute "${join(postgres.bindir, 'postgres')}" as user "${user.name}": Permission denied`,
    detail: `The database server does not run as root, and user "${user.name}" may not enter "${closed}".`,
    hint: 'Set "pg_bindir" to an installation that every user can reach, for example that of "apt-get install postgresql".',
  });
}

/** What the file PG_VERSION says; null where there is no cluster. */
function readClusterVersion(pgdata: string): string | null {
  if (!existsSync(pgdata)) return null;
  try {
    return readFileSync(join(pgdata, 'PG_VERSION'), 'utf8').trim();
  } catch (cause) {
    throw new ErrorData({
      code: ERRCODE_INVALID_PARAMETER_VALUE,
      message: `"${pgdata}" is not a valid data directory`,
      detail: `File "${join(pgdata, 'PG_VERSION')}" is missing.`,
      hint: 'You might need to initdb: remove the directory to have a new database cluster created.',
      cause,
    });
  }
}

/** PostgreSQL: ValidatePgVersion, src/backend/utils/init/miscinit.c. */
function checkVersion(clusterVersion: string, postgres: PostgresInstallation): void {
  if (clusterVersion === majorVersion(postgres.version)) return;
  throw new ErrorData({
    code: ERRCODE_INVALID_PARAMETER_VALUE,
    message: 'database files are incompatible with server',
    detail: `The data directory was initialized by PostgreSQL version ${clusterVersion}, which is not compatible with this version ${postgres.version}.`,
    hint: `Set "pg_bindir" to the programs of PostgreSQL ${clusterVersion}, or upgrade the cluster with pg_upgrade.`,
  });
}

/**
 * Refuses to start beside a live server of this cluster (one that outlived its postmaster); one that is shutting down, as the kernel told it when its
 * postmaster was killed, is waited for. What is left of a dead one is ended, and its stale lock file left alone: the server takes it over.
 * PostgreSQL: CreateLockFile, src/backend/utils/init/miscinit.c; the pid alone is not trusted here, as it may have been reused after a restart of the machine.
 */
function checkNotRunning(pgdata: string, log: (message: string) => void): void {
  const pid = lockFilePid(pgdata);
  if (pid === 0 || !isServerOf(pgdata, pid)) return endLeftBehind(pgdata);
  if (isStopping(pgdata)) {
    log(`waiting for the database server of an earlier postmaster (PID ${pid}) to shut down`);
    if (waitForShutdown(pgdata, pid)) return;
  }
  throw new ErrorData({
    code: ERRCODE_LOCK_FILE_EXISTS,
    message: 'lock file "postmaster.pid" already exists',
    hint: `Is another postmaster (PID ${pid}) running in data directory "${pgdata}"? If it was left behind, stop it with "kill -INT ${pid}".`,
  });
}

function createCluster(pgdata: string, postgres: PostgresInstallation, user: OsUser | null): void {
  // Made beside and renamed: an initdb that was interrupted leaves nothing that looks like a cluster.
  const unfinished = `${pgdata}.new`;
  rmSync(unfinished, { recursive: true, force: true });
  makePrivateDirectory(unfinished, user);
  const args = ['-D', unfinished, '--username=postgres', '--auth=trust', '--no-locale', '--encoding=UTF8'];
  // Only tests may skip the sync: a user's new cluster has to survive a power failure.
  if (process.env['BGWORKER_TEST_NOSYNC'] === '1') args.push('--no-sync');
  const initdb = spawnSync(join(postgres.bindir, 'initdb'), args, {
    cwd: '/',
    env: programEnvironment(postgres),
    encoding: 'utf8',
    stdio: ['ignore', 'ignore', 'pipe'],
    ...(user === null ? {} : { uid: user.uid, gid: user.gid }),
  });
  if (initdb.status !== 0) {
    rmSync(unfinished, { recursive: true, force: true });
    throw new ErrorData({
      code: ERRCODE_SYSTEM_ERROR,
      message: `could not create a database cluster in "${pgdata}"`,
      detail: initdb.error?.message ?? (initdb.stderr.trim() || `The program "initdb" was ended by ${initdb.signal ?? `status ${initdb.status}`}.`),
      cause: initdb.error,
    });
  }
  appendFileSync(join(unfinished, 'postgresql.conf'), INITIAL_CONF);
  renameSync(unfinished, pgdata);
}

/** In the file and not on the command line, because these are the user's to change. */
const INITIAL_CONF = `
# Added by bgworker when it created this cluster. Yours to change, except listen_addresses,
# port, the Unix socket and the log destination, which bgworker sets on the command line.
cluster_name = 'bgworker database'
shared_buffers = 32MB
`;

/** What must be so for the server to be ours alone; the command line wins over the cluster's files. */
function serverArguments(dataDir: string, pgdata: string): string[] {
  const settings = {
    listen_addresses: '',
    port: OWNED_PORT,
    // The list is parsed as identifiers: quoted, since the path may hold a comma, a blank or capitals.
    unix_socket_directories: `"${ownedSocketDir(dataDir).replaceAll('"', '""')}"`,
    unix_socket_permissions: '0700',
    log_destination: 'stderr',
    logging_collector: 'off',
  };
  return ['-D', pgdata, ...Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])];
}

/** A short list: the server has no use for our environment, and PG* variables or secrets in it no business there. */
function programEnvironment(postgres: PostgresInstallation): Record<string, string> {
  const env: Record<string, string> = { PATH: process.env['PATH'] ?? '/usr/bin:/bin', LC_ALL: 'C', ...postgres.env };
  if (process.env['TZ'] !== undefined) env['TZ'] = process.env['TZ'];
  return env;
}
