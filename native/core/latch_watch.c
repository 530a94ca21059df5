// Asynchronous waits for latches. PostgreSQL: src/backend/storage/ipc/latch.c (WaitEventSetWait's announcement, and its withdrawal).
//
// A wait that is under way announces nothing. The event loop does, for all of them, in the moment before it sleeps, and takes it back when it wakes:
// an owner whose JavaScript runs is awake, and costs a setter no system call. Whatever came to pass while it was awake (a latch set, a signal
// recorded, a descriptor drained by a blocking wait) is found by the look before the sleep, so no wake-up need be handed from one wait to another:
//
//     loop: maybe_sleeping = 1, of each        S: is_set = 1
//     loop: fence                              S: fence
//     loop: any set? -> does not sleep         S: maybe_sleeping? -> no signal if 0
//
// A blocking wait that a callback inside of the loop's poll makes withdraws the loop's announcement. That is right: libuv's uv__io_poll does not sleep
// again once it has called anybody, and the look before the next sleep comes after it.
//
// test/unit/model/latch-model.test.ts goes through every interleaving, with blocking waits in between.
#include "latch_watch.h"

#include <stdlib.h>

#include "latch_poll.h"
#include "signals.h"

typedef struct Watched {
  BgwLatch *latch;
  int waits;
} Watched;

static Watched *watched;
static int count, capacity;
static bool sleeping;  // for a latch, and nothing keeps the loop awake

static Watched *Find(const BgwLatch *latch) {
  for (int i = 0; i < count; i++) {
    if (watched[i].latch == latch) return &watched[i];
  }
  return NULL;
}

int BgwWatchLatch(BgwLatch *latch) {
  Watched *found = Find(latch);
  if (found != NULL) {
    found->waits++;
    return 0;
  }
  if (count == capacity) {
    int more = capacity == 0 ? 8 : capacity * 2;
    Watched *grown = realloc(watched, (size_t)more * sizeof(*watched));
    if (grown == NULL) return -ENOMEM;
    watched = grown;
    capacity = more;
  }
  watched[count++] = (Watched){latch, 1};
  return 0;
}

void BgwUnwatchLatch(BgwLatch *latch) {
  Watched *found = Find(latch);
  if (found == NULL || --found->waits > 0) return;
  // Nobody looks at it any more when the loop wakes, and this may run between the two.
  BgwLatchWake(latch);
  *found = watched[--count];
}

void BgwUnwatchMemory(const void *begin, size_t size) {
  uintptr_t from = (uintptr_t)begin;
  for (int i = 0; i < count;) {
    uintptr_t at = (uintptr_t)watched[i].latch;
    if (at >= from && at - from < size) {
      watched[i] = watched[--count];
    } else {
      i++;
    }
  }
}

static bool AnySet(void) {
  for (int i = 0; i < count; i++) {
    if (atomic_load_explicit(&watched[i].latch->is_set, memory_order_relaxed)) return true;
  }
  return false;
}

static bool LooksSet(const void *unused) {
  (void)unused;
  return AnySet();
}

bool BgwBeforeLoopSleeps(bool may_poll) {
  // What is found so was announced to nobody: setters saw an owner that is awake.
  if (AnySet() || (may_poll && count > 0 && BgwPollBeforeSleep(LooksSet, NULL))) return true;
  for (int i = 0; i < count; i++) atomic_store_explicit(&watched[i].latch->maybe_sleeping, 1, memory_order_relaxed);
  atomic_thread_fence(memory_order_seq_cst);  // Pairs with the second fence in BgwSetLatch.
  // A handler that records after this look has also made SIGURG's descriptor readable, so the sleep ends at once.
  bool awake = AnySet() || BgwPeekRecorded() != 0;
  sleeping = !awake && count > 0;
  if (sleeping) BgwSleepBegins();
  return awake;
}

bool BgwAfterLoopSlept(void) {
  for (int i = 0; i < count; i++) BgwLatchWake(watched[i].latch);
  bool set = AnySet();
  if (sleeping) BgwSleepEnds(set);
  sleeping = false;
  return set || BgwPeekRecorded() != 0;
}
