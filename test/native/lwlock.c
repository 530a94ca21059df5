// The lock between backends. Tests: native/core/lwlock.c.
#include "core/lwlock.h"

#include "core/proc.h"
#include "core/signals.h"
#include "support.h"

typedef struct Shared {
  BgwLWLock lock;
  BgwLWLock more[kBgwMaxHeldLocks];
  long counter;  // changed under the lock only, and not atomic
  _Atomic int stage;
} Shared;

TEST(increments_of_four_processes_are_all_counted) {
  enum { kProcesses = 4, kRounds = 25000 };
  Shared *shared = shared_memory(sizeof(*shared));
  pid_t children[kProcesses];
  for (int i = 0; i < kProcesses; i++) {
    children[i] = fork();
    if (children[i] != 0) continue;
    for (int round = 0; round < kRounds; round++) {
      CHECK_EQ(BgwLWLockAcquire(&shared->lock), 0);
      CHECK_EQ(shared->lock.holder, getpid());
      volatile long *counter = &shared->counter;
      *counter = *counter + 1;
      if (round % 1000 == 0) sched_yield();
      CHECK_EQ(BgwLWLockRelease(&shared->lock), 0);
    }
    _exit(0);
  }
  for (int i = 0; i < kProcesses; i++) CHECK_EQ(check_wait(children[i]), 0);
  CHECK_EQ(shared->counter, kProcesses * kRounds);
  CHECK_EQ(shared->lock.state, 0);
  CHECK_EQ(shared->lock.holder, 0);
}

TEST(misuse_is_refused) {
  Shared *shared = shared_memory(sizeof(*shared));
  CHECK_EQ(BgwLWLockRelease(&shared->lock), -EPERM);
  CHECK_EQ(BgwLWLockAcquire(&shared->lock), 0);
  CHECK_EQ(BgwLWLockAcquire(&shared->lock), -EDEADLK);
  for (int i = 0; i < kBgwMaxHeldLocks - 1; i++) CHECK_EQ(BgwLWLockAcquire(&shared->more[i]), 0);
  CHECK_EQ(BgwLWLockAcquire(&shared->more[kBgwMaxHeldLocks - 1]), -ENOSPC);
  // In any order.
  CHECK_EQ(BgwLWLockRelease(&shared->lock), 0);
  for (int i = 0; i < kBgwMaxHeldLocks - 1; i++) CHECK_EQ(BgwLWLockRelease(&shared->more[i]), 0);
  CHECK_EQ(BgwLWLockRelease(&shared->lock), -EPERM);
}

TEST(a_holder_that_is_terminated_finishes_first) {
  Shared *shared = shared_memory(sizeof(*shared));
  pid_t child = fork();
  if (child == 0) {
    BgwSignalsInit();
    BgwSetExitHook(BgwProcDetach);
    die_message("");
    CHECK_EQ(BgwSignal(SIGTERM, kBgwDie), 0);
    CHECK_EQ(BgwLWLockAcquire(&shared->lock), 0);
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
  CHECK_EQ(BgwLWLockAcquire(&shared->lock), 0);
}

TEST(a_waiter_that_is_terminated_goes_when_it_has_had_the_lock) {
  Shared *shared = shared_memory(sizeof(*shared));
  pid_t child = fork();
  if (child == 0) {
    BgwSignalsInit();
    BgwSetExitHook(BgwProcDetach);
    die_message("");
    CHECK_EQ(BgwSignal(SIGTERM, kBgwDie), 0);
    CHECK_WITHIN(5, atomic_load(&shared->stage) == 1);
    CHECK_EQ(BgwLWLockAcquire(&shared->lock), 0);
    CHECK_EQ(BgwLWLockRelease(&shared->lock), 0);
    _exit(99);
  }
  CHECK_EQ(BgwLWLockAcquire(&shared->lock), 0);
  atomic_store(&shared->stage, 1);
  CHECK_WITHIN(5, atomic_load(&shared->lock.state) == 2);
  CHECK_EQ(kill(child, SIGTERM), 0);
  CHECK_EQ(BgwLWLockRelease(&shared->lock), 0);
  CHECK_EQ(check_wait(child), 1);
  CHECK_EQ(shared->lock.state, 0);
}

TEST(leaving_releases_all) {
  Shared *shared = shared_memory(sizeof(*shared));
  pid_t child = fork();
  if (child == 0) {
    BgwSetExitHook(BgwProcDetach);
    CHECK_EQ(BgwLWLockAcquire(&shared->lock), 0);
    for (int i = 0; i < 5; i++) CHECK_EQ(BgwLWLockAcquire(&shared->more[i]), 0);
    BgwExitNow(3);
  }
  CHECK_EQ(check_wait(child), 3);
  CHECK_EQ(BgwLWLockAcquire(&shared->lock), 0);
  for (int i = 0; i < 5; i++) CHECK_EQ(BgwLWLockAcquire(&shared->more[i]), 0);
}

TEST(a_waiter_is_woken_by_a_holder_that_leaves) {
  Shared *shared = shared_memory(sizeof(*shared));
  pid_t holder = fork();
  if (holder == 0) {
    BgwSetExitHook(BgwProcDetach);
    CHECK_EQ(BgwLWLockAcquire(&shared->lock), 0);
    atomic_store(&shared->stage, 1);
    while (atomic_load(&shared->lock.state) != 2) nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
    BgwExitNow(0);
  }
  CHECK_WITHIN(5, atomic_load(&shared->stage) == 1);
  CHECK_EQ(BgwLWLockAcquire(&shared->lock), 0);
  CHECK_EQ(check_wait(holder), 0);
}
