// What the extensions of PostgreSQL's have in common whose players measure each other: workers, one a role, each on its core; numbers go to a file of each.
// Environment: BENCH_LIBRARY, BENCH_PLAYERS, BENCH_CORES ("0,1"), BENCH_OUT (the files' name, without ".ROLE"). For bench/postgres.mjs.
#pragma once

#include "postgres.h"

#include <sched.h>
#include <time.h>

#include "fmgr.h"
#include "miscadmin.h"
#include "postmaster/bgworker.h"
#include "storage/ipc.h"
#include "storage/shmem.h"

static inline int number(const char *name) { return atoi(getenv(name)); }

static inline double nanoseconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

// First in a player's main function.
static inline void begin_player(int role) {
  int cores[2];
  cpu_set_t set;
  BackgroundWorkerUnblockSignals();
  sscanf(getenv("BENCH_CORES"), "%d,%d", &cores[0], &cores[1]);
  CPU_ZERO(&set);
  CPU_SET(cores[role], &set);
  if (sched_setaffinity(0, sizeof(set), &set) != 0) elog(ERROR, "sched_setaffinity: %m");
}

// Last. Does not return.
static inline void end_player(int role, const double *numbers, int count) {
  char path[MAXPGPATH];
  FILE *out;
  snprintf(path, sizeof(path), "%s.%d", getenv("BENCH_OUT"), role);
  out = fopen(path, "w");
  if (out == NULL) elog(ERROR, "fopen: %m");
  for (int i = 0; i < count; i++) fprintf(out, "%.3f\n", numbers[i]);
  fprintf(out, "end\n");
  fclose(out);
  proc_exit(0);
}

// In _PG_init: players whose main function is `bench_main`.
static inline void register_players(void) {
  for (int role = 0; role < number("BENCH_PLAYERS"); role++) {
    BackgroundWorker worker = {0};
    snprintf(worker.bgw_name, BGW_MAXLEN, "bench player %d", role);
    strlcpy(worker.bgw_library_name, getenv("BENCH_LIBRARY"), BGW_MAXLEN);
    strlcpy(worker.bgw_function_name, "bench_main", BGW_MAXLEN);
    worker.bgw_flags = BGWORKER_SHMEM_ACCESS;
    worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
    worker.bgw_restart_time = BGW_NEVER_RESTART;
    worker.bgw_main_arg = Int32GetDatum(role);
    RegisterBackgroundWorker(&worker);
  }
}
