// `npm run demo`, as a newcomer runs it: its exit status is its own verdict, and must not be its only one.
import { type ChildProcess, spawn } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { projectRoot, tempDir, waitUntil } from '../helpers/index.js';

interface Demo {
  readonly child: ChildProcess;
  readonly output: () => string;
  readonly exited: Promise<number | NodeJS.Signals | null>;
  /** What is left where it makes its directory. */
  readonly left: () => string[];
}

function startDemo(args: readonly string[] = []): Demo {
  const dir = tempDir('d');
  const child = spawn(process.execPath, [join(projectRoot, 'examples/demo/demo.mjs'), ...args], {
    cwd: '/',
    env: { ...process.env, TMPDIR: dir, BGWORKER_TEST_NOSYNC: '1', FORCE_COLOR: '1' },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text: string) => (output += text));
  const exited = new Promise<number | NodeJS.Signals | null>((resolve) => {
    child.once('close', (code, signal) => resolve(code ?? signal));
  });
  // Where a test gives up on it: asked to end, it ends what it has started.
  onTestFinished(async () => {
    if (child.exitCode === null && child.signalCode === null) child.kill('SIGTERM');
    await exited;
  });
  return { child, output: () => output, exited, left: () => readdirSync(dir) };
}

describe('npm run demo', () => {
  test('everything is seen, and nothing is left', async () => {
    const demo = startDemo();
    const status = await demo.exited;
    const output = demo.output();
    expect(status, output).toBe(0);
    for (const line of [
      /\| .* LOG: {2}worker_spi worker 1 initialized with schema1\.counted\n/,
      /✓ the rows of type delta are gone, and the total is 42\n/,
      /✓ the handle \(slot \d+, generation \d+\) says BGWH_STARTED, PID \d+\n/,
      /\| .* FATAL: {2}terminating background worker "hello" due to administrator command\n/,
      /✓ "hello" is back as process \d+, \d+\.\d s after its end; the same handle leads to it\n/,
      /\| +\d+ +\d+ postgres: bgworker: worker_spi worker 2\n/,
      /\| .* LOG: {2}all server processes terminated; reinitializing\n/,
      /\| .* LOG: {2}database system is shut down\n/,
      /✓ no process is left, and no zombie\n/,
      /\n✓ static workers( {2}✓ [a-z ]+){7}\nAll of it was seen, in \d+ seconds\.\n$/,
    ])
      expect(output).toMatch(line);
    expect(output, 'colours are for terminals').not.toContain('\u001B[');
    expect(demo.left()).toEqual([]);
  });

  test('interrupted, it ends what it has started', async () => {
    const demo = startDemo();
    await waitUntil(() => demo.output().includes('1. Static workers start'), { what: 'the first act' });
    demo.child.kill('SIGINT');
    expect(await demo.exited).toBe(130);
    expect(demo.output()).toMatch(/\n✗ static workers( {2}– [a-z ]+){7}\nNot seen \(static workers\): interrupted by SIGINT\n$/);
    expect(demo.left()).toEqual([]);
  });

  test('a server that does not start: status 1, what was missing, and the log', async () => {
    const demo = startDemo(['-c', 'pg_bindir=/nonexistent']);
    expect(await demo.exited).toBe(1);
    expect(demo.output()).toContain('\nNot seen (static workers): the server ended while it started\n');
    expect(demo.output()).toContain('FATAL:  invalid value for parameter "pg_bindir": "/nonexistent"\n');
    expect(demo.left()).toEqual([]);
  });
});
