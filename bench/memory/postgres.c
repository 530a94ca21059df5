// Background workers of PostgreSQL 15's that do nothing: what an idle worker of ours is measured against. For bench/memory.mjs, which builds it where the server's
// headers are installed. Environment: BENCH_LIBRARY (this library's path), BENCH_WORKERS.
#include "postgres.h"

#include "fmgr.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "storage/ipc.h"
#include "storage/latch.h"

PG_MODULE_MAGIC;

void _PG_init(void);
PGDLLEXPORT void bench_idle(Datum arg);

void bench_idle(Datum arg) {
  BackgroundWorkerUnblockSignals();
  for (;;) {
    (void)WaitLatch(MyLatch, WL_LATCH_SET | WL_EXIT_ON_PM_DEATH, 0, PG_WAIT_EXTENSION);
    ResetLatch(MyLatch);
  }
}

void _PG_init(void) {
  if (!process_shared_preload_libraries_in_progress) return;
  for (int n = 0; n < atoi(getenv("BENCH_WORKERS")); n++) {
    BackgroundWorker worker = {0};
    snprintf(worker.bgw_name, BGW_MAXLEN, "bench idle");
    strlcpy(worker.bgw_library_name, getenv("BENCH_LIBRARY"), BGW_MAXLEN);
    strlcpy(worker.bgw_function_name, "bench_idle", BGW_MAXLEN);
    worker.bgw_flags = BGWORKER_SHMEM_ACCESS;
    worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
    worker.bgw_restart_time = BGW_NEVER_RESTART;
    RegisterBackgroundWorker(&worker);
  }
}
