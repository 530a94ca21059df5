// bgworker stop and restart, with a stand-in for the postmaster. Texts and exit statuses are pg_ctl's where it has the case.
import { spawn } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { initDataDir } from '../../../src/postmaster/data-dir.js';
import { formatLockFile } from '../../../src/postmaster/lock-file-content.js';
import { isAlive, tempDir, waitUntil } from '../../helpers/index.js';
import { bgworker, dir, failed, json, ok, serverPid, useStandIn } from './kit.js';

useStandIn();

describe('stop', () => {
  const modes: [string[], string][] = [
    [[], 'SIGINT'],
    [['-m', 'smart'], 'SIGTERM'],
    [['-m', 'f'], 'SIGINT'],
    [['--mode', 'immediate'], 'SIGQUIT'],
  ];
  test.each(modes)('%j sends %s and waits for the end', async (args, signal) => {
    await bgworker(['start', '-s', '-D', dir]);
    const pid = serverPid();
    expect(await bgworker(['stop', '-D', dir, ...args])).toStrictEqual(ok('waiting for server to shut down.... done\nserver stopped\n'));
    expect(isAlive(pid)).toBe(false);
    expect(readFileSync(join(dir, 'signals'), 'utf8')).toBe(`${signal}\n`);
  });
  test('-W does not wait', async () => {
    await bgworker(['start', '-s', '-D', dir]);
    const pid = serverPid();
    expect(await bgworker(['stop', '-D', dir, '-W'])).toStrictEqual(ok('server shutting down\n'));
    await waitUntil(() => !isAlive(pid), { what: 'the stand-in to end' });
  });
  test('one that does not stop', async () => {
    await bgworker(['start', '-s', '-D', dir, '-c', 'stand_in.stubborn=on']);
    serverPid();
    const hint = 'HINT: The "-m fast" option immediately disconnects sessions rather than\nwaiting for session-initiated disconnection.\n';
    expect(await bgworker(['stop', '-D', dir, '-m', 'smart', '-t', '0'])).toStrictEqual({
      status: 1,
      out: 'waiting for server to shut down.... failed\n',
      err: `bgworker: server does not shut down\n${hint}`,
    });
    expect((await bgworker(['stop', '-s', '-D', dir, '-t', '0'])).err).toBe('bgworker: server does not shut down\n');
    expect(await bgworker(['stop', '-s', '-D', dir, '-m', 'immediate'])).toStrictEqual(ok(''));
  });
  test('none is running', async () => {
    initDataDir(dir);
    expect(await bgworker(['stop', '-D', dir])).toStrictEqual(
      failed(`bgworker: PID file "${dir}/postmaster.pid" does not exist\nIs server running?\n`),
    );
  });
  test('somebody else has the pid by now: he is left alone', async () => {
    initDataDir(dir);
    const other = spawn('cat', { stdio: ['pipe', 'ignore', 'ignore'] });
    onTestFinished(() => void other.stdin.end());
    const pid = await waitUntil(() => other.pid, { what: 'a pid' });
    writeFileSync(
      join(dir, 'postmaster.pid'),
      formatLockFile({ pid, dataDir: dir, startTime: 1, socketPath: '', status: 'ready', processStart: '1 x', database: 'none' }),
    );
    expect(await bgworker(['stop', '-D', dir])).toStrictEqual(failed(`bgworker: could not send stop signal (PID: ${pid}): No such process\n`));
    expect(await bgworker(['reload', '-D', dir])).toStrictEqual(failed(`bgworker: could not send reload signal (PID: ${pid}): No such process\n`));
    expect(isAlive(pid)).toBe(true);
    const ended = new Promise((resolve) => other.once('exit', resolve));
    other.stdin.end();
    await ended;
  });
  test('an unknown mode', async () => {
    const tryHelp = 'Try "bgworker --help" for more information.\n';
    expect(await bgworker(['stop', '-D', dir, '-m', 'frob'])).toStrictEqual(failed(`bgworker: unrecognized shutdown mode "frob"\n${tryHelp}`));
  });
});

describe('restart', () => {
  test('stops, and starts with the settings and in the directory of the first start', async () => {
    const cwd = tempDir();
    await bgworker(['start', '-s', '-D', dir, '-c', 'a.a=1', '-c', 'a.b=2'], { cwd });
    const first = serverPid();
    const result = await bgworker(['restart', '-D', dir, '-c', 'A.B=3', '-c', 'a.c=4']);
    expect(result).toStrictEqual(
      ok('waiting for server to shut down.... done\nserver stopped\nwaiting for server to start.... done\nserver started\n'),
    );
    expect(serverPid()).not.toBe(first);
    const settings = [
      ['a.a', '1'],
      ['A.B', '3'],
      ['a.c', '4'],
    ];
    expect(json('started.json')).toMatchObject({ cwd, settings });
    expect(json('postmaster.opts')).toStrictEqual({ cwd, settings });
  });
  test('starts one where none runs', async () => {
    initDataDir(dir);
    const result = await bgworker(['restart', '-s', '-D', dir]);
    const err = `bgworker: PID file "${dir}/postmaster.pid" does not exist\nIs server running?\ntrying to start server anyway\n`;
    expect(result).toStrictEqual({ status: 0, out: '', err });
    process.kill(serverPid(), 'SIGKILL');
    const dead = serverPid();
    await waitUntil(() => !isAlive(dead), { what: 'the stand-in to end' });
    const again = await bgworker(['restart', '-s', '-D', dir]);
    expect(again).toMatchObject({ status: 0, err: `bgworker: old server process (PID: ${dead}) seems to be gone\nstarting server anyway\n` });
    serverPid();
  });
  test('not where there is no data directory, nor with an options file that somebody has edited', async () => {
    expect((await bgworker(['restart', '-D', dir])).err).toBe(`bgworker: directory "${dir}" does not exist\n`);
    initDataDir(dir);
    for (const text of ['{', '{}', '{"cwd":"/","settings":[["a"]]}']) {
      writeFileSync(join(dir, 'postmaster.opts'), text);
      expect((await bgworker(['restart', '-D', dir])).err).toBe(
        `bgworker: could not read file "${dir}/postmaster.opts": it does not contain valid data\n`,
      );
    }
  });
});
