// Channels: a worker and who registered it, values of any kind each way, from a backend and from an application through its session.
import { describe, expect, test } from 'vitest';
import type { SessionChannel } from '../../dist/session/channel.js';
import type { Session } from '../../dist/session/client.js';
import { fixture, waitUntil } from '../helpers/index.js';
import { errorOf, logLines, openSession, sharedPostmaster, worker } from './support.js';

const CHANNELS = fixture('channels.mjs');
const pm = sharedPostmaster({ preload: [CHANNELS], settings: { max_worker_processes: '3' } });

function channelWorker(functionName: string) {
  const { notifyPid: _, ...rest } = worker(functionName, { libraryName: CHANNELS });
  return rest;
}

async function open(session: Session, functionName: string, options?: { queueSize?: number }): Promise<SessionChannel> {
  const channel = await session.openChannel(channelWorker(functionName), options);
  if (channel === null) throw new Error('no slot');
  return channel;
}

describe('in a backend', () => {
  test('openWorkerChannel: values of any kind to a worker and back; then the end', async () => {
    const session = await openSession(pm);
    for (const echo of ['echoes', 'echoesSync']) {
      expect(await session.call(CHANNELS, 'values', channelWorker(echo))).toEqual({
        received: [{ a: [1n, null, undefined], b: new Map([[new Date(0), /x/g]]) }, new Float64Array(500).fill(0.5), 'text'],
        end: { done: true, value: undefined },
      });
    }
  });

  test('shmMqSendValue, shmMqReceiveValue: what is received is the receiver’s own', async () => {
    const session = await openSession(pm);
    expect(await session.call(CHANNELS, 'valuesOfQueue')).toEqual([
      { result: 0, value: new Uint8Array([1, 2, 3]) },
      { result: 0, value: { second: 2 } },
      { result: 1 },
    ]);
  });

  test('bad input', async () => {
    const session = await openSession(pm);
    const refused = (options: unknown) => errorOf(session.call(CHANNELS, 'refuses', channelWorker('echoes'), options));
    expect(await refused({ queueSize: 10 })).toMatchObject({
      code: '22023',
      message: 'queueSize must be an integer from 64 to 1073741823 bytes, not 10',
    });
    expect(await errorOf(session.call(CHANNELS, 'refuses', { ...channelWorker('echoes'), restartTime: -7 }))).toMatchObject({ code: '22023' });
    expect(await errorOf(session.call(CHANNELS, 'acceptsNothing'))).toMatchObject({ message: 'unable to map dynamic shared memory segment' });
  });
});

describe('session.openChannel', () => {
  test('an application talks to a worker: any values, longer than the queue, several at a time, in order', async () => {
    const channel = await open(await openSession(pm), 'echoes', { queueSize: 500 });
    const values = [new Map([['a', 1n]]), 'x'.repeat(100_000), null, undefined, new Date(1), [1, [2]]];
    const sends = values.map((value) => channel.send(value));
    for (const value of values) expect(await channel.receive()).toEqual({ done: false, value });
    expect(await Promise.all(sends)).toEqual(values.map(() => true));
    await channel.end();
    const rest: unknown[] = [];
    for await (const value of channel) rest.push(value);
    expect(rest).toEqual([]);
    await channel.close();
    expect(await errorOf(channel.send(1))).toMatchObject({ code: '42704', message: 'the channel has been closed' });
    await channel.close();
  });

  test('back-pressure: a send waits for the worker, a receive for the application', async () => {
    const session = await openSession(pm);
    const deaf = await open(session, 'takesNothing', { queueSize: 1000 });
    let sent = 0;
    const sends = Array.from({ length: 20 }, () =>
      deaf.send(new Uint8Array(200)).then(
        () => sent++,
        () => undefined,
      ),
    );
    await session.activity(); // answered after what went before, where that could be answered
    await waitUntil(() => sent >= 3, { what: 'as many messages as fit' });
    expect(sent).toBeLessThan(6);
    await deaf.close();
    await Promise.all(sends);
    expect(sent).toBeLessThan(6);
    const loud = await open(session, 'floods', { queueSize: 10_000 });
    expect(((await loud.receive()).value as { sent: number }).sent).toBe(0);
    await loud.close();
    await waitUntil(() => logLines(pm, '@floods flooded').length > 0, { what: 'the worker to notice' });
    expect(Number(/flooded (\d+)/.exec(logLines(pm, '@floods flooded')[0] as string)?.[1])).toBeLessThan(12);
    await session.terminateBackgroundWorker(deaf.handle);
    await session.waitForBackgroundWorkerShutdown(deaf.handle);
  });

  test('a worker that ends is missed; a session that ends is missed by its worker', async () => {
    const session = await openSession(pm);
    const channel = await open(session, 'echoes');
    const { pid } = await session.waitForBackgroundWorkerStartup(channel.handle);
    const receive = channel.receive();
    await session.terminateBackgroundWorker(channel.handle);
    expect(await receive).toEqual({ done: true, value: undefined });
    expect(await channel.send(1)).toBe(false);
    expect(pid).toBeGreaterThan(0);

    const other = await open(session, 'echoes');
    await other.send(1);
    await other.receive();
    await session.close();
    const witness = await openSession(pm);
    await waitUntil(async () => (await witness.getBackgroundWorkerPid(other.handle)).status === 2, { what: 'the worker to end' });
  });

  test('no slot: null; a worker that cannot be registered: its error', async () => {
    const session = await openSession(pm);
    const channels = await Promise.all([1, 2, 3].map(() => open(session, 'echoes')));
    expect(await session.openChannel(channelWorker('echoes'))).toBeNull();
    for (const channel of channels) await channel.close();
    expect(await errorOf(session.openChannel({ ...channelWorker('echoes'), restartTime: -7 }))).toMatchObject({ code: '22023' });
    for (const { handle } of channels) await session.waitForBackgroundWorkerShutdown(handle);
  });
});
