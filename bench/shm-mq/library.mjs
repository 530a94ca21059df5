// What bench/shm-mq.mjs measures: a session's backend sends, a worker receives and says when it has all. Preloaded by the postmaster.
import * as bgw from 'bgworker';
import { fileURLToPath } from 'node:url';

const library = fileURLToPath(import.meta.url);
const MAGIC = 1;

/**
 * Messages of `size` bytes, `count` of them, through a queue of `queueSize` bytes, so many times. `flush`: each; else in batches. Microseconds from the first to the
 * answer.
 */
export function sends(queueSize, size, count, flush, times) {
  const segment = bgw.dsmCreate(2 * queueSize + 4096);
  const toc = bgw.shmTocCreate(MAGIC, bgw.dsmSegmentAddress(segment));
  const [outq, inq] = [1, 2].map((key) => {
    const mq = bgw.shmMqCreate(bgw.shmTocAllocate(toc, queueSize));
    bgw.shmTocInsert(toc, key, mq);
    return mq;
  });
  bgw.shmMqSetSender(outq, bgw.myProc);
  bgw.shmMqSetReceiver(inq, bgw.myProc);
  const worker = { name: 'receiver', flags: 1, startTime: 0, restartTime: -1, libraryName: library, functionName: 'receives' };
  const handle = bgw.registerDynamicBackgroundWorker({ ...worker, mainArg: bgw.dsmSegmentHandle(segment), notifyPid: process.pid });
  const output = bgw.shmMqAttach(outq, segment, handle);
  const input = bgw.shmMqAttach(inq, segment, handle);
  bgw.shmMqReceiveSync(input); // it is ready
  const message = new Uint8Array(size).fill(7);
  const rounds = [];
  for (let round = 0; round < times; round++) {
    const begin = process.hrtime.bigint();
    for (let n = 1; n < count; n++) bgw.shmMqSendSync(output, message, false, flush);
    bgw.shmMqSendSync(output, new Uint8Array(size).fill(9), false, true); // the last one, which is answered
    bgw.shmMqReceiveSync(input);
    rounds.push(Number(process.hrtime.bigint() - begin) / 1000);
  }
  bgw.dsmDetach(segment);
  bgw.waitForBackgroundWorkerShutdownSync(handle);
  return rounds;
}

export function receives(mainArg) {
  bgw.backgroundWorkerUnblockSignals();
  const segment = bgw.dsmAttach(Number(mainArg));
  const toc = bgw.shmTocAttach(MAGIC, bgw.dsmSegmentAddress(segment));
  const [inq, outq] = [1, 2].map((key) => bgw.shmTocLookup(toc, key));
  bgw.shmMqSetReceiver(inq, bgw.myProc);
  bgw.shmMqSetSender(outq, bgw.myProc);
  const input = bgw.shmMqAttach(inq, segment);
  const output = bgw.shmMqAttach(outq, segment);
  const answer = new Uint8Array(1);
  bgw.shmMqSendSync(output, answer);
  for (let next = bgw.shmMqReceiveSync(input); next.result === bgw.SHM_MQ_SUCCESS; next = bgw.shmMqReceiveSync(input)) {
    if (next.data[0] === 9) bgw.shmMqSendSync(output, answer);
  }
}
