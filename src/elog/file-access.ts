// What a failed system call on a file is called: the SQLSTATE and the words for %m. Any process.
// PostgreSQL: errcode_for_file_access in src/backend/utils/error/elog.c, REL_15_STABLE; the words are those of glibc's strerror.

import { constants } from 'node:os';
import { getSystemErrorMap } from 'node:util';
import {
  ERRCODE_DISK_FULL,
  ERRCODE_DUPLICATE_FILE,
  ERRCODE_INSUFFICIENT_RESOURCES,
  ERRCODE_INSUFFICIENT_PRIVILEGE,
  ERRCODE_INTERNAL_ERROR,
  ERRCODE_IO_ERROR,
  ERRCODE_OUT_OF_MEMORY,
  ERRCODE_UNDEFINED_FILE,
  ERRCODE_WRONG_OBJECT_TYPE,
} from './errcodes.js';

const CODES: Readonly<Record<string, string>> = {
  EPERM: ERRCODE_INSUFFICIENT_PRIVILEGE,
  EACCES: ERRCODE_INSUFFICIENT_PRIVILEGE,
  EROFS: ERRCODE_INSUFFICIENT_PRIVILEGE,
  ENOENT: ERRCODE_UNDEFINED_FILE,
  EEXIST: ERRCODE_DUPLICATE_FILE,
  ENOTDIR: ERRCODE_WRONG_OBJECT_TYPE,
  EISDIR: ERRCODE_WRONG_OBJECT_TYPE,
  ENOTEMPTY: ERRCODE_WRONG_OBJECT_TYPE,
  ENOSPC: ERRCODE_DISK_FULL,
  ENOMEM: ERRCODE_OUT_OF_MEMORY,
  ENFILE: ERRCODE_INSUFFICIENT_RESOURCES,
  EMFILE: ERRCODE_INSUFFICIENT_RESOURCES,
  EIO: ERRCODE_IO_ERROR,
};

/** Where libuv's words, with a capital, are not glibc's. */
const WORDS: Readonly<Record<string, string>> = {
  EISDIR: 'Is a directory',
  EEXIST: 'File exists',
  EIO: 'Input/output error',
  ENOMEM: 'Cannot allocate memory',
  ENFILE: 'Too many open files in system',
  EBUSY: 'Device or resource busy',
  EFAULT: 'Bad address',
  ENOTCONN: 'Transport endpoint is not connected',
  EXDEV: 'Invalid cross-device link',
  ELOOP: 'Too many levels of symbolic links',
  ENAMETOOLONG: 'File name too long',
  ENOLCK: 'No locks available',
  EOPNOTSUPP: 'Operation not supported',
  ENOTSUP: 'Operation not supported',
};

/** The symbolic name of an error: of Node's `code`, or of minus an errno, as the addon gives one. '' where it is neither. */
function errnoName(err: unknown): string {
  if (typeof err === 'number') return Object.entries(constants.errno).find(([, errno]) => errno === -err)?.[0] ?? '';
  const code = (err as NodeJS.ErrnoException | null)?.code;
  return typeof code === 'string' ? code : '';
}

/**
 * The SQLSTATE for a failed file operation.
 * @param err what a function of `node:fs` threw, or minus an errno
 * @pg errcode_for_file_access
 */
export function errcodeForFileAccess(err: unknown): string {
  return CODES[errnoName(err)] ?? ERRCODE_INTERNAL_ERROR;
}

/** What %m stands for in a message: `No such file or directory`. Takes what {@link errcodeForFileAccess} takes. */
export function strerror(err: unknown): string {
  const name = errnoName(err);
  const words = WORDS[name] ?? [...getSystemErrorMap().values()].find(([candidate]) => candidate === name)?.[1];
  if (words !== undefined) return words.charAt(0).toUpperCase() + words.slice(1);
  return err instanceof Error ? err.message : `error ${String(err)}`;
}
