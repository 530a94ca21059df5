// Starting: the data directory, its lock, who may, and how it is called. Contract L-46; issue 2, points 4 and "Bad input".
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, chownSync, existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { connect } from '../../dist/session/client.js';
import { dist, environOf, tempDir, waitUntil, withPostmaster } from '../helpers/index.js';
import { CALLS, openSession } from './support.js';

const isRoot = process.getuid?.() === 0;
const NOBODY = 65534;

/** It would start itself again without them, which takes time. */
const NODE_FLAGS = ['--single-threaded', '--v8-pool-size=1'];

interface Run {
  readonly child: ChildProcess;
  readonly log: () => string;
  readonly exited: Promise<unknown[]>;
}

/** A postmaster by its own command line; ended with the test. */
function run(args: readonly string[], options: { env?: NodeJS.ProcessEnv; uid?: number } = {}): Run {
  const child = spawn(process.execPath, [...NODE_FLAGS, dist('postmaster/main.js'), ...args], {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: { ...process.env, ...options.env },
    ...(options.uid === undefined ? {} : { uid: options.uid, gid: options.uid }),
  });
  let log = '';
  child.stderr?.on('data', (chunk: Buffer) => (log += chunk.toString()));
  const exited = once(child, 'close');
  onTestFinished(async () => {
    child.kill('SIGQUIT');
    await exited;
  });
  return { child, log: () => log, exited };
}

const SETTINGS = ['-c', 'database=none', ...(isRoot ? ['-c', 'allow_root=on'] : [])];

/** The lines, from FATAL on, of one that does not start. */
async function refusal(args: readonly string[], options: Parameters<typeof run>[1] = {}): Promise<string[]> {
  const { log, exited } = run(args, options);
  expect(await exited).toEqual([1, null]);
  const lines = log().trimEnd().split('\n').map((line) => line.replace(/^\S+ \S+ \S+ \[\d+\] /, '')); // prettier-ignore
  return lines.slice(lines.findIndex((line) => line.startsWith('FATAL')));
}

async function ready({ log }: Run): Promise<void> {
  await waitUntil(() => log().includes('database system is ready to accept connections'), {
    timeoutMs: 40_000,
    what: () => `the postmaster to be ready:\n${log()}`,
  });
}

describe('the lock', () => {
  test('a second postmaster on the directory is refused, and the first goes on', async () => {
    await withPostmaster({}, async (pm) => {
      const [fatal, hint] = await refusal(['-D', pm.dir, ...SETTINGS]);
      expect(fatal).toBe('FATAL:  lock file "postmaster.pid" already exists');
      expect(hint).toBe(`HINT:  Is another postmaster (PID ${pm.pid}) running in data directory "${pm.dir}"?`);
      const session = await openSession(pm);
      expect(await session.call(CALLS, 'echo', 1)).toEqual([1]);
      expect(pm.status()).toBe('ready');
    });
  });

  test('of six that start at the same moment one wins', async () => {
    const dir = tempDir();
    chmodSync(dir, 0o700);
    const all = Array.from({ length: 6 }, () => run(['-D', dir, ...SETTINGS]));
    const won = (one: Run): boolean => one.log().includes('ready to accept connections');
    const lost = (one: Run): boolean => one.child.exitCode === 1;
    await waitUntil(() => all.every((one) => won(one) || lost(one)), { timeoutMs: 40_000, what: 'the race to be over' });
    expect([all.filter(won).length, all.filter(lost).length]).toEqual([1, 5]);
    expect(Number.parseInt(readFileSync(join(dir, 'postmaster.pid'), 'utf8'), 10)).toBe(all.find(won)?.child.pid);
  });

  test.each([
    ['of a process that is gone', '4194304\n/nowhere\n0\n\nready   \n'],
    ['of a process that lives and is no postmaster', `${process.pid}\n/nowhere\n0\n\nready   \n`],
    ['without sense', 'not a lock file at all'],
    ['that is empty', ''],
  ])('a stale lock file %s is taken over', async (_what, content) => {
    const dir = tempDir();
    chmodSync(dir, 0o700);
    writeFileSync(join(dir, 'postmaster.pid'), content);
    writeFileSync(join(dir, '.s.bgworker'), 'what an earlier one left');
    const started = run(['-D', dir, ...SETTINGS]);
    await ready(started);
    const lines = readFileSync(join(dir, 'postmaster.pid'), 'utf8').split('\n');
    expect(lines.slice(0, 2)).toEqual([String(started.child.pid), dir]);
    expect(lines[3]).toBe(join(dir, '.s.bgworker'));
    expect(statSync(join(dir, '.s.bgworker')).mode & 0o777).toBe(0o600);
    started.child.kill('SIGTERM');
    expect(await started.exited).toEqual([0, null]);
    for (const name of ['postmaster.pid', '.s.bgworker']) expect(existsSync(join(dir, name))).toBe(false);
  });
});

describe('the directory', () => {
  test('that does not exist', async () => {
    const dir = join(tempDir(), 'nowhere');
    expect(await refusal(['-D', dir, ...SETTINGS])).toEqual([`FATAL:  data directory "${dir}" does not exist`]);
  });

  test('that is none', async () => {
    const file = join(tempDir(), 'file');
    writeFileSync(file, '');
    expect(await refusal(['-D', file, ...SETTINGS])).toEqual([`FATAL:  specified data directory "${file}" is not a directory`]);
  });

  test('that is somebody’s photographs', async () => {
    const dir = tempDir();
    chmodSync(dir, 0o700);
    writeFileSync(join(dir, 'holiday.jpg'), '');
    const [fatal, detail, hint] = await refusal(['-D', dir, ...SETTINGS]);
    expect(fatal).toBe(`FATAL:  "${dir}" is not a valid data directory`);
    expect([detail, hint].map((line) => line?.slice(0, 6))).toEqual(['DETAIL', 'HINT: ']);
    expect(existsSync(join(dir, 'postmaster.pid'))).toBe(false);
  });

  test('that is PostgreSQL’s own', async () => {
    const dir = tempDir();
    chmodSync(dir, 0o700);
    for (const name of ['PG_VERSION', 'postmaster.pid']) writeFileSync(join(dir, name), '15\n');
    expect((await refusal(['-D', dir, ...SETTINGS]))[0]).toBe(`FATAL:  "${dir}" is not a valid data directory`);
    expect(readFileSync(join(dir, 'postmaster.pid'), 'utf8')).toBe('15\n');
  });

  test.each([0o755, 0o770])('that others may use (mode %o)', async (mode) => {
    const dir = tempDir();
    chmodSync(dir, mode);
    expect(await refusal(['-D', dir, ...SETTINGS])).toEqual([
      `FATAL:  data directory "${dir}" has invalid permissions`,
      'DETAIL:  Permissions should be u=rwx (0700) or u=rwx,g=rx (0750).',
    ]);
  });

  test.runIf(isRoot)('that is somebody else’s', async () => {
    const dir = join(tempDir(), 'theirs');
    mkdirSync(dir, { mode: 0o700 });
    chownSync(dir, NOBODY, NOBODY);
    expect(await refusal(['-D', dir, ...SETTINGS])).toEqual([
      `FATAL:  data directory "${dir}" has wrong ownership`,
      'HINT:  The server must be started by the user that owns the data directory.',
    ]);
  });

  test.runIf(!isRoot)('that cannot be written', async () => {
    const dir = tempDir();
    chmodSync(dir, 0o500);
    expect((await refusal(['-D', dir, ...SETTINGS]))[0]).toBe('FATAL:  could not create lock file "postmaster.pid": Permission denied');
    chmodSync(dir, 0o700);
  });
});

describe('who, and how', () => {
  test.runIf(isRoot)('root is refused without allow_root', async () => {
    const dir = tempDir();
    chmodSync(dir, 0o700);
    const [fatal, detail, hint] = await refusal(['-D', dir, '-c', 'database=none']);
    expect(fatal).toBe('FATAL:  "root" execution of the bgworker postmaster is not permitted');
    expect(detail).toMatch(/^DETAIL: {2}The postmaster must be started under an unprivileged user ID/);
    expect(hint).toMatch(/allow_root=on/);
    expect(existsSync(join(dir, 'postmaster.pid'))).toBe(false);
  });

  test.each([
    [[], /^FATAL: {2}no data directory specified and environment variable BGWORKER_DATA unset$/],
    [['--nonsense'], /^FATAL: {2}invalid argument: "--nonsense"$/],
  ])('arguments %j', async (args, expected) => {
    const env = { BGWORKER_DATA: undefined };
    expect((await refusal(args, { env }))[0]).toMatch(expected);
  });

  test.each([
    ['max_worker_processes=-1', '-1 is outside the valid range for parameter "max_worker_processes" (0 .. 262143)'],
    ['nonsense=1', 'unrecognized configuration parameter "nonsense"'],
  ])('the setting %s', async (setting, message) => {
    const dir = tempDir();
    chmodSync(dir, 0o700);
    expect((await refusal(['-D', dir, ...SETTINGS, '-c', setting]))[0]).toBe(`FATAL:  ${message}`);
  });

  test('a relative pg_bindir starts where the postmaster was started', async () => {
    const dir = tempDir();
    chmodSync(dir, 0o700);
    const args = ['-D', dir, ...SETTINGS, '-c', 'database=owned', '-c', 'pg_bindir=no/where'];
    expect((await refusal(args))[0]).toBe(`FATAL:  invalid value for parameter "pg_bindir": "${join(process.cwd(), 'no/where')}"`);
  });

  test('BGWORKER_DATA stands for -D, and an empty directory will do', async () => {
    const dir = tempDir();
    chmodSync(dir, 0o700);
    await ready(run(SETTINGS, { env: { BGWORKER_DATA: dir } }));
  });

  test('it starts itself again, as the same process, where io_uring stands against forks', async () => {
    const dir = tempDir();
    chmodSync(dir, 0o700);
    const started = run(['-D', dir, ...SETTINGS], { env: { UV_USE_IO_URING: '1' } });
    await ready(started);
    expect(environOf(started.child.pid as number)).toContain('UV_USE_IO_URING=0');
    const session = await connect(dir);
    expect(session.postmasterPid).toBe(started.child.pid);
    await session.close();
  });
});
