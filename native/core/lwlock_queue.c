// A lock's word and the queue beside it: everything about a lock but who of this process holds it. Runs in backends; the postmaster takes a lock only while it has
// no children. PostgreSQL: src/backend/storage/lmgr/lwlock.c, REL_15_STABLE, whose protocol this is.
//
// A lock is taken by one compare-and-exchange. Who fails queues itself, and then must try once more, or:
//
//     W: cannot get it                       H: holds it
//                                            H: releases, sees no waiters, wakes nobody
//     W: queues itself, sleeps for ever
//
// A woken waiter owns nothing: it tries again, and a newcomer may have been faster (a lock handed over would be idle until its owner is scheduled).
// kWaking says that one was woken and has not tried yet: releases meanwhile wake no second one. It clears the flag before it tries, so that the release after
// that wakes again.
//
// PostgreSQL's queue lets newcomers pass without end: readers who always overlap starve a writer. DIFFERS FROM POSTGRES: when kMaxPassed have gone ahead of
// the waiters, newcomers queue up behind them, and a woken waiter that fails goes back to the head of the queue and not to its tail.
#include "lwlock_queue.h"

#include <stddef.h>

#include "spin.h"

enum { kMaxPassed = 100, kWakeBatch = 64 };

static const uint32_t kHasWaiters = 1u << 30;
static const uint32_t kWaking = 1u << 29;
static const uint32_t kLocked = 1u << 28;  // the list of waiters
static const uint32_t kHeldExclusive = 1u << 24;
static const uint32_t kHeldMask = (1u << 25) - 1;  // the bit above, and the number of shared holders

// --- the word --------------------------------------------------------------------------------------------------------------------

static bool MayPass(const BgwLWLock *lock, uint32_t state, BgwTurn turn) {
  if (turn == kBgwWokenTry || atomic_load_explicit(&lock->passed, memory_order_relaxed) < kMaxPassed) return true;
  if (turn == kBgwFirstTry) return (state & (kHasWaiters | kWaking)) == 0;
  // We stand in the queue. To wait is safe where somebody will come by after this look and wake the first: a holder by its release, or one that was
  // woken and will either hold it or stand in the queue, looking as we do.
  return (state & (kHeldMask | kWaking)) == 0;
}

bool BgwLockTry(BgwLWLock *lock, uint32_t mode, BgwTurn turn) {
  uint32_t state = atomic_load(&lock->state);
  for (;;) {
    if ((state & (mode == kBgwExclusive ? kHeldMask : kHeldExclusive)) != 0) return false;
    if (!MayPass(lock, state, turn)) return false;
    if (atomic_compare_exchange_weak(&lock->state, &state, state + (mode == kBgwExclusive ? kHeldExclusive : 1))) break;
  }
  if (turn == kBgwWokenTry) {
    atomic_store_explicit(&lock->passed, 0, memory_order_relaxed);
  } else if ((state & kHasWaiters) != 0 && atomic_load_explicit(&lock->passed, memory_order_relaxed) < kMaxPassed) {
    atomic_fetch_add_explicit(&lock->passed, 1, memory_order_relaxed);
  }
  return true;
}

bool BgwLockIsHeldExclusively(const BgwLWLock *lock) { return (atomic_load(&lock->state) & kHeldExclusive) != 0; }

_Static_assert(sizeof(BgwLWLock) == 16, "src/shmem/layout.ts counts 16 bytes");

// --- the queue -------------------------------------------------------------------------------------------------------------------

void BgwLockEnqueue(BgwLWLock *lock, uint32_t number, uint32_t mode, bool at_head) {
  BgwWaiter *waiter = BgwWaiterAt(number);
  BgwSpinBit(&lock->state, kLocked);
  // Who wants to know of the next release is not to be passed over because somebody who was woken is still on his way to the lock.
  if (mode == kBgwUntilFree) atomic_fetch_and(&lock->state, ~kWaking);
  // Before the next try: a release after that must see it. Pairs with the subtraction in `BgwLockUnlock`.
  atomic_fetch_or(&lock->state, kHasWaiters);
  waiter->mode = mode;
  atomic_store(&waiter->state, kBgwQueued);
  BgwWaitListPush(&lock->waiters, number, at_head);
  atomic_fetch_and(&lock->state, ~kLocked);
}

// Unlocks the list, and clears what else is to be cleared.
static void UnlockList(BgwLWLock *lock, uint32_t clear) {
  clear |= kLocked | (lock->waiters.head == 0 ? kHasWaiters : 0);
  uint32_t state = atomic_load(&lock->state);
  while (!atomic_compare_exchange_weak(&lock->state, &state, state & ~clear)) continue;
}

// Takes one off the list. From here on it is its process's, and may be used again.
static void TakeOff(BgwLWLock *lock, uint32_t number) {
  BgwWaitListRemove(&lock->waiters, number);
  atomic_store(&BgwWaiterAt(number)->state, kBgwWoken);
}

// Wakes the first who wants it exclusively, or all up to a batch who want to share it, whichever stand first; and whoever only waits until it is free. True
// where the batch was full, and nobody in it will come for the lock: nobody would wake the others.
static bool WakeBatch(BgwLWLock *lock) {
  uint32_t wake[kWakeBatch], first = kBgwUntilFree;
  int count = 0;
  BgwSpinBit(&lock->state, kLocked);
  // Before anybody is marked, not with the flags at the end:
  //
  //     H: marks W as woken
  //                                            W: sees that, clears kWaking, has the lock, releases it
  //     H: sets kWaking                        and no release ever wakes anybody again
  atomic_fetch_or(&lock->state, kWaking);
  for (uint32_t number = lock->waiters.head; number != 0 && count < kWakeBatch;) {
    BgwWaiter *waiter = BgwWaiterAt(number);
    if (waiter == NULL) break;  // garbage
    uint32_t next = waiter->next, mode = waiter->mode;
    if (mode == kBgwUntilFree || first == kBgwUntilFree || (first == kBgwShared && mode == kBgwShared)) {
      TakeOff(lock, number);
      wake[count++] = number;
      if (mode != kBgwUntilFree) first = mode;
    }
    number = next;
  }
  UnlockList(lock, first == kBgwUntilFree ? kWaking : 0);
  for (int i = 0; i < count; i++) BgwWaiterWake(wake[i]);
  return count == kWakeBatch && first == kBgwUntilFree;
}
static void Wakeup(BgwLWLock *lock) {
  while (WakeBatch(lock)) continue;
}

void BgwLockUnlock(BgwLWLock *lock, uint32_t mode) {
  uint32_t amount = mode == kBgwExclusive ? kHeldExclusive : 1;
  uint32_t state = atomic_fetch_sub(&lock->state, amount) - amount;
  if ((state & (kHasWaiters | kWaking | kHeldMask)) == kHasWaiters) Wakeup(lock);
}

// It was woken and comes for the lock: the next release may wake again.
void BgwLockTakeWakeup(BgwLWLock *lock, uint32_t number) {
  atomic_store(&BgwWaiterAt(number)->state, kBgwIdle);
  atomic_fetch_and(&lock->state, ~kWaking);
}

// Out of the queue, with the lock or without.
void BgwLockDequeue(BgwLWLock *lock, uint32_t number, bool acquired) {
  BgwWaiter *waiter = BgwWaiterAt(number);
  BgwSpinBit(&lock->state, kLocked);
  bool woken = atomic_load(&waiter->state) == kBgwWoken;
  if (!woken) BgwWaitListRemove(&lock->waiters, number);
  atomic_store(&waiter->state, kBgwIdle);
  bool expected = woken && waiter->mode != kBgwUntilFree;
  UnlockList(lock, expected ? kWaking : 0);
  if (!expected || acquired) return;
  // Whoever woke us believes that we come. Somebody else shall, where there is nobody whose release would see to it.
  if ((atomic_load(&lock->state) & (kHasWaiters | kWaking | kHeldMask)) == kHasWaiters) Wakeup(lock);
}

void BgwLockUpdateVar(BgwLWLock *lock, BgwAtomicUlong *var, uint64_t value) {
  uint32_t wake[kWakeBatch];
  int count;
  do {
    count = 0;
    BgwSpinBit(&lock->state, kLocked);
    atomic_store(var, value);  // Pairs with the load in VarIsDone: who enters the queue after us sees it.
    for (uint32_t number = lock->waiters.head; number != 0 && count < kWakeBatch;) {
      BgwWaiter *waiter = BgwWaiterAt(number);
      if (waiter == NULL) break;  // garbage
      uint32_t next = waiter->next;
      if (waiter->mode == kBgwUntilFree) {
        TakeOff(lock, number);
        wake[count++] = number;
      }
      number = next;
    }
    UnlockList(lock, 0);
    for (int i = 0; i < count; i++) BgwWaiterWake(wake[i]);
  } while (count == kWakeBatch);
}
