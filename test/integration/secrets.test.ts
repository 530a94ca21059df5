// Secrets of a connection string: where they must not be seen. ps, the environment of the database server, the log, shared memory, messages; and what is
// in a file is not in the postmaster's memory either, since only children that connect read it.
import { closeSync, openSync, readFileSync, readSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { type Postmaster, descendantsOf, environOf, fixture, openFds, tempDir, withPostmaster } from '../helpers/index.js';
import { sharedDatabaseServer } from './database-support.js';
import { launch, openSession, waitForSaid, worker } from './support.js';

const LIBRARY = fixture('server-workers.mjs');
const SECRET = 'xyzzy-plugh-4711';

const server = sharedDatabaseServer(({ dataDir }) => {
  writeFileSync(join(dataDir, 'pgdata', 'pg_hba.conf'), 'local all guarded scram-sha-256\nlocal all all trust\n');
});
beforeAll(() => server.sql(`CREATE ROLE guarded LOGIN PASSWORD '${SECRET}'`));

const family = (pm: Postmaster): number[] => [pm.pid, ...descendantsOf(pm.pid)];
const commandLines = (pm: Postmaster): string =>
  family(pm)
    .map((pid) => readFileSync(`/proc/${pid}/cmdline`, 'latin1'))
    .join('\n');

/** All that can be written to and is not a file: heap, stacks, and what is shared. */
function memoryHas(pid: number, text: string): boolean {
  const needle = Buffer.from(text);
  const memory = openSync(`/proc/${pid}/mem`, 'r');
  try {
    for (const line of readFileSync(`/proc/${pid}/maps`, 'utf8').split('\n')) {
      const [, from, to] = /^([0-9a-f]+)-([0-9a-f]+) rw/.exec(line) ?? [];
      if (from === undefined || to === undefined) continue;
      const [start, end] = [Number.parseInt(from, 16), Number.parseInt(to, 16)];
      const bytes = Buffer.alloc(Math.min(end - start, 1 << 28));
      try {
        if (bytes.subarray(0, readSync(memory, bytes, 0, bytes.length, start)).includes(needle)) return true;
      } catch {
        // A guard page.
      }
    }
    return false;
  } finally {
    closeSync(memory);
  }
}

/** The content of shared memory, through the postmaster's descriptor. */
function sharedMemoryHas(pm: Postmaster, text: string): boolean {
  const memfds = [...openFds(pm.pid)].filter(([, file]) => file.includes('memfd:'));
  expect(memfds.length).toBeGreaterThan(0);
  return memfds.some(([fd]) => beginningOf(`/proc/${pm.pid}/fd/${fd}`).includes(text));
}

/** What there is of it: the file of dynamic segments is sparse, and half a terabyte long. */
function beginningOf(path: string): Buffer {
  const file = openSync(path, 'r');
  try {
    const bytes = Buffer.alloc(1 << 24);
    return bytes.subarray(0, readSync(file, bytes, 0, bytes.length, 0));
  } finally {
    closeSync(file);
  }
}

async function connectsQuietly(pm: Postmaster): Promise<void> {
  const session = await openSession(pm);
  await launch(session, worker('connects', { name: 'guarded', flags: 3, libraryName: LIBRARY }));
  await waitForSaid(pm, 'guarded', 'connected');
  // And an error of the connection's, which is about the secret's neighbours.
  await launch(session, worker('connects', { name: 'lost', extra: 'no_such_db', flags: 3, libraryName: LIBRARY }));
  await pm.waitForLog('FATAL:  database "no_such_db" does not exist');
  await pm.waitForLog(/background worker "lost" \(PID \d+\) exited with exit code 1/);
  expect(commandLines(pm)).not.toContain(SECRET);
  expect(sharedMemoryHas(pm, SECRET)).toBe(false);
  expect(pm.log()).not.toContain(SECRET);
}

const attached = (): string => `host=${server.dataDir}/pgsocket user=guarded dbname=postgres`;
const options = { preload: [LIBRARY], settings: { log_min_messages: 'debug5' } };

describe('a password', () => {
  test('in the setting, given on the command line: not in ps, the log, shared memory', () =>
    withPostmaster({ ...options, settings: { ...options.settings, database: `${attached()} password=${SECRET}` } }, connectsQuietly));

  test('in a password file: not even in the postmaster’s memory', async () => {
    const file = join(tempDir('sec'), 'pass');
    writeFileSync(file, `*:*:*:guarded:${SECRET}\n`, { mode: 0o600 });
    await withPostmaster({ ...options, settings: { ...options.settings, database: `${attached()} passfile=${file}` } }, async (pm) => {
      await connectsQuietly(pm);
      expect(memoryHas(pm.pid, SECRET)).toBe(false);
      for (const pid of family(pm)) expect(environOf(pid).join('\n')).not.toContain(SECRET);
      // The search finds what is there.
      expect(memoryHas(pm.pid, file)).toBe(true);
    });
  });

  test('in a connection string that is wrong: the message hides it', async () => {
    await withPostmaster({ until: 'nothing', settings: { database: `host=h password=${SECRET} and more` } }, async (pm) => {
      expect(await pm.exited).toBe(1);
      expect(pm.log()).toContain('missing "=" after "********" in connection info string');
      expect(pm.log()).not.toContain(SECRET);
    });
  });

  test('in the postmaster’s environment: an owned server does not get it', () =>
    withPostmaster({ settings: { database: 'owned' }, env: { BGWORKER_TEST_NOSYNC: '1', PGPASSWORD: SECRET, DATABASE_URL: SECRET } }, (pm) => {
      const owned = Number.parseInt(readFileSync(join(pm.dir, 'pgdata', 'postmaster.pid'), 'utf8'), 10);
      expect(environOf(owned).join('\n')).not.toContain(SECRET);
      expect(memoryHas(owned, SECRET)).toBe(false);
    }));
});
