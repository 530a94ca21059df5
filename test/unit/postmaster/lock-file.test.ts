// Taking the lock on a data directory, with the kernel's own flock on real files. Who holds it besides us is another open file of this process, which is
// as good to flock as another process.
import { existsSync, mkdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { constants } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { native } from '../../../src/native.js';
import { processStart, readLockFile } from '../../../src/postmaster/lock-file-content.js';
import { openFds, tempDir } from '../../helpers/index.js';
import { caught, content, deadProcess, facts, heldByOther, lock, log, ourselves, useLog } from './lock-file-kit.js';

useLog();

describe('createDataDirLockFile', () => {
  test('writes the lines that everybody reads', () => {
    const dir = tempDir();
    const before = Math.floor(Date.now() / 1000);
    lock(dir);
    const lines = readFileSync(join(dir, 'postmaster.pid'), 'utf8').split('\n');
    expect(lines).toStrictEqual([`${process.pid}`, dir, lines[2], join(dir, '.s.bgworker'), 'starting', processStart(process.pid), '        ', '']);
    expect(Number(lines[2])).toBeGreaterThanOrEqual(before);
    expect(statSync(join(dir, 'postmaster.pid')).mode & 0o777).toBe(0o600);
  });
  test('the descriptor is close-on-exec: a program that is started does not hold the lock', () => {
    const dir = tempDir();
    lock(dir);
    const fd = [...openFds(process.pid)].find(([, path]) => path === join(dir, 'postmaster.pid'))?.[0];
    const flags = /^flags:\s*(\d+)/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'latin1'))?.[1] ?? '';
    expect(Number.parseInt(flags, 8) & 0o2000000).not.toBe(0);
  });
  test('a second one is refused while the first lives', () => {
    const dir = tempDir();
    lock(dir);
    expect(facts(caught(() => lock(dir)))).toStrictEqual({
      code: 'F0001',
      severity: 'FATAL',
      message: 'lock file "postmaster.pid" already exists',
      hint: `Is another postmaster (PID ${process.pid}) running in data directory "${dir}"?`,
    });
    expect(readLockFile(dir)?.pid).toBe(process.pid);
  });
  test('held, and its postmaster is dead: its children still run', async () => {
    const dir = tempDir();
    heldByOther(dir, content(dir, await deadProcess()));
    expect(facts(caught(() => lock(dir)))).toStrictEqual({
      code: 'F0001',
      severity: 'FATAL',
      message: 'pre-existing shared memory block is still in use',
      hint: `Terminate any old server processes associated with data directory "${dir}".`,
    });
  });
  test('held, and its pid is somebody else by now: the same', () => {
    const dir = tempDir();
    heldByOther(dir, content(dir, { pid: process.pid, processStart: '1 another-boot' }));
    expect(caught(() => lock(dir)).message).toBe('pre-existing shared memory block is still in use');
  });
  test('held and empty: another one is about to write its pid', () => {
    const dir = tempDir();
    heldByOther(dir, '');
    expect(facts(caught(() => lock(dir)))).toStrictEqual({
      code: 'F0001',
      severity: 'FATAL',
      message: 'lock file "postmaster.pid" is empty',
      hint: 'Either another server is starting, or the lock file is the remnant of a previous server startup crash.',
    });
  });
  test.each(['xyz\n', '0\n', '-5\n', '99999999999999999\n'])('held, with %j in it', (garbage) => {
    const dir = tempDir();
    heldByOther(dir, garbage);
    expect(facts(caught(() => lock(dir)))).toStrictEqual({
      code: 'XX000',
      severity: 'FATAL',
      message: `bogus data in lock file "postmaster.pid": "${garbage}"`,
      hint: undefined,
    });
  });
  test.each(['', 'garbage\n'.repeat(100), '1\n/\n'])('free: %j is stale, and taken over without a word', (stale) => {
    const dir = tempDir();
    writeFileSync(join(dir, 'postmaster.pid'), stale);
    lock(dir);
    expect(readLockFile(dir)).toMatchObject({ pid: process.pid, status: 'starting' });
    expect(readFileSync(join(dir, 'postmaster.pid'), 'utf8')).not.toContain('garbage');
    expect(log).toStrictEqual([]);
  });
  test('free, though its postmaster seems to live: the lock knows better', () => {
    const dir = tempDir();
    writeFileSync(join(dir, 'postmaster.pid'), content(dir, ourselves()));
    lock(dir);
    expect(readLockFile(dir)?.pid).toBe(process.pid);
  });

  test('race: the file is removed between open and lock', () => {
    const dir = tempDir();
    const path = join(dir, 'postmaster.pid');
    let calls = 0;
    lock(dir, {
      flock: (fd) => {
        if (calls++ === 0) rmSync(path);
        return native.flock(fd);
      },
    });
    expect(calls).toBe(2);
    expect(readLockFile(dir)?.pid).toBe(process.pid);
  });
  test('race: removed, and made anew by a third, which then holds the lock', () => {
    const dir = tempDir();
    let calls = 0;
    const flock = (fd: number): number => {
      if (calls++ === 0) {
        rmSync(join(dir, 'postmaster.pid'));
        heldByOther(dir, content(dir, ourselves()));
      }
      return native.flock(fd);
    };
    expect(caught(() => lock(dir, { flock })).message).toBe('lock file "postmaster.pid" already exists');
  });
  test('race: the holder that made us fail has gone before we say so', () => {
    const dir = tempDir();
    let calls = 0;
    const flock = (fd: number): number => {
      if (calls++ > 0) return native.flock(fd);
      rmSync(join(dir, 'postmaster.pid'));
      return -constants.errno.EWOULDBLOCK;
    };
    lock(dir, { flock });
    expect(calls).toBe(2);
  });
  test('a file that is removed again and again is given up', () => {
    const dir = tempDir();
    const flock = (): number => {
      rmSync(join(dir, 'postmaster.pid'));
      return 0;
    };
    expect(caught(() => lock(dir, { flock })).message).toContain('could not create lock file "postmaster.pid"');
  });
  test('a file system without locks', () => {
    const dir = tempDir();
    expect(caught(() => lock(dir, { flock: () => -constants.errno.ENOLCK })).message).toBe(
      'could not lock file "postmaster.pid": No locks available',
    );
  });
  test('no file can be made', () => {
    const dir = tempDir();
    mkdirSync(join(dir, 'postmaster.pid'));
    expect(facts(caught(() => lock(dir)))).toMatchObject({ code: '42809', message: 'could not create lock file "postmaster.pid": Is a directory' });
    expect(caught(() => lock(join(dir, 'none')))).toMatchObject({
      code: '58P01',
      message: 'could not create lock file "postmaster.pid": No such file or directory',
    });
  });
  test('a symbolic link is not followed', () => {
    const dir = tempDir();
    symlinkSync('elsewhere', join(dir, 'postmaster.pid'));
    expect(caught(() => lock(dir)).message).toBe('could not create lock file "postmaster.pid": Too many levels of symbolic links');
    expect(existsSync(join(dir, 'elsewhere'))).toBe(false);
  });
  test('a failure leaves no descriptor open', () => {
    const dir = tempDir();
    lock(dir);
    const before = openFds(process.pid).size;
    caught(() => lock(dir));
    caught(() => lock(dir, { flock: () => -constants.errno.ENOLCK }));
    expect(openFds(process.pid).size).toBe(before);
  });
});
