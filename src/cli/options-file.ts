// What a server was started with, kept in its data directory so that `restart` starts it the same way. The command line.
// PostgreSQL: postmaster.opts, CreateOptsFile in src/backend/postmaster/postmaster.c.
//
// DIFFERS FROM POSTGRES: the command line writes it, once the server is up, and the working directory is in it, which is `$libdir` to the server. The
// settings may hold passwords, so the file is for its owner alone.

import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { strerror } from '../elog/file-access.js';
import { CommandFailure } from './surroundings.js';

const OPTIONS_FILE_NAME = 'postmaster.opts';

export type Setting = readonly [name: string, value: string];

export interface StartedWith {
  readonly cwd: string;
  readonly settings: readonly Setting[];
}

export function writeOptionsFile(dir: string, { cwd, settings }: StartedWith): void {
  const path = join(dir, OPTIONS_FILE_NAME);
  const text = `${JSON.stringify({ cwd, settings }, null, 2)}\n`;
  try {
    writeFileSync(`${path}.new`, text, { mode: 0o600 });
    renameSync(`${path}.new`, path);
  } catch (err) {
    throw new CommandFailure(`could not write file "${path}": ${strerror(err)}`);
  }
}

function isStartedWith(value: unknown): value is StartedWith {
  const { cwd, settings } = (value ?? {}) as Partial<StartedWith>;
  const isSetting = (pair: unknown): boolean => Array.isArray(pair) && pair.length === 2 && pair.every((part) => typeof part === 'string');
  return typeof cwd === 'string' && Array.isArray(settings) && settings.every(isSetting);
}

/** What the last successful start had, or null where nothing is known of it. */
export function readOptionsFile(dir: string): StartedWith | null {
  const path = join(dir, OPTIONS_FILE_NAME);
  let value: unknown;
  try {
    value = JSON.parse(readFileSync(path, 'utf8'));
  } catch (err) {
    if ((err as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw new CommandFailure(`could not read file "${path}": ${err instanceof SyntaxError ? 'it does not contain valid data' : strerror(err)}`);
  }
  if (!isStartedWith(value)) throw new CommandFailure(`could not read file "${path}": it does not contain valid data`);
  return value;
}
