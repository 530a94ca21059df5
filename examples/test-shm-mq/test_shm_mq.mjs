// PostgreSQL's src/test/modules/test_shm_mq, ported: messages go round a ring of workers, through one queue after the other, and come back.
//
// What it shows: a dynamic shared memory segment with a table of contents, handed to workers by its handle in mainArg; message queues whose other end does not
// exist yet, attached with the worker's handle; waiting until all are ready; a detach callback that ends workers which nobody would tell otherwise; the end of
// all of them by detaching alone. In the three forms: blocking (test_shm_mq), non-blocking (test_shm_mq_pipelined) and asynchronous (test_shm_mq_async).
//
//   bgworker start -D data -c database=none -c shared_preload_libraries=examples/test-shm-mq/test_shm_mq.mjs
//   node examples/test-shm-mq/run.mjs data
//
// The functions run in a session's backend, test_shm_mq_main in each worker.
import { ERROR, SHM_MQ_DETACHED, SHM_MQ_SUCCESS, dsmDetach, ereport, shmMqReceive, shmMqReceiveSync, shmMqSend, shmMqSendSync } from 'bgworker';
import { prerequisite, invalid } from './common.mjs';
import { setup, waitForLatch } from './setup.mjs';

export { test_shm_mq_main } from './worker.mjs';

function checkCounts(loopCount, workers, smallest) {
  if (!Number.isInteger(loopCount) || loopCount < 0) invalid('repeat count size must be an integer value greater than or equal to zero');
  if (!Number.isInteger(workers) || workers < smallest) {
    invalid(`number of workers must be an integer value greater than ${smallest === 0 ? 'or equal to ' : ''}zero`);
  }
}

const bytesOf = (message) => (typeof message === 'string' ? Buffer.from(message) : message);

function verifyMessage(original, final) {
  if (original.length !== final.length) {
    const detail = `The original message was ${original.length} bytes but the final message is ${final.length} bytes.`;
    ereport(ERROR, { code: 'XX000', message: 'message corrupted', detail });
  }
  if (Buffer.compare(original, final) === 0) return;
  const at = original.findIndex((byte, i) => byte !== final[i]);
  ereport(ERROR, {
    code: 'XX000',
    message: 'message corrupted',
    detail: `The new and original messages differ at byte ${at} of ${original.length}.`,
  });
}

/** Sends a message round the ring, again and again, and looks at it at the end. In the blocking form: nothing else of this session runs meanwhile. */
export function test_shm_mq(queueSize, message, loopCount = 1, workers = 1) {
  // Blocking calls cannot talk to themselves: one worker at least.
  checkCounts(loopCount, workers, 1);
  const original = bytesOf(message);
  const { segment, output, input } = setup(queueSize, workers);
  try {
    if (shmMqSendSync(output, original) !== SHM_MQ_SUCCESS) prerequisite('could not send message');
    for (let left = loopCount; ; left--) {
      const { result, data } = shmMqReceiveSync(input);
      if (result !== SHM_MQ_SUCCESS) prerequisite('could not receive message');
      if (left <= 1) {
        verifyMessage(original, data);
        return;
      }
      if (shmMqSendSync(output, data) !== SHM_MQ_SUCCESS) prerequisite('could not send message');
    }
  } finally {
    dsmDetach(segment); // C: the end of the transaction
  }
}

/** The same in the asynchronous form: the session goes on serving others. */
export async function test_shm_mq_async(queueSize, message, loopCount = 1, workers = 1) {
  checkCounts(loopCount, workers, 0);
  const original = bytesOf(message);
  const { segment, output, input } = setup(queueSize, workers);
  try {
    let sending = shmMqSend(output, original);
    for (let left = loopCount; ; left--) {
      const { result, data } = await shmMqReceive(input);
      if (result !== SHM_MQ_SUCCESS) prerequisite('could not receive message');
      if ((await sending) !== SHM_MQ_SUCCESS) prerequisite('could not send message');
      if (left <= 1) {
        verifyMessage(original, data);
        return;
      }
      sending = shmMqSend(output, Uint8Array.from(data)); // a message of its own: what was received is good until the next receive
    }
  } finally {
    dsmDetach(segment);
  }
}

/** Many copies of a message at a time, sent and received as it goes. */
export function test_shm_mq_pipelined(queueSize, message, loopCount = 1, workers = 1, verify = true) {
  // Non-blocking calls can talk to themselves.
  checkCounts(loopCount, workers, 0);
  const original = bytesOf(message);
  const { segment, output, input } = setup(queueSize, workers);
  let sent = 0;
  let received = 0;
  const trySend = () => {
    if (sent === loopCount) return false;
    const result = shmMqSendSync(output, original, true);
    if (result === SHM_MQ_DETACHED) prerequisite('could not send message');
    if (result !== SHM_MQ_SUCCESS) return false;
    sent++;
    return true;
  };
  const tryReceive = () => {
    const { result, data } = shmMqReceiveSync(input, true);
    if (result === SHM_MQ_DETACHED) prerequisite('could not receive message');
    if (result !== SHM_MQ_SUCCESS) return false;
    received++;
    if (verify) verifyMessage(original, data);
    return true;
  };
  try {
    for (;;) {
      const hasSent = trySend();
      if (received === loopCount) {
        if (sent !== received) ereport(ERROR, { code: 'XX000', message: `message sent ${sent} times, but received ${received} times` });
        return;
      }
      const hasReceived = tryReceive();
      if (!hasSent && !hasReceived) waitForLatch();
    }
  } finally {
    dsmDetach(segment);
  }
}
