// Background workers of PostgreSQL 15's that take and release one LWLock: what ours is measured against. For bench/lwlock.mjs, which builds it where the server's
// headers are installed. Each writes how often it had to wait, and then nanoseconds for an operation of each round. Environment: that of players.h, and BENCH_MODE
// (0 exclusive, 1 shared), BENCH_MS, BENCH_BATCH.
#include "players.h"

#include "port/atomics.h"
#include "storage/lwlock.h"

PG_MODULE_MAGIC;

#define MAX_NUMBERS 1000000

// bench/lwlock/library.mjs says what these are for.
typedef struct Court {
  pg_atomic_uint32 ready, done;
} Court;

static Court *court;
static shmem_startup_hook_type previous_startup;
static shmem_request_hook_type previous_request;

void _PG_init(void);
PGDLLEXPORT void bench_main(Datum role);

static void request(void) {
  if (previous_request) previous_request();
  RequestAddinShmemSpace(sizeof(Court));
  RequestNamedLWLockTranche("bench_lwlock", 1);
}

static void startup(void) {
  bool found;
  if (previous_startup) previous_startup();
  court = ShmemInitStruct("bench lwlock", sizeof(*court), &found);
  if (found) return;
  pg_atomic_init_u32(&court->ready, 0);
  pg_atomic_init_u32(&court->done, 0);
}

// Result: how often it had to wait.
static int play(LWLock *lock, LWLockMode mode, int batch) {
  int waited = 0;
  for (int n = 0; n < batch; n++) {
    waited += !LWLockAcquire(lock, mode);
    LWLockRelease(lock);
  }
  return waited;
}

void bench_main(Datum arg) {
  int role = DatumGetInt32(arg), batch = number("BENCH_BATCH"), waited = 0, count = 1;
  LWLockMode mode = number("BENCH_MODE") == 0 ? LW_EXCLUSIVE : LW_SHARED;
  LWLock *lock = &GetNamedLWLockTranche("bench_lwlock")->lock;
  double *numbers = palloc(sizeof(double) * MAX_NUMBERS), begin, end;
  uint32 players = number("BENCH_PLAYERS");
  begin_player(role);
  pg_atomic_fetch_add_u32(&court->ready, 1);
  while (pg_atomic_read_u32(&court->ready) < players) play(lock, mode, batch);
  begin = nanoseconds();
  end = begin + number("BENCH_MS") * 1e6;
  while (begin < end && count < MAX_NUMBERS) {
    double now;
    waited += play(lock, mode, batch);
    now = nanoseconds();
    numbers[count++] = (now - begin) / batch;
    begin = now;
  }
  numbers[0] = waited;
  pg_atomic_fetch_add_u32(&court->done, 1);
  while (pg_atomic_read_u32(&court->done) < players) play(lock, mode, batch);
  end_player(role, numbers, count);
}

void _PG_init(void) {
  if (!process_shared_preload_libraries_in_progress) return;
  previous_request = shmem_request_hook;
  shmem_request_hook = request;
  previous_startup = shmem_startup_hook;
  shmem_startup_hook = startup;
  register_players();
}
