// No wake-up is lost: hundreds of thousands of rounds of set, reset and wait between processes, on one core and on two. A lost one leaves both asleep, and
// the deadline says so. What rounds cannot show, test/unit/model/latch-model.test.ts shows: every interleaving. Tests: native/core/latch.c, native/core/wait_event_set.c.
#include "core/latch.h"
#include "core/signals.h"
#include "core/wait_event_set.h"
#include "support.h"

// Waking an idle core of a loaded virtual machine takes up to 100 us, twice a round.
enum { kStressDeadlineSeconds = 100 };

static void own(BgwLatch *latch) {
  pid_t owner = 0;
  CHECK_EQ(BgwOwnLatch(latch, &owner), 0);
}

typedef struct Court {
  BgwLatch latch[2];
  _Atomic int ball;  // how often it was hit; even: player 0 is to hit it
} Court;

static void play(Court *court, int player, int hits) {
  BgwSignalsInit();
  CHECK(BgwWaitEventSupportInit() == 0);
  own(&court->latch[player]);
  BgwSetLatch(&court->latch[player]);  // C-09: whatever was sent before we owned it
  for (int ball; (ball = atomic_load(&court->ball)) < hits;) {
    if (ball % 2 == player) {
      atomic_store(&court->ball, ball + 1);
      BgwSetLatch(&court->latch[1 - player]);
      continue;
    }
    CHECK_EQ(BgwWaitLatch(&court->latch[player], kBgwLatchSet, -1), kBgwLatchSet);
    BgwResetLatch(&court->latch[player]);
  }
  BgwSetLatch(&court->latch[1 - player]);
}

static void match(int core0, int core1) {
  int hits = kUnderTSan ? 20000 : 200000;
  alarm(kStressDeadlineSeconds);
  Court *court = shared_memory(sizeof(*court));
  pid_t players[2];
  for (int i = 0; i < 2; i++) {
    players[i] = fork();
    if (players[i] != 0) continue;
    if (core0 >= 0) run_on_core(i == 0 ? core0 : core1);
    alarm(kStressDeadlineSeconds);
    play(court, i, hits);
    _exit(0);
  }
  for (int i = 0; i < 2; i++) CHECK_EQ(check_wait(players[i]), 0);
  CHECK_EQ(court->ball, hits);
}

TEST(ping_pong_wherever_the_kernel_puts_it) { match(-1, -1); }
TEST(ping_pong_on_one_core) { match(0, 0); }
TEST(ping_pong_on_two_cores) {
  if (sysconf(_SC_NPROCESSORS_ONLN) < 2) return;
  match(0, 1);
}

// The setter never waits, so sets fall into every moment of the owner's reset, look and sleep.
TEST(two_setters_that_do_not_wait_lose_nothing) {
  alarm(kStressDeadlineSeconds);
  typedef struct {
    BgwLatch latch;
    _Atomic int work[2];
  } Shared;
  enum { kRounds = 100000 };
  Shared *shared = shared_memory(sizeof(*shared));
  pid_t owner = fork();
  if (owner == 0) {
    alarm(kStressDeadlineSeconds);
    BgwSignalsInit();
    CHECK(BgwWaitEventSupportInit() == 0);
    own(&shared->latch);
    for (;;) {
      BgwResetLatch(&shared->latch);
      if (atomic_load_explicit(&shared->work[0], memory_order_relaxed) == kRounds &&
          atomic_load_explicit(&shared->work[1], memory_order_relaxed) == kRounds) {
        _exit(0);
      }
      CHECK_EQ(BgwWaitLatch(&shared->latch, kBgwLatchSet, -1), kBgwLatchSet);
    }
  }
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
  for (int i = 0; i < 2; i++) CHECK_EQ(check_wait(setters[i]), 0);
  CHECK_EQ(check_wait(owner), 0);
}
