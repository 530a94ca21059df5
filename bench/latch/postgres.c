// Two background workers of PostgreSQL 15's that take turns by their latches: what ours is measured against. For bench/latch.mjs, which builds it where
// the server's headers are installed. Writes microseconds of each round. Environment: that of players.h, and BENCH_ROUNDS.
#include "players.h"

#include "pgstat.h"
#include "storage/latch.h"
#include "storage/proc.h"

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

static void wait_for(uint32 value) {
  while (pg_atomic_read_u32(&court->turn) != value) {
    (void)WaitLatch(MyLatch, WL_LATCH_SET | WL_EXIT_ON_PM_DEATH, 0, PG_WAIT_EXTENSION);
    ResetLatch(MyLatch);
  }
}

void bench_main(Datum arg) {
  int role = DatumGetInt32(arg), rounds = number("BENCH_ROUNDS");
  double *times = palloc(sizeof(double) * rounds);
  begin_player(role);
  court->latch[role] = MyLatch;
  while (court->latch[1 - role] == NULL) pg_usleep(1000);
  for (int i = 0; i < rounds; i++) {
    double begin = nanoseconds();
    if (role == 0) {
      pg_atomic_write_u32(&court->turn, 2 * i + 1);
      SetLatch(court->latch[1]);
      wait_for(2 * i + 2);
    } else {
      wait_for(2 * i + 1);
      pg_atomic_write_u32(&court->turn, 2 * i + 2);
      SetLatch(court->latch[0]);
    }
    times[i] = (nanoseconds() - begin) / 1e3;
  }
  end_player(role, times, rounds);
}

void _PG_init(void) {
  if (!process_shared_preload_libraries_in_progress) return;
  previous_request = shmem_request_hook;
  shmem_request_hook = request;
  previous_startup = shmem_startup_hook;
  shmem_startup_hook = startup;
  register_players();
}
