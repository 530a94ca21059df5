// PostgreSQL's own message queue, measured as bench/shm-mq/library.mjs measures ours: a session sends, a worker receives and answers the last message.
// Built by bench/shm-mq.mjs where PostgreSQL's headers are installed. Runs in a PostgreSQL server; nothing of ours links to it.
#include "postgres.h"

#include "fmgr.h"
#include "miscadmin.h"
#include "portability/instr_time.h"
#include "postmaster/bgworker.h"
#include "storage/dsm.h"
#include "storage/ipc.h"
#include "storage/proc.h"
#include "storage/shm_mq.h"

PG_MODULE_MAGIC;
PG_FUNCTION_INFO_V1(bench_shm_mq);
PGDLLEXPORT void bench_shm_mq_main(Datum arg);

// The segment: two queues of the size that its first word says, from byte 64 on.
static shm_mq *QueueAt(dsm_segment *segment, int which) {
  char *base = dsm_segment_address(segment);
  return (shm_mq *)(base + 64 + which * *(uint64 *)base);
}

Datum bench_shm_mq(PG_FUNCTION_ARGS) {
  Size queue_size = MAXALIGN_DOWN(PG_GETARG_INT64(0));
  int size = PG_GETARG_INT32(1), count = PG_GETARG_INT32(2);
  bool flush = PG_GETARG_BOOL(3);
  dsm_segment *segment = dsm_create(64 + 2 * queue_size, 0);
  *(uint64 *)dsm_segment_address(segment) = queue_size;
  shm_mq *out = shm_mq_create(QueueAt(segment, 0), queue_size);
  shm_mq *in = shm_mq_create(QueueAt(segment, 1), queue_size);
  shm_mq_set_sender(out, MyProc);
  shm_mq_set_receiver(in, MyProc);

  BackgroundWorker worker;
  BackgroundWorkerHandle *handle;
  memset(&worker, 0, sizeof(worker));
  strcpy(worker.bgw_name, "bench_shm_mq");
  strcpy(worker.bgw_type, "bench_shm_mq");
  strlcpy(worker.bgw_library_name, getenv("BENCH_LIBRARY"), BGW_MAXLEN);
  strcpy(worker.bgw_function_name, "bench_shm_mq_main");
  worker.bgw_flags = BGWORKER_SHMEM_ACCESS;
  worker.bgw_start_time = BgWorkerStart_ConsistentState;
  worker.bgw_restart_time = BGW_NEVER_RESTART;
  worker.bgw_main_arg = UInt32GetDatum(dsm_segment_handle(segment));
  worker.bgw_notify_pid = MyProcPid;
  if (!RegisterDynamicBackgroundWorker(&worker, &handle)) elog(ERROR, "no slot");
  shm_mq_handle *output = shm_mq_attach(out, segment, handle);
  shm_mq_handle *input = shm_mq_attach(in, segment, handle);
  Size length;
  void *data;
  if (shm_mq_receive(input, &length, &data, false) != SHM_MQ_SUCCESS) elog(ERROR, "the worker is not there");

  char *message = palloc(size), *last = palloc(size);
  memset(message, 7, size);
  memset(last, 9, size);
  instr_time begin, end;
  INSTR_TIME_SET_CURRENT(begin);
  for (int n = 1; n < count; n++) shm_mq_send(output, size, message, false, flush);
  shm_mq_send(output, size, last, false, true);
  shm_mq_receive(input, &length, &data, false);
  INSTR_TIME_SET_CURRENT(end);
  INSTR_TIME_SUBTRACT(end, begin);
  dsm_detach(segment);
  PG_RETURN_FLOAT8((double)INSTR_TIME_GET_MICROSEC(end));
}

void bench_shm_mq_main(Datum arg) {
  BackgroundWorkerUnblockSignals();
  dsm_segment *segment = dsm_attach(DatumGetUInt32(arg));
  if (segment == NULL) proc_exit(1);
  shm_mq *in = QueueAt(segment, 0), *out = QueueAt(segment, 1);
  shm_mq_set_receiver(in, MyProc);
  shm_mq_set_sender(out, MyProc);
  shm_mq_handle *input = shm_mq_attach(in, segment, NULL);
  shm_mq_handle *output = shm_mq_attach(out, segment, NULL);
  char answer = 1;
  shm_mq_send(output, 1, &answer, false, true);
  Size length;
  void *data;
  while (shm_mq_receive(input, &length, &data, false) == SHM_MQ_SUCCESS) {
    if (((char *)data)[0] == 9) shm_mq_send(output, 1, &answer, false, true);
  }
  dsm_detach(segment);
  proc_exit(0);
}
