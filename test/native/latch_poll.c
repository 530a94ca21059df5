// Looking for a latch for a moment before sleeping for it: when that is done, and when not. Tests: native/core/latch_poll.c.
#include "core/latch_poll.h"

#include <signal.h>

#include "core/signals.h"
#include "support.h"

enum { kEnough = 16, kManySleeps = 1 << 20 };

static int looks;
static bool never(const void *what) {
  (void)what;
  looks++;
  return false;
}
static bool at_once(const void *what) { return !never(what); }

static void sleep_briefly(int times) {
  for (int i = 0; i < times; i++) {
    BgwSleepBegins();
    BgwSleepEnds(true);
  }
}

static bool polls(BgwLook look) {
  looks = 0;
  (void)BgwPollBeforeSleep(look, NULL);
  return looks > 0;
}

// A machine that stops us in the middle makes a brief sleep a long one: then they are slept again.
static bool polls_after(int sleeps, BgwLook look) {
  sleep_briefly(sleeps);
  for (int again = 0; again < 1000; again++) {
    if (polls(look)) return true;
    sleep_briefly(kEnough);
  }
  return false;
}

TEST(who_has_not_slept_or_slept_for_something_else_does_not_look) {
  BgwLatchPollInit();
  CHECK(!polls(at_once));
  for (int i = 0; i < 100; i++) {
    BgwSleepBegins();
    BgwSleepEnds(false);
  }
  CHECK(!polls(at_once));
}

TEST(who_has_slept_long_does_not_look) {
  BgwLatchPollInit();
  for (int i = 0; i < 2 * kEnough; i++) {
    BgwSleepBegins();
    const struct timespec kLong = {.tv_nsec = 200 * 1000};
    nanosleep(&kLong, NULL);
    BgwSleepEnds(true);
  }
  CHECK(!polls(at_once));
}

TEST(brief_sleeps_in_a_row_are_what_makes_it_look) {
  BgwLatchPollInit();
  sleep_briefly(kEnough - 1);
  CHECK(!polls(at_once));
  CHECK(polls_after(1, at_once));
  CHECK(polls(at_once));  // and it goes on while that pays
  BgwSleepBegins();
  BgwSleepEnds(false);
  CHECK(!polls(at_once));
}

TEST(what_is_there_is_found) {
  BgwLatchPollInit();
  CHECK(polls_after(kEnough, at_once));
  looks = 0;
  CHECK(BgwPollBeforeSleep(at_once, NULL));
  CHECK_EQ(looks, 1);
}

// As if another process had had the processor until the budget was over, and had set the latch meanwhile.
static bool after_a_while(const void *what) {
  const struct timespec kPause = {.tv_nsec = 50 * 1000};
  (void)never(what);
  if (looks == kEnough) nanosleep(&kPause, NULL);
  return looks > kEnough;
}

TEST(what_comes_while_another_has_the_processor_is_found) {
  BgwLatchPollInit();
  CHECK(polls_after(kEnough, at_once));
  looks = 0;
  CHECK(BgwPollBeforeSleep(after_a_while, NULL));
  CHECK_EQ(looks, kEnough + 1);
}

TEST(a_look_for_nothing_ends_and_the_next_one_comes_after_ever_more_sleeps) {
  BgwLatchPollInit();
  long slept = 0;
  // Each failure doubles the sleeps before the next look, up to 16,384: a dozen of them take tens of thousands.
  for (int failures = 0; failures < 12; failures++) {
    while (!polls(never)) {
      sleep_briefly(1);
      CHECK(++slept < kManySleeps);
    }
    CHECK(!BgwPollBeforeSleep(never, NULL));
  }
  CHECK(slept > 16384);
}

TEST(a_recorded_signal_ends_the_look) {
  BgwSignalsInit();
  BgwUnblockSignals();
  CHECK_EQ(BgwSignal(SIGUSR1, kBgwRecord), 0);
  BgwLatchPollInit();
  sleep_briefly(kEnough);
  CHECK_EQ(raise(SIGUSR1), 0);
  CHECK(!BgwPollBeforeSleep(never, NULL));
  CHECK(looks <= kEnough);
}
