// The lock on a data directory once it is held: its status line, its end, and whether it is still there.
import { type ChildProcess, spawn } from 'node:child_process';
import {
  closeSync,
  existsSync,
  fstatSync,
  mkdirSync,
  openSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { setMyProcPid } from '../../../src/globals.js';
import { readLockFile } from '../../../src/postmaster/lock-file-content.js';
import { closeLockFile, lockFileIsValid, removeLockFile, updateStatus } from '../../../src/postmaster/lock-file.js';
import { isAlive, openFds, tempDir, waitUntil } from '../../helpers/index.js';
import { caught, content, deadProcess, lock, log, useLog } from './lock-file-kit.js';

useLog();

describe('updateStatus, removeLockFile, closeLockFile', () => {
  test('the status is written in place, and always as wide', () => {
    const dir = tempDir();
    lock(dir);
    const path = join(dir, 'postmaster.pid');
    const { size, ino } = statSync(path);
    for (const status of ['ready', 'standby', 'stopping', 'ready'] as const) {
      for (const database of ['none', 'unknown', 'away', 'closed', 'standby', 'primary'] as const) {
        updateStatus(status, database);
        const lines = readFileSync(path, 'utf8').split('\n');
        expect([lines[4], lines[6]]).toEqual([status.padEnd(8), database.padEnd(8)]);
        expect(readLockFile(dir)).toMatchObject({ status, database });
      }
    }
    expect(statSync(path)).toMatchObject({ size, ino });
  });
  test('removing takes the file away and frees the lock', () => {
    const dir = tempDir();
    lock(dir);
    removeLockFile();
    removeLockFile();
    expect(existsSync(join(dir, 'postmaster.pid'))).toBe(false);
    updateStatus('ready', 'none');
    lock(dir);
  });
  test('removing does nothing in a forked child', () => {
    const dir = tempDir();
    lock(dir);
    onTestFinished(() => setMyProcPid(process.pid));
    setMyProcPid(process.pid + 1);
    removeLockFile();
    expect(existsSync(join(dir, 'postmaster.pid'))).toBe(true);
    expect(caught(() => lock(dir)).code).toBe('F0001');
  });
  test('removing leaves alone what is somebody else’s', () => {
    const dir = tempDir();
    lock(dir);
    rmSync(join(dir, 'postmaster.pid'));
    writeFileSync(join(dir, 'postmaster.pid'), '1\n');
    removeLockFile();
    expect(readFileSync(join(dir, 'postmaster.pid'), 'utf8')).toBe('1\n');
  });
  test('closing frees this share of the lock and leaves the file', () => {
    const dir = tempDir();
    lock(dir);
    closeLockFile();
    closeLockFile();
    expect(existsSync(join(dir, 'postmaster.pid'))).toBe(true);
    lock(dir);
  });
  test('the lock lasts as long as a child that shares it, and a stale file remains', async () => {
    const dir = tempDir();
    lock(dir);
    const fd = openFds(process.pid);
    const number = [...fd].find(([, path]) => path === join(dir, 'postmaster.pid'))?.[0];
    // As a forked child would: the descriptor goes on, and it alone.
    const child: ChildProcess = spawn('cat', { stdio: ['pipe', 'ignore', 'ignore', Number(number)] });
    const pid = await waitUntil(() => child.pid, { what: 'a pid' });
    await waitUntil(() => openFds(pid).get(3) === join(dir, 'postmaster.pid') && readlinkSync(`/proc/${pid}/exe`).includes('cat'), { what: 'cat' });
    writeFileSync(join(dir, 'postmaster.pid'), content(dir, await deadProcess()));
    closeLockFile();
    expect(caught(() => lock(dir)).message).toBe('pre-existing shared memory block is still in use');
    child.stdin?.end();
    await waitUntil(() => !isAlive(pid), { what: 'the child to end' });
    lock(dir);
  });
});

describe('lockFileIsValid', () => {
  test('ours, and silent', () => {
    lock(tempDir());
    expect(lockFileIsValid()).toBe(true);
    expect(log).toStrictEqual([]);
  });
  test('gone', () => {
    const dir = tempDir();
    lock(dir);
    rmSync(join(dir, 'postmaster.pid'));
    expect(lockFileIsValid()).toBe(false);
    expect(log).toStrictEqual(['LOG:  could not open file "postmaster.pid": No such file or directory']);
  });
  test('the directory is gone', () => {
    const dir = join(tempDir(), 'data');
    mkdirSync(dir);
    lock(dir);
    renameSync(dir, `${dir}.away`);
    writeFileSync(dir, '');
    expect(lockFileIsValid()).toBe(false);
    expect(log).toStrictEqual(['LOG:  could not open file "postmaster.pid": Not a directory']);
  });
  test('another pid in it', () => {
    const dir = tempDir();
    lock(dir);
    writeFileSync(join(dir, 'postmaster.pid'), '77\n');
    expect(lockFileIsValid()).toBe(false);
    writeFileSync(join(dir, 'postmaster.pid'), '');
    expect(lockFileIsValid()).toBe(false);
    expect(log).toStrictEqual([
      `LOG:  lock file "postmaster.pid" contains wrong PID: 77 instead of ${process.pid}`,
      `LOG:  lock file "postmaster.pid" contains wrong PID: 0 instead of ${process.pid}`,
    ]);
  });
  test('a copy of it', () => {
    const dir = tempDir();
    lock(dir);
    const path = join(dir, 'postmaster.pid');
    const text = readFileSync(path);
    rmSync(path);
    const kept = openSync(path, 'w'); // so that no inode is used again
    onTestFinished(() => closeSync(kept));
    writeFileSync(path, text);
    expect(fstatSync(kept).size).toBe(text.length);
    expect(lockFileIsValid()).toBe(false);
    expect(log).toStrictEqual(['LOG:  lock file "postmaster.pid" has been replaced']);
  });
  test('what is not clearly wrong counts as right', () => {
    const dir = tempDir();
    lock(dir);
    rmSync(join(dir, 'postmaster.pid'));
    mkdirSync(join(dir, 'postmaster.pid'));
    expect(lockFileIsValid()).toBe(true);
    expect(log).toStrictEqual(['LOG:  could not read from file "postmaster.pid": Is a directory; continuing anyway']);
  });
});
