// Who is let in and who is not, and what a client can do to a postmaster: nothing. Contract T-03, T-20; issue 2, "Bad input".
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createConnection, type Socket } from 'node:net';
import { join } from 'node:path';
import { serialize } from 'node:v8';
import { describe, expect, onTestFinished, test } from 'vitest';
import { connect } from '../../dist/session/client.js';
import { FrameReader } from '../../src/session/protocol.js';
import { type Postmaster, fixture, openFds, processState, tempDir, waitUntil, withPostmaster } from '../helpers/index.js';
import { CALLS, end, errorOf, launch, logLines, openSession, sharedPostmaster, waitForSaid, worker } from './support.js';

const pm = sharedPostmaster({ settings: { log_min_messages: 'debug2' } });

/** A connection of no session's: what comes, comes as messages. */
async function rawConnection(to: Postmaster): Promise<{ socket: Socket; messages: Record<string, unknown>[]; closed: Promise<unknown> }> {
  const socket = createConnection(join(to.dir, '.s.bgworker'));
  const reader = new FrameReader();
  const messages: Record<string, unknown>[] = [];
  socket.on('data', (chunk) => messages.push(...(reader.push(chunk) as Record<string, unknown>[])));
  socket.on('error', () => {});
  const closed = once(socket, 'close');
  onTestFinished(() => void socket.destroy());
  await waitUntil(() => messages.length > 0 || socket.destroyed, { what: 'the first message' });
  return { socket, messages, closed };
}

function frame(body: Uint8Array): Buffer {
  const head = Buffer.alloc(4);
  head.writeUInt32BE(body.length);
  return Buffer.concat([head, body]);
}

describe('garbage', () => {
  const GARBAGE: readonly (readonly [string, Uint8Array, string])[] = [
    ['an HTTP request', Buffer.from('GET / HTTP/1.1\r\n\r\n'), 'invalid message length 1195725856'],
    ['a length beyond all measure', Buffer.from([0xff, 0xff, 0xff, 0xff]), 'invalid message length 4294967295'],
    ['a frame of random bytes', frame(Buffer.from('no structured clone')), 'invalid message: '],
    ['an empty frame', frame(Buffer.alloc(0)), 'invalid message: '],
    ['a value that is no message', frame(serialize(42)), 'invalid message from the application'],
    ['null', frame(serialize(null)), 'invalid message from the application'],
    [
      'a message with an argument list that is none',
      frame(serialize({ type: 'call', id: 1, library: '', function: 'activity', args: 7 })),
      'invalid message from',
    ],
  ];

  test.each(GARBAGE)('%s ends that session with FATAL 08P01, and no other', async (_what, bytes, message) => {
    const other = await openSession(pm);
    const { socket, messages, closed } = await rawConnection(pm);
    const backend = messages[0]?.['backendPid'] as number;
    socket.write(bytes);
    await closed;
    expect(messages[1]).toMatchObject({ type: 'fatal', error: { code: '08P01', message: expect.stringContaining(message) as string } });
    await waitUntil(() => processState(backend) === null, { what: 'the backend to be reaped' });
    await pm.waitForLog(`server process (PID ${backend}) exited with exit code 1`);
    expect(await other.call(CALLS, 'echo', 1)).toEqual([1]);
  });

  test.each([
    ['then', 'toString'],
    ['__proto__', 'constructor'],
    ['hasOwnProperty', ''],
  ])('names of Object’s own, %s and %s, are no ready-made calls', async (...names) => {
    const { socket, messages } = await rawConnection(pm);
    for (const [id, name] of names.entries()) socket.write(frame(serialize({ type: 'call', id, library: '', function: name, args: [] })));
    await waitUntil(() => messages.length === 3, { what: 'two answers' });
    for (const [id, name] of names.entries()) {
      expect(messages[id + 1]).toMatchObject({ type: 'error', id, error: { code: '42883', message: `function "${name}" does not exist` } });
    }
  });

  test('a frame in single bytes is a frame, and two in one piece are two', async () => {
    const { socket, messages } = await rawConnection(pm);
    const call = (id: number): Buffer => frame(serialize({ type: 'call', id, library: CALLS, function: 'echoOne', args: [id] }));
    for (const byte of call(1)) socket.write(Buffer.from([byte]));
    socket.write(Buffer.concat([call(2), call(3)]));
    await waitUntil(() => messages.length === 4, { what: 'three answers' });
    expect(messages.slice(1)).toEqual([1, 2, 3].map((id) => ({ type: 'result', id, value: id })));
  });

  test('clients that go away at once, in the middle of a frame, or without reading, leave nothing', async () => {
    const backends: number[] = [];
    for (const bytes of [
      [],
      [0, 0],
      [0, 0, 4, 0, 1],
      frame(serialize({ type: 'call', id: 1, library: CALLS, function: 'makeBytes', args: [1e7] })),
    ]) {
      const { socket, messages } = await rawConnection(pm);
      backends.push(messages[0]?.['backendPid'] as number);
      socket.pause();
      socket.write(Uint8Array.from(bytes), () => socket.destroy());
    }
    for (let n = 0; n < 20; n++) createConnection(join(pm.dir, '.s.bgworker')).on('error', () => {}).destroy(); // prettier-ignore
    await waitUntil(() => pm.children().length === 0, { what: () => `the backends to be gone; there are ${pm.children().join()}` });
    expect(backends).toHaveLength(4);
    expect(logLines(pm, 'terminating any other')).toEqual([]);
  });
});

describe('a client that is killed', () => {
  test('leaves no backend; its worker runs on', async () => {
    const descriptor = JSON.stringify(worker('idle', { name: 'heir' }));
    const application = spawn(process.execPath, [fixture('application.mjs'), pm.dir, descriptor], { stdio: ['ignore', 'pipe', 'inherit'] });
    const exited = once(application, 'exit');
    const [chunk] = (await once(application.stdout, 'data')) as [Buffer];
    const { backendPid, workerPid } = JSON.parse(chunk.toString()) as { backendPid: number; workerPid: number };
    application.kill('SIGKILL');
    await exited;
    await waitUntil(() => processState(backendPid) === null, { what: 'the backend to be reaped' });
    expect((await waitForSaid(pm, 'heir', 'ready')).pid).toBe(workerPid);
    process.kill(workerPid, 'SIGTERM');
    await pm.waitForLog(`background worker "heir" (PID ${workerPid}) exited with exit code 1`);
  });
});

describe('who is not let in', () => {
  test('T-03: more than max_connections: 53300; as soon as one has left there is room', async () => {
    await withPostmaster({ settings: { max_connections: 2 } }, async (full) => {
      const [first, second] = [await full.connect(), await full.connect()];
      const tooMany = { name: 'ErrorData', code: '53300', message: 'sorry, too many clients already', severity: 'FATAL' };
      for (let n = 0; n < 3; n++) expect(await errorOf(full.connect())).toEqual(tooMany);
      // Workers have places of their own.
      await end(first, (await launch(first, worker('quietlyIdle'))).handle);
      await second.close();
      await waitUntil(() => full.connect().then(() => true, () => false), { what: 'a session after one has left' }); // prettier-ignore
    });
  });

  test('T-20: connecting while a smart shutdown waits for sessions: 57P03; they can go on', async () => {
    await withPostmaster({}, async (stopping) => {
      const session = await stopping.connect();
      stopping.signal('SIGTERM');
      await stopping.waitForLog('received smart shutdown request');
      const refused = { code: '57P03', message: 'the database system is shutting down', severity: 'FATAL' };
      expect(await errorOf(stopping.connect())).toMatchObject(refused);
      // Workers start as long as a session holds the shutdown up.
      await end(session, (await launch(session, worker('quietlyIdle'))).handle);
      await session.close();
      expect(await stopping.exited).toBe(0);
    });
  });

  test('while a fast shutdown waits for a worker: 57P03, and the session ends', async () => {
    await withPostmaster({}, async (stopping) => {
      const session = await stopping.connect();
      const { pid } = await launch(session, worker('ignoresTerm', { name: 'holds' }));
      await waitForSaid(stopping, 'holds', 'ready');
      stopping.signal('SIGINT');
      expect(await session.closed).toMatchObject({ code: '57P01', message: 'terminating connection due to administrator command' });
      expect(await errorOf(stopping.connect())).toMatchObject({ code: '57P03', message: 'the database system is shutting down' });
      process.kill(pid, 'SIGUSR2');
      expect(await stopping.exited).toBe(0);
    });
  });

  test('no postmaster: 08006, with a hint; no directory; no text', async () => {
    const dir = tempDir();
    const where = `could not connect to the postmaster of "${dir}"`;
    expect(await errorOf(connect(dir))).toMatchObject({ code: '08006', message: where, hint: expect.stringContaining('bgworker start') as string });
    expect(await errorOf(connect(join(dir, 'nowhere')))).toMatchObject({ code: '08006', detail: expect.stringContaining('ENOENT') as string });
    await expect(connect(undefined as never)).rejects.toThrow('data directory must be a string, not undefined');
  });
});

describe('no descriptors left', () => {
  /** Of the postmaster alone; `soft` is what it may have from now on. */
  const limitDescriptors = (pid: number, soft: number): void => void execFileSync('prlimit', ['--pid', `${pid}`, `--nofile=${soft}:`]);
  const switches = (pid: number): number => Number(/^voluntary_ctxt_switches:\s*(\d+)$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]);

  test('a connection waits until there are some; the postmaster says so once, sleeps in between, and serves all else', () =>
    withPostmaster({}, async (pm) => {
      const session = await openSession(pm);
      const { handle, pid } = await launch(session, worker('idle'));
      await waitForSaid(pm, 'idle', 'ready');
      const most = Math.max(...openFds(pm.pid).keys()) + 1;
      const used = new Set(openFds(pm.pid).keys());
      const lowestFree = Array.from({ length: most + 1 }, (_, fd) => fd).find((fd) => !used.has(fd)) as number;
      limitDescriptors(pm.pid, lowestFree);
      const later = pm.connect();
      later.catch(() => {});
      await pm.waitForLog('LOG:  could not accept new connection: Too many open files');
      // One that tries again at once never sleeps of its own accord.
      const before = switches(pm.pid);
      await waitUntil(() => switches(pm.pid) >= before + 8, { what: 'the postmaster to sleep, again and again' });
      process.kill(pid, 'SIGTERM');
      expect(await session.waitForBackgroundWorkerShutdown(handle)).toBe(2);
      limitDescriptors(pm.pid, 1024);
      expect(await (await later).call(CALLS, 'echo', 1)).toEqual([1]);
      expect(logLines(pm, 'could not accept new connection')).toHaveLength(1);
    }));
});
