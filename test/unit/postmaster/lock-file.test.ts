// The lock on a data directory, with the kernel's own flock on real files. Who holds it besides us is another open file of this process, which is as
// good to flock as another process; where it matters that the holder is a process, there is one.
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
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { constants } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { type ErrorData, levelName } from '../../../src/elog/error-data.js';
import { setClientSink } from '../../../src/elog/elog.js';
import { setMyProcPid } from '../../../src/globals.js';
import { native } from '../../../src/native.js';
import { formatLockFile, processStart, readLockFile } from '../../../src/postmaster/lock-file-content.js';
import {
  type FileLocker,
  closeLockFile,
  createDataDirLockFile,
  lockFileIsValid,
  removeLockFile,
  updateStatus,
} from '../../../src/postmaster/lock-file.js';
import { isAlive, openFds, tempDir, waitUntil } from '../../helpers/index.js';

let log: string[] = [];
beforeEach(() => {
  log = [];
  setClientSink((level, { message }) => log.push(`${levelName(level)}:  ${message}`));
});
afterEach(() => setClientSink(null));

function caught(run: () => unknown): ErrorData {
  try {
    run();
  } catch (err) {
    return err as ErrorData;
  }
  throw new Error('nothing was thrown');
}

const facts = ({ code, message, severity, hint }: ErrorData) => ({ code, message, severity, hint });

/** Takes the lock, until the test ends. */
function lock(dir: string, locker: FileLocker = native): void {
  createDataDirLockFile(dir, join(dir, '.s.bgworker'), locker);
  onTestFinished(closeLockFile);
}

/** A lock file that somebody else holds the lock on. */
function heldByOther(dir: string, content: string): void {
  const path = join(dir, 'postmaster.pid');
  writeFileSync(path, content);
  const fd = openSync(path, 'r+');
  onTestFinished(() => closeSync(fd));
  expect(native.flock(fd)).toBe(0);
}

async function deadProcess(): Promise<{ pid: number; processStart: string }> {
  const child = spawn('cat', { stdio: ['pipe', 'ignore', 'ignore'] });
  const pid = await waitUntil(() => child.pid, { what: 'a pid' });
  const start = processStart(pid);
  child.stdin.end();
  await new Promise((resolve) => child.once('exit', resolve));
  return { pid, processStart: start };
}

const content = (dir: string, process: { pid: number; processStart: string }): string =>
  formatLockFile({ dataDir: dir, startTime: 1, socketPath: 's', status: 'ready', ...process });
const ourselves = () => ({ pid: process.pid, processStart: processStart(process.pid) });

describe('createDataDirLockFile', () => {
  test('writes the lines that everybody reads', () => {
    const dir = tempDir();
    const before = Math.floor(Date.now() / 1000);
    lock(dir);
    const lines = readFileSync(join(dir, 'postmaster.pid'), 'utf8').split('\n');
    expect(lines).toStrictEqual([`${process.pid}`, dir, lines[2], join(dir, '.s.bgworker'), 'starting', processStart(process.pid), '']);
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

describe('updateStatus, removeLockFile, closeLockFile', () => {
  test('the status is written in place, and always as wide', () => {
    const dir = tempDir();
    lock(dir);
    const path = join(dir, 'postmaster.pid');
    const { size, ino } = statSync(path);
    for (const status of ['ready', 'standby', 'stopping', 'ready'] as const) {
      updateStatus(status);
      expect(readFileSync(path, 'utf8').split('\n')[4]).toBe(status.padEnd(8));
      expect(readLockFile(dir)?.status).toBe(status);
    }
    expect(statSync(path)).toMatchObject({ size, ino });
  });
  test('removing takes the file away and frees the lock', () => {
    const dir = tempDir();
    lock(dir);
    removeLockFile();
    removeLockFile();
    expect(existsSync(join(dir, 'postmaster.pid'))).toBe(false);
    updateStatus('ready');
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
