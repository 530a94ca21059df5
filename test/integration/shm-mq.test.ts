// Message queues: their two ends, the three forms of a call, batches, and every way in which the other end may be missing. Contract 10.3.
import { describe, expect, test } from 'vitest';
import * as bgw from '../../src/shm-mq/queue.js';
import { fixture, processState, waitUntil, withPostmaster } from '../helpers/index.js';
import { errorOf, launch, openSession, sharedPostmaster, waitForSaid, worker } from './support.js';

const SHM_MQ = fixture('shm-mq.mjs');
const pm = sharedPostmaster({ preload: [SHM_MQ], settings: { max_worker_processes: '4' } });
const call = async (name: string, ...args: unknown[]): Promise<unknown> => (await openSession(pm)).call(SHM_MQ, name, ...args);
const mqWorker = (functionName: string) => worker(functionName, { libraryName: SHM_MQ });

const [SUCCESS, WOULD_BLOCK, DETACHED] = [0, 1, 2];

describe('ends', () => {
  test('M-20: one sender and one receiver, each set once; everything else is refused in words', async () => {
    const prerequisite = { code: '55000' };
    const invalid = { code: '22023' };
    expect(await call('ends')).toMatchObject({
      nobody: [null, null],
      known: true,
      same: true,
      secondSender: { code: '55006', message: 'shared memory queue already has a sender' },
      secondReceiver: { code: '55006', message: 'shared memory queue already has a receiver' },
      wrongEnd: { ...prerequisite, message: expect.stringMatching(/^process \d+ is not the receiver of this shared memory queue$/) as string },
      noEnd: { ...prerequisite, message: expect.stringMatching(/^process \d+ is neither sender nor receiver/) as string },
      noQueue: { code: 'XX000', message: 'the bytes are not a shared memory queue, or not all of one' },
      notShared: { ...prerequisite, message: 'the bytes of the shared memory queue are not shared memory' },
      odd: { ...invalid, message: 'a shared memory queue must begin at a multiple of 8 bytes' },
      small: { ...invalid, message: 'queue size must be at least 64 bytes' },
      sizes: [
        'queue size must be at least 64 bytes',
        'queue size must be a whole number of bytes, not 100.5',
        'queue size must be a whole number of bytes, not NaN',
        'queue size must be a whole number of bytes, not 100',
        'queue size of 2147483648 bytes is more than the 1024 bytes that it is to lie in',
      ],
      large: { ...invalid, message: 'queue size of 2000 bytes is more than the 1024 bytes that it is to lie in' },
      noProc: { name: 'TypeError' },
      noHandle: { name: 'TypeError', message: 'mqh must be a handle of a shared memory queue, as shmMqAttach returns it' },
      noBytes: { name: 'TypeError', message: 'a message must be a Uint8Array' },
    });
  });

  test('M-28: what the sender sent before it left is received; then DETACHED', async () => {
    const gone = 'this end of the shared memory queue has been detached';
    expect(await call('leaving')).toEqual({
      before: [
        [SUCCESS, 'first'],
        [WOULD_BLOCK, ''],
      ],
      after: [
        [SUCCESS, 'second'],
        [DETACHED, ''],
      ],
      gone: [gone, gone, gone],
      used: { name: 'ErrorData', code: '55000', message: gone },
    });
  });

  test('M-28: a sender whose receiver has left hears of it, also for a message that is whole in the queue', async () => {
    expect(await call('receiverLeft')).toEqual([DETACHED, DETACHED]);
  });

  test('M-29: a worker that never attaches ends every kind of wait', async () => {
    expect(await call('neverAttaches', mqWorker('returnsAtOnce'))).toEqual(Array(6).fill(DETACHED));
  });

  test('a sender that SIGTERM ends in a computation is missed by its receiver', async () => {
    expect(await call('senderIsEnded', mqWorker('sendsAndComputes'))).toEqual({
      attached: SUCCESS,
      first: [SUCCESS, 'from the worker'],
      result: DETACHED,
    });
  });

  test('a segment that goes while a message is on its way ends the call', async () => {
    expect(await call('detachWhileFull')).toBe('this end of the shared memory queue has been detached');
  });
});

describe('messages', () => {
  test('M-30: a batch is published when more than a quarter of the ring is full, and with the next flush', async () => {
    expect(await call('batches')).toEqual({
      counts: [...Array<number>(10).fill(WOULD_BLOCK), SUCCESS],
      rest: [
        [SUCCESS, 'held back'],
        [SUCCESS, 'flushed'],
        [WOULD_BLOCK, ''],
      ],
    });
  });

  test('M-27: a view of the ring where the message is in one piece, and a copy where it wraps', async () => {
    const kinds = (await call('zeroCopy')) as [boolean, boolean][];
    expect(kinds.every(([, right]) => right)).toBe(true);
    expect(new Set(kinds.map(([view]) => view))).toEqual(new Set([true, false]));
  });

  test('the asynchronous form: in order, in parts, longer than the queue; a blocking call beside it is refused', async () => {
    expect(await call('asynchronous')).toEqual({
      results: Array(5).fill(SUCCESS),
      busy: { name: 'ErrorData', code: '55006', message: 'an asynchronous call is under way on this end of the shared memory queue' },
      right: true,
      detached: DETACHED,
    });
  });

  test('M-26: after WOULD_BLOCK the same message must be given again', async () => {
    expect(await call('repeatsAnotherMessage')).toEqual({
      first: WOULD_BLOCK,
      other: {
        name: 'ErrorData',
        code: 'XX000',
        message: 'a message of 100 bytes is in the shared memory queue in part, and another of 99 bytes was given',
      },
      last: SUCCESS,
      whole: true,
    });
  });

  test('M-22: a message of 1 GB is refused', async () => {
    expect(await call('tooLong')).toMatchObject({ code: '54000', message: `cannot send a message of size ${2 ** 30} via shared memory queue` });
  });

  test('a queue that somebody has written over: errors', async () => {
    const corrupt = ['XX000', 'shared memory queue is corrupt: a position is outside of the ring'];
    expect(await call('scribbles')).toEqual([
      ['54000', 'invalid message size 4294967295 in shared memory queue'],
      ['54000', 'invalid message size 4294967305 in shared memory queue'],
      ['54000', 'invalid message size 1073741824 in shared memory queue'],
      corrupt,
      corrupt,
      corrupt,
      corrupt,
    ]);
  });

  test('M-25: without waiting a call leaves the latch alone; a wait resets it', async () => {
    expect(await call('latchOfCalls')).toEqual([[WOULD_BLOCK, true], [WOULD_BLOCK, false], 'reset']);
  });

  test.each([0, 1])('M-25: the postmaster’s death ends a wait, and its process (form %i)', async (mainArg) => {
    await withPostmaster({ preload: [SHM_MQ], settings: { allow_orphan_workers: 'on' } }, async (own) => {
      const { pid } = await launch(await openSession(own), { ...mqWorker('waitsInWorker'), mainArg });
      await waitForSaid(own, 'waitsInWorker', 'waits');
      own.signal('SIGKILL');
      await waitUntil(() => processState(pid) === null, { what: 'the end of who waits' });
    });
  });

  test('M-24: the results are SHM_MQ_SUCCESS 0, SHM_MQ_WOULD_BLOCK 1 and SHM_MQ_DETACHED 2', async () => {
    expect([bgw.SHM_MQ_SUCCESS, bgw.SHM_MQ_WOULD_BLOCK, bgw.SHM_MQ_DETACHED]).toEqual([0, 1, 2]);
    expect(await call('threeResults')).toEqual([
      [SUCCESS, SUCCESS, WOULD_BLOCK],
      [SUCCESS, WOULD_BLOCK],
      [SUCCESS, DETACHED, DETACHED],
    ]);
  });

  test('M-25: SIGINT ends a wait with an error', async () => {
    const session = await openSession(pm);
    const waiting = errorOf(session.call(SHM_MQ, 'waits'));
    await session.activity();
    process.kill(session.backendPid, 'SIGINT');
    expect(await waiting).toMatchObject({ code: '57014' });
  });
});
