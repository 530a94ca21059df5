// bgworker reload, status and ps, with a stand-in for the postmaster or none. Texts and exit statuses are pg_ctl's where it has the case.
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { initDataDir } from '../../../src/postmaster/data-dir.js';
import { waitUntil } from '../../helpers/index.js';
import { bgworker, dir, failed, ok, serverPid, useStandIn } from './kit.js';

useStandIn();

describe('reload', () => {
  test('sends SIGHUP', async () => {
    await bgworker(['start', '-s', '-D', dir]);
    expect(await bgworker(['reload', '-D', dir])).toStrictEqual(ok('server signaled\n'));
    await waitUntil(() => existsSync(join(dir, 'signals')) && readFileSync(join(dir, 'signals'), 'utf8') === 'SIGHUP\n', { what: 'SIGHUP' });
    serverPid();
  });
  test('none is running', async () => {
    initDataDir(dir);
    expect(await bgworker(['reload', '-D', dir])).toStrictEqual(
      failed(`bgworker: PID file "${dir}/postmaster.pid" does not exist\nIs server running?\n`),
    );
  });
});

describe('status', () => {
  test('running', async () => {
    await bgworker(['start', '-s', '-D', dir]);
    const pid = serverPid();
    const result = await bgworker(['status', '-D', dir]);
    expect(result.status).toBe(0);
    expect(result.out).toMatch(
      new RegExp(`^bgworker: server is running \\(PID: ${pid}\\)\nstatus: ready, started at \\d{4}-\\d\\d-\\d\\d \\d\\d:\\d\\d:\\d\\d UTC\n$`),
    );
    expect(JSON.parse((await bgworker(['status', '-D', dir, '--json'])).out)).toMatchObject({ running: true, pid, status: 'ready', dataDir: dir });
  });
  test('not running: 3', async () => {
    initDataDir(dir);
    expect(await bgworker(['status', '-D', dir])).toStrictEqual({ status: 3, out: 'bgworker: no server running\n', err: '' });
    expect(await bgworker(['status', '-D', dir, '--json'])).toStrictEqual({ status: 3, out: `{"running":false,"dataDir":"${dir}"}\n`, err: '' });
    writeFileSync(join(dir, 'postmaster.pid'), 'half');
    expect((await bgworker(['status', '-D', dir])).status).toBe(3);
  });
  test('no usable data directory: 4', async () => {
    expect(await bgworker(['status', '-D', dir])).toStrictEqual(failed(`bgworker: directory "${dir}" does not exist\n`, 4));
    mkdirSync(dir);
    expect(await bgworker(['status', '-D', dir])).toStrictEqual(failed(`bgworker: directory "${dir}" is not a bgworker data directory\n`, 4));
    rmSync(dir, { recursive: true });
    writeFileSync(dir, '');
    expect((await bgworker(['status', '-D', dir])).status).toBe(4);
    expect(await bgworker(['status', '-D', join(dir, 'x')])).toStrictEqual(
      failed(`bgworker: could not access directory "${dir}/x": Not a directory\n`, 4),
    );
    rmSync(dir);
    initDataDir(dir);
    mkdirSync(join(dir, 'postmaster.pid'));
    expect(await bgworker(['status', '-D', dir])).toStrictEqual(
      failed(`bgworker: could not open PID file "${dir}/postmaster.pid": Is a directory\n`, 4),
    );
    rmSync(join(dir, 'postmaster.pid'), { recursive: true });
  });
  test('no data directory named: 1', async () => {
    const tryHelp = 'Try "bgworker --help" for more information.\n';
    const message = `bgworker: no data directory specified and environment variable BGWORKER_DATA unset\n${tryHelp}`;
    for (const command of ['status', 'start', 'stop', 'restart', 'reload', 'ps', 'run']) {
      expect(await bgworker([command], { env: {} })).toStrictEqual(failed(message));
    }
  });
});

describe('ps', () => {
  test('nobody answers: the error, with its hint', async () => {
    initDataDir(dir);
    const result = await bgworker(['ps', '-D', dir]);
    expect(result).toMatchObject({ status: 1, out: '' });
    expect(result.err).toMatch(/^bgworker: could not connect to the postmaster of ".*"\nDETAIL: {2}.*\nHINT: {2}/);
  });
});
