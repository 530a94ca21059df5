// Locks between backends: shared and exclusive, queued, in steps, abandoned. Tests: native/core/lwlock.c, waiters.c.
#include "core/lwlock.h"

#include "core/proc.h"
#include "core/signals.h"
#include "support.h"

enum { kProcesses = 6 };

typedef struct Shared {
  BgwWaitBlock blocks[kProcesses + 1];
  BgwLWLock lock;
  BgwLWLock more[kBgwMaxHeldLocks];
  long counter;  // changed under the lock only, and not atomic
  long mirror;   // always the same as counter, for who holds the lock in any mode
  _Atomic int readers;
  _Atomic int most_readers;
  _Atomic int stage;
  _Atomic long reads;
} Shared;

// The test itself is process 0.
static Shared *start(void) {
  Shared *shared = shared_memory(sizeof(*shared));
  BgwWaitersInit(shared->blocks, kProcesses + 1);
  CHECK_EQ(BgwWaitersAttach(0), 0);
  return shared;
}

static bool free_lock(const BgwLWLock *lock) {
  return lock->state == 0 && lock->waiters.head == 0 && lock->waiters.tail == 0;
}

static pid_t fork_attached(uint32_t index) {
  pid_t pid = fork();
  if (pid == 0) CHECK_EQ(BgwWaitersAttach(index), 0);
  return pid;
}

static void as_worker(void) {
  BgwSignalsInit();
  BgwSetExitHook(BgwProcDetach);
  die_message("");
  CHECK_EQ(BgwSignal(SIGTERM, kBgwDie), 0);
}

// One acquisition by steps, as an event loop does it; polls where that would wait for the latch.
static void acquire_in_steps(Shared *shared, uint32_t mode) {
  int number = BgwLWLockBegin(&shared->lock, mode);
  CHECK(number >= 0);
  while (number > 0 && BgwLWLockContinue((uint32_t)number) == 0) sched_yield();
}

static void change(Shared *shared) {
  volatile long *counter = &shared->counter, *mirror = &shared->mirror;
  *counter = *counter + 1;
  if ((*counter & 255) == 0) sched_yield();
  *mirror = *mirror + 1;
}

static void read_both(Shared *shared) {
  int now = atomic_fetch_add(&shared->readers, 1) + 1;
  if (now > atomic_load(&shared->most_readers)) atomic_store(&shared->most_readers, now);
  long counter = *(volatile long *)&shared->counter;
  if ((counter & 127) == 0) sched_yield();
  CHECK_EQ(*(volatile long *)&shared->mirror, counter);
  atomic_fetch_sub(&shared->readers, 1);
  atomic_fetch_add(&shared->reads, 1);
}

TEST(readers_and_writers_never_meet) {
  enum { kRounds = 6000 };
  Shared *shared = start();
  pid_t children[kProcesses];
  for (int i = 0; i < kProcesses; i++) {
    children[i] = fork_attached((uint32_t)i + 1);
    if (children[i] != 0) continue;
    int rounds = kUnderTSan ? kRounds / 10 : kRounds;
    for (int round = 0; round < rounds; round++) {
      bool writes = (round + i) % 3 == 0;
      uint32_t mode = writes ? kBgwExclusive : kBgwShared;
      if (round % 2 == 0) {
        CHECK(BgwLWLockAcquire(&shared->lock, mode) >= 0);
      } else {
        acquire_in_steps(shared, mode);
      }
      if (writes) {
        change(shared);
      } else {
        read_both(shared);
      }
      CHECK_EQ(BgwLWLockRelease(&shared->lock), 0);
    }
    _exit(0);
  }
  for (int i = 0; i < kProcesses; i++) CHECK_EQ(check_wait(children[i]), 0);
  CHECK_EQ(shared->counter, kProcesses * (kUnderTSan ? kRounds / 10 : kRounds) / 3);
  CHECK(free_lock(&shared->lock));
}

TEST(shared_holders_hold_together) {
  Shared *shared = start();
  pid_t child = fork_attached(1);
  if (child == 0) {
    CHECK_EQ(BgwLWLockAcquire(&shared->lock, kBgwShared), 0);
    atomic_store(&shared->stage, 1);
    CHECK_WITHIN(5, atomic_load(&shared->stage) == 2);
    CHECK_EQ(BgwLWLockRelease(&shared->lock), 0);
    _exit(0);
  }
  CHECK_WITHIN(5, atomic_load(&shared->stage) == 1);
  CHECK_EQ(BgwLWLockAcquire(&shared->lock, kBgwShared), 0);
  CHECK_EQ(BgwLWLockConditionalAcquire(&shared->lock, kBgwShared), 1);
  CHECK(BgwLWLockHeldByMeInMode(&shared->lock, kBgwShared) && !BgwLWLockHeldByMeInMode(&shared->lock, kBgwExclusive));
  CHECK_EQ(BgwLWLockRelease(&shared->lock), 0);
  CHECK_EQ(BgwLWLockRelease(&shared->lock), 0);
  CHECK_EQ(BgwLWLockConditionalAcquire(&shared->lock, kBgwExclusive), 0);
  atomic_store(&shared->stage, 2);
  CHECK_EQ(check_wait(child), 0);
  CHECK_EQ(BgwLWLockConditionalAcquire(&shared->lock, kBgwExclusive), 1);
}

TEST(misuse_is_refused) {
  Shared *shared = start();
  CHECK_EQ(BgwLWLockRelease(&shared->lock), -EPERM);
  CHECK_EQ(BgwLWLockAcquire(&shared->lock, kBgwExclusive), 0);
  CHECK_EQ(BgwLWLockAcquire(&shared->lock, kBgwExclusive), -EDEADLK);
  CHECK_EQ(BgwLWLockAcquire(&shared->lock, kBgwShared), -EDEADLK);
  for (int i = 0; i < kBgwMaxHeldLocks - 1; i++) CHECK_EQ(BgwLWLockAcquire(&shared->more[i], kBgwShared), 0);
  CHECK_EQ(BgwLWLockAcquire(&shared->more[kBgwMaxHeldLocks - 1], kBgwExclusive), -ENOSPC);
  CHECK_EQ(BgwLWLockHeldCount(), kBgwMaxHeldLocks);
  // In any order.
  CHECK_EQ(BgwLWLockRelease(&shared->lock), 0);
  for (int i = 0; i < kBgwMaxHeldLocks - 1; i++) CHECK_EQ(BgwLWLockRelease(&shared->more[i]), 0);
  CHECK_EQ(BgwLWLockRelease(&shared->lock), -EPERM);
}

TEST(who_cannot_wait_is_told) {
  Shared *shared = start();
  pid_t holder = fork_attached(1);
  if (holder == 0) {
    CHECK_EQ(BgwLWLockAcquire(&shared->lock, kBgwExclusive), 0);
    atomic_store(&shared->stage, 1);
    CHECK_WITHIN(5, atomic_load(&shared->stage) == 2);
    CHECK_EQ(BgwLWLockRelease(&shared->lock), 0);
    _exit(0);
  }
  CHECK_WITHIN(5, atomic_load(&shared->stage) == 1);
  BgwWaitersDetach();
  CHECK_EQ(BgwLWLockAcquire(&shared->lock, kBgwExclusive), -EAGAIN);
  CHECK_EQ(BgwLWLockBegin(&shared->lock, kBgwShared), -ENOTCONN);
  atomic_store(&shared->stage, 2);
  CHECK_EQ(check_wait(holder), 0);
  CHECK(free_lock(&shared->lock));
}

TEST(a_holder_that_is_terminated_finishes_first) {
  Shared *shared = start();
  pid_t child = fork_attached(1);
  if (child == 0) {
    as_worker();
    CHECK_EQ(BgwLWLockAcquire(&shared->lock, kBgwExclusive), 0);
    atomic_store(&shared->stage, 1);
    while (BgwSignalCount(SIGTERM) == 0) nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
    shared->counter = 42;
    CHECK_EQ(BgwLWLockRelease(&shared->lock), 0);
    _exit(99);  // never: it died when it let go
  }
  CHECK_WITHIN(5, atomic_load(&shared->stage) == 1);
  CHECK_EQ(kill(child, SIGTERM), 0);
  CHECK_EQ(check_wait(child), 1);
  CHECK_EQ(shared->counter, 42);
  CHECK_EQ(BgwLWLockAcquire(&shared->lock, kBgwExclusive), 0);
}

TEST(a_blocked_waiter_that_is_terminated_goes_when_it_has_had_the_lock) {
  Shared *shared = start();
  pid_t child = fork_attached(1);
  if (child == 0) {
    as_worker();
    CHECK_WITHIN(5, atomic_load(&shared->stage) == 1);
    CHECK_EQ(BgwLWLockAcquire(&shared->lock, kBgwExclusive), 1);
    CHECK_EQ(BgwLWLockRelease(&shared->lock), 0);
    _exit(99);
  }
  CHECK_EQ(BgwLWLockAcquire(&shared->lock, kBgwExclusive), 0);
  atomic_store(&shared->stage, 1);
  CHECK_WITHIN(5, *(volatile uint32_t *)&shared->lock.waiters.head != 0);
  CHECK_EQ(kill(child, SIGTERM), 0);
  CHECK_EQ(BgwLWLockRelease(&shared->lock), 0);
  CHECK_EQ(check_wait(child), 1);
  CHECK(free_lock(&shared->lock));
}

// It stands in the queue without sleeping there, is woken or not, and is terminated: whoever stands behind it must have the lock all the same.
TEST(a_waiter_in_steps_that_is_terminated_leaves_the_queue) {
  Shared *shared = start();
  for (int round = 0; round < (kUnderTSan ? 30 : 300); round++) {
    // Forked before the lock is taken: a child believes that it holds what its parent held.
    atomic_store(&shared->stage, 0);
    pid_t leaves = fork_attached(1);
    if (leaves == 0) {
      as_worker();
      CHECK_WITHIN(5, atomic_load(&shared->stage) == 1);
      CHECK(BgwLWLockBegin(&shared->lock, kBgwExclusive) > 0);
      atomic_store(&shared->stage, 2);
      for (;;) nanosleep(&(struct timespec){.tv_sec = 1}, NULL);
    }
    pid_t stays = fork_attached(2);
    if (stays == 0) {
      CHECK_WITHIN(5, atomic_load(&shared->stage) == 2);
      int number = BgwLWLockBegin(&shared->lock, kBgwExclusive);
      CHECK(number > 0);
      atomic_store(&shared->stage, 3);
      while (BgwLWLockContinue((uint32_t)number) == 0) sched_yield();
      _exit(BgwLWLockRelease(&shared->lock) == 0 ? 0 : 1);
    }
    CHECK_EQ(BgwLWLockAcquire(&shared->lock, kBgwExclusive), 0);
    atomic_store(&shared->stage, 1);
    CHECK_WITHIN(5, atomic_load(&shared->stage) == 3);
    // At the same time as the release, sometimes before and sometimes after it.
    if (round % 2 == 0) CHECK_EQ(kill(leaves, SIGTERM), 0);
    CHECK_EQ(BgwLWLockRelease(&shared->lock), 0);
    if (round % 2 == 1) CHECK_EQ(kill(leaves, SIGTERM), 0);
    CHECK_EQ(check_wait(stays), 0);
    CHECK_EQ(check_wait(leaves), 1);
    CHECK(free_lock(&shared->lock));
  }
}

// Three who hold it all the time, and always want it again, and one who wants it in another mode.
static void get_turns_in_a_crowd(uint32_t crowd, uint32_t one) {
  Shared *shared = start();
  pid_t children[3];
  for (int i = 0; i < 3; i++) {
    children[i] = fork_attached((uint32_t)i + 1);
    if (children[i] != 0) continue;
    while (atomic_load(&shared->stage) == 0) {
      CHECK(BgwLWLockAcquire(&shared->lock, crowd) >= 0);
      atomic_fetch_add(&shared->reads, 1);
      nanosleep(&(struct timespec){.tv_nsec = 200000}, NULL);
      CHECK_EQ(BgwLWLockRelease(&shared->lock), 0);
    }
    _exit(0);
  }
  CHECK_WITHIN(5, atomic_load(&shared->reads) > 20);
  for (int i = 0; i < 5; i++) {
    CHECK(BgwLWLockAcquire(&shared->lock, one) >= 0);
    CHECK_EQ(BgwLWLockRelease(&shared->lock), 0);
  }
  atomic_store(&shared->stage, 1);
  for (int i = 0; i < 3; i++) CHECK_EQ(check_wait(children[i]), 0);
  CHECK(free_lock(&shared->lock));
}
// Readers that always overlap: without the limit on those who pass, the writer would never come.
TEST(a_writer_does_not_starve_among_readers) { get_turns_in_a_crowd(kBgwShared, kBgwExclusive); }
TEST(a_reader_does_not_starve_among_writers) { get_turns_in_a_crowd(kBgwExclusive, kBgwShared); }

TEST(leaving_releases_all) {
  Shared *shared = start();
  pid_t child = fork_attached(1);
  if (child == 0) {
    BgwSetExitHook(BgwProcDetach);
    CHECK_EQ(BgwLWLockAcquire(&shared->lock, kBgwExclusive), 0);
    for (int i = 0; i < 5; i++) CHECK_EQ(BgwLWLockAcquire(&shared->more[i], i % 2), 0);
    BgwExitNow(0);
  }
  CHECK_EQ(check_wait(child), 0);
  CHECK(free_lock(&shared->lock));
  for (int i = 0; i < 5; i++) CHECK(free_lock(&shared->more[i]));
}
