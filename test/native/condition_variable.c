// Condition variables and barriers between processes. Tests: native/core/condition_variable.c.
#include "core/condition_variable.h"

#include "core/proc.h"
#include "core/signals.h"
#include "support.h"

enum { kProcesses = 5 };

typedef struct Shared {
  BgwWaitBlock blocks[kProcesses + 1];
  BgwConditionVariable cv;
  BgwConditionVariable more[kBgwWaitersPerProc];
  BgwBarrier barrier;
  _Atomic int tokens;
  _Atomic int taken;
  _Atomic int asleep;
  _Atomic int stage;
  _Atomic int elected[1000];
  _Atomic int in_phase[1000];
} Shared;

// The test itself is process 0.
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

static bool nobody_waits(const BgwConditionVariable *cv) {
  return cv->mutex == 0 && cv->wakeup.head == 0 && cv->wakeup.tail == 0;
}

// A sleep, as a loop without latches has it.
static void sleep_on(uint32_t number) {
  while (BgwConditionVariableWoken(number) == 0) sched_yield();
}

static bool take_token(Shared *shared) {
  int tokens = atomic_load(&shared->tokens);
  while (tokens > 0) {
    if (atomic_compare_exchange_weak(&shared->tokens, &tokens, tokens - 1)) return true;
  }
  return false;
}

// Consumers sleep until there is a token; each token is signaled once. A signal that is lost leaves a token and a sleeper.
TEST(no_signal_is_lost) {
  enum { kTokens = 3000 };
  int all = kUnderTSan ? kTokens / 10 : kTokens;
  Shared *shared = start();
  pid_t children[kProcesses];
  for (int i = 0; i < kProcesses; i++) {
    children[i] = fork_attached((uint32_t)i + 1);
    if (children[i] != 0) continue;
    while (atomic_load(&shared->taken) < all) {
      int number = BgwConditionVariablePrepare(&shared->cv);
      CHECK(number > 0);
      while (!take_token(shared)) {
        if (atomic_load(&shared->taken) >= all) {
          BgwConditionVariableCancel((uint32_t)number);
          _exit(0);
        }
        sleep_on((uint32_t)number);
      }
      BgwConditionVariableCancel((uint32_t)number);
      if (atomic_fetch_add(&shared->taken, 1) + 1 == all) BgwConditionVariableBroadcast(&shared->cv);
    }
    _exit(0);
  }
  for (int i = 0; i < all; i++) {
    atomic_fetch_add(&shared->tokens, 1);
    BgwConditionVariableSignal(&shared->cv);
    if (i % 64 == 0) sched_yield();
  }
  CHECK_WITHIN(20, atomic_load(&shared->taken) == all);
  for (int i = 0; i < kProcesses; i++) CHECK_EQ(check_wait(children[i]), 0);
  CHECK(nobody_waits(&shared->cv));
}

TEST(broadcast_wakes_all_that_stand_there_once) {
  Shared *shared = start();
  pid_t children[kProcesses];
  for (int i = 0; i < kProcesses; i++) {
    children[i] = fork_attached((uint32_t)i + 1);
    if (children[i] != 0) continue;
    int number = BgwConditionVariablePrepare(&shared->cv);
    CHECK(number > 0);
    atomic_fetch_add(&shared->asleep, 1);
    sleep_on((uint32_t)number);
    // It stands in the list again, and was not woken a second time.
    CHECK_EQ(BgwConditionVariableCancel((uint32_t)number), false);
    _exit(0);
  }
  CHECK_WITHIN(5, atomic_load(&shared->asleep) == kProcesses);
  BgwConditionVariableBroadcast(&shared->cv);
  for (int i = 0; i < kProcesses; i++) CHECK_EQ(check_wait(children[i]), 0);
  CHECK(nobody_waits(&shared->cv));
  CHECK_EQ(BgwConditionVariableSignal(&shared->cv), false);
}

TEST(signals_go_to_who_has_waited_longest) {
  Shared *shared = start();
  int first = BgwConditionVariablePrepare(&shared->cv), second = BgwConditionVariablePrepare(&shared->cv);
  CHECK(first > 0 && second > 0 && first != second);
  CHECK_EQ(BgwConditionVariableSignal(&shared->cv), true);
  CHECK_EQ(BgwConditionVariableWoken((uint32_t)second), 0);
  CHECK_EQ(BgwConditionVariableWoken((uint32_t)first), 1);
  // The first stands behind the second now.
  CHECK_EQ(BgwConditionVariableSignal(&shared->cv), true);
  CHECK_EQ(BgwConditionVariableWoken((uint32_t)second), 1);
  CHECK_EQ(BgwConditionVariableCancel((uint32_t)first), false);
  CHECK_EQ(BgwConditionVariableCancel((uint32_t)second), false);
  CHECK(nobody_waits(&shared->cv));
}

TEST(a_signal_that_nobody_acts_on_is_passed_on) {
  Shared *shared = start();
  int first = BgwConditionVariablePrepare(&shared->cv), second = BgwConditionVariablePrepare(&shared->cv);
  CHECK_EQ(BgwConditionVariableSignal(&shared->cv), true);
  CHECK_EQ(BgwConditionVariableCancel((uint32_t)first), true);
  CHECK_EQ(BgwConditionVariableWoken((uint32_t)second), 1);
  BgwConditionVariableCancel((uint32_t)second);
}

TEST(there_are_so_many_places) {
  Shared *shared = start();
  for (int i = 0; i < kBgwWaitersPerProc - 1; i++) CHECK(BgwConditionVariablePrepare(&shared->more[i]) > 0);
  CHECK_EQ(BgwConditionVariablePrepare(&shared->cv), -EMFILE);
  BgwConditionVariableCancelAll();
  for (int i = 0; i < kBgwWaitersPerProc - 1; i++) CHECK(nobody_waits(&shared->more[i]));
  CHECK(BgwConditionVariablePrepare(&shared->cv) > 0);
}

TEST(a_sleeper_that_is_terminated_leaves_the_list_and_passes_its_signal_on) {
  Shared *shared = start();
  for (int round = 0; round < (kUnderTSan ? 20 : 200); round++) {
    atomic_store(&shared->stage, 0);
    pid_t leaves = fork_attached(1);
    if (leaves == 0) {
      BgwSignalsInit();
      BgwSetExitHook(BgwProcDetach);
      die_message("");
      CHECK_EQ(BgwSignal(SIGTERM, kBgwDie), 0);
      CHECK(BgwConditionVariablePrepare(&shared->cv) > 0);
      atomic_store(&shared->stage, 1);
      for (;;) nanosleep(&(struct timespec){.tv_sec = 1}, NULL);
    }
    CHECK_WITHIN(5, atomic_load(&shared->stage) == 1);
    int number = BgwConditionVariablePrepare(&shared->cv);
    CHECK(number > 0);
    // The signal is the leaver's; it never looks, and must not keep it.
    if (round % 2 == 0) CHECK_EQ(kill(leaves, SIGTERM), 0);
    BgwConditionVariableSignal(&shared->cv);
    if (round % 2 == 1) CHECK_EQ(kill(leaves, SIGTERM), 0);
    CHECK_EQ(check_wait(leaves), 1);
    sleep_on((uint32_t)number);
    BgwConditionVariableCancel((uint32_t)number);
    CHECK(nobody_waits(&shared->cv));
  }
}

// --- barriers --------------------------------------------------------------------------------------------------------------------

static bool arrive_and_wait(BgwBarrier *barrier) {
  BgwBarrierResult arrival = BgwBarrierArrive(barrier);
  if (arrival.done) return arrival.elected;
  int number = BgwConditionVariablePrepare(&barrier->cv);
  CHECK(number > 0);
  BgwBarrierResult now;
  for (;;) {
    now = BgwBarrierLook(barrier, arrival.phase);
    if (now.done) break;
    sleep_on((uint32_t)number);
  }
  BgwConditionVariableCancel((uint32_t)number);
  return now.elected;
}

TEST(nobody_goes_ahead_and_one_is_elected_in_each_phase) {
  enum { kPhases = 600 };
  int phases = kUnderTSan ? kPhases / 10 : kPhases;
  Shared *shared = start();
  BgwBarrierInit(&shared->barrier, kProcesses);
  pid_t children[kProcesses];
  for (int i = 0; i < kProcesses; i++) {
    children[i] = fork_attached((uint32_t)i + 1);
    if (children[i] != 0) continue;
    for (int phase = 0; phase < phases; phase++) {
      CHECK_EQ(BgwBarrierPhase(&shared->barrier), phase);
      atomic_fetch_add(&shared->in_phase[phase], 1);
      if (arrive_and_wait(&shared->barrier)) atomic_fetch_add(&shared->elected[phase], 1);
      CHECK_EQ(atomic_load(&shared->in_phase[phase]), kProcesses);
    }
    _exit(0);
  }
  for (int i = 0; i < kProcesses; i++) CHECK_EQ(check_wait(children[i]), 0);
  for (int phase = 0; phase < phases; phase++) CHECK_EQ(shared->elected[phase], 1);
  CHECK(nobody_waits(&shared->barrier.cv));
}

// Whoever detaches may be the one that everybody waits for; then one of these is elected.
TEST(detaching_ends_the_phase_and_elects_a_waiter) {
  Shared *shared = start();
  for (int round = 0; round < (kUnderTSan ? 20 : 200); round++) {
    BgwBarrierInit(&shared->barrier, 0);
    for (int i = 0; i < 3; i++) CHECK_EQ(BgwBarrierAttach(&shared->barrier).phase, 0);
    atomic_store(&shared->elected[0], 0);
    pid_t waits[2];
    for (int i = 0; i < 2; i++) {
      waits[i] = fork_attached((uint32_t)i + 1);
      if (waits[i] == 0) {
        if (arrive_and_wait(&shared->barrier)) atomic_fetch_add(&shared->elected[0], 1);
        _exit(0);
      }
    }
    if (round % 2 == 0) CHECK_WITHIN(5, *(volatile int32_t *)&shared->barrier.arrived == 2);
    CHECK_EQ(BgwBarrierDetach(&shared->barrier, round % 3 == 0).elected, false);
    for (int i = 0; i < 2; i++) CHECK_EQ(check_wait(waits[i]), 0);
    CHECK_EQ(shared->elected[0], 1);
    CHECK_EQ(BgwBarrierParticipants(&shared->barrier), 2);
    CHECK_EQ(BgwBarrierPhase(&shared->barrier), 1);
  }
}

TEST(the_last_participant_is_told) {
  Shared *shared = start();
  BgwBarrierInit(&shared->barrier, 0);
  CHECK_EQ(BgwBarrierDetach(&shared->barrier, false).error, -EPERM);
  for (int i = 0; i < 2; i++) CHECK_EQ(BgwBarrierAttach(&shared->barrier).error, 0);
  CHECK_EQ(BgwBarrierDetachExceptLast(&shared->barrier).elected, false);
  BgwBarrierResult last = BgwBarrierDetachExceptLast(&shared->barrier);
  CHECK(last.elected && BgwBarrierParticipants(&shared->barrier) == 1);
  CHECK_EQ(BgwBarrierDetach(&shared->barrier, true).elected, true);
  BgwBarrierInit(&shared->barrier, 2);
  CHECK_EQ(BgwBarrierAttach(&shared->barrier).error, -EPERM);
  CHECK_EQ(BgwBarrierDetach(&shared->barrier, false).error, -EPERM);
  CHECK_EQ(BgwBarrierDetachExceptLast(&shared->barrier).error, -EPERM);
}
