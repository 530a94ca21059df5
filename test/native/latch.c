// Latches, between two processes that share nothing but the latch. Tests: native/core/latch.c; waiting for one is in wait.c.
#include "core/latch.h"

#include <linux/seccomp.h>
#include <sys/syscall.h>

#include "support.h"

static BgwLatch *shared_latch(void) { return shared_memory(sizeof(BgwLatch)); }

TEST(a_latch_has_one_owner) {
  BgwLatch *latch = shared_latch();
  pid_t owner = 0;
  CHECK_EQ(BgwOwnLatch(latch, &owner), 0);
  pid_t child = fork();
  if (child == 0) _exit(BgwOwnLatch(latch, &owner) == -EBUSY && owner == getppid() ? 0 : 1);
  CHECK_EQ(check_wait(child), 0);
  BgwDisownLatch(latch);
  CHECK_EQ(latch->owner_pid, 0);
}

TEST(a_latch_set_before_the_sleep_keeps_its_owner_awake) {
  BgwLatch *latch = shared_latch();
  pid_t owner = 0;
  CHECK_EQ(BgwOwnLatch(latch, &owner), 0);
  pid_t child = fork();
  if (child == 0) {
    BgwSetLatch(latch);
    _exit(0);
  }
  CHECK_EQ(check_wait(child), 0);
  CHECK(BgwLatchPrepareSleep(latch));
  CHECK_EQ(latch->maybe_sleeping, 0);
  BgwResetLatch(latch);
  CHECK(!BgwLatchPrepareSleep(latch));
  CHECK_EQ(latch->maybe_sleeping, 1);
}

// Two waits of one process for one latch: the second must not withdraw what the first announced.
TEST(an_announcement_outlives_another_that_was_not_needed) {
  BgwLatch *latch = shared_latch();
  CHECK(!BgwLatchPrepareSleep(latch));
  BgwSetLatch(latch);
  CHECK(BgwLatchPrepareSleep(latch));
  CHECK_EQ(latch->maybe_sleeping, 1);
  BgwLatchWake(latch);
  CHECK_EQ(latch->maybe_sleeping, 0);
}

static sigset_t block_sigurg(void) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGURG);
  sigprocmask(SIG_BLOCK, &set, NULL);
  return set;
}

TEST(setting_signals_a_sleeper_once) {
  BgwLatch *latch = shared_latch();
  pid_t owner = 0;
  block_sigurg();
  CHECK_EQ(BgwOwnLatch(latch, &owner), 0);
  CHECK(!BgwLatchPrepareSleep(latch));
  BgwSetLatch(latch);
  CHECK_EQ(own_status("ShdPnd"), bit_of(SIGURG));
}

TEST(setting_a_latch_without_an_owner_is_harmless) {
  BgwLatch *latch = shared_latch();
  CHECK(!BgwLatchPrepareSleep(latch));
  BgwSetLatch(latch);
  CHECK_EQ(latch->is_set, 1);
}

TEST(setting_keeps_errno) {
  BgwLatch *latch = shared_latch();
  pid_t gone = fork();
  if (gone == 0) _exit(0);
  CHECK_EQ(check_wait(gone), 0);
  latch->owner_pid = gone;
  latch->maybe_sleeping = 1;
  errno = 77;
  BgwSetLatch(latch);
  CHECK_EQ(errno, 77);
}

// The kernel ends who makes any system call but read, write and exit.
static void allow_no_system_calls(void) { CHECK_EQ(prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT), 0); }

TEST(setting_a_set_latch_or_a_waking_owners_makes_no_system_call) {
  if (kUnderTSan) return;
  BgwLatch *set = shared_latch();
  BgwLatch *awake = shared_latch();
  set->is_set = 1;
  set->maybe_sleeping = 1;
  set->owner_pid = awake->owner_pid = getpid();
  pid_t child = fork();
  if (child == 0) {
    allow_no_system_calls();
    BgwSetLatch(set);
    BgwSetLatch(awake);
    syscall(SYS_exit, 0);
  }
  CHECK_EQ(check_wait(child), 0);
  CHECK_EQ(awake->is_set, 1);
  // And the proof that the guard works.
  BgwLatch *asleep = shared_latch();
  asleep->maybe_sleeping = 1;
  asleep->owner_pid = getpid();
  child = fork();
  if (child == 0) {
    allow_no_system_calls();
    BgwSetLatch(asleep);
    syscall(SYS_exit, 0);
  }
  CHECK_EQ(check_wait(child), 128 + SIGKILL);
}

// What is published before the set is seen after it, from two setters at once.
TEST(who_sees_the_latch_set_sees_the_work) {
  enum { kRounds = 20000 };
  typedef struct {
    BgwLatch latch;
    _Atomic int work[2];
    _Atomic int done;
  } Shared;
  Shared *shared = shared_memory(sizeof(*shared));
  pid_t setters[2];
  for (int i = 0; i < 2; i++) {
    setters[i] = fork();
    if (setters[i] != 0) continue;
    for (int round = 1; round <= kRounds; round++) {
      atomic_store_explicit(&shared->work[i], round, memory_order_relaxed);
      BgwSetLatch(&shared->latch);
    }
    _exit(0);
  }
  int seen[2] = {0, 0};
  // Once both have finished, one more look after a reset must find everything.
  while (seen[0] < kRounds || seen[1] < kRounds) {
    if (!atomic_load_explicit(&shared->latch.is_set, memory_order_relaxed)) {
      sched_yield();
      continue;
    }
    BgwResetLatch(&shared->latch);
    for (int i = 0; i < 2; i++) seen[i] = atomic_load_explicit(&shared->work[i], memory_order_relaxed);
  }
  for (int i = 0; i < 2; i++) CHECK_EQ(check_wait(setters[i]), 0);
}
