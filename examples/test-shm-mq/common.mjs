// What the session's side and the workers of test_shm_mq agree on. PostgreSQL: src/test/modules/test_shm_mq/test_shm_mq.h.
import { ERROR, ereport } from 'bgworker';

export const PG_TEST_SHM_MQ_MAGIC = 0x79fb2447;

// test_shm_mq_header, key 0: three words. The other keys are the queues, from 1.
export const HEADER_SIZE = 12;
export const WORKERS_TOTAL = 0;
export const WORKERS_ATTACHED = 1;
export const WORKERS_READY = 2;
export const headerWords = (bytes) => new Int32Array(bytes.buffer, bytes.byteOffset, 3);

export const prerequisite = (message) => ereport(ERROR, { code: '55000', message });
export const invalid = (message) => ereport(ERROR, { code: '22023', message });
