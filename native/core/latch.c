// Latches: a flag that anyone may set and one process waits for. PostgreSQL: src/backend/storage/ipc/latch.c, REL_15_STABLE.
//
// The race that the two fences close, setter S and owner O, both words 0 at first:
//
//     O: maybe_sleeping = 1                  S: is_set = 1
//     O: fence                               S: fence
//     O: is_set? -> sleep if 0               S: maybe_sleeping? -> no signal if 0
//
// Without the fences both reads may miss both writes: O sleeps and S sends nothing. With them at least one of the two sees the other.
// A signal that arrives between O's look and its sleep is not lost: SIGURG is blocked and stays readable in the wait set's signalfd.
// test/unit/model/latch-model.test.ts goes through every interleaving, with and without the fences.
#include "latch.h"

#include <signal.h>
#include <unistd.h>

// The pid that owners are compared with. 0 in a process that has not asked to remember it.
static pid_t my_pid;

void BgwLatchSupportInit(void) { my_pid = getpid(); }

static pid_t MyPid(void) { return my_pid != 0 ? my_pid : getpid(); }

void BgwInitLatch(BgwLatch *latch, bool shared) {
  atomic_store(&latch->is_set, 0);
  atomic_store(&latch->maybe_sleeping, 0);
  atomic_store(&latch->owner_pid, shared ? 0 : (int32_t)MyPid());
}

bool BgwOwnsLatch(const BgwLatch *latch) {
  return atomic_load_explicit(&latch->owner_pid, memory_order_relaxed) == MyPid();
}

void BgwSetLatch(BgwLatch *latch) {
  // What the setter published before must be visible to the owner that sees the latch set. Pairs with the fence in BgwResetLatch.
  atomic_thread_fence(memory_order_seq_cst);
  if (atomic_load_explicit(&latch->is_set, memory_order_relaxed)) return;
  atomic_store_explicit(&latch->is_set, 1, memory_order_relaxed);
  atomic_thread_fence(memory_order_seq_cst);  // Pairs with the fence in BgwLatchPrepareSleep.
  if (atomic_load_explicit(&latch->maybe_sleeping, memory_order_relaxed)) BgwWakeLatchOwner(latch);
}

void BgwWakeLatchOwner(BgwLatch *latch) {
  pid_t owner = atomic_load_explicit(&latch->owner_pid, memory_order_relaxed);
  if (owner == 0) return;
  int saved_errno = errno;    // We may be in a signal handler.
  (void)kill(owner, SIGURG);  // ESRCH: the owner has just left, and nobody waits.
  errno = saved_errno;
}

bool BgwResetLatch(BgwLatch *latch) {
  // An exchange: a set between a look and a store would be taken away from the process's other waits unseen.
  bool was_set = atomic_exchange_explicit(&latch->is_set, 0, memory_order_relaxed) != 0;
  // The owner's next look at its work must not be done before the reset. Pairs with the first fence in BgwSetLatch.
  atomic_thread_fence(memory_order_seq_cst);
  return was_set;
}

int BgwOwnLatch(BgwLatch *latch, pid_t *owner) {
  int32_t nobody = 0;
  if (!atomic_compare_exchange_strong(&latch->owner_pid, &nobody, (int32_t)MyPid())) {
    *owner = nobody;
    return -EBUSY;
  }
  return 0;
}

void BgwDisownLatch(BgwLatch *latch) {
  atomic_store(&latch->maybe_sleeping, 0);
  atomic_store(&latch->owner_pid, 0);
}

bool BgwLatchPrepareSleep(BgwLatch *latch) {
  atomic_store_explicit(&latch->maybe_sleeping, 1, memory_order_relaxed);
  atomic_thread_fence(memory_order_seq_cst);  // Pairs with the second fence in BgwSetLatch.
  if (!atomic_load_explicit(&latch->is_set, memory_order_relaxed)) return false;
  BgwLatchWake(latch);
  return true;
}

void BgwLatchWake(BgwLatch *latch) { atomic_store_explicit(&latch->maybe_sleeping, 0, memory_order_relaxed); }
