// The file that a started server logs to: opened before the start, and read where the start fails. The command line.

import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { strerror } from '../elog/file-access.js';
import { CommandFailure } from './surroundings.js';

/** In the data directory, where -l names no other. */
const LOG_FILE_NAME = 'log';
/** More than this of a log is not shown. */
const SHOWN_BYTES = 65536;

export interface ServerLog {
  readonly path: string;
  /** For the server's standard output and error. */
  readonly fd: number;
  /** How long it was when the server was started. */
  readonly size: number;
}

/** Opens the log for appending; what is in it stays. The caller closes it. */
export function openServerLog(dir: string, option: string | undefined, cwd: string): ServerLog {
  const path = option === undefined ? join(dir, LOG_FILE_NAME) : resolve(cwd, option);
  try {
    const fd = openSync(path, constants.O_RDWR | constants.O_APPEND | constants.O_CREAT, 0o600);
    const stat = fstatSync(fd);
    return { path, fd, size: stat.isFile() ? stat.size : 0 };
  } catch (err) {
    throw new CommandFailure(`could not open log file "${path}": ${strerror(err)}`);
  }
}

/** What has been written since the log was opened: its last part, from the beginning of a line; '' for a log that cannot be read. */
export function newLogLines({ fd, size }: ServerLog): string {
  const stat = fstatSync(fd);
  if (!stat.isFile()) return '';
  const start = Math.max(size, stat.size - SHOWN_BYTES);
  const buffer = Buffer.alloc(Math.max(0, stat.size - start));
  const text = buffer.toString('utf8', 0, readSync(fd, buffer, 0, buffer.length, start));
  return start > size ? text.slice(text.indexOf('\n') + 1) : text;
}

export function closeServerLog({ fd }: ServerLog): void {
  closeSync(fd);
}
