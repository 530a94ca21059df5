// A pooler between us and the server: said in the log of an attached postmaster, once, and by the worker that relies on its session. With a proxy that tells its
// clients what a pooler tells them, and with pgbouncer where it is installed.
import { spawn, spawnSync } from 'node:child_process';
import { chownSync, existsSync, writeFileSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { fixture, tempDir, waitUntil, withPostmaster } from '../helpers/index.js';
import { sharedDatabaseServer } from './database-support.js';
import { launch, logLines, openSession, waitForSaid, worker } from './support.js';

const LIBRARY = fixture('server-workers.mjs');
/** Debian has it in a directory that is not on everybody's path. */
const PATH = `${process.env['PATH']}:/usr/sbin`;
const hasPgbouncer = spawnSync('pgbouncer', ['--version'], { env: { ...process.env, PATH } }).status === 0;
if (!hasPgbouncer) process.stderr.write('pooler.test.ts: skipped, as there is no pgbouncer ("apt-get install pgbouncer")\n');

const server = sharedDatabaseServer();

/** The directory of its socket. */
async function startPgbouncer(poolMode: string): Promise<string> {
  const dir = tempDir('pool');
  const { uid, gid } = server.cluster;
  if (uid !== undefined) chownSync(dir, uid, gid ?? 0);
  const conf = join(dir, 'pgbouncer.ini');
  const settings = [`unix_socket_dir = ${dir}`, 'listen_port = 6432', 'auth_type = any', `pool_mode = ${poolMode}`, `logfile = ${join(dir, 'log')}`];
  const database = `postgres = host=${server.dataDir}/pgsocket port=5432 user=postgres dbname=postgres`;
  writeFileSync(conf, `[databases]\n${database}\n[pgbouncer]\n${settings.join('\n')}\n`, { mode: 0o644 });
  const child = spawn('pgbouncer', [conf], { env: { ...process.env, PATH }, stdio: 'ignore', cwd: dir, ...(uid === undefined ? {} : { uid, gid }) });
  const exited = new Promise((resolve) => {
    child.once('exit', resolve);
  });
  onTestFinished(async () => {
    child.kill('SIGKILL');
    await exited;
  });
  await waitUntil(() => existsSync(join(dir, '.s.PGSQL.6432')), { what: 'pgbouncer’s socket' });
  return dir;
}

/**
 * Passes everything on, but for the pid in BackendKeyData: as from a pooler, it is none of the server's. The directory of its socket.
 */
async function startTellTale(): Promise<string> {
  const dir = tempDir('pool');
  const sockets = new Set<Socket>();
  const listener = createServer((near) => {
    const far = connect(join(server.dataDir, 'pgsocket', '.s.PGSQL.5432'));
    let greeting: Buffer | null = Buffer.alloc(0);
    for (const socket of [near, far]) sockets.add(socket.on('error', () => {}).on('close', () => [near, far].forEach((end) => end.destroy())));
    near.on('data', (bytes) => far.write(bytes));
    far.on('data', (bytes) => {
      greeting = greeting && Buffer.concat([greeting, bytes]);
      if (greeting === null) return near.write(bytes);
      // Whole messages, a letter and a length each: up to the one with the pid.
      for (
        let at = 0;
        at + 5 <= greeting.length && at + 1 + greeting.readInt32BE(at + 1) <= greeting.length;
        at += 1 + greeting.readInt32BE(at + 1)
      ) {
        const letter = String.fromCharCode(greeting[at] as number);
        if (letter === 'K') greeting.writeInt32BE(7, at + 5);
        if (letter !== 'K' && letter !== 'E') continue;
        near.write(greeting);
        greeting = null;
        return;
      }
    });
  });
  await new Promise<void>((resolve) => listener.listen(join(dir, '.s.PGSQL.5432'), resolve));
  onTestFinished(async () => {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => listener.close(resolve));
  });
  return dir;
}

const MAY_BE_LOST = 'may be lost at the end of the transaction: the database server is reached through a connection pooler';
const usesSession = worker('usesSession', { name: 'relies', flags: 3, libraryName: LIBRARY });

describe('a worker behind a pooler', () => {
  test('is warned once of each thing that it leaves in its session, with a hint, and of nothing else', async () => {
    const settings = { database: `host=${await startTellTale()} user=postgres dbname=postgres` };
    await withPostmaster({ preload: [LIBRARY], settings }, async (pm) => {
      const session = await openSession(pm);
      const { pid } = await launch(session, usesSession);
      await waitForSaid(pm, 'relies', 'done');
      expect(logLines(pm, `[${pid}] WARNING`)).toEqual(
        ['LISTEN', 'SET', 'a temporary table', 'an advisory lock of the session', 'a plan that is kept'].map(
          (what) => `WARNING:  ${what} ${MAY_BE_LOST}`,
        ),
      );
      expect(logLines(pm, `[${pid}] HINT`)).toContain('HINT:  Use a pool of sessions, or a connection to the server itself.');
    });
  });

  test('not behind one: nothing is said', () =>
    withPostmaster({ preload: [LIBRARY], settings: { database: `host=${server.dataDir}/pgsocket user=postgres dbname=postgres` } }, async (pm) => {
      const session = await openSession(pm);
      await launch(session, usesSession);
      await waitForSaid(pm, 'relies', 'done');
      expect(logLines(pm, 'pooler')).toEqual([]);
    }));
});

describe.skipIf(!hasPgbouncer)('pgbouncer', () => {
  test.each([
    ['transaction', 'WARNING:  database server is reached through a pooler of transactions'],
    ['session', 'LOG:  database server is reached through a connection pooler'],
  ])('pool_mode %s: workers connect, and the log says what they have not', async (mode, line) => {
    const dir = await startPgbouncer(mode);
    const settings = { database: `host=${dir} port=6432 user=postgres dbname=postgres` };
    await withPostmaster({ preload: [LIBRARY], settings }, async (pm) => {
      const session = await openSession(pm);
      await launch(session, worker('connects', { name: 'pooled', flags: 3, libraryName: LIBRARY }));
      await waitForSaid(pm, 'pooled', 'connected');
      await pm.waitForLog(line);
      expect(logLines(pm, 'database server is reached through')).toEqual([line]);
      expect(pm.log()).toContain('LISTEN, SET, prepared plans');
    });
  });
});
