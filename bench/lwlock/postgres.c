// Background workers of PostgreSQL 15's that take and release one LWLock: what ours is measured against. For bench/lwlock.mjs, which builds it where the server's
// headers are installed. Environment: BENCH_OUT (nanoseconds for an operation, one a line; the first worker's), BENCH_CORES ("0,1"), BENCH_PLAYERS,
// BENCH_MODE (0 exclusive, 1 shared), BENCH_ROUNDS, BENCH_BATCH, BENCH_LIBRARY.
#include "postgres.h"

#include <sched.h>
#include <time.h>

#include "fmgr.h"
#include "miscadmin.h"
#include "port/atomics.h"
#include "postmaster/bgworker.h"
#include "storage/ipc.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"

PG_MODULE_MAGIC;

static pg_atomic_uint32 *ready;
static shmem_startup_hook_type previous_startup;
static shmem_request_hook_type previous_request;

void _PG_init(void);
PGDLLEXPORT void bench_main(Datum role);

static void request(void) {
  if (previous_request) previous_request();
  RequestAddinShmemSpace(sizeof(*ready));
  RequestNamedLWLockTranche("bench_lwlock", 1);
}

static void startup(void) {
  bool found;
  if (previous_startup) previous_startup();
  ready = ShmemInitStruct("bench lwlock", sizeof(*ready), &found);
  if (!found) pg_atomic_init_u32(ready, 0);
}

static double nanoseconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static int number(const char *name) { return atoi(getenv(name)); }

void bench_main(Datum arg) {
  int role = DatumGetInt32(arg), rounds = number("BENCH_ROUNDS"), batch = number("BENCH_BATCH"), cores[2];
  LWLockMode mode = number("BENCH_MODE") == 0 ? LW_EXCLUSIVE : LW_SHARED;
  LWLock *lock = &GetNamedLWLockTranche("bench_lwlock")->lock;
  double *times = palloc(sizeof(double) * rounds);
  cpu_set_t set;
  FILE *out;
  BackgroundWorkerUnblockSignals();
  sscanf(getenv("BENCH_CORES"), "%d,%d", &cores[0], &cores[1]);
  CPU_ZERO(&set);
  CPU_SET(cores[role], &set);
  if (sched_setaffinity(0, sizeof(set), &set) != 0) elog(ERROR, "sched_setaffinity: %m");
  pg_atomic_fetch_add_u32(ready, 1);
  while (pg_atomic_read_u32(ready) < (uint32)number("BENCH_PLAYERS")) pg_usleep(1000);
  for (int i = 0; i < rounds; i++) {
    double begin = nanoseconds();
    for (int n = 0; n < batch; n++) {
      LWLockAcquire(lock, mode);
      LWLockRelease(lock);
    }
    times[i] = (nanoseconds() - begin) / batch;
  }
  if (role != 0) proc_exit(0);
  out = fopen(getenv("BENCH_OUT"), "w");
  if (out == NULL) elog(ERROR, "fopen: %m");
  for (int i = 0; i < rounds; i++) fprintf(out, "%.3f\n", times[i]);
  fprintf(out, "end\n");
  fclose(out);
  proc_exit(0);
}

void _PG_init(void) {
  if (!process_shared_preload_libraries_in_progress) return;
  previous_request = shmem_request_hook;
  shmem_request_hook = request;
  previous_startup = shmem_startup_hook;
  shmem_startup_hook = startup;
  for (int role = 0; role < number("BENCH_PLAYERS"); role++) {
    BackgroundWorker worker = {0};
    snprintf(worker.bgw_name, BGW_MAXLEN, "bench lwlock %d", role);
    strlcpy(worker.bgw_library_name, getenv("BENCH_LIBRARY"), BGW_MAXLEN);
    strlcpy(worker.bgw_function_name, "bench_main", BGW_MAXLEN);
    worker.bgw_flags = BGWORKER_SHMEM_ACCESS;
    worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
    worker.bgw_restart_time = BGW_NEVER_RESTART;
    worker.bgw_main_arg = Int32GetDatum(role);
    RegisterBackgroundWorker(&worker);
  }
}
