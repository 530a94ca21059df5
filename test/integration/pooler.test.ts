// A pooler between us and the server: said in the log of an attached postmaster, once. Needs pgbouncer; without it the tests are skipped.
import { spawn, spawnSync } from 'node:child_process';
import { chownSync, existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { fixture, tempDir, waitUntil, withPostmaster } from '../helpers/index.js';
import { DatabaseServer } from '../helpers/database-server.js';
import { launch, logLines, openSession, waitForSaid, worker } from './support.js';

const LIBRARY = fixture('server-workers.mjs');
/** Debian has it in a directory that is not on everybody's path. */
const PATH = `${process.env['PATH']}:/usr/sbin`;
const hasPgbouncer = spawnSync('pgbouncer', ['--version'], { env: { ...process.env, PATH } }).status === 0;
if (!hasPgbouncer) process.stderr.write('pooler.test.ts: skipped, as there is no pgbouncer ("apt-get install pgbouncer")\n');

let server: DatabaseServer;
beforeAll(async () => {
  if (!hasPgbouncer) return;
  server = new DatabaseServer();
  await server.start();
}, 60_000);
afterAll(() => server?.remove());

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

  test('no pooler: nothing is said', () =>
    withPostmaster({ settings: { database: `host=${server.dataDir}/pgsocket user=postgres dbname=postgres` } }, (pm) => {
      expect(pm.log()).not.toContain('is reached through');
    }));
});
