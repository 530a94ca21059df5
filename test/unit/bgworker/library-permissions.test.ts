// Whose a library is, along every step of the way to it: the rules, on file systems that exist in these tables alone.
import { describe, expect, test } from 'vitest';
import { type Files, whoMayWrite } from '../../../src/bgworker/library-permissions.js';

const ME = 1000;
const DIR = 0o040000;
const FILE = 0o100000;
const LINK = 0o120777;

type Entry = readonly [mode: number, uid: number, gid: number, target?: string];

const PASSWD = 'root:x:0:0::/root:/bin/sh\nme:x:1000:1000::/home/me:/bin/sh\nother:x:1001:1001::/:/bin/sh\nguest:x:1002:1003::/:/bin/sh\n';
const GROUP = 'root:x:0:\nme:x:1000:\nme2:x:2000:me\nstaff:x:50:me,other\nshared:x:1003:me\nempty:x:60:\nroots:x:61:root\n';

function files(entries: Readonly<Record<string, Entry>>): Files {
  const all: Record<string, Entry> = { '/': [DIR | 0o755, 0, 0], ...entries };
  const entryOf = (path: string): Entry => {
    const entry = all[path];
    if (entry === undefined) throw new Error(`nobody should have asked for ${path}`);
    return entry;
  };
  return {
    lstat: (path) => ({ mode: entryOf(path)[0], uid: entryOf(path)[1], gid: entryOf(path)[2] }),
    readlink: (path) => entryOf(path)[3] as string,
    passwd: PASSWD,
    group: GROUP,
  };
}

const HOME = { '/home': [DIR | 0o755, 0, 0], '/home/me': [DIR | 0o755, ME, ME] } as const;
const at = (entry: Entry): string | null => whoMayWrite('/home/me/lib.js', ME, files({ ...HOME, '/home/me/lib.js': entry }));

describe('a file', () => {
  test.each([
    ['ours', [FILE | 0o644, ME, ME], null],
    ["root's", [FILE | 0o644, 0, 0], null],
    ["somebody else's", [FILE | 0o444, 1001, 0], 'File "/home/me/lib.js" belongs to user ID 1001.'],
    ['for everybody', [FILE | 0o646, ME, ME], 'File "/home/me/lib.js" may be written by everybody.'],
    ['umask 002: for our own group', [FILE | 0o664, ME, ME], null],
    ['for a group that has us alone', [FILE | 0o664, ME, 2000], null],
    ['for a group with others', [FILE | 0o664, ME, 50], 'File "/home/me/lib.js" may be written by group ID 50.'],
    ["for a group that is another's primary one", [FILE | 0o664, ME, 1003], 'File "/home/me/lib.js" may be written by group ID 1003.'],
    ['for a group that is not in the file', [FILE | 0o664, ME, 77], 'File "/home/me/lib.js" may be written by group ID 77.'],
    ['for a group with nobody', [FILE | 0o664, ME, 60], null],
    ["for root's groups", [FILE | 0o664, ME, 0], null],
    ['for a group with root in it', [FILE | 0o664, ME, 61], null],
  ] as const)('%s', (_what, entry, expected) => expect(at(entry)).toBe(expected));

  test('a user without an entry has no group of its own', () => {
    const theirs = files({ '/lib.js': [FILE | 0o664, 7, 60] });
    expect(whoMayWrite('/lib.js', 7, theirs)).toBe('File "/lib.js" may be written by group ID 60.');
  });
});

describe('a directory on the way', () => {
  const LIB: Entry = [FILE | 0o644, ME, ME];
  test.each([
    ['for everybody', [DIR | 0o777, 0, 0], LIB, 'Directory "/srv" may be written by everybody.'],
    ["somebody else's", [DIR | 0o755, 1001, 0], LIB, 'Directory "/srv" belongs to user ID 1001.'],
    ['for a group', [DIR | 0o775, 0, 50], LIB, 'Directory "/srv" may be written by group ID 50.'],
    ['with the sticky bit', [DIR | 0o1777, 0, 0], LIB, null],
    ["with the sticky bit, and somebody else's file", [DIR | 0o1777, 0, 0], [FILE | 0o644, 1001, ME], 'File "/srv/lib.js" belongs to user ID 1001.'],
    ["with the sticky bit, somebody else's", [DIR | 0o1755, 1001, 0], LIB, 'Directory "/srv" belongs to user ID 1001.'],
  ] as const)('%s', (_what, dir, lib, expected) => {
    expect(whoMayWrite('/srv/lib.js', ME, files({ '/srv': dir, '/srv/lib.js': lib }))).toBe(expected);
  });
});

describe('a link', () => {
  const world = {
    ...HOME,
    '/open': [DIR | 0o777, 0, 0],
    '/open/lib.js': [FILE | 0o644, 0, 0],
    '/srv': [DIR | 0o755, 0, 0],
    '/srv/lib.js': [FILE | 0o644, 0, 0],
    '/home/me/good': [LINK, ME, ME, '../../srv/./lib.js'],
    '/home/me/bad': [LINK, ME, ME, '/open/lib.js'],
    '/home/me/dir': [LINK, ME, ME, '/open'],
    '/open/link': [LINK, 0, 0, '/srv/lib.js'],
    '/home/me/theirs': [LINK, 1001, 1001, '/srv/lib.js'],
  } as const;
  test.each([
    ['/home/me/good', null],
    ['/home/me/bad', 'Directory "/open" may be written by everybody.'],
    ['/home/me/dir/lib.js', 'Directory "/open" may be written by everybody.'],
    ['/open/link', 'Directory "/open" may be written by everybody.'],
    ['/home/me/theirs', 'Symbolic link "/home/me/theirs" belongs to user ID 1001.'],
  ])('%s', (path, expected) => expect(whoMayWrite(path, ME, files(world))).toBe(expected));
});
