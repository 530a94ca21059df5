// The data directory: making one, and checking that one is ours before anything is done in it. Postmaster and command line.
// PostgreSQL: checkDataDir and ValidatePgVersion in src/backend/utils/init/miscinit.c, create_data_directory in src/bin/initdb/initdb.c, REL_15_STABLE.
//
//   <D>/BGWORKER_VERSION   says whose directory it is, and of which layout
//   <D>/bgworker.conf      the settings; need not be there
//   <D>/postmaster.pid     the lock file (lock-file.ts)

import { chmodSync, existsSync, mkdirSync, readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ERRCODE_INVALID_PARAMETER_VALUE, ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE } from '../elog/errcodes.js';
import { ErrorData, type ErrorFields } from '../elog/error-data.js';
import { errcodeForFileAccess, strerror } from '../elog/file-access.js';
import { CONFIG_FILE_NAME } from '../guc/guc.js';
import { sampleConfigFile } from '../guc/sample.js';
import { LOCK_FILE_NAME } from './lock-file-content.js';

export const VERSION_FILE_NAME = 'BGWORKER_VERSION';
/** What the version file says: it changes when an older release could not work with the directory. */
export const DATA_DIR_VERSION = '1';

/** Any of these makes a directory ours. */
const MARKERS: readonly string[] = [VERSION_FILE_NAME, CONFIG_FILE_NAME, LOCK_FILE_NAME];
/** What belongs to PostgreSQL's own data directories: theirs has a postmaster.pid too. */
const PG_VERSION_FILE_NAME = 'PG_VERSION';
/** What may not be allowed: writing by the group, anything by others (PG_MODE_MASK_GROUP). */
const FORBIDDEN_MODE = 0o027;

const fatal = (fields: ErrorFields): ErrorData => new ErrorData({ ...fields, severity: 'FATAL' });

function readEntries(dir: string): string[] {
  try {
    return readdirSync(dir);
  } catch (err) {
    throw fatal({ code: errcodeForFileAccess(err), message: `could not open directory "${dir}": ${strerror(err)}`, cause: err });
  }
}

/** Whether a directory is one of ours, or has nothing in it that anybody could miss. */
export function dataDirKind(dir: string): 'ours' | 'empty' | 'foreign' {
  const entries = readEntries(dir);
  if (entries.length === 0) return 'empty';
  if (entries.includes(PG_VERSION_FILE_NAME)) return 'foreign';
  return MARKERS.some((name) => entries.includes(name)) ? 'ours' : 'foreign';
}

/**
 * Checks that a directory exists and is one that a postmaster of this user may work in.
 *
 * DIFFERS FROM POSTGRES: an empty directory will do, since there is nothing that must be in ours before the first start.
 *
 * @param dir absolute
 * @throws ErrorData FATAL, with the reason
 * @pg checkDataDir
 */
export function checkDataDir(dir: string): void {
  checkOwnerAndMode(dir);
  if (dataDirKind(dir) === 'foreign') {
    throw fatal({
      code: ERRCODE_INVALID_PARAMETER_VALUE,
      message: `"${dir}" is not a valid data directory`,
      detail: `The directory is not empty, and file "${join(dir, VERSION_FILE_NAME)}" is missing.`,
      hint: 'Name a directory that is empty or does not exist yet, or one that "bgworker start" has made.',
    });
  }
  checkVersion(dir);
}

function checkOwnerAndMode(dir: string): void {
  let stat;
  try {
    stat = statSync(dir);
  } catch (err) {
    const missing = (err as NodeJS.ErrnoException).code === 'ENOENT';
    const message = missing ? `data directory "${dir}" does not exist` : `could not read permissions of directory "${dir}": ${strerror(err)}`;
    throw fatal({ code: errcodeForFileAccess(err), message, cause: err });
  }
  const code = ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE;
  if (!stat.isDirectory()) throw fatal({ code, message: `specified data directory "${dir}" is not a directory` });
  if (stat.uid !== process.geteuid?.()) {
    const hint = 'The server must be started by the user that owns the data directory.';
    throw fatal({ code, message: `data directory "${dir}" has wrong ownership`, hint });
  }
  if ((stat.mode & FORBIDDEN_MODE) !== 0) {
    const detail = 'Permissions should be u=rwx (0700) or u=rwx,g=rx (0750).';
    throw fatal({ code, message: `data directory "${dir}" has invalid permissions`, detail });
  }
}

function checkVersion(dir: string): void {
  const path = join(dir, VERSION_FILE_NAME);
  if (!existsSync(path)) return; // made by hand: a configuration file was all that was wanted
  let version: string;
  try {
    version = readFileSync(path, 'utf8').trim();
  } catch (err) {
    throw fatal({ code: errcodeForFileAccess(err), message: `could not open file "${path}": ${strerror(err)}`, cause: err });
  }
  if (version === DATA_DIR_VERSION) return;
  const detail = /^\d+$/.test(version)
    ? `The data directory was initialized by layout version ${version}, which is not compatible with this version ${DATA_DIR_VERSION}.`
    : `File "${path}" does not contain valid data.`;
  throw fatal({ code: ERRCODE_INVALID_PARAMETER_VALUE, message: 'data directory is incompatible with server', detail });
}

/**
 * Makes a data directory, if there is none yet, or makes an empty directory into one. A directory that is one already is left as it is.
 * @param dir absolute
 * @returns whether anything was made
 * @throws ErrorData 22023 where something else is in it, or with the SQLSTATE of what failed
 */
export function initDataDir(dir: string): boolean {
  let step = 'create directory';
  let path = dir;
  try {
    const made = mkdirSync(dir, { recursive: true, mode: 0o700 }) !== undefined;
    if (!made && !statSync(dir).isDirectory()) return false; // the postmaster says what is wrong with it
    if (!made && dataDirKind(dir) !== 'empty') return false;
    // As initdb does with an empty directory that somebody made: it is to be ours, so its mode is.
    step = 'change permissions of directory';
    if (statSync(dir).uid === process.geteuid?.()) chmodSync(dir, 0o700);
    step = 'create file';
    for (const [name, content] of [
      [CONFIG_FILE_NAME, sampleConfigFile()],
      [VERSION_FILE_NAME, `${DATA_DIR_VERSION}\n`], // last: with it, the directory is complete
    ] as const) {
      path = join(dir, name);
      writeFileSync(path, content, { mode: 0o600, flag: 'wx' });
    }
    return true;
  } catch (err) {
    if (err instanceof ErrorData) throw err;
    // mkdir reports a file in the directory's place so; what is wrong with it, the check says better.
    if (step === 'create directory' && (err as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw new ErrorData({ code: errcodeForFileAccess(err), message: `could not ${step} "${path}": ${strerror(err)}`, cause: err });
  }
}
