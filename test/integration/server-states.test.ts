// Postmasters attached to a real primary and its standby: start times on both, promotion; the server's restart, its return as a standby, DROP DATABASE.
// What is decided of it is in docs/database.md; contract S-20 … S-24.
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { BgWorkerStart_ConsistentState, BgWorkerStart_RecoveryFinished } from '../../src/constants.js';
import { type Postmaster, fixture, isAlive, waitUntil, withPostmaster } from '../helpers/index.js';
import { DatabaseServer } from '../helpers/database-server.js';
import { dist } from '../helpers/paths.js';
import { sharedDatabaseServer } from './database-support.js';
import { NOT_YET_STARTED, launch, logLines, openSession, register, said, waitForSaid, worker } from './support.js';

const LIBRARY = fixture('server-workers.mjs');

const server = sharedDatabaseServer();

const connecting = (name: string, fields: Parameters<typeof worker>[1] = {}): ReturnType<typeof worker> =>
  worker('connects', { name, flags: 3, libraryName: LIBRARY, restartTime: 0, ...fields });

/** On that server, with every fork in its log. */
const attached = (to: DatabaseServer, until: 'ready' | 'standby', body: (pm: Postmaster) => Promise<void>): Promise<void> =>
  withPostmaster(
    {
      preload: [LIBRARY],
      until,
      settings: { database: `host=${to.dataDir}/pgsocket user=postgres dbname=postgres`, log_min_messages: 'debug1' },
    },
    body,
  );

const starts = (pm: Postmaster, name: string): number => logLines(pm, `starting background worker process "${name}"`).length;
/** What `bgworker status` says, to people and to programs. */
function shownStatus(pm: Postmaster): string {
  const show = (...more: string[]): string =>
    execFileSync(process.execPath, [dist('cli/main.js'), 'status', '-D', pm.dir, ...more], { encoding: 'utf8' });
  const { status, database } = JSON.parse(show('--json')) as { status: string; database: string };
  const words = { primary: 'reads and writes', standby: 'in recovery, read only', away: 'away; workers that connect to it wait' }[database];
  expect(show()).toMatch(new RegExp(`^status: ${status}, started at .*\ndatabase: ${words}\n$`, 'm'));
  return `${status} ${database}`;
}

const LOST = 'LOG:  connection to the database server was lost';
const BACK = 'LOG:  connection to the database server was restored';

describe('on a standby', () => {
  test('S-23 S-24: ConsistentState starts, RecoveryFinished waits; promotion starts the one and leaves the other alone', async () => {
    const standby = new DatabaseServer(server);
    onTestFinished(() => standby.remove());
    await standby.start();
    await attached(standby, 'standby', async (pm) => {
      const session = await openSession(pm);
      const early = await launch(session, connecting('early', { startTime: BgWorkerStart_ConsistentState }));
      const late = await register(session, connecting('late', { startTime: BgWorkerStart_RecoveryFinished }));
      await waitForSaid(pm, 'early', 'connected');
      expect(await session.getBackgroundWorkerPid(late)).toEqual(NOT_YET_STARTED);
      expect(pm.status()).toBe('standby');
      await standby.sql('SELECT pg_promote()');
      await waitForSaid(pm, 'late', 'connected');
      expect(pm.status()).toBe('ready');
      expect([starts(pm, 'early'), isAlive(early.pid)]).toEqual([1, true]);
      expect(logLines(pm, 'database system is ready')).toEqual([
        'LOG:  database system is ready to accept read-only connections',
        'LOG:  database system is ready to accept connections',
      ]);
    });
  });
});

describe('the server', () => {
  test('is restarted: workers end by their connections, are not forked against the dead server, and start when it is back', () =>
    attached(server, 'ready', async (pm) => {
      const session = await openSession(pm);
      await launch(session, connecting('eager'));
      await waitForSaid(pm, 'eager', 'connected');
      await server.stop();
      await pm.waitForLog(LOST);
      await pm.waitForLog(/background worker "eager" \(PID \d+\) exited with exit code 1/);
      // The postmaster goes on: what needs no database starts, what does waits.
      await launch(session, worker('idle', { name: 'other', libraryName: fixture('workers.mjs') }));
      const late = await register(session, connecting('late'));
      await pm.waitForLog('could not connect to the database server, still trying');
      expect(await session.getBackgroundWorkerPid(late)).toEqual(NOT_YET_STARTED);
      expect([pm.status(), shownStatus(pm)]).toEqual(['ready', 'ready away']);
      // Those that the postmaster forked before it knew, at most.
      const before = starts(pm, 'eager');
      expect(before).toBeLessThan(20);
      await server.start();
      await pm.waitForLog(BACK);
      await waitForSaid(pm, 'late', 'connected');
      expect(shownStatus(pm)).toBe('ready primary');
      await waitForSaid(pm, 'eager', 'connected', 2);
      expect([starts(pm, 'eager'), starts(pm, 'late')]).toEqual([before + 1, 1]);
    }));

  test('comes back as a standby after PM_RUN: said, and only ConsistentState workers start until it is promoted', () =>
    attached(server, 'ready', async (pm) => {
      const session = await openSession(pm);
      await launch(session, connecting('reads', { startTime: BgWorkerStart_ConsistentState }));
      await launch(session, connecting('writes'));
      await waitForSaid(pm, 'reads', 'connected');
      await waitForSaid(pm, 'writes', 'connected');
      await server.stop();
      await pm.waitForLog(LOST);
      writeFileSync(join(server.dataDir, 'pgdata', 'standby.signal'), '');
      await server.start();
      await waitForSaid(pm, 'reads', 'connected', 2);
      expect([said(pm, 'writes', 'connected').length, shownStatus(pm)]).toEqual([1, 'ready standby']);
      expect(logLines(pm, 'LOG:  database server is in recovery again')).toHaveLength(1);
      await server.sql('SELECT pg_promote()');
      await waitForSaid(pm, 'writes', 'connected', 2);
      expect([pm.status(), said(pm, 'reads', 'connected').length]).toEqual(['ready', 2]);
    }));

  test('DROP DATABASE with a worker attached: refused as for any session; WITH (FORCE) it ends the worker, which then finds no database', () =>
    attached(server, 'ready', async (pm) => {
      await server.sql('CREATE DATABASE doomed');
      const session = await openSession(pm);
      const { pid } = await launch(session, connecting('attached', { extra: 'doomed', restartTime: 1 }));
      await waitForSaid(pm, 'attached', 'connected');
      await expect(server.sql('DROP DATABASE doomed')).rejects.toMatchObject({ code: '55006' });
      await server.sql('DROP DATABASE doomed WITH (FORCE)');
      await waitUntil(() => !isAlive(pid), { what: 'the worker to end' });
      await pm.waitForLog('FATAL:  database "doomed" does not exist');
      expect(logLines(pm, `[${pid}]`, 'FATAL').concat(logLines(pm, 'terminating background worker "attached"'))).toContain(
        'FATAL:  terminating background worker "attached" due to administrator command',
      );
    }));
});
