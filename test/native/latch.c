// Latches, between two processes that share nothing but the latch. Tests: native/core/latch.c,
// native/core/latch_watch.c; waiting for one is in wait.c and wait_event_set.c.
#include "core/latch.h"

#include <linux/seccomp.h>
#include <sys/syscall.h>

#include "core/latch_watch.h"
#include "core/signals.h"
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

TEST(a_latch_is_initialised_for_this_process_or_for_nobody) {
  BgwLatch *latch = shared_latch();
  latch->is_set = latch->maybe_sleeping = latch->owner_pid = 77;
  BgwInitLatch(latch, false);
  CHECK(BgwOwnsLatch(latch));
  CHECK_EQ(latch->is_set | latch->maybe_sleeping, 0);
  latch->is_set = 1;
  BgwInitLatch(latch, true);
  CHECK_EQ(latch->is_set | latch->owner_pid, 0);
  CHECK(!BgwOwnsLatch(latch));
}

// The event loop's sleep, for several latches and several waits for one.
TEST(watched_latches_are_announced_around_the_loops_sleep_only) {
  BgwLatch *one = shared_latch(), *two = shared_latch();
  CHECK_EQ(BgwWatchLatch(one), 0);
  CHECK_EQ(BgwWatchLatch(two), 0);
  CHECK_EQ(BgwWatchLatch(two), 0);
  CHECK_EQ(one->maybe_sleeping | two->maybe_sleeping, 0);
  CHECK(!BgwBeforeLoopSleeps(false));
  CHECK_EQ(one->maybe_sleeping + two->maybe_sleeping, 2);
  BgwSetLatch(one);  // nobody owns it: no signal
  CHECK(BgwAfterLoopSlept());
  CHECK_EQ(one->maybe_sleeping | two->maybe_sleeping, 0);
  CHECK(BgwBeforeLoopSleeps(false));  // it must not sleep
  BgwUnwatchLatch(one);
  CHECK_EQ(one->maybe_sleeping, 0);
  BgwUnwatchLatch(two);
  CHECK(!BgwBeforeLoopSleeps(false));
  CHECK_EQ(one->maybe_sleeping, 0);
  CHECK_EQ(two->maybe_sleeping, 1);  // one wait is left
  CHECK(!BgwAfterLoopSlept());
  BgwUnwatchLatch(two);
  BgwUnwatchLatch(two);
  CHECK(!BgwBeforeLoopSleeps(false));
  CHECK_EQ(two->maybe_sleeping, 0);
}

TEST(any_number_of_latches_can_be_watched) {
  enum { kMany = 1000 };
  BgwLatch *latches = shared_memory(kMany * sizeof(*latches));
  for (int i = 0; i < kMany; i++) CHECK_EQ(BgwWatchLatch(&latches[i]), 0);
  CHECK(!BgwBeforeLoopSleeps(false));
  BgwSetLatch(&latches[kMany - 1]);
  CHECK(BgwAfterLoopSlept());
  for (int i = 0; i < kMany; i++) BgwUnwatchLatch(&latches[i]);
  CHECK(!BgwAfterLoopSlept());
}

TEST(a_recorded_signal_keeps_the_loop_awake) {
  BgwSignalsInit();
  BgwUnblockSignals();
  CHECK_EQ(BgwSignal(SIGUSR1, kBgwRecord), 0);
  CHECK(!BgwBeforeLoopSleeps(false));
  CHECK_EQ(raise(SIGUSR1), 0);
  CHECK(BgwBeforeLoopSleeps(false));
  CHECK(BgwAfterLoopSlept());
  CHECK_EQ(BgwTakeRecorded(), bit_of(SIGUSR1));
  CHECK(!BgwAfterLoopSlept());
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
