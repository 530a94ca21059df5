// The startup process's watch over a real server: read-write, lost and back, standby, promoted.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import type pg from 'pg';
import { startupProcessMain } from '../../src/database/startup.js';
import { DatabaseServer } from '../helpers/database-server.js';
import { waitUntil } from '../helpers/wait-until.js';

let server: DatabaseServer;
beforeAll(async () => {
  server = new DatabaseServer();
  await server.start();
}, 60_000);
afterAll(() => server?.remove());

describe('startupProcessMain', () => {
  function watch(conninfo: pg.ClientConfig = server.cluster.conninfo): { raised: string[]; logged: string[]; stop: () => Promise<void> } {
    const [raised, logged, controller]: [string[], string[], AbortController] = [[], [], new AbortController()];
    const done = startupProcessMain({
      conninfo,
      raise: (signal) => raised.push(signal),
      log: (message) => logged.push(message),
      signal: controller.signal,
    });
    const stop = async (): Promise<void> => {
      controller.abort();
      await done;
    };
    onTestFinished(stop);
    return { raised, logged, stop };
  }

  test('a server that reads and writes', async () => {
    const { raised, logged } = watch();
    await waitUntil(() => raised.length > 0, { what: 'a signal' });
    expect([raised, logged]).toEqual([['recovery finished'], []]);
  });

  test('the server goes away and comes back; then it is a standby, and promoted', async () => {
    const { raised, logged } = watch();
    await waitUntil(() => raised.length > 0, { what: 'a signal' });
    await server.stop();
    await waitUntil(() => logged.length > 0, { what: 'the loss to be noticed' });
    expect(logged).toEqual(['connection to the database server was lost']);
    writeFileSync(join(server.dataDir, 'pgdata', 'standby.signal'), '');
    await server.start();
    await waitUntil(() => logged.length > 1, { what: 'the return to be noticed' });
    expect(logged[1]).toBe('connection to the database server was restored');

    const standby = watch();
    await waitUntil(() => standby.raised.length >= 2, { what: 'hot standby' });
    expect(standby.raised).toEqual(['recovery started', 'begin hot standby']);
    await server.sql('SELECT pg_promote()');
    await waitUntil(() => standby.raised.length >= 3, { what: 'promotion', timeoutMs: 5_000 });
    expect(standby.raised[2]).toBe('recovery finished');
    expect(standby.logged).toEqual([]);
  });

  test('what will not mend itself is said at once, and once', async () => {
    const { raised, logged, stop } = watch({ ...server.cluster.conninfo, database: 'no_such_db' });
    await waitUntil(() => logged.length > 0, { what: 'a word about it' });
    await stop();
    expect([raised, logged]).toEqual([[], ['could not connect to the database server, still trying: database "no_such_db" does not exist']]);
  });
});
