// bgworker start, with a stand-in for the postmaster. Texts and exit statuses are pg_ctl's where it has the case.
import { chmodSync, existsSync, mkdirSync, readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { NODE_FLAGS } from '../../../src/launch/node-flags.js';
import { initDataDir } from '../../../src/postmaster/data-dir.js';
import { formatLockFile, processStart, readLockFile } from '../../../src/postmaster/lock-file-content.js';
import { environOf, isAlive, tempDir, titleOf, waitUntil } from '../../helpers/index.js';
import { bgworker, dir, failed, json, ok, serverPid, setDir, useStandIn } from './kit.js';

useStandIn();

describe('start', () => {
  test('makes the directory, starts, waits until the server is ready', async () => {
    const result = await bgworker(['start', '-D', dir]);
    expect(result).toStrictEqual(ok(`created data directory "${dir}"\nwaiting for server to start.... done\nserver started\n`));
    expect(statSync(dir).mode & 0o777).toBe(0o700);
    expect(readFileSync(join(dir, 'log'), 'utf8')).toBe('a line of the log\n');
    for (const file of ['log', 'postmaster.opts', 'bgworker.conf', 'BGWORKER_VERSION']) expect(statSync(join(dir, file)).mode & 0o777).toBe(0o600);
    expect(isAlive(serverPid())).toBe(true);
  });
  test('hands on everything, and no setting where others can read it', async () => {
    const settings = [
      ['database', 'postgres://u:secret@h/d'],
      ['max_worker_processes', '3'],
    ];
    await bgworker(['start', '-D', dir, '-c', 'database=postgres://u:secret@h/d', '-cmax-worker-processes=3']);
    const flags = [...NODE_FLAGS];
    expect(json('started.json')).toStrictEqual({
      argv: ['-D', dir],
      execArgv: flags,
      cwd: process.cwd(),
      settings,
      stdin: '/dev/null',
      session: true,
    });
    expect(titleOf(serverPid())).not.toContain('secret');
    expect(environOf(serverPid()).some((line) => line.startsWith('BGWORKER_POSTMASTER_OPTIONS='))).toBe(true);
  });
  test('a relative -D, from the environment, and -l', async () => {
    const cwd = tempDir();
    setDir(join(cwd, 'd'));
    const result = await bgworker(['start', '-s', '--log', 'server.log'], { cwd, env: { ...process.env, BGWORKER_DATA: 'd' } });
    expect(result).toStrictEqual(ok(''));
    expect(readFileSync(join(cwd, 'server.log'), 'utf8')).toBe('a line of the log\n');
    expect(existsSync(join(dir, 'log'))).toBe(false);
    expect(json('started.json')['cwd']).toBe(cwd);
    serverPid();
  });
  test('-D counts more than the environment, and may stand before the command', async () => {
    const result = await bgworker(['-D', dir, 'status'], { env: { BGWORKER_DATA: '/nonexistent' } });
    expect(result.err).toBe(`bgworker: directory "${dir}" does not exist\n`);
  });
  test('a standby is up as well', async () => {
    expect(await bgworker(['start', '-s', '-D', dir, '-c', 'stand_in.status=standby'])).toStrictEqual(ok(''));
    serverPid();
  });
  test('one that ends shows what is new in the log', async () => {
    initDataDir(dir);
    writeFileSync(join(dir, 'log'), 'an old line\n', { mode: 0o600 });
    const result = await bgworker(['start', '-D', dir, '-c', 'stand_in.exit=1']);
    expect(result).toStrictEqual({
      status: 1,
      out: 'waiting for server to start.... stopped waiting\n',
      err: `bgworker: could not start server\na line of the log\nFATAL:  the reason\nThis is the end of the log "${dir}/log".\n`,
    });
    expect(existsSync(join(dir, 'postmaster.opts'))).toBe(false);
  });
  test('one that takes too long is left alone', async () => {
    const result = await bgworker(['start', '-D', dir, '-t', '0', '-c', 'stand_in.status=starting']);
    expect(result.status).toBe(1);
    expect(result.out).toContain('waiting for server to start.... stopped waiting\n');
    expect(result.err).toBe('bgworker: server did not start in time\n');
    await waitUntil(() => readLockFile(dir)?.pid, { what: 'the stand-in to start' });
    expect(isAlive(serverPid())).toBe(true);
  });
  test('-W does not wait', async () => {
    const result = await bgworker(['start', '-D', dir, '-W']);
    expect(result.out).toBe(`created data directory "${dir}"\nserver starting\n`);
    await waitUntil(() => readLockFile(dir)?.status === 'ready', { what: 'the stand-in to start' });
    serverPid();
  });
  test('beside a running one, it says so and lets the postmaster refuse', async () => {
    initDataDir(dir);
    const content = {
      dataDir: dir,
      startTime: 1,
      socketPath: '',
      status: 'ready',
      database: 'none',
      pid: process.pid,
      processStart: processStart(process.pid),
    } as const;
    writeFileSync(join(dir, 'postmaster.pid'), formatLockFile(content));
    const result = await bgworker(['start', '-D', dir, '-c', 'stand_in.exit=1']);
    expect(result.err).toMatch(/^bgworker: another server might be running; trying to start server anyway\nbgworker: could not start server\n/);
  });
  const bad: [string, () => void, () => string][] = [
    [
      'a foreign one',
      () => (mkdirSync(dir, { mode: 0o700 }), writeFileSync(join(dir, 'letters'), '')),
      () => `"${dir}" is not a valid data directory\nDETAIL:  `,
    ],
    [
      'an open one',
      () => (initDataDir(dir), chmodSync(dir, 0o755)),
      () => `data directory "${dir}" has invalid permissions\nDETAIL:  Permissions should be`,
    ],
    ['a file', () => writeFileSync(dir, ''), () => `specified data directory "${dir}" is not a directory\n`],
    ['below a file', () => (writeFileSync(dir, ''), setDir(join(dir, 'x'))), () => `could not create directory "${dir}": Not a directory\n`],
  ];
  test.each(bad)('a directory that will not do: %s', async (_what, make, message) => {
    make();
    const before = existsSync(dir) && statSync(dir).isDirectory() ? readdirSync(dir) : [];
    const result = await bgworker(['start', '-D', dir]);
    expect(result).toMatchObject({ status: 1, out: '' });
    expect(result.err.startsWith(`bgworker: ${message()}`)).toBe(true);
    if (before.length > 0) expect(readdirSync(dir)).toStrictEqual(before);
  });
  test('a log that cannot be written', async () => {
    expect((await bgworker(['start', '-D', dir, '-l', '/nonexistent/log'])).err).toBe(
      'bgworker: could not open log file "/nonexistent/log": No such file or directory\n',
    );
  });
  test('a working directory that is gone', async () => {
    expect((await bgworker(['start', '-D', dir], { cwd: '/nonexistent' })).err).toMatch(
      /^bgworker: could not start server in directory "\/nonexistent": /,
    );
  });
  test('-c wants a value, -t a number', async () => {
    expect(await bgworker(['start', '-D', dir, '-c', 'x'])).toStrictEqual(failed('bgworker: -c x requires a value\n'));
    expect((await bgworker(['start', '-D', dir, '-t', 'x'])).err).toContain("bgworker: option '-t, --timeout <seconds>' argument 'x' is invalid.");
    expect(existsSync(dir)).toBe(false);
  });
});
