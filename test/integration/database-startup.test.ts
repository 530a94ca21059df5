// The startup process's watch over real servers, a primary and its standby: read-write, lost and back, not consistent yet, hot standby, promoted;
// and with a role that may do little.
import { appendFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import type pg from 'pg';
import { startupProcessMain } from '../../src/database/startup.js';
import { LOG } from '../../src/elog/error-data.js';
import { DatabaseServer } from '../helpers/database-server.js';
import { waitUntil } from '../helpers/wait-until.js';

let server: DatabaseServer;
beforeAll(async () => {
  server = new DatabaseServer();
  await server.start();
}, 60_000);
afterAll(() => server?.remove());

interface Watched {
  /** Signals, and what was seen, in the order in which they were told. */
  readonly told: string[];
  readonly logged: string[];
  stop(): Promise<void>;
}

function watch(conninfo: pg.ClientConfig = server.cluster.conninfo, checkIntervalMs = 0): Watched {
  const [told, logged, controller]: [string[], string[], AbortController] = [[], [], new AbortController()];
  const done = startupProcessMain({
    conninfo: () => conninfo,
    raise: (signal) => told.push(signal),
    report: (seen) => told.push(seen),
    log: (level, { message, detail }) => {
      expect(level).toBe(LOG);
      logged.push(message, ...(detail === undefined ? [] : [detail]));
    },
    checkIntervalMs,
    signal: controller.signal,
  });
  const stop = async (): Promise<void> => {
    controller.abort();
    await done;
  };
  onTestFinished(stop);
  return { told, logged, stop };
}

const hears = ({ told, logged }: Watched, last: string, timeoutMs = 10_000): Promise<unknown> =>
  waitUntil(() => told.at(-1) === last, { timeoutMs, what: () => `"${last}"; told: ${told.join(', ')}; logged: ${logged.join(', ')}` });

const LOST = 'connection to the database server was lost';
const BACK = 'connection to the database server was restored';

describe('startupProcessMain', () => {
  test('a server that reads and writes', async () => {
    const watched = watch();
    await hears(watched, 'recovery finished');
    expect(watched).toMatchObject({ told: ['primary', 'recovery finished'], logged: [] });
  });

  test('the server restarts; comes back as a standby; is promoted', async () => {
    const watched = watch();
    await hears(watched, 'recovery finished');
    await server.stop();
    await hears(watched, 'away');
    await server.start();
    await hears(watched, 'primary');
    expect(watched.logged).toEqual([LOST, 'terminating connection due to administrator command.', BACK]);

    await server.stop();
    await hears(watched, 'away');
    writeFileSync(join(server.dataDir, 'pgdata', 'standby.signal'), '');
    await server.start();
    await hears(watched, 'begin hot standby');
    expect(watched.logged.slice(-2)).toEqual(['database server is in recovery again', expect.stringContaining('wait for its promotion') as string]);
    await server.sql('SELECT pg_promote()');
    await hears(watched, 'primary', 5_000);
    expect(watched.told.slice(-4)).toEqual(['standby', 'recovery started', 'begin hot standby', 'primary']);
    expect(watched.logged.at(-1)).toBe('database server has finished recovery again');
  });

  test('its own connection is ended and it may come back: away for a moment', async () => {
    const watched = watch();
    await hears(watched, 'recovery finished');
    await server.sql(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'bgworker startup'`);
    await hears(watched, 'primary');
    expect(watched.told.slice(-2)).toEqual(['away', 'primary']);
  });

  test('what will not mend itself is said at once, and once', async () => {
    const watched = watch({ ...server.cluster.conninfo, database: 'no_such_db' });
    await waitUntil(() => watched.logged.length > 0, { what: 'a word about it' });
    await watched.stop();
    expect(watched).toMatchObject({
      told: [],
      logged: ['could not connect to the database server, still trying: database "no_such_db" does not exist'],
    });
  });

  test('a role that may only connect, and not even ask for recovery', async () => {
    await server.sql('CREATE ROLE little LOGIN');
    await server.sql('REVOKE EXECUTE ON FUNCTION pg_catalog.pg_is_in_recovery() FROM PUBLIC');
    onTestFinished(async () => {
      await server.sql('GRANT EXECUTE ON FUNCTION pg_catalog.pg_is_in_recovery() TO PUBLIC');
    });
    const watched = watch({ ...server.cluster.conninfo, user: 'little' });
    await hears(watched, 'recovery finished');
    expect(watched.logged).toEqual([]);
  });
});

describe('startupProcessMain, on a standby', () => {
  test('starting up, hot_standby off, hot standby, the primary’s restart, promotion', async () => {
    const standby = new DatabaseServer(server);
    onTestFinished(() => standby.remove());
    const configure = (line: string): void => appendFileSync(join(standby.dataDir, 'pgdata', 'postgresql.auto.conf'), `${line}\n`);
    // Its log says what the refused connections were told.
    const refusals = async (words: string): Promise<unknown> =>
      waitUntil(() => standby.serverLog().includes(words), { what: () => `"${words}" in the server's log: ${standby.serverLog()}` });
    const watched = watch(standby.cluster.conninfo);

    // Where its write-ahead log should come from it has not been told.
    configure(`primary_conninfo = ''\nhot_standby = off`);
    await standby.start('running');
    await refusals('the database system is starting up');
    expect(watched.told).toEqual([]);
    await standby.stop();
    configure(`primary_conninfo = 'host=${server.dataDir}/pgsocket user=postgres'`);
    await standby.start('running');
    await refusals('Hot standby mode is disabled.');
    await hears(watched, 'recovery started');
    await standby.stop();
    configure('hot_standby = on');
    await standby.start();
    await hears(watched, 'begin hot standby');
    expect(watched.told).toEqual(['recovery started', 'standby', 'begin hot standby']);
    await server.stop();
    await server.start();
    await standby.sql('SELECT pg_promote()');
    await hears(watched, 'recovery finished', 5_000);
    expect(watched.told.slice(3)).toEqual(['primary', 'recovery finished']);
  });
});
