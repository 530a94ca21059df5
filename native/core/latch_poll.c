// Looking for a latch for a moment before sleeping for it. PostgreSQL has no such thing in latch.c; its spinlocks (src/backend/storage/lmgr/s_lock.c) adapt
// their patience alike.
//
// Two processes that set each other's latches in turns pay for each set one system call that wakes, two of the one that sleeps, and above all the time
// until an idle core is awake: tens of microseconds where their work takes one. Who looks a little longer, finds the latch set, and nobody sleeps.
// sched_yield in between is what makes it a gain on one core, too: there the other process cannot come to set the latch unless it is let run. (Where the
// kernel groups processes by session, sched_autogroup_enabled, it yields to its own group only: on one core nothing is found then, and soon not looked for.)
//
// What it may cost is bounded. A process that waits for something rare never looks: it begins to only after kStreak sleeps in a row that a latch ended
// within kShortNs. A look that finds nothing takes kBudgetNs, and so many short sleeps pass before the next one: twice as many each time, from kFewest up to
// kMost; a look that finds something halves it. Where somebody else computes on this core, sched_yield may return after milliseconds: that counts for
// three. So where it never pays, what is lost is one such time slice in so many thousand wake-ups.
#include "latch_poll.h"

#include <sched.h>
#include <stdint.h>
#include <time.h>

#include "relax.h"
#include "signals.h"

enum {
  kBudgetNs = 20000,
  kShortNs = 100000,
  kHoggedNs = 200000,
  kStreak = 16,
  kFewest = 16,
  kMost = 16384,
  kLooksBetweenYields = 16
};

static int streak;   // of short sleeps
static int rest;     // so many short sleeps before the next look
static int backoff;  // what `rest` becomes when a look finds nothing
static int64_t slept_from;

static int64_t MonotonicNs(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

void BgwLatchPollInit(void) {
  streak = rest = 0;
  backoff = kFewest;
}

static void Paid(void) {
  if (backoff > kFewest) backoff /= 2;
}

static void DidNotPay(bool hogged) {
  streak = 0;
  rest = backoff;
  backoff *= hogged ? 8 : 2;
  if (backoff > kMost) backoff = kMost;
}

bool BgwPollBeforeSleep(BgwLook look, const void *what) {
  if (streak < kStreak || rest > 0) return false;
  int64_t begin = MonotonicNs();
  bool found = false;
  int64_t took = 0;
  do {
    for (int i = 0; i < kLooksBetweenYields && !found; i++) {
      found = look(what);
      BgwRelax();
    }
    // A signal is as good a reason not to sleep, and says nothing about latches.
    if (!found && BgwPeekRecorded() != 0) return false;
    if (!found) sched_yield();
    took = MonotonicNs() - begin;
  } while (!found && took < kBudgetNs);
  // On one core the other process had it until now, and what it did took as long as it took.
  if (!found) found = look(what);
  if (found && took <= kShortNs) {
    Paid();
  } else {
    DidNotPay(took > kHoggedNs);
  }
  return found;
}

static bool LooksSet(const void *latch) {
  return atomic_load_explicit(&((const BgwLatch *)latch)->is_set, memory_order_relaxed);
}
bool BgwPollLatch(const BgwLatch *latch) { return BgwPollBeforeSleep(LooksSet, latch); }

void BgwSleepBegins(void) { slept_from = MonotonicNs(); }

void BgwSleepEnds(bool set) {
  bool brief = set && MonotonicNs() - slept_from <= kShortNs;
  streak = !brief ? 0 : streak < kStreak ? streak + 1 : kStreak;
  if (brief && rest > 0) rest--;
}
