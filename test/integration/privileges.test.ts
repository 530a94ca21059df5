// Whom a server runs as, whom it serves, and whose code it loads. As root: the user that it becomes. As anybody: sockets, files, libraries.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, chownSync, existsSync, mkdirSync, readFileSync, readdirSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { connect } from '../../dist/session/client.js';
import { NODE_FLAGS } from '../../dist/launch/node-flags.js';
import { dist, environOf, fixture, isAlive, projectRoot, tempDir, waitUntil, withPostmaster } from '../helpers/index.js';
import { CALLS, WORKERS, errorOf, launch, logLines, openSession, register, worker } from './support.js';

const isRoot = process.getuid?.() === 0;
const NOBODY = 65534;
const PRELOAD = ['-c', 'allow_writable_libraries=on', '-c', `shared_preload_libraries=${WORKERS},${CALLS}`];

interface Run {
  readonly child: ChildProcess;
  readonly log: () => string;
  readonly exited: Promise<unknown[]>;
}

function run(file: string, args: readonly string[], options: { uid?: number; env?: NodeJS.ProcessEnv; flags?: readonly string[] } = {}): Run {
  const child = spawn(process.execPath, [...(options.flags ?? []), file, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    cwd: '/',
    env: { ...process.env, ...options.env },
    ...(options.uid === undefined ? {} : { uid: options.uid, gid: options.uid }),
  });
  let log = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (log += chunk.toString()));
  const exited = once(child, 'close');
  onTestFinished(async () => {
    child.kill('SIGQUIT');
    await exited;
  });
  return { child, log: () => log, exited };
}

const postmaster = (args: readonly string[], options?: Parameters<typeof run>[2]): Run =>
  run(dist('postmaster/main.js'), args, { flags: NODE_FLAGS, ...options });
const command = (args: readonly string[], options?: Parameters<typeof run>[2]): Run => run(dist('cli/main.js'), args, options);

async function ready({ log }: Run): Promise<void> {
  await waitUntil(() => log().includes('database system is ready to accept connections'), { what: () => `the postmaster to be ready:\n${log()}` });
}

async function refusal(started: Run): Promise<string[]> {
  expect(await started.exited).toEqual([1, null]);
  const lines = started.log().trimEnd().split('\n').map((line) => line.replace(/^\S+ \S+ \S+ \[\d+\] /, '')); // prettier-ignore
  return lines.slice(lines.findIndex((line) => line.startsWith('FATAL')));
}

function directoryOf(uid: number, conf = ''): string {
  const dir = join(tempDir(), 'data');
  mkdirSync(dir, { mode: 0o700 });
  writeFileSync(join(dir, 'bgworker.conf'), conf, { mode: 0o600 });
  for (const path of [dir, join(dir, 'bgworker.conf')]) if (isRoot) chownSync(path, uid, uid);
  return dir;
}

/** Lines of /proc/PID/status, as they stand there. */
function statusOf(pid: number, ...names: string[]): Record<string, string> {
  const lines = readFileSync(`/proc/${pid}/status`, 'utf8').split('\n').map((line) => line.split(/:\s*/, 2)); // prettier-ignore
  return Object.fromEntries(lines.filter(([name]) => names.includes(name as string)).map(([name, text]) => [name, (text as string).trim()]));
}

const IDS = ['Uid', 'Gid', 'Groups', 'CapInh', 'CapPrm', 'CapEff', 'CapAmb', 'NoNewPrivs'];
const NOBODYS = {
  Uid: Array(4).fill(NOBODY).join('\t'),
  Gid: Array(4).fill(NOBODY).join('\t'),
  Groups: String(NOBODY),
  ...Object.fromEntries(['CapInh', 'CapPrm', 'CapEff', 'CapAmb'].map((set) => [set, '0'.repeat(16)])),
  NoNewPrivs: '1',
};

describe.runIf(isRoot)('root becomes the user that "user" names', () => {
  test('for good: postmaster and workers; what they make is private, and nothing of root stays', async () => {
    const dir = directoryOf(NOBODY);
    const started = postmaster(['-D', dir, '-c', 'database=none', '-c', 'user=nobody', ...PRELOAD]);
    await ready(started);
    const pid = started.child.pid as number;
    expect(statusOf(pid, ...IDS)).toEqual(NOBODYS);
    expect(environOf(pid)).toEqual(expect.arrayContaining(['USER=nobody', 'LOGNAME=nobody']));
    const session = await connect(dir);
    const { pid: workerPid } = await launch(session, worker('idle'));
    expect(statusOf(workerPid, ...IDS)).toEqual(NOBODYS);
    expect(statusOf(session.backendPid, ...IDS)).toEqual(NOBODYS);
    for (const name of readdirSync(dir)) {
      const { mode, uid } = statSync(join(dir, name));
      expect([name, mode & 0o077, uid]).toEqual([name, 0, NOBODY]);
    }
    // The parent-death signal is cleared by a change of user: ours was asked for after it.
    process.kill(pid, 'SIGKILL');
    await waitUntil(() => !isAlive(workerPid) && !isAlive(session.backendPid), { what: 'the children to be gone' });
    await session.close();
  });

  test('as the file in the directory says, where that is the owner; by number, too', async () => {
    const dir = directoryOf(NOBODY, `user = ${NOBODY}\ndatabase = none\n`);
    const started = postmaster(['-D', dir]);
    await ready(started);
    expect(statusOf(started.child.pid as number, 'Uid')).toEqual({ Uid: NOBODYS.Uid });
  });

  test('a PostgreSQL of its own runs as that user, too', async () => {
    const dir = directoryOf(NOBODY);
    const started = postmaster(['-D', dir, '-c', 'user=nobody'], { env: { BGWORKER_TEST_NOSYNC: '1' } });
    await waitUntil(() => started.log().includes('ready to accept connections'), { timeoutMs: 40_000, what: () => started.log() });
    const server = Number.parseInt(readFileSync(join(dir, 'pgdata/postmaster.pid'), 'utf8'), 10);
    expect(statusOf(server, 'Uid', 'Groups')).toEqual({ Uid: NOBODYS.Uid, Groups: NOBODYS.Groups });
  });

  test.each([
    ['a name that nobody has', 'user=no-such-user', 'FATAL:  could not look up user "no-such-user": user does not exist'],
    ['root by another name', 'user=0', 'FATAL:  invalid value for parameter "user": "0"'],
  ])('%s is refused', async (_what, setting, fatal) => {
    expect((await refusal(postmaster(['-D', directoryOf(NOBODY), '-c', 'database=none', '-c', setting])))[0]).toBe(fatal);
  });

  test.each(['user = daemon', 'allow_root = on'])('the file in the directory makes nobody more than its owner: %s', async (line) => {
    const dir = directoryOf(NOBODY, `database = none\n${line}\n`);
    expect((await refusal(postmaster(['-D', dir])))[0]).toBe(`FATAL:  data directory "${dir}" has wrong ownership`);
  });

  test('the file is read as its owner, who cannot have root show another', async () => {
    const dir = directoryOf(NOBODY);
    const secret = join(tempDir(), 'secret');
    writeFileSync(secret, 'user = daemon\n', { mode: 0o600 });
    rmSync(join(dir, 'bgworker.conf'));
    symlinkSync(secret, join(dir, 'bgworker.conf'));
    const [fatal] = await refusal(postmaster(['-D', dir, '-c', 'database=none']));
    expect(fatal).toBe('FATAL:  "root" execution of the bgworker postmaster is not permitted');
  });
});

describe('who is not root', () => {
  test.runIf(isRoot)('cannot become somebody else', async () => {
    const dir = directoryOf(NOBODY);
    const [fatal, detail] = await refusal(postmaster(['-D', dir, '-c', 'database=none', '-c', 'user=daemon'], { uid: NOBODY }));
    expect(fatal).toBe('FATAL:  cannot become user "daemon"');
    expect(detail).toBe(`DETAIL:  The postmaster runs as user ID ${NOBODY}, and only root can become another user.`);
  });

  test.runIf(isRoot)('may name himself', async () => {
    await ready(postmaster(['-D', directoryOf(NOBODY), '-c', 'database=none', '-c', 'user=nobody'], { uid: NOBODY }));
  });
});

describe.runIf(isRoot)("root's commands", () => {
  test('start makes the directory for the user, and all of it is the user’s; the others find it', async () => {
    const top = tempDir();
    const dir = join(top, 'a', 'data');
    const started = command(['start', '-D', dir, '-c', 'database=none', '-c', 'user=nobody', ...PRELOAD]);
    expect(await started.exited).toEqual([0, null]);
    onTestFinished(async () => void (await command(['stop', '-D', dir, '-m', 'immediate', '-s']).exited));
    for (const name of ['', ...readdirSync(dir)]) expect([name, statSync(join(dir, name)).uid]).toEqual([name, NOBODY]);
    expect(statusOf(Number.parseInt(readFileSync(join(dir, 'postmaster.pid'), 'utf8'), 10), ...IDS)).toEqual(NOBODYS);
    for (const args of [['status'], ['reload'], ['ps'], ['restart'], ['stop']]) {
      const run = command([...args, '-D', dir]);
      expect([args, await run.exited, run.log().includes('could not')]).toEqual([args, [0, null], false]);
    }
  });

  test('run becomes the user, with the flags that it was started with, and in an empty directory of root’s', async () => {
    const dir = join(tempDir(), 'data');
    mkdirSync(dir, { mode: 0o755 });
    const started = command(['run', '-D', dir, '-c', 'database=none', '-c', 'user=nobody'], { flags: NODE_FLAGS });
    await waitUntil(() => started.log().includes('ready to accept connections') || started.child.exitCode !== null, { what: () => started.log() });
    expect(started.log()).toContain('ready to accept connections');
    expect(statusOf(started.child.pid as number, ...IDS)).toEqual(NOBODYS);
  });

  test('without a user they make nothing', async () => {
    const dir = join(tempDir(), 'data');
    const started = command(['start', '-D', dir, '-c', 'database=none']);
    expect(await started.exited).toEqual([1, null]);
    expect(started.log()).toContain('"root" execution of the bgworker postmaster is not permitted');
    expect(existsSync(dir)).toBe(false);
  });
});

describe('credentials', () => {
  test.runIf(isRoot)('another user is not served', async () => {
    await withPostmaster({}, async (pm) => {
      chmodSync(pm.dir, 0o750);
      chownSync(pm.dir, 0, NOBODY);
      chmodSync(join(pm.dir, '.s.bgworker'), 0o666);
      const script = `import(${JSON.stringify(dist('session/client.js'))}).then(({ connect }) => connect(${JSON.stringify(pm.dir)})).then(() => console.log('let in'), (e) => console.log(e.code, e.message))`;
      const child = spawn(process.execPath, ['-e', script], { uid: NOBODY, gid: NOBODY, cwd: '/', stdio: ['ignore', 'pipe', 'inherit'] });
      let output = '';
      child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
      await once(child, 'close');
      expect(output).toMatch(/^28000 peer authentication failed: process \d+ of user 65534 is not a process of user 0\n$/);
    });
  });

  test.runIf(isRoot)('another server than the owner’s is not believed', async () => {
    const dir = directoryOf(NOBODY);
    const server = createServer().listen(join(dir, '.s.bgworker'));
    await once(server, 'listening');
    onTestFinished(() => void server.close());
    expect(await errorOf(connect(dir))).toMatchObject({
      code: '28000',
      message: `peer authentication failed: process ${process.pid} of user 0 listens in a data directory of user ${NOBODY}`,
    });
  });
});

describe('libraries that others may write', () => {
  const settings = { allow_writable_libraries: 'off' };

  /** In a directory that everybody may write. */
  function openLibrary(): string {
    const dir = tempDir();
    const path = join(dir, 'library.mjs');
    writeFileSync(path, 'export const main = () => {};\n');
    chmodSync(dir, 0o777);
    return path;
  }

  test('are not preloaded', async () => {
    const library = openLibrary();
    await withPostmaster({ preload: [library], settings, until: 'nothing' }, async (pm) => {
      expect(await pm.exited).toBe(1);
      const lines = logLines(pm);
      const at = lines.indexOf(`FATAL:  library "${library}" may be changed by other users`);
      expect(lines.slice(at, at + 4).map((line) => line.slice(0, 8))).toEqual(['FATAL:  ', 'DETAIL: ', 'HINT:  I', 'CONTEXT:']);
      expect(lines[at + 1]).toMatch(/^DETAIL: {2}Directory ".*" may be written by everybody\.$/);
      expect(lines[at + 2]).toContain('allow_writable_libraries');
    });
  });

  test('nor loaded by a worker, nor by a session; unless the setting says so', async () => {
    const library = openLibrary();
    await withPostmaster({ settings }, async (pm) => {
      const session = await openSession(pm);
      expect(await errorOf(session.call(library, 'main'))).toMatchObject({ code: '42501' });
      await register(session, worker('main', { name: 'refused', libraryName: library }));
      await pm.waitForLog(`ERROR:  library "${library}" may be changed by other users`);
    });
    await withPostmaster({}, async (pm) => {
      const session = await openSession(pm);
      expect(await session.call(library, 'main')).toBeUndefined();
    });
  });

  test('what belongs to us and root alone is loaded', async () => {
    const dir = tempDir();
    chmodSync(dir, 0o755);
    const library = join(dir, 'library.mjs');
    writeFileSync(library, 'export const main = () => 7;\n', { mode: 0o644 });
    await withPostmaster({ preload: [library], settings }, async (pm) => {
      const session = await openSession(pm);
      expect(await session.call(library, 'main')).toBe(7);
    });
  });
});

test('the data directory and all in it is closed to others', async () => {
  await withPostmaster({ preload: [fixture('workers.mjs')], cwd: projectRoot }, async (pm) => {
    await openSession(pm);
    const made = readdirSync(pm.dir).filter((name) => name !== 'BGWORKER_VERSION');
    expect(made).toEqual(expect.arrayContaining(['.s.bgworker', 'postmaster.pid']));
    for (const name of made) expect([name, statSync(join(pm.dir, name)).mode & 0o077]).toEqual([name, 0]);
  });
});
