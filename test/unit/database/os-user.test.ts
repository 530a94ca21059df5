// Whom the database server of a root postmaster runs as, and which directories that user can pass.
import { chmodSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { chooseDatabaseUser, firstClosedDirectory, parsePasswd } from '../../../src/database/os-user.js';
import { makeTempDir, removeTempDir } from '../../helpers/temp-dir.js';

const PASSWD = 'root:x:0:0:root:/root:/bin/sh\n# comment\n+::::::\nnobody:x:65534:65534::/:/bin/false\npostgres:x:101:104::/:/bin/sh\n';

test('parsePasswd passes over what is no entry', () => {
  expect(parsePasswd(PASSWD).map((user) => user.name)).toEqual(['root', 'nobody', 'postgres']);
});

test('chooseDatabaseUser: the owner of an existing cluster, else postgres, else nobody', () => {
  expect(chooseDatabaseUser(65534, PASSWD).name).toBe('nobody');
  expect(chooseDatabaseUser(null, PASSWD)).toEqual({ name: 'postgres', uid: 101, gid: 104 });
  expect(chooseDatabaseUser(null, PASSWD.replace(/postgres.*\n/, '')).name).toBe('nobody');
});

test('chooseDatabaseUser: an owner without an entry, and a system without users', () => {
  expect(() => chooseDatabaseUser(4711, PASSWD)).toThrow('could not look up effective user ID 4711: user does not exist');
  expect(() => chooseDatabaseUser(null, 'root:x:0:0::/:/bin/sh')).toThrow('could not find an unprivileged user for the database server');
});

test('firstClosedDirectory names the outermost directory that stops a user', () => {
  const root = makeTempDir('closed');
  onTestFinished(() => removeTempDir(root));
  const inner = join(root, 'a', 'b');
  mkdirSync(inner, { recursive: true });
  chmodSync(join(root, 'a'), 0o711);
  chmodSync(inner, 0o700);
  const stranger = { uid: 12_345, gid: 12_345 };
  const ourselves = { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 };
  expect(firstClosedDirectory(join(root, 'a'), stranger)).toBeNull();
  expect(firstClosedDirectory(inner, stranger)).toBe(inner);
  expect(firstClosedDirectory(inner, ourselves)).toBeNull();
  chmodSync(join(root, 'a'), 0o750);
  expect(firstClosedDirectory(inner, stranger)).toBe(join(root, 'a'));
  expect(firstClosedDirectory(inner, { uid: 12_345, gid: ourselves.gid })).toBe(inner);
});
