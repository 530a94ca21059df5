// Waiting for the holder of a lock, instead of for the lock; locks within memory that goes. Tests: native/core/lwlock.c, lwlock_queue.c.
#include "core/lwlock.h"
#include "support.h"

enum { kProcesses = 5 };

typedef struct Shared {
  BgwWaitBlock blocks[kProcesses + 1];
  BgwLWLock lock;
  BgwLWLock more[4];
  BgwAtomicUlong var;
  long written;  // under the lock
  _Atomic int stage;
  _Atomic int asked;
} Shared;

static Shared *start(void) {
  Shared *shared = shared_memory(sizeof(*shared));
  BgwWaitersInit(shared->blocks, kProcesses + 1);
  CHECK_EQ(BgwWaitersAttach(0), 0);
  return shared;
}
static pid_t fork_attached(uint32_t index) {
  pid_t pid = fork();
  if (pid == 0) CHECK_EQ(BgwWaitersAttach(index), 0);
  return pid;
}
static bool free_lock(const BgwLWLock *lock) {
  return lock->state == 0 && lock->waiters.head == 0 && lock->waiters.tail == 0;
}

static int acquire_or_wait(BgwLWLock *lock, bool in_steps) {
  if (!in_steps) return BgwLWLockAcquireOrWait(lock, kBgwExclusive);
  int number = BgwLWLockBeginOrWait(lock, kBgwExclusive);
  CHECK(number >= 0);
  if (number == 0) return 1;
  int result;
  while ((result = BgwLWLockContinue((uint32_t)number)) == 0) sched_yield();
  CHECK_EQ(result, 2);
  return 0;
}

// As the log is flushed: everybody wants their number written, and whoever has the lock writes for all. Others take it in the usual way, too.
TEST(one_writes_for_all) {
  enum { kRounds = 2000 };
  int rounds = kUnderTSan ? kRounds / 10 : kRounds;
  Shared *shared = start();
  pid_t children[kProcesses];
  for (int i = 0; i < kProcesses; i++) {
    children[i] = fork_attached((uint32_t)i + 1);
    if (children[i] != 0) continue;
    for (int round = 0; round < rounds; round++) {
      if (i == 0) {
        CHECK(BgwLWLockAcquire(&shared->lock, round % 2 == 0 ? kBgwShared : kBgwExclusive) >= 0);
        if (round % 16 == 0) sched_yield();
        CHECK_EQ(BgwLWLockRelease(&shared->lock), 0);
        continue;
      }
      int mine = atomic_fetch_add(&shared->asked, 1) + 1;
      while (atomic_load(&shared->var) < (uint64_t)mine) {
        int had = acquire_or_wait(&shared->lock, (round + i) % 2 == 0);
        CHECK(had >= 0);
        CHECK_EQ(BgwLWLockHeldByMe(&shared->lock), had == 1);
        if (had == 0) continue;
        atomic_store(&shared->var, (uint64_t)atomic_load(&shared->asked));
        shared->written++;
        if (round % 8 == 0) sched_yield();
        CHECK_EQ(BgwLWLockRelease(&shared->lock), 0);
      }
    }
    _exit(0);
  }
  for (int i = 0; i < kProcesses; i++) CHECK_EQ(check_wait(children[i]), 0);
  CHECK_EQ(atomic_load(&shared->var), (kProcesses - 1) * rounds);
  CHECK(free_lock(&shared->lock));
}

static BgwVarResult wait_for_var(Shared *shared, uint64_t old, bool in_steps) {
  if (!in_steps) return BgwLWLockWaitForVar(&shared->lock, &shared->var, old);
  for (;;) {
    BgwVarResult seen = BgwLWLockBeginWaitForVar(&shared->lock, &shared->var, old);
    if (seen.result != -EINPROGRESS) return seen;
    int result;
    while ((result = BgwLWLockContinue((uint32_t)seen.value)) == 0) sched_yield();
    CHECK_EQ(result, 2);
  }
}

// The holder counts up, lets go, and takes it again; who watches must see it come to the end. A wake-up that is lost is a watcher that never does.
TEST(no_change_of_a_word_is_missed) {
  enum { kSteps = 3000 };
  uint64_t steps = kUnderTSan ? kSteps / 10 : kSteps;
  Shared *shared = start();
  pid_t children[kProcesses];
  for (int i = 0; i < kProcesses; i++) {
    children[i] = fork_attached((uint32_t)i + 1);
    if (children[i] != 0) continue;
    uint64_t seen = 0;
    CHECK_WITHIN(5, atomic_load(&shared->stage) == 1);
    while (seen < steps) {
      BgwVarResult now = wait_for_var(shared, seen, (seen + (uint64_t)i) % 2 == 0);
      CHECK(now.result >= 0);
      if (now.result == 0) CHECK(now.value > seen);
      seen = now.result == 0 ? now.value : atomic_load(&shared->var);
    }
    _exit(0);
  }
  CHECK_EQ(BgwLWLockAcquire(&shared->lock, kBgwExclusive), 0);
  atomic_store(&shared->stage, 1);
  for (uint64_t n = 1; n <= steps; n++) {
    BgwLWLockUpdateVar(&shared->lock, &shared->var, n);
    if (n % 50 == 0) {
      CHECK_EQ(BgwLWLockRelease(&shared->lock), 0);
      sched_yield();
      CHECK(BgwLWLockAcquire(&shared->lock, kBgwExclusive) >= 0);
    }
    if (n % 16 == 0) sched_yield();
  }
  CHECK_EQ(BgwLWLockRelease(&shared->lock), 0);
  for (int i = 0; i < kProcesses; i++) CHECK_EQ(check_wait(children[i]), 0);
  CHECK(free_lock(&shared->lock));
}

TEST(waiting_for_oneself_is_refused) {
  Shared *shared = start();
  CHECK_EQ(BgwLWLockAcquire(&shared->lock, kBgwExclusive), 0);
  CHECK_EQ(BgwLWLockAcquireOrWait(&shared->lock, kBgwShared), -EDEADLK);
  CHECK_EQ(BgwLWLockWaitForVar(&shared->lock, &shared->var, 0).result, -EDEADLK);
  CHECK_EQ(BgwLWLockWaitForVar(&shared->lock, &shared->var, 1).result, 0);
  CHECK_EQ(BgwLWLockRelease(&shared->lock), 0);
  CHECK_EQ(BgwLWLockWaitForVar(&shared->lock, &shared->var, 0).result, 1);
}

TEST(memory_that_goes_takes_its_locks_and_no_others) {
  Shared *shared = start();
  pid_t holder = fork_attached(1);
  if (holder == 0) {
    CHECK_EQ(BgwLWLockAcquire(&shared->more[2], kBgwExclusive), 0);
    atomic_store(&shared->stage, 1);
    CHECK_WITHIN(5, atomic_load(&shared->stage) == 2);
    CHECK_EQ(BgwLWLockRelease(&shared->more[2]), 0);
    _exit(0);
  }
  CHECK_WITHIN(5, atomic_load(&shared->stage) == 1);
  for (int i = 0; i < 2; i++) CHECK_EQ(BgwLWLockAcquire(&shared->more[i], kBgwExclusive), 0);
  CHECK_EQ(BgwLWLockAcquire(&shared->lock, kBgwShared), 0);
  CHECK(BgwLWLockBegin(&shared->more[2], kBgwShared) > 0);
  CHECK(BgwLWLockBeginOrWait(&shared->more[2], kBgwShared) > 0);
  BgwLWLockReleaseWithin(&shared->more[1], 3 * sizeof(BgwLWLock));
  CHECK_EQ(BgwLWLockHeldCount(), 2);
  CHECK(BgwLWLockHeldByMe(&shared->more[0]) && BgwLWLockHeldByMe(&shared->lock) && free_lock(&shared->more[1]));
  CHECK_EQ(shared->more[2].waiters.head, 0);
  atomic_store(&shared->stage, 2);
  CHECK_EQ(check_wait(holder), 0);
  CHECK(free_lock(&shared->more[2]));
}
