// A worker of test_shm_mq: much of it is what any worker does that works for a session. PostgreSQL: src/test/modules/test_shm_mq/worker.c.
import {
  DEBUG1,
  SHM_MQ_SUCCESS,
  backendPidGetProc,
  backgroundWorkerUnblockSignals,
  checkForInterrupts,
  die,
  dsmAttach,
  dsmDetach,
  dsmSegmentAddress,
  elog,
  myBgworkerEntry,
  myProc,
  pqsignal,
  procExit,
  setLatch,
  shmMqAttach,
  shmMqReceiveSync,
  shmMqSendSync,
  shmMqSetReceiver,
  shmMqSetSender,
  shmTocAttach,
  shmTocLookup,
} from 'bgworker';
import { PG_TEST_SHM_MQ_MAGIC, WORKERS_TOTAL, WORKERS_ATTACHED, WORKERS_READY, headerWords, prerequisite } from './common.mjs';

/** A worker: attaches to two queues, and copies what comes out of the one into the other until either is detached. */
export function test_shm_mq_main(mainArg) {
  pqsignal('SIGTERM', die);
  backgroundWorkerUnblockSignals();

  const segment = dsmAttach(Number(mainArg));
  if (segment === null) prerequisite('unable to map dynamic shared memory segment');
  const toc = shmTocAttach(PG_TEST_SHM_MQ_MAGIC, dsmSegmentAddress(segment));
  if (toc === null) prerequisite('bad magic number in dynamic shared memory segment');

  const header = headerWords(shmTocLookup(toc, 0));
  const myWorkerNumber = Atomics.add(header, WORKERS_ATTACHED, 1) + 1;
  if (myWorkerNumber > header[WORKERS_TOTAL]) prerequisite('too many message queue testing workers already');

  const inq = shmTocLookup(toc, myWorkerNumber);
  shmMqSetReceiver(inq, myProc);
  const input = shmMqAttach(inq, segment);
  const outq = shmTocLookup(toc, myWorkerNumber + 1);
  shmMqSetSender(outq, myProc);
  const output = shmMqAttach(outq, segment);

  Atomics.add(header, WORKERS_READY, 1);
  const registrant = backendPidGetProc(myBgworkerEntry.notifyPid);
  if (registrant === null) {
    elog(DEBUG1, 'registrant backend has exited prematurely');
    procExit(1);
  }
  setLatch(registrant.procLatch);

  for (;;) {
    checkForInterrupts();
    const { result, data } = shmMqReceiveSync(input);
    if (result !== SHM_MQ_SUCCESS || shmMqSendSync(output, data) !== SHM_MQ_SUCCESS) break;
  }
  dsmDetach(segment);
  procExit(1);
}
