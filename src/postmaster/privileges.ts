// Whom the server runs as: root is refused, or becomes the user that `user` names, for good, or goes on where `allow_root` says so. Postmaster, before its
// last exec of Node and so before any module is loaded; the command line, before it makes anything.
// PostgreSQL: check_root in src/backend/main/main.c, REL_15_STABLE.
//
// DIFFERS FROM POSTGRES: it refuses root, and has no such settings.
//
// Root reads the configuration file to learn who it is to be, and the file belongs to whoever owns the directory. Two things follow. It is read with its
// owner's rights, or a link in the directory would show any file of the system in an error message. And what it says can make the server nobody but the
// directory's owner, since checkDataDir() refuses everybody else: neither `allow_root` nor `user` there is a way up.

import { constants, accessSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { ERRCODE_INSUFFICIENT_PRIVILEGE, ERRCODE_INVALID_PARAMETER_VALUE, ERRCODE_UNDEFINED_OBJECT } from '../elog/errcodes.js';
import { ErrorData } from '../elog/error-data.js';
import { errcodeForFileAccess, strerror } from '../elog/file-access.js';
import { parseConfigFile } from '../guc/conf-file.js';
import { CONFIG_FILE_NAME, getConfigOption } from '../guc/guc.js';
import { parseBool } from '../guc/value.js';
import { type User, check, native, systemError } from '../native.js';

/** Settings in their order on the command line: the last of a name counts. */
export interface StartOptions {
  readonly dataDir: string;
  readonly settings: readonly (readonly [name: string, value: string])[];
}

function rootRefused(): ErrorData {
  return new ErrorData({
    severity: 'FATAL',
    code: ERRCODE_INSUFFICIENT_PRIVILEGE,
    message: '"root" execution of the bgworker postmaster is not permitted',
    detail: 'The postmaster must be started under an unprivileged user ID to prevent possible system security compromise.',
    hint: 'Start it as another user, or with -c user=NAME to have it become that user, or, in a container where root is all there is, with -c allow_root=on.',
  });
}

/** The user of that name. @throws ErrorData FATAL where there is none, or where it is root again */
function lookUpUser(name: string): User {
  const user = native.lookUpUser(name);
  if (user !== null && typeof user !== 'number' && user.uid !== 0) return user;
  const invalid = { severity: 'FATAL', hint: 'The setting "user" names an unprivileged user of this system, by name or by number.' } as const;
  const message = `could not look up user "${name}"`;
  if (typeof user === 'number') throw new ErrorData({ ...invalid, code: errcodeForFileAccess(user), message: `${message}: ${strerror(user)}` });
  if (user === null) throw new ErrorData({ ...invalid, code: ERRCODE_UNDEFINED_OBJECT, message: `${message}: user does not exist` });
  const detail = 'This user is root.';
  throw new ErrorData({ ...invalid, code: ERRCODE_INVALID_PARAMETER_VALUE, message: `invalid value for parameter "user": "${name}"`, detail });
}

/** What the configuration file says of these, as its owner may read it. What is wrong with the file is reported when it is read in full. */
function valuesInFile(dataDir: string, names: readonly string[]): readonly (readonly [string, string])[] {
  const { uid, gid } = statSync(dataDir);
  check(native.setEffective(uid, gid), 'seteuid');
  try {
    const { items } = parseConfigFile(readFileSync(join(dataDir, CONFIG_FILE_NAME), 'utf8'), CONFIG_FILE_NAME);
    return items.filter(({ name }) => names.includes(name.toLowerCase())).map(({ name, value }) => [name, value]);
  } catch {
    return [];
  } finally {
    check(native.setEffective(0, 0), 'seteuid');
  }
}

function valuesOf(options: StartOptions): Map<string, string> {
  const names = ['user', 'allow_root'];
  const given = options.settings.map(([name, value]) => [name.toLowerCase(), value] as const).filter(([name]) => names.includes(name));
  let inFile: readonly (readonly [string, string])[] = [];
  try {
    inFile = valuesInFile(options.dataDir, names);
  } catch (err) {
    if ((err as NodeJS.ErrnoException).code !== 'ENOENT') throw err; // there is no such directory: checkDataDir says so
  }
  return new Map([...inFile.map(([name, value]) => [name.toLowerCase(), value] as const), ...given]);
}

/**
 * Whom the server is to become: null to go on as who we are.
 * @throws ErrorData FATAL: root, and nothing allows it; or a user that cannot be
 */
export function chooseUser(options: StartOptions): User | null {
  if (!native.idsMatch()) {
    throw new ErrorData({ severity: 'FATAL', code: ERRCODE_INSUFFICIENT_PRIVILEGE, message: 'real and effective user IDs must match' });
  }
  if (process.geteuid?.() !== 0) return null;
  const values = valuesOf(options);
  const name = values.get('user') ?? '';
  if (name !== '') return lookUpUser(name);
  if (parseBool(values.get('allow_root') ?? 'off') === true) return null;
  throw rootRefused();
}

let changed = false;

/** Whether this process has become somebody else, and must execute Node again to see its own /proc. */
export function hasBecomeUser(): boolean {
  return changed;
}

/**
 * Becomes somebody else, for good. A failure must end the process: who it is then is not known.
 * @throws ErrorData FATAL
 */
export function becomeUser(user: Pick<User, 'uid' | 'gid'> & Partial<User>): void {
  const shown = user.name ?? `ID ${user.uid}`;
  const result = native.becomeUser(user.name ?? null, user.uid, user.gid);
  if (result < 0) {
    throw new ErrorData({
      severity: 'FATAL',
      code: ERRCODE_INSUFFICIENT_PRIVILEGE,
      message: `could not become user "${shown}": ${strerror(result)}`,
      detail: 'The groups, the group ID, the user ID and the capabilities of root must go for good, and at least one of them did not.',
      cause: systemError(result, 'setresuid'),
    });
  }
  changed = true;
  for (const [name, value] of Object.entries({ HOME: user.home, USER: user.name, LOGNAME: user.name })) {
    if (value !== undefined) process.env[name] = value;
  }
}

/** Node and our own modules, as the user that we have become: what cannot be read would be a stack trace of Node's, and no reason. */
function checkReadable(user: User): void {
  for (const [path, mode] of [
    [process.execPath, constants.X_OK],
    [fileURLToPath(new URL('main.js', import.meta.url)), constants.R_OK],
  ] as const) {
    try {
      accessSync(path, mode);
    } catch (err) {
      throw new ErrorData({
        severity: 'FATAL',
        code: errcodeForFileAccess(err),
        message: `could not access file "${path}" as user "${user.name}": ${strerror(err)}`,
        hint: 'Install Node and this package where every user can reach them.',
      });
    }
  }
}

/** Postmaster, first thing: root becomes whom it should be. */
export function becomeConfiguredUser(options: StartOptions): void {
  const user = chooseUser(options);
  if (user === null) return;
  becomeUser(user);
  checkReadable(user);
}

/** With all settings read: are we who they say? @throws ErrorData FATAL */
export function checkUser(): void {
  const uid = process.geteuid?.() ?? 0;
  const name = getConfigOption('user');
  if (uid === 0 && !getConfigOption('allow_root')) throw rootRefused();
  if (name === '' || lookUpUser(name).uid === uid) return;
  throw new ErrorData({
    severity: 'FATAL',
    code: ERRCODE_INSUFFICIENT_PRIVILEGE,
    message: `cannot become user "${name}"`,
    detail: `The postmaster runs as user ID ${uid}, and only root can become another user.`,
    hint: `Start it as root or as "${name}", or leave the setting "user" empty.`,
  });
}
