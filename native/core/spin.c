// Spinning, and when it has lasted too long. PostgreSQL: src/backend/storage/lmgr/s_lock.c (perform_spin_delay, s_lock_stuck).
//
// The holder needs a few instructions. Is it at work on another core, they are over before a system call would be. Was it preempted on ours, it comes to them
// when we yield. After that we sleep, a millisecond at first and up to one second, again and again, as PostgreSQL does and as often: after some two minutes it
// is certain that there is no holder.
#include "spin.h"

#include <sched.h>
#include <stdlib.h>
#include <time.h>

#include "last_words.h"
#include "relax.h"

enum { kSpins = 100, kYields = 100, kDelays = 1000, kSteps = 17 };
static const int64_t kFirstDelayNs = 1000000;

// Half as much again each time; then anew, from the first. A part of it is at random, lest several who wait come back together.
static void Delay(int nth) {
  int64_t ns = kFirstDelayNs;
  for (int step = 0; step < nth % kSteps; step++) ns += ns / 2;
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  ns += ns / 512 * (now.tv_nsec & 255);
  struct timespec delay = {.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000};
  (void)clock_nanosleep(CLOCK_MONOTONIC, 0, &delay, NULL);  // a signal makes it shorter, which does no harm
}

void BgwSpinDelay(int *waits) {
  int nth = (*waits)++;
  if (nth < kSpins) {
    BgwRelax();
  } else if (nth < kSpins + kYields) {
    sched_yield();
  } else if (nth < kSpins + kYields + kDelays) {
    Delay(nth - kSpins - kYields);
  } else {
    BgwWriteLastWords(kBgwStuckSpinlock);
    abort();
  }
}

void BgwSpinBit(BgwAtomicUint *word, uint32_t bit) {
  for (int waits = 0; (atomic_fetch_or(word, bit) & bit) != 0;) {
    while ((atomic_load_explicit(word, memory_order_relaxed) & bit) != 0) BgwSpinDelay(&waits);
  }
}
