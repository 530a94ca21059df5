// Two background workers of PostgreSQL 15's that take turns by their latches: what ours is measured against. For bench/latch.mjs, which builds it where
// the server's headers are installed. Environment: BENCH_OUT (file for the times, microseconds, one a line), BENCH_CORES ("0,1"), BENCH_ROUNDS.
#include "postgres.h"

#include <sched.h>
#include <time.h>

#include "fmgr.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/proc.h"
#include "storage/shmem.h"

PG_MODULE_MAGIC;

typedef struct Court {
  Latch *volatile latch[2];
  pg_atomic_uint32 turn;
} Court;

static Court *court;
static shmem_startup_hook_type previous_startup;
static shmem_request_hook_type previous_request;

void _PG_init(void);
PGDLLEXPORT void bench_main(Datum role);

static void request(void) {
  if (previous_request) previous_request();
  RequestAddinShmemSpace(sizeof(Court));
}

static void startup(void) {
  bool found;
  if (previous_startup) previous_startup();
  court = ShmemInitStruct("bench latch", sizeof(Court), &found);
  if (found) return;
  memset(court, 0, sizeof(*court));
  pg_atomic_init_u32(&court->turn, 0);
}

static double microseconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

static void wait_for(uint32 value) {
  while (pg_atomic_read_u32(&court->turn) != value) {
    (void)WaitLatch(MyLatch, WL_LATCH_SET | WL_EXIT_ON_PM_DEATH, 0, PG_WAIT_EXTENSION);
    ResetLatch(MyLatch);
  }
}

void bench_main(Datum arg) {
  int role = DatumGetInt32(arg), rounds = atoi(getenv("BENCH_ROUNDS")), cores[2];
  double *times = palloc(sizeof(double) * rounds);
  cpu_set_t set;
  FILE *out;
  BackgroundWorkerUnblockSignals();
  sscanf(getenv("BENCH_CORES"), "%d,%d", &cores[0], &cores[1]);
  CPU_ZERO(&set);
  CPU_SET(cores[role], &set);
  if (sched_setaffinity(0, sizeof(set), &set) != 0) elog(ERROR, "sched_setaffinity: %m");
  court->latch[role] = MyLatch;
  while (court->latch[1 - role] == NULL) pg_usleep(1000);
  for (int i = 0; i < rounds; i++) {
    double begin = microseconds();
    if (role == 0) {
      pg_atomic_write_u32(&court->turn, 2 * i + 1);
      SetLatch(court->latch[1]);
      wait_for(2 * i + 2);
    } else {
      wait_for(2 * i + 1);
      pg_atomic_write_u32(&court->turn, 2 * i + 2);
      SetLatch(court->latch[0]);
    }
    times[i] = microseconds() - begin;
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
  for (int role = 0; role < 2; role++) {
    BackgroundWorker worker = {0};
    snprintf(worker.bgw_name, BGW_MAXLEN, "bench latch %d", role);
    strlcpy(worker.bgw_library_name, getenv("BENCH_LIBRARY"), BGW_MAXLEN);
    strlcpy(worker.bgw_function_name, "bench_main", BGW_MAXLEN);
    worker.bgw_flags = BGWORKER_SHMEM_ACCESS;
    worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
    worker.bgw_restart_time = BGW_NEVER_RESTART;
    worker.bgw_main_arg = Int32GetDatum(role);
    RegisterBackgroundWorker(&worker);
  }
}
