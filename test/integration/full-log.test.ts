// A log that is a pipe which nobody empties. docs/fork-safety.md, P9.
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, constants, existsSync, mkdirSync, openSync, readFileSync, readSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { connect } from '../../dist/index.js';
import { dist, fixture, tempDir, waitUntil } from '../helpers/index.js';
import { STOPPED, launch, worker } from './support.js';

const LIBRARY = fixture('full-log.mjs');
const RECORDS = 300;
/** poll(2), or ppoll where a processor has no other. */
const POLL = process.arch === 'x64' ? '7' : '73';

/** A postmaster whose standard output and error are a pipe of ours, which we read when we like. */
async function start() {
  const top = tempDir();
  const dir = join(top, 'data');
  mkdirSync(dir, { mode: 0o700 });
  execFileSync('mkfifo', [join(top, 'log')]);
  const readEnd = openSync(join(top, 'log'), constants.O_RDONLY | constants.O_NONBLOCK);
  const writeEnd = openSync(join(top, 'log'), constants.O_WRONLY);
  const settings = ['database=none', 'allow_writable_libraries=on', `shared_preload_libraries=${LIBRARY}`];
  if (process.getuid?.() === 0) settings.push('allow_root=on');
  const child = spawn(process.execPath, [dist('postmaster/main.js'), '-D', dir, ...settings.flatMap((setting) => ['-c', setting])], {
    stdio: ['ignore', writeEnd, writeEnd],
  });
  closeSync(writeEnd);
  const exited = once(child, 'exit');
  let log = '';
  const read = (): string => {
    const bytes = Buffer.alloc(1 << 16);
    try {
      for (let n = 1; n > 0;) log += bytes.toString('latin1', 0, (n = readSync(readEnd, bytes)));
    } catch (err) {
      if ((err as NodeJS.ErrnoException).code !== 'EAGAIN') throw err;
    }
    return log;
  };
  onTestFinished(async () => {
    const emptying = setInterval(read, 20);
    child.kill('SIGINT');
    await exited;
    clearInterval(emptying);
    closeSync(readEnd);
  });
  const lockFile = join(dir, 'postmaster.pid');
  await waitUntil(() => existsSync(lockFile) && readFileSync(lockFile, 'utf8').split('\n')[4]?.trim() === 'ready', {
    timeoutMs: 40_000,
    what: () => `a start:\n${read()}`,
  });
  const session = await connect(dir);
  onTestFinished(() => session.close());
  const { handle, pid } = await launch(session, worker('floods', { libraryName: LIBRARY, mainArg: RECORDS }));
  const sleepsForRoom = (): boolean => readFileSync(`/proc/${pid}/syscall`, 'utf8').startsWith(`${POLL} `);
  return { dir, child, session, handle, read, sleepsForRoom };
}

const whole = (log: string): number[] => [...log.matchAll(/LOG: {2}record (\d+) x{1000} end\n/g)].map(([, n]) => Number(n));

test('P9: a reader that is behind is waited for, asleep, and gets every record', async () => {
  const { dir, child, session, handle, read, sleepsForRoom } = await start();
  await waitUntil(sleepsForRoom, { what: 'the worker to sleep until there is room' });
  // What the worker did to the open file, it did to everybody's.
  const flags = Number.parseInt(/^flags:\s+(\d+)$/m.exec(readFileSync(`/proc/${child.pid}/fdinfo/2`, 'latin1'))?.[1] ?? '', 8);
  expect(flags & constants.O_NONBLOCK).toBe(constants.O_NONBLOCK);
  await waitUntil(() => whole(read()).length === RECORDS, { what: () => `all records; there are ${whole(read()).length}` });
  expect(whole(read())).toEqual(Array.from({ length: RECORDS }, (_, n) => n));
  writeFileSync(join(dir, 'again'), '');
  expect(await session.waitForBackgroundWorkerShutdown(handle)).toBe(STOPPED.status);
  expect(read()).not.toContain('WARNING');
});

test('P9: a reader that has stopped is given up after some seconds, and is told how much it missed when it reads again', async () => {
  const { dir, session, handle, read } = await start();
  await waitUntil(() => existsSync(join(dir, 'flooded')), { timeoutMs: 20_000, what: 'the worker to go on' });
  const arrived = whole(read()).length;
  writeFileSync(join(dir, 'again'), '');
  expect(await session.waitForBackgroundWorkerShutdown(handle)).toBe(STOPPED.status);
  const after =
    /\n\S+ \S+ UTC \[\d+\] WARNING: {2}the log is incomplete\n.*DETAIL: {2}(\d+) of its records could not be written, .*\n.*LOG: {2}afterwards\n/;
  expect(read()).toMatch(after);
  expect(arrived).toBeGreaterThan(0);
  expect(arrived + Number(after.exec(read())?.[1])).toBe(RECORDS);
});
