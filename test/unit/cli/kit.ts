// What the tests of the commands have in common: a data directory, a run of one command in this process, and the end of what it started.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach } from 'vitest';
import { runCommandLine } from '../../../src/cli/program.js';
import type { Surroundings } from '../../../src/cli/surroundings.js';
import { readLockFile } from '../../../src/postmaster/lock-file-content.js';
import { fixture, isAlive, tempDir, titleOf, waitUntil } from '../../helpers/index.js';

/** The data directory of the running test; it does not exist at first. */
export let dir: string;
export function setDir(path: string): void {
  dir = path;
}

const started = new Set<number>();

/** Call it once in a test file. */
export function useStandIn(): void {
  beforeEach(() => {
    dir = join(tempDir(), 'data');
  });
  afterEach(async () => {
    for (const left of started) {
      if (isAlive(left) && titleOf(left).includes('cli-postmaster')) process.kill(left, 'SIGKILL');
      await waitUntil(() => !isAlive(left), { what: 'a stand-in to end' });
    }
    started.clear();
  });
}

export interface Result {
  readonly status: number;
  readonly out: string;
  readonly err: string;
}

/** Runs a command, with test/fixtures/cli-postmaster.mjs for a postmaster. */
export async function bgworker(args: readonly string[], more: Partial<Surroundings> = {}): Promise<Result> {
  let out = '';
  let err = '';
  const { env } = process;
  const status = await runCommandLine(args, {
    out: (text) => void (out += text),
    err: (text) => void (err += text),
    env,
    isTerminal: false,
    postmaster: fixture('cli-postmaster.mjs'),
    cwd: process.cwd(),
    becomeServerUser: () => undefined, // the stand-in has nothing against root
    ...more,
  });
  return { status, out, err };
}

export const ok = (out: string): Result => ({ status: 0, out, err: '' });
export const failed = (err: string, status = 1): Result => ({ status, out: '', err });
export const json = (name: string): Record<string, unknown> => JSON.parse(readFileSync(join(dir, name), 'utf8')) as Record<string, unknown>;

/** The pid of the stand-in, which the end of the test will end. */
export function serverPid(): number {
  const pid = readLockFile(dir)?.pid ?? 0;
  started.add(pid);
  return pid;
}
