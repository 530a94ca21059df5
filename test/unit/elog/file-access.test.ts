// What system errors are called in messages: the words of the C library, and SQLSTATEs.
import { spawnSync } from 'node:child_process';
import { constants } from 'node:os';
import { expect, test } from 'vitest';
import { errcodeForFileAccess, strerror } from '../../../src/elog/file-access.js';

/** What glibc says, by the number: Python asks it. */
function glibc(): Record<string, string> {
  const program = 'import json, os, sys; print(json.dumps({n: os.strerror(int(n)) for n in sys.argv[1:]}))';
  const { stdout } = spawnSync('python3', ['-c', program, ...Object.values(constants.errno).map(String)], { encoding: 'utf8' });
  return JSON.parse(stdout) as Record<string, string>;
}

/** All that a system call of ours may fail with. */
const OURS = (
  'EACCES EAGAIN EBADF EBUSY EEXIST EFAULT EINTR EINVAL EIO EISDIR ELOOP EMFILE ENAMETOOLONG ENFILE ENOBUFS ENODEV ENOENT ENOLCK ENOMEM ENOSPC ENOTDIR ' +
  'ENOTEMPTY ENXIO EPERM EPIPE ESRCH EXDEV ENOTCONN ECONNREFUSED ETIMEDOUT EADDRINUSE'
).split(' ') as (keyof typeof constants.errno)[];

test('strerror: the words are glibc’s, by code and by number', () => {
  const words = glibc();
  const wrong = OURS.filter((code) => {
    const errno = constants.errno[code];
    return strerror({ code }) !== words[errno] || strerror(-errno) !== words[errno];
  });
  expect(wrong.map((code) => [code, strerror({ code }), words[constants.errno[code]]])).toEqual([]);
});

test('strerror: what is no system error is shown as it is', () => {
  expect(strerror(new Error('odd'))).toBe('odd');
  expect(strerror('odd')).toBe('error odd');
});

test('errcode_for_file_access: classes as PostgreSQL has them', () => {
  expect(
    ['EACCES', 'EROFS', 'ENOENT', 'EEXIST', 'ENOTDIR', 'EISDIR', 'ENOSPC', 'ENOMEM', 'EMFILE', 'EIO', 'EPIPE'].map((code) =>
      errcodeForFileAccess({ code }),
    ),
  ).toEqual(['42501', '42501', '58P01', '58P02', '42809', '42809', '53100', '53200', '53000', '58030', 'XX000']);
});
