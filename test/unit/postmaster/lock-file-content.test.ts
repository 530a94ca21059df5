// What a lock file says, and whether who wrote it lives.
import { spawn } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Writable } from 'node:stream';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { formatLockFile, parseLockFile, postmasterIsRunning, processStart, readLockFile } from '../../../src/postmaster/lock-file-content.js';
import { processState, tempDir, titleOf, waitUntil } from '../../helpers/index.js';

const whole = { pid: 12, dataDir: '/d', startTime: 99, socketPath: '/d/s', status: 'ready', processStart: '5 boot', database: 'away' } as const;

describe('parseLockFile', () => {
  test('reads what formatLockFile writes', () => {
    expect(formatLockFile(whole)).toBe('12\n/d\n99\n/d/s\nready   \n5 boot\naway    \n');
    expect(parseLockFile(formatLockFile(whole))).toStrictEqual(whole);
  });
  test('a file without lines 6 and 7, or half a file', () => {
    expect(parseLockFile('12\n/d\n99\n/d/s\nstandby \n')).toStrictEqual({ ...whole, status: 'standby', processStart: '', database: '' });
    expect(parseLockFile('12')).toStrictEqual({ pid: 12, dataDir: '', startTime: 0, socketPath: '', status: '', processStart: '', database: '' });
    expect(parseLockFile('12\n/d\nx\n/d/s\nre')).toMatchObject({ startTime: 0, status: '' });
    expect(parseLockFile('12\n/d\n99\n/d/s\nready   \n5 boot\nawayward\n')).toStrictEqual({ ...whole, database: '' });
  });
  test.each(['', '\n', 'x', '0', '-3', '99999999999999999', ' \n12'])('%j has no pid', (text) => expect(parseLockFile(text)).toBeNull());
  test('takes anything', () => fc.assert(fc.property(fc.string({ unit: 'binary' }), (text) => void parseLockFile(text))));
});

describe('readLockFile', () => {
  test('no file, no directory, an empty file', () => {
    const dir = tempDir();
    expect(readLockFile(dir)).toBeNull();
    expect(readLockFile(join(dir, 'none'))).toBeNull();
    writeFileSync(join(dir, 'postmaster.pid'), '');
    expect(readLockFile(dir)).toBeNull();
  });
  test('a file', () => {
    const dir = tempDir();
    writeFileSync(join(dir, 'postmaster.pid'), formatLockFile(whole));
    expect(readLockFile(dir)).toStrictEqual(whole);
  });
  test('one that cannot be read is an error', () => {
    const dir = tempDir();
    mkdirSync(join(dir, 'postmaster.pid'));
    expect(() => readLockFile(dir)).toThrow('EISDIR');
  });
});

describe('postmasterIsRunning', () => {
  test('the process itself', () => expect(postmasterIsRunning({ pid: process.pid, processStart: processStart(process.pid) })).toBe(true));
  test('a process that began at another time is another one', () => {
    const [ticks, boot] = processStart(process.pid).split(' ');
    expect(postmasterIsRunning({ pid: process.pid, processStart: `${Number(ticks) - 1} ${boot}` })).toBe(false);
    expect(postmasterIsRunning({ pid: process.pid, processStart: `${ticks} another` })).toBe(false);
  });
  test('without line 6, the pid must do', () => expect(postmasterIsRunning({ pid: process.pid, processStart: '' })).toBe(true));
  test('somebody else’s process counts', () => expect(postmasterIsRunning({ pid: 1, processStart: processStart(1) })).toBe(true));
  test('no process', () => {
    const max = Number(readFileSync('/proc/sys/kernel/pid_max', 'latin1'));
    expect(postmasterIsRunning({ pid: max + 1, processStart: '' })).toBe(false);
  });
  test('a zombie does not run', async () => {
    // A shell that has become a cat never reaps its child, which is let go only then.
    const parent = spawn('sh', ['-c', 'cat <&3 >&2 & echo $!; exec cat'], { stdio: ['pipe', 'pipe', 'ignore', 'pipe'] });
    let out = '';
    parent.stdout?.on('data', (chunk: Buffer) => (out += chunk.toString()));
    const pid = Number(await waitUntil(() => /^\d+\n/.exec(out)?.[0], { what: 'the pid of a child' }));
    await waitUntil(() => titleOf(Number(parent.pid)) === 'cat', { what: 'the shell to become a cat' });
    (parent.stdio[3] as Writable).end();
    await waitUntil(() => processState(pid) === 'Z', { what: 'a zombie' });
    expect(processStart(pid)).toBe('');
    expect(postmasterIsRunning({ pid, processStart: '' })).toBe(false);
    expect(postmasterIsRunning({ pid, processStart: '1 x' })).toBe(false);
    const ended = new Promise((resolve) => parent.once('exit', resolve));
    parent.stdin?.end();
    await ended;
  });
});
