// The startup process's watch over real servers, a primary and its standby: read-write, lost and back, not consistent yet, hot standby, promoted;
// and with a role that may do little.
import { appendFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import type pg from 'pg';
import { startupProcessMain } from '../../src/database/startup.js';
import { LOG } from '../../src/elog/error-data.js';
import { DatabaseServer } from '../helpers/database-server.js';
import { waitUntil } from '../helpers/wait-until.js';
import { sharedDatabaseServer } from './database-support.js';

const server = sharedDatabaseServer();

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

/** Milliseconds at which the server logged what the pattern has, and between each and the next. */
function logged(server: DatabaseServer, pattern: RegExp): { times: number[]; pauses: number[] } {
  const times = server
    .serverLog()
    .split('\n')
    .filter((line) => pattern.test(line))
    .map((line) => Number(/^([\d.]+)\|/.exec(line)?.[1]) * 1000);
  return { times, pauses: times.slice(1).map((time, i) => Math.round(time - (times[i] as number))) };
}
const LOGGING = ['log_statement=all', 'log_connections=on', 'log_line_prefix=%n|%a|'];
const ASKED = /\|bgworker startup\|LOG: {2}statement: SELECT pg_catalog\.pg_is_in_recovery\(\)/;
const CONNECTED = /LOG: {2}connection authorized: .*application_name=bgworker startup/;

describe('startupProcessMain does not hammer the server', () => {
  // A pause lasts from an answer to the next question, and the server's clock sees it from question to question: never shorter, however loaded the machine is.
  // Two milliseconds are what timers may be early.
  const POLL = 498;

  test('it is asked twice a second until its promotion, is known promoted by the next question, and not asked again; on one connection', async () => {
    const standby = new DatabaseServer(server);
    onTestFinished(() => standby.remove());
    await standby.start('accepting', LOGGING);
    const watched = watch(standby.cluster.conninfo);
    await hears(watched, 'begin hot standby');
    await waitUntil(() => logged(standby, ASKED).times.length >= 5, { what: 'five questions' });
    await standby.sql('SELECT pg_promote()');
    await hears(watched, 'recovery finished');
    const [ready] = logged(standby, /LOG: {2}database system is ready to accept connections$/).times;
    const { times, pauses } = logged(standby, ASKED);
    expect(Math.min(...pauses)).toBeGreaterThanOrEqual(POLL);
    // It may also have been asked between its last record and that line.
    expect(times.filter((time) => time > (ready as number)).length).toBeLessThanOrEqual(1);
    // Three times as long as it has been asked before.
    await standby.sql(`SELECT pg_sleep(1.5)`);
    expect(logged(standby, ASKED).times).toEqual(times);
    expect(logged(standby, CONNECTED).times).toHaveLength(1);
  });

  test('an attached server that reads and writes is asked once an interval, on the same connection', async () => {
    await server.stop();
    await server.start('accepting', LOGGING);
    const before = logged(server, CONNECTED).times.length;
    const watched = watch(server.cluster.conninfo, 300);
    await hears(watched, 'recovery finished');
    await waitUntil(() => logged(server, ASKED).times.length >= 4, { what: 'four questions' });
    await watched.stop();
    expect(Math.min(...logged(server, ASKED).pauses)).toBeGreaterThanOrEqual(298);
    expect(logged(server, CONNECTED).times.length - before).toBe(1);
  });

  test('one that lets nobody in is tried often at first, and then twice a second', async () => {
    const standby = new DatabaseServer(server);
    onTestFinished(() => standby.remove());
    appendFileSync(join(standby.dataDir, 'pgdata', 'postgresql.auto.conf'), 'hot_standby = off\n');
    await standby.start('running', LOGGING);
    const watched = watch(standby.cluster.conninfo);
    const refused = (): number[] => logged(standby, /FATAL: {2}the database system is /).pauses;
    // 15 ms, and each pause half as long again as the one before: half a second after ten of them.
    await waitUntil(() => refused().length >= 13, { timeoutMs: 20_000, what: () => `refusals: ${refused().join(', ')}` });
    await watched.stop();
    expect(Math.min(...refused().slice(-2))).toBeGreaterThanOrEqual(POLL);
    expect(watched.told).toEqual(['closed', 'recovery started']);
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
    await hears(watched, 'away');
    configure('hot_standby = on');
    await standby.start();
    await hears(watched, 'begin hot standby');
    expect(watched.told).toEqual(['closed', 'recovery started', 'away', 'standby', 'begin hot standby']);
    await server.stop();
    await server.start();
    await standby.sql('SELECT pg_promote()');
    await hears(watched, 'recovery finished', 5_000);
    expect(watched.told.slice(5)).toEqual(['primary', 'recovery finished']);
  });
});
