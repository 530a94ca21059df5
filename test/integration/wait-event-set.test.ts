// Waiting for sockets and on wait event sets, in both forms. Contract 9.2, 9.3, L-08, L-33; WaitEventSet… of release 15's latch.c.
import { createServer } from 'node:net';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { fixture, isAlive, tempDir, waitUntil, withPostmaster } from '../helpers/index.js';
import { launch, openSession, register, sharedPostmaster, waitForSaid, worker } from './support.js';

const SOCKETS = fixture('sockets.mjs');
const pm = sharedPostmaster({ preload: [SOCKETS] });
const ERROR = 'ErrorData XX000';

async function results(functionName: string): Promise<unknown> {
  const session = await openSession(pm);
  await register(session, worker(functionName, { libraryName: SOCKETS }));
  return (await waitForSaid(pm, functionName, 'results')).data;
}

describe('waitLatchOrSocket', () => {
  test('L-08, L-10: readable, writeable, the end of a pipe; a set latch first and alone', async () => {
    const seen = [8, 2, 1, 4, 8, 8, 2, 8];
    const refused = [
      `${ERROR} cannot wait on socket event without a socket`,
      `${ERROR} cannot wait without watching the postmaster`,
      `${ERROR} epoll_ctl() failed: EPERM`,
    ];
    expect(await results('latchOrSocket')).toEqual({ results: [seen, seen], late: [2, 1], refused: [...refused, ...refused] });
  });

  test('9.2: WL_SOCKET_CLOSED is reported though unread data is there', async () => {
    const path = join(tempDir(), 's');
    const server = createServer((socket) => {
      socket.on('data', (data) => (data.toString() === 'bye' ? socket.end() : socket.write('pong')));
      socket.on('error', () => {});
    });
    await new Promise<void>((resolve) => server.listen(path, resolve));
    onTestFinished(() => new Promise<void>((resolve) => server.close(() => resolve())));
    await withPostmaster({ preload: [SOCKETS], env: { BGW_TEST_SOCKET: path } }, async (own) => {
      const session = await own.connect();
      await register(session, worker('closedSocket', { libraryName: SOCKETS }));
      const seen = [4, 2, 8, 128, 130];
      expect((await waitForSaid(own, 'closedSocket', 'results')).data).toEqual([seen, seen]);
    });
  });
});

describe('wait event sets', () => {
  test('L-33: what occurred, at most so many, with position, descriptor and data; changed and waited for again', async () => {
    const write = [3, 4, false, 'write'];
    const latch = [0, 1, true, 'latch'];
    const each = {
      writable: [write],
      both: expect.arrayContaining([write, [2, 2, false, { name: 'read' }]]) as unknown,
      one: 1,
      latch: [latch],
      nothing: [[], []],
      unwatched: [],
      watched: [latch],
    };
    const busy = (what: string): string => `${ERROR} cannot ${what} a wait event set while waiting on it`;
    expect(await results('eventSets')).toEqual({
      added: [0, 1, 2, 3],
      registered: 4,
      results: [each, each],
      busy: [busy('free'), busy('change'), busy('change')],
      meanwhile: 0,
      shared: [['write'], ['write']],
      aborted: 'AbortError 20 This operation was aborted',
    });
  });

  test('what sets refuse, in PostgreSQL’s words', async () => {
    expect(await results('eventSetRefusals')).toEqual([
      'RangeError  nevents must be 1 to 65535, not 0',
      `${ERROR} cannot wait on latch without a specified latch`,
      `${ERROR} cannot wait on a latch owned by another process`,
      `${ERROR} latch events only support being set`,
      `${ERROR} cannot wait on socket event without a socket`,
      `${ERROR} unrecognized wait events 8`,
      'TypeError  fd must be a file descriptor, an integer, not string',
      0,
      `${ERROR} cannot wait on more than one latch`,
      1,
      `${ERROR} epoll_ctl() failed: EEXIST`,
      `${ERROR} epoll_ctl() failed: EPERM`,
      2,
      `${ERROR} wait event set has room for 3 events only`,
      `${ERROR} cannot modify latch event`,
      `${ERROR} cannot wait on a latch owned by another process`,
      `${ERROR} cannot modify postmaster death event`,
      `${ERROR} unrecognized wait events 0`,
      'RangeError  pos must be 0 to 2, not 3',
      'RangeError  timeout must be 0 to 2147483647 milliseconds, not -2',
      'RangeError  nevents must be 1 or more, not 0',
      null,
      `${ERROR} wait event set has been freed`,
      `${ERROR} wait event set has been freed`,
      'TypeError  set must be a WaitEventSet, not object',
      true,
    ]);
  });

  test('L-22: handlers run in the middle of a blocking wait, which goes on until one sets the latch', async () => {
    const session = await openSession(pm);
    const { pid } = await launch(session, worker('setServesSignals', { libraryName: SOCKETS }));
    await waitForSaid(pm, 'setServesSignals', 'ready');
    process.kill(pid, 'SIGHUP');
    process.kill(pid, 'SIGUSR2');
    const { data } = await waitForSaid(pm, 'setServesSignals', 'results');
    expect(data).toEqual({ handled: expect.arrayContaining(['HUP', 'USR2']) as unknown, events: [1] });
  });

  test('L-16, L-43: the postmaster’s death, reported again and again, or the end of the process', async () => {
    await withPostmaster({ preload: [SOCKETS], settings: { allow_orphan_workers: 'on' } }, async (own) => {
      const session = await own.connect();
      const pids: number[] = [];
      for (const mainArg of [0, 1, 2, 3])
        pids.push((await launch(session, worker('setSeesPostmasterDie', { name: `w${mainArg}`, mainArg, libraryName: SOCKETS }))).pid);
      for (const mainArg of [0, 1, 2, 3]) await waitForSaid(own, `w${mainArg}`, 'ready');
      own.signal('SIGKILL');
      for (const mainArg of [0, 1]) {
        expect((await waitForSaid(own, `w${mainArg}`, 'died')).data).toEqual({ first: [[16, 'died']], again: [16], socket: 16 });
      }
      for (const mainArg of [2, 3]) expect((await waitForSaid(own, `w${mainArg}`, 'exit')).data).toBe(1);
      await waitUntil(() => pids.every((pid) => !isAlive(pid)), { what: 'the workers to leave' });
      expect(own.log()).not.toMatch(/@w[23] died/);
    });
  });
});
