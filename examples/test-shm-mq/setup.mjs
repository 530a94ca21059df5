// The segment with its queues, and the workers of test_shm_mq: set up by a session's backend. PostgreSQL: src/test/modules/test_shm_mq/setup.c.
import { fileURLToPath } from 'node:url';
import {
  BGWH_POSTMASTER_DIED,
  BGWH_STOPPED,
  BGWORKER_SHMEM_ACCESS,
  BGW_NEVER_RESTART,
  BgWorkerStart_ConsistentState,
  ERROR,
  WL_EXIT_ON_PM_DEATH,
  WL_LATCH_SET,
  cancelOnDsmDetach,
  checkForInterrupts,
  dsmCreate,
  dsmDetach,
  dsmSegmentAddress,
  dsmSegmentHandle,
  ereport,
  getBackgroundWorkerPid,
  myLatch,
  myProc,
  myProcPid,
  onDsmDetach,
  registerDynamicBackgroundWorker,
  resetLatch,
  shmMqAttach,
  shmMqCreate,
  shmMqMinimumSize,
  shmMqSetReceiver,
  shmMqSetSender,
  shmTocAllocate,
  shmTocCreate,
  shmTocEstimate,
  shmTocEstimateChunk,
  shmTocEstimateKeys,
  shmTocInitializeEstimator,
  shmTocInsert,
  terminateBackgroundWorker,
  waitLatchSync,
} from 'bgworker';
import { PG_TEST_SHM_MQ_MAGIC, HEADER_SIZE, WORKERS_TOTAL, WORKERS_READY, headerWords, invalid } from './common.mjs';

const LIBRARY = fileURLToPath(new URL('test_shm_mq.mjs', import.meta.url));

/** Sleeps until somebody sets the latch: a worker that is ready, or one that has read or written. */
export function waitForLatch() {
  waitLatchSync(myLatch, WL_LATCH_SET | WL_EXIT_ON_PM_DEATH);
  resetLatch(myLatch);
  checkForInterrupts();
}

export function setup(queueSize, workers) {
  const { segment, header, outq, inq } = setUpSharedMemory(queueSize, workers);
  try {
    const state = setUpWorkers(workers, segment);
    const output = shmMqAttach(outq, segment, state.handles[0] ?? null);
    const input = shmMqAttach(inq, segment, state.handles[workers - 1] ?? null);
    waitForWorkersToBecomeReady(state, header);
    // From here on the end of the queues ends the workers.
    cancelOnDsmDetach(segment, cleanUpWorkers, state);
    return { segment, output, input };
  } catch (err) {
    dsmDetach(segment);
    throw err;
  }
}

function setUpSharedMemory(queueSize, workers) {
  if (!Number.isInteger(queueSize) || queueSize < shmMqMinimumSize) invalid(`queue size must be at least ${shmMqMinimumSize} bytes`);
  if (queueSize > Number.MAX_SAFE_INTEGER) invalid('queue size overflows size_t');
  const estimator = shmTocInitializeEstimator();
  shmTocEstimateChunk(estimator, HEADER_SIZE);
  for (let i = 0; i <= workers; i++) shmTocEstimateChunk(estimator, queueSize);
  shmTocEstimateKeys(estimator, 2 + workers);
  const segment = dsmCreate(shmTocEstimate(estimator));
  const toc = shmTocCreate(PG_TEST_SHM_MQ_MAGIC, dsmSegmentAddress(segment));

  const chunk = shmTocAllocate(toc, HEADER_SIZE);
  const header = headerWords(chunk);
  header[WORKERS_TOTAL] = workers;
  shmTocInsert(toc, 0, chunk);

  let outq, inq;
  for (let i = 0; i <= workers; i++) {
    const mq = shmMqCreate(shmTocAllocate(toc, queueSize), queueSize);
    shmTocInsert(toc, i + 1, mq);
    if (i === 0) {
      shmMqSetSender(mq, myProc);
      outq = mq;
    }
    if (i === workers) {
      shmMqSetReceiver(mq, myProc);
      inq = mq;
    }
  }
  return { segment, header, outq, inq };
}

function setUpWorkers(count, segment) {
  const state = { handles: [] };
  onDsmDetach(segment, cleanUpWorkers, state);
  for (let i = 0; i < count; i++) {
    const handle = registerDynamicBackgroundWorker({
      name: '', // W-22: the type is all that there is
      type: 'test_shm_mq',
      flags: BGWORKER_SHMEM_ACCESS,
      startTime: BgWorkerStart_ConsistentState,
      restartTime: BGW_NEVER_RESTART,
      libraryName: LIBRARY,
      functionName: 'test_shm_mq_main',
      mainArg: dsmSegmentHandle(segment),
      notifyPid: myProcPid,
    });
    if (handle === null) {
      ereport(ERROR, { code: '53000', message: 'could not register background process', hint: 'You may need to increase max_worker_processes.' });
    }
    state.handles.push(handle);
  }
  return state;
}

function cleanUpWorkers(_segment, state) {
  for (let handle = state.handles.pop(); handle !== undefined; handle = state.handles.pop()) terminateBackgroundWorker(handle);
}

function waitForWorkersToBecomeReady({ handles }, header) {
  const gone = (handle) => [BGWH_STOPPED, BGWH_POSTMASTER_DIED].includes(getBackgroundWorkerPid(handle).status);
  while (Atomics.load(header, WORKERS_READY) < handles.length) {
    if (handles.some(gone)) ereport(ERROR, { code: '53000', message: 'one or more background workers failed to start' });
    waitForLatch();
  }
}
