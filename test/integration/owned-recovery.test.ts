// The owned server's life with its postmaster's: started and stopped in order, killed alone, killed with everything; as root and as a user.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, chownSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import { describe, expect, onTestFinished, test } from 'vitest';
import { allPids, cwdOf, descendantsOf, dist, fixture, isAlive, killMarked, tempDir, waitUntil, withPostmaster } from '../helpers/index.js';
import { launch, logLines, openSession, waitForSaid, worker } from './support.js';

const LIBRARY = fixture('server-workers.mjs');
const isRoot = process.geteuid?.() === 0;
const owned = { preload: [LIBRARY], settings: { database: 'owned' }, env: { BGWORKER_TEST_NOSYNC: '1' } };

async function sql(dir: string, text: string): Promise<unknown[][]> {
  const client = new pg.Client({ host: join(dir, 'pgsocket'), user: 'postgres', database: 'postgres' });
  client.on('error', () => {});
  await client.connect();
  try {
    return (await client.query<unknown[]>({ text, rowMode: 'array' })).rows;
  } finally {
    await client.end();
  }
}

/** One that goes with another is gone. */
function killNow(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch (err) {
    if ((err as NodeJS.ErrnoException).code !== 'ESRCH') throw err;
  }
}

const serverPid = (dir: string): number => Number.parseInt(readFileSync(join(dir, 'pgdata', 'postmaster.pid'), 'utf8'), 10);
/** Processes of the server, whoever their parent is. */
const serverProcesses = (dir: string): number[] => allPids().filter((pid) => isAlive(pid) && cwdOf(pid) === join(dir, 'pgdata'));
const databaseLog = (dir: string): string => readFileSync(join(dir, 'database.log'), 'utf8');
/** Lines of clients that were told to go; a server process that has not run since its client left tells nobody any more, and says that it cannot. */
const thrownOut = (log: string): string[] =>
  log.split('\n').filter((line) => {
    const pid = /\[(\d+)\] FATAL: {2}terminating connection/.exec(line)?.[1];
    return pid !== undefined && !log.includes(`[${pid}] LOG:  could not send data to client: Broken pipe`);
  });
const querying = (name: string, query: string): ReturnType<typeof worker> =>
  worker('queries', { name, extra: query, flags: 3, libraryName: LIBRARY });

describe('the server dies alone', () => {
  test('X-20: a crash cycle; what is left of it is ended, it is started again, recovers, and workers connect', () =>
    withPostmaster(owned, async (pm) => {
      await sql(pm.dir, 'CREATE TABLE survivor AS SELECT 42 AS n');
      const session = await openSession(pm);
      // It computes, and does not look for its postmaster meanwhile.
      await launch(session, { ...querying('busy', `SELECT count(*) FROM generate_series(1, 1000000000000)`), restartTime: 3600 });
      await waitForSaid(pm, 'busy', 'connected');
      const before = serverProcesses(pm.dir);
      const killed = serverPid(pm.dir);
      process.kill(killed, 'SIGKILL');
      await pm.waitForLog(`LOG:  database server (PID ${killed}) was terminated by signal 9`);
      await waitUntil(() => logLines(pm, 'database system is ready to accept connections').length === 2, {
        timeoutMs: 30_000,
        what: 'the second start',
      });
      expect(await sql(pm.dir, 'SELECT n FROM survivor')).toEqual([[42]]);
      expect(before.filter((pid) => isAlive(pid))).toEqual([]);
      expect(databaseLog(pm.dir)).toMatch(/database system was (interrupted|not properly shut down)/);
      // After a crash workers start at once, whatever their interval.
      await waitForSaid(pm, 'busy', 'connected', 2);
    }));
});

describe('the end', () => {
  test('T-33: the server is shut down after the last worker, in order, and leaves nothing behind', () =>
    withPostmaster(owned, async (pm) => {
      const session = await openSession(pm);
      await launch(session, worker('connects', { name: 'last', flags: 3, libraryName: LIBRARY }));
      await waitForSaid(pm, 'last', 'connected');
      expect(await pm.stop('fast')).toBe(0);
      expect(serverProcesses(pm.dir)).toEqual([]);
      expect(readdirSync(join(pm.dir, 'pgsocket'))).toEqual([]);
      expect(existsSync(join(pm.dir, 'pgdata', 'postmaster.pid'))).toBe(false);
      const log = databaseLog(pm.dir);
      expect(log).toContain('received fast shutdown request');
      expect(log).toMatch(/database system is shut down\n$/);
      // Nobody was thrown out: the worker had gone, with a goodbye.
      expect(thrownOut(log)).toEqual([]);
      expect(log).not.toContain('unexpected EOF');
    }));
});

test('a server that is killed while it shuts down leaves nothing behind either: the postmaster ends what has not noticed', () =>
  withPostmaster(owned, async (pm) => {
    const postmaster = Number.parseInt(readFileSync(join(pm.dir, 'pgdata', 'postmaster.pid'), 'utf8'), 10);
    const walWriter = serverProcesses(pm.dir).find((pid) => readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('walwriter')) ?? NaN;
    process.kill(walWriter, 'SIGSTOP');
    process.kill(pm.pid, 'SIGINT');
    await waitUntil(() => databaseLog(pm.dir).includes('received fast shutdown request'), { what: 'the server to shut down' });
    process.kill(postmaster, 'SIGKILL');
    expect(await pm.exited).toBe(0);
    expect(serverProcesses(pm.dir)).toEqual([]);
  }));

describe('everything is killed', () => {
  const run = (dir: string, command: string, args: string[] = [], user: { uid?: number; gid?: number } = {}): void => {
    const env = { ...process.env, BGWORKER_TEST_NOSYNC: '1', HOME: dir };
    const done = spawnSync(process.execPath, [dist('cli/main.js'), command, '-D', dir, ...args], { encoding: 'utf8', env, cwd: '/', ...user });
    const log = existsSync(join(dir, 'database.log')) ? databaseLog(dir) : '';
    expect(done.status, `${command}: ${done.stdout}${done.stderr}\n${log}`).toBe(0);
  };
  const postmasterPid = (dir: string): number => Number.parseInt(readFileSync(join(dir, 'postmaster.pid'), 'utf8'), 10);

  async function survives(user: { uid?: number; gid?: number }, victims: (dir: string) => number[]): Promise<string> {
    const top = tempDir('own');
    onTestFinished(() => killMarked({ variable: `BGWORKER_TEST_OWNED=${top}`, dir: top }));
    const dir = join(top, 'data');
    mkdirSync(dir, { mode: 0o700 });
    if (user.uid !== undefined) chownSync(dir, user.uid, user.gid ?? 0);
    const settings = isRoot && user.uid === undefined ? ['-c', 'allow_root=on'] : [];
    run(dir, 'start', settings, user);
    await sql(dir, 'CREATE TABLE survivor AS SELECT 42 AS n');
    const owner = [...new Set(serverProcesses(dir).map((pid) => readFileSync(`/proc/${pid}/status`, 'utf8').match(/^Uid:\t(\d+)/m)?.[1]))];
    for (const pid of victims(dir)) killNow(pid);
    run(dir, 'start', settings, user);
    expect(await sql(dir, 'SELECT n FROM survivor')).toEqual([[42]]);
    run(dir, 'stop', [], user);
    expect(serverProcesses(dir)).toEqual([]);
    expect(owner).toEqual([owner[0]]);
    return owner[0] ?? '';
  }

  const all = (dir: string): number[] => [...new Set([postmasterPid(dir), ...descendantsOf(postmasterPid(dir)), ...serverProcesses(dir)])];

  test('postmaster, children and server: the next start recovers; the server never runs as root', async () => {
    expect(await survives({}, all)).not.toBe('0');
  });

  test('the postmaster alone: its server shuts down by itself, and the next start waits for that', async () => {
    await survives({}, (dir) => [postmasterPid(dir)]);
  });

  test.runIf(isRoot)('as an ordinary user: the server runs as that user', async () => {
    const nobody = { uid: 65_534, gid: 65_534 };
    expect(await survives(nobody, all)).toBe('65534');
  });
});
