// What the tests of the lock have in common: taking it, a lock that somebody else holds, the log.
import { spawn } from 'node:child_process';
import { closeSync, openSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, onTestFinished } from 'vitest';
import { type ErrorData, PANIC, WARNING, levelName } from '../../../src/elog/error-data.js';
import { configureLog, setClientSink } from '../../../src/elog/elog.js';
import { native } from '../../../src/native.js';
import { formatLockFile, processStart } from '../../../src/postmaster/lock-file-content.js';
import { type FileLocker, closeLockFile, createDataDirLockFile } from '../../../src/postmaster/lock-file.js';
import { waitUntil } from '../../helpers/index.js';

export let log: string[] = [];
/** Call it once in a test file: `log` then has what the running test logged. */
export function useLog(): void {
  beforeEach(() => {
    log = [];
    configureLog({ minMessages: PANIC }); // the sink has it all
    setClientSink((level, { message }) => log.push(`${levelName(level)}:  ${message}`));
  });
  afterEach(() => {
    setClientSink(null);
    configureLog({ minMessages: WARNING });
  });
}

export function caught(run: () => unknown): ErrorData {
  try {
    run();
  } catch (err) {
    return err as ErrorData;
  }
  throw new Error('nothing was thrown');
}

export const facts = ({ code, message, severity, hint }: ErrorData): Record<'code' | 'message' | 'severity' | 'hint', string | undefined> => ({
  code,
  message,
  severity,
  hint,
});

/** Takes the lock, until the test ends. */
export function lock(dir: string, locker: FileLocker = native): void {
  createDataDirLockFile(dir, join(dir, '.s.bgworker'), locker);
  onTestFinished(closeLockFile);
}

/** A lock file that somebody else holds the lock on. */
export function heldByOther(dir: string, content: string): void {
  const path = join(dir, 'postmaster.pid');
  writeFileSync(path, content);
  const fd = openSync(path, 'r+');
  onTestFinished(() => closeSync(fd));
  expect(native.flock(fd)).toBe(0);
}

export async function deadProcess(): Promise<{ pid: number; processStart: string }> {
  const child = spawn('cat', { stdio: ['pipe', 'ignore', 'ignore'] });
  const pid = await waitUntil(() => child.pid, { what: 'a pid' });
  const start = processStart(pid);
  child.stdin.end();
  await new Promise((resolve) => child.once('exit', resolve));
  return { pid, processStart: start };
}

export const content = (dir: string, process: { pid: number; processStart: string }): string =>
  formatLockFile({ dataDir: dir, startTime: 1, socketPath: 's', status: 'ready', database: 'none', ...process });
export const ourselves = (): { pid: number; processStart: string } => ({ pid: process.pid, processStart: processStart(process.pid) });
