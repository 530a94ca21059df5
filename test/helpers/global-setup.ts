// Around a whole run of tests: gives it a mark and a directory, and looks at its end whether anything is left. Runs in vitest's main process.
//
// What must not be there at the end: a process that bears the mark (they are killed, by pid), a zombie child of ours, a directory or a socket below the run's
// own directory. Any of these fails the run; `plain-reporter.ts` counts it as a failure in the closing line.
import { randomUUID } from 'node:crypto';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { chmod } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestProject } from 'vitest/node';
import { type Mark, SCAN_PAUSE_MS, killMarked, marked } from './leftovers.js';
import { childrenOf, describeProcess, titleOf, zombiesOf } from './processes.js';
import { waitUntil } from './wait-until.js';

declare module 'vitest' {
  export interface ProvidedContext {
    /** Random: in the environment of everything that the tests start. */
    bgworkerTestRun: string;
    /** Below which the tests make their directories. */
    bgworkerTestTmp: string;
  }
}

export async function setup(project: TestProject): Promise<() => Promise<void>> {
  const run = randomUUID();
  const dir = mkdtempSync(join(tmpdir(), 'bgw-'));
  await chmod(dir, 0o711);
  project.provide('bgworkerTestRun', run);
  project.provide('bgworkerTestTmp', dir);
  return () => teardown({ variable: `BGWORKER_TEST_RUN=${run}`, dir });
}

/** Vitest's own workers may still be on their way out, with a log of a test open. */
function vitestWorkers(): number[] {
  return childrenOf(process.pid).filter((pid) => titleOf(pid).includes('/vitest/'));
}

async function teardown(mark: Mark): Promise<void> {
  const problems = [...(await leftProcesses(mark)), ...(await leftZombies()), ...leftFiles(mark.dir)];
  const keep = problems.length > 0 && process.env['BGWORKER_TEST_KEEP'] === '1';
  if (!keep) rmSync(mark.dir, { recursive: true });
  if (problems.length === 0) return;
  process.stderr.write(`\nThe tests left something behind:\n${problems.map((line) => `  ${line}\n`).join('')}`);
  // An exception out of here would be logged by vitest and change nothing.
  process.exitCode = 1;
}

/**
 * What ends of itself within a moment was not left behind; what is there after it, is. On a busy machine a moment is long: a worker of vitest's whose main thread
 * has ended is a zombie until the kernel has run all of its other threads to their end.
 */
async function afterAMoment(look: () => number[]): Promise<number[]> {
  await waitUntil(() => look().length === 0, { timeoutMs: 20_000, pauseMs: SCAN_PAUSE_MS, what: 'processes to go' }).catch(() => {});
  return look();
}

async function leftProcesses(mark: Mark): Promise<string[]> {
  const left = await afterAMoment(() => marked(mark, vitestWorkers()));
  const lines = left.map((pid) => `process ${describeProcess(pid)}`);
  if (left.length > 0) await killMarked(mark, vitestWorkers());
  return lines;
}

async function leftZombies(): Promise<string[]> {
  const left = await afterAMoment(() => [process.pid, ...vitestWorkers()].flatMap(zombiesOf));
  return left.map((pid) => `zombie ${describeProcess(pid)}`);
}

/** Directories, files and sockets: whatever has a name there. */
function leftFiles(dir: string): string[] {
  return readdirSync(dir, { recursive: true, withFileTypes: true }).map(
    (entry) => `${entry.isSocket() ? 'socket' : entry.isDirectory() ? 'directory' : 'file'} ${join(entry.parentPath, entry.name)}`,
  );
}
