// The ring of a message queue: any messages, in any order of calls at its two ends, through a ring of any size. Tests: src/shm-mq/ring.ts.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { SHM_MQ_DETACHED, SHM_MQ_SUCCESS, SHM_MQ_WOULD_BLOCK, WORD, openQueue, shmMqCreate } from '../../../src/shm-mq/queue.js';
import { ReceivingEnd } from '../../../src/shm-mq/receiving-end.js';
import { SendingEnd } from '../../../src/shm-mq/sending-end.js';

function ends(ringSize: number) {
  const { words, ring } = openQueue(shmMqCreate(new Uint8Array(56 + ringSize)));
  const woken = { sender: 0, receiver: 0 };
  const sender = new SendingEnd(words, ring, () => woken.receiver++);
  const receiver = new ReceivingEnd(words, ring, () => woken.sender++);
  return { words, sender, receiver, woken };
}

const message = fc.tuple(fc.integer({ min: 0, max: 400 }), fc.nat(255)).map(([length, seed]) => Uint8Array.from({ length }, (_, i) => seed + i * 7));

test('any messages, in parts, flushed or not, with the calls of both ends in any order', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 60 }),
      fc.array(fc.record({ message, flush: fc.boolean(), cut: fc.nat(400) }), { maxLength: 30 }),
      fc.array(fc.boolean(), { minLength: 1, maxLength: 50 }),
      (eighths, sends, turns) => {
        const { words, sender, receiver } = ends(8 * eighths);
        const received: Uint8Array[] = [];
        let sent = 0;
        let idle = 0;
        for (let turn = 0; received.length < sends.length && idle < 2 * turns.length + 4; turn++) {
          const progress = [sent, received.length, Atomics.load(words, WORD.read), Atomics.load(words, WORD.written)].join();
          const send = sends[sent];
          if (send === undefined && sender.unpublished) sender.publish();
          if (turns[turn % turns.length] === true && send !== undefined) {
            const cut = Math.min(send.cut, send.message.length);
            const parts = send.cut % 2 === 0 ? send.message : [send.message.subarray(0, cut), send.message.subarray(cut)];
            const result = sender.send(parts, send.message.length, send.flush);
            if (result === SHM_MQ_SUCCESS) sent++;
            else expect(result).toBe(SHM_MQ_WOULD_BLOCK);
          } else {
            const message = receiver.receive();
            if (typeof message !== 'number') received.push(message.slice());
          }
          const after = [sent, received.length, Atomics.load(words, WORD.read), Atomics.load(words, WORD.written)].join();
          idle = progress === after ? idle + 1 : 0;
        }
        // Whoever gets no turn at all cannot be waited for.
        if (turns.includes(true) && turns.includes(false)) expect(received).toEqual(sends.map((send) => send.message));
        else received.forEach((data, i) => expect(data).toEqual(sends[i]?.message));
      },
    ),
    { numRuns: 300 },
  );
});

test('the receiver has every whole message after the sender has left, and no half of one', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 60 }), fc.array(message, { maxLength: 20 }), (eighths, messages) => {
      const { words, sender, receiver } = ends(8 * eighths);
      const whole = messages.filter((data) => !sender.unfinished && sender.send([data], data.length, true) === SHM_MQ_SUCCESS).length;
      if (sender.unpublished) sender.publish();
      Atomics.store(words, WORD.detached, 1);
      for (let n = 0; n < whole; n++) {
        expect(receiver.receive()).toEqual(messages[n]);
      }
      expect(receiver.receive()).toBe(SHM_MQ_DETACHED);
      expect(sender.unfinished ? SHM_MQ_DETACHED : sender.send([new Uint8Array(1)], 1, true)).toBe(SHM_MQ_DETACHED);
    }),
    { numRuns: 200 },
  );
});

test('M-21: the least queue is its head and eight bytes of ring; what is over is dropped', () => {
  for (const [given, ring] of [
    [64, 8],
    [71, 8],
    [72, 16],
    [100, 40],
  ] as const) {
    const mq = shmMqCreate(new Uint8Array(200), given);
    expect([mq.length, openQueue(mq).ring.length]).toEqual([56 + ring, ring]);
  }
  expect(() => shmMqCreate(new Uint8Array(200), 63)).toThrow('queue size must be at least 64 bytes');
  const { sender, receiver } = ends(8);
  expect(sender.send([new Uint8Array(0)], 0, true)).toBe(SHM_MQ_SUCCESS);
  expect(receiver.receive()).toHaveLength(0);
});

test('M-30: neither end is woken for each message', () => {
  const { sender, receiver, woken } = ends(4096);
  for (let n = 0; n < 10_000; n++) {
    while (sender.send([new Uint8Array(16)], 16, false) === SHM_MQ_WOULD_BLOCK) while (typeof receiver.receive() !== 'number');
  }
  expect(woken.receiver).toBeLessThan(300); // 240,000 bytes, a quarter of 4,096 at a time
  expect(woken.sender).toBeLessThan(500);
});
