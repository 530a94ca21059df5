// Shared and exclusive locks with a queue. Runs in backends; the postmaster takes one only while it has no children.
// PostgreSQL: src/backend/storage/lmgr/lwlock.c, REL_15_STABLE, whose protocol this is.
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
//
// A holder that is killed leaves the lock held: that is a crash, and the crash cycle makes all of shared memory anew.
#include "lwlock.h"

#include <stddef.h>

#include "signals.h"

enum { kMaxPassed = 100, kWakeBatch = 64 };

static const uint32_t kHasWaiters = 1u << 30;
static const uint32_t kWaking = 1u << 29;
static const uint32_t kLocked = 1u << 28;  // the list of waiters
static const uint32_t kHeldExclusive = 1u << 24;
static const uint32_t kHeldMask = (1u << 25) - 1;  // the bit above, and the number of shared holders

// What this process holds, and where it stands in queues. Main thread only; read by BgwLWLockReleaseAll inside a handler, which cannot run while they
// are changed, since interrupts are held there.
static struct {
  BgwLWLock *lock;
  uint32_t mode;
} held[kBgwMaxHeldLocks];
static int held_count;
static struct {
  BgwLWLock *lock;
  uint32_t number;
} queued[kBgwWaitersPerProc];

_Static_assert(sizeof(BgwLWLock) == 16, "src/shmem/layout.ts counts 16 bytes");

// --- the word --------------------------------------------------------------------------------------------------------------------

// A newcomer; one that has just queued itself; one that was woken.
typedef enum Turn { kFirstTry, kQueuedTry, kWokenTry } Turn;

static bool MayPass(const BgwLWLock *lock, uint32_t state, Turn turn) {
  if (turn == kWokenTry || atomic_load_explicit(&lock->passed, memory_order_relaxed) < kMaxPassed) return true;
  if (turn == kFirstTry) return (state & (kHasWaiters | kWaking)) == 0;
  // We stand in the queue. To wait is safe where somebody will come by after this look and wake the first: a holder by its release, or one that was
  // woken and will either hold it or stand in the queue, looking as we do.
  return (state & (kHeldMask | kWaking)) == 0;
}

static bool Try(BgwLWLock *lock, uint32_t mode, Turn turn) {
  uint32_t state = atomic_load(&lock->state);
  for (;;) {
    if ((state & (mode == kBgwExclusive ? kHeldMask : kHeldExclusive)) != 0) return false;
    if (!MayPass(lock, state, turn)) return false;
    if (atomic_compare_exchange_weak(&lock->state, &state, state + (mode == kBgwExclusive ? kHeldExclusive : 1))) break;
  }
  if (turn == kWokenTry) {
    atomic_store_explicit(&lock->passed, 0, memory_order_relaxed);
  } else if ((state & kHasWaiters) != 0 && atomic_load_explicit(&lock->passed, memory_order_relaxed) < kMaxPassed) {
    atomic_fetch_add_explicit(&lock->passed, 1, memory_order_relaxed);
  }
  return true;
}

// --- the queue -------------------------------------------------------------------------------------------------------------------

static void Enqueue(BgwLWLock *lock, uint32_t number, uint32_t mode, bool at_head) {
  BgwWaiter *waiter = BgwWaiterAt(number);
  BgwSpinBit(&lock->state, kLocked);
  // Before the next try: a release after that must see it. Pairs with the subtraction in `Unlock`.
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

// Wakes the first who wants it exclusively, or all up to a batch who want to share it, whichever stand first.
static void Wakeup(BgwLWLock *lock) {
  uint32_t wake[kWakeBatch];
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
    uint32_t next = waiter->next;
    uint32_t mode = waiter->mode;
    if (count == 0 || mode == kBgwShared) {
      BgwWaitListRemove(&lock->waiters, number);
      wake[count++] = number;
      atomic_store(&waiter->state, kBgwWoken);  // from here on it is its process's, and may be used again
      if (mode == kBgwExclusive) break;
    }
    number = next;
  }
  UnlockList(lock, count > 0 ? 0 : kWaking);
  for (int i = 0; i < count; i++) BgwWaiterWake(wake[i]);
}

static void Unlock(BgwLWLock *lock, uint32_t mode) {
  uint32_t amount = mode == kBgwExclusive ? kHeldExclusive : 1;
  uint32_t state = atomic_fetch_sub(&lock->state, amount) - amount;
  if ((state & (kHasWaiters | kWaking | kHeldMask)) == kHasWaiters) Wakeup(lock);
}

// It was woken and comes for the lock: the next release may wake again.
static void TakeWakeup(BgwLWLock *lock, uint32_t number) {
  atomic_store(&BgwWaiterAt(number)->state, kBgwIdle);
  atomic_fetch_and(&lock->state, ~kWaking);
}

// Out of the queue, with the lock or without.
static void Dequeue(BgwLWLock *lock, uint32_t number, bool acquired) {
  BgwWaiter *waiter = BgwWaiterAt(number);
  BgwSpinBit(&lock->state, kLocked);
  bool woken = atomic_load(&waiter->state) == kBgwWoken;
  if (!woken) BgwWaitListRemove(&lock->waiters, number);
  atomic_store(&waiter->state, kBgwIdle);
  UnlockList(lock, woken ? kWaking : 0);
  if (!woken || acquired) return;
  // Whoever woke us believes that we come. Somebody else shall, where there is nobody whose release would see to it.
  if ((atomic_load(&lock->state) & (kHasWaiters | kWaking | kHeldMask)) == kHasWaiters) Wakeup(lock);
}

// --- what this process holds -----------------------------------------------------------------------------------------------------

static void Note(BgwLWLock *lock, uint32_t mode) {
  held[held_count].lock = lock;
  held[held_count++].mode = mode;
}

bool BgwLWLockHeldByMe(const BgwLWLock *lock) {
  for (int i = 0; i < held_count; i++) {
    if (held[i].lock == lock) return true;
  }
  return false;
}

bool BgwLWLockHeldByMeInMode(const BgwLWLock *lock, uint32_t mode) {
  for (int i = 0; i < held_count; i++) {
    if (held[i].lock == lock && held[i].mode == mode) return true;
  }
  return false;
}

int BgwLWLockHeldCount(void) { return held_count; }

// Who holds it shares it with himself whoever waits: behind a waiting writer he would wait for himself.
static Turn FirstTurn(const BgwLWLock *lock) { return BgwLWLockHeldByMe(lock) ? kWokenTry : kFirstTry; }

// --- acquiring -------------------------------------------------------------------------------------------------------------------

static int WaitFor(BgwLWLock *lock, uint32_t mode) {
  uint32_t number = BgwWaiterZero();
  if (number == 0) return -EAGAIN;
  for (bool woken = false;; woken = true) {
    Enqueue(lock, number, mode, woken);
    if (Try(lock, mode, woken ? kWokenTry : kQueuedTry)) {
      Dequeue(lock, number, true);
      return 1;
    }
    int result = BgwWaiterSleep(number);
    if (result < 0) {
      Dequeue(lock, number, false);
      return result;
    }
    TakeWakeup(lock, number);
    if (Try(lock, mode, kWokenTry)) return 1;
  }
}

int BgwLWLockAcquire(BgwLWLock *lock, uint32_t mode) {
  if (held_count > 0 && BgwLWLockHeldByMe(lock) && (mode != kBgwShared || BgwLWLockHeldByMeInMode(lock, kBgwExclusive)))
    return -EDEADLK;
  if (held_count == kBgwMaxHeldLocks) return -ENOSPC;
  BgwHoldInterrupts();
  int result = Try(lock, mode, FirstTurn(lock)) ? 0 : WaitFor(lock, mode);
  if (result < 0) {
    BgwResumeInterrupts();
    return result;
  }
  Note(lock, mode);
  return result;
}

int BgwLWLockConditionalAcquire(BgwLWLock *lock, uint32_t mode) {
  if (held_count == kBgwMaxHeldLocks) return -ENOSPC;
  BgwHoldInterrupts();
  if (Try(lock, mode, FirstTurn(lock))) {
    Note(lock, mode);
    return 1;
  }
  BgwResumeInterrupts();
  return 0;
}

// Interrupts are held while the queue is touched, and not while we stand in it: a process that is terminated then leaves it on its way out.
int BgwLWLockBegin(BgwLWLock *lock, uint32_t mode) {
  int tried = BgwLWLockConditionalAcquire(lock, mode);
  if (tried != 0) return tried < 0 ? tried : 0;
  BgwHoldInterrupts();
  int number = BgwWaiterTake();
  if (number > 0) {
    Enqueue(lock, (uint32_t)number, mode, false);
    if (Try(lock, mode, kQueuedTry)) {
      Dequeue(lock, (uint32_t)number, true);
      BgwWaiterGive((uint32_t)number);
      Note(lock, mode);
      return 0;
    }
    queued[(number - 1) % kBgwWaitersPerProc].lock = lock;
    queued[(number - 1) % kBgwWaitersPerProc].number = (uint32_t)number;
  }
  BgwResumeInterrupts();
  return number;
}

int BgwLWLockContinue(uint32_t number) {
  BgwLWLock *lock = queued[(number - 1) % kBgwWaitersPerProc].lock;
  BgwWaiter *waiter = BgwWaiterAt(number);
  if (lock == NULL || waiter == NULL || atomic_load(&waiter->state) != kBgwWoken) return 0;
  if (held_count == kBgwMaxHeldLocks) return 0;  // comes again with the next release of ours
  BgwHoldInterrupts();
  uint32_t mode = waiter->mode;
  TakeWakeup(lock, number);
  bool acquired = Try(lock, mode, kWokenTry);
  if (!acquired) {
    Enqueue(lock, number, mode, true);
    acquired = Try(lock, mode, kWokenTry);
    if (acquired) Dequeue(lock, number, true);
  }
  if (acquired) {
    queued[(number - 1) % kBgwWaitersPerProc].lock = NULL;
    BgwWaiterGive(number);
    Note(lock, mode);
    return 1;
  }
  BgwResumeInterrupts();
  return 0;
}

void BgwLWLockCancel(uint32_t number) {
  BgwLWLock *lock = queued[(number - 1) % kBgwWaitersPerProc].lock;
  if (lock == NULL) return;
  BgwHoldInterrupts();
  Dequeue(lock, number, false);
  queued[(number - 1) % kBgwWaitersPerProc].lock = NULL;
  BgwWaiterGive(number);
  BgwResumeInterrupts();
}

int BgwLWLockRelease(BgwLWLock *lock) {
  for (int i = held_count - 1; i >= 0; i--) {
    if (held[i].lock != lock) continue;
    uint32_t mode = held[i].mode;
    for (held_count--; i < held_count; i++) held[i] = held[i + 1];
    Unlock(lock, mode);
    BgwResumeInterrupts();
    return 0;
  }
  return -EPERM;
}

void BgwLWLockReleaseAll(void) {
  BgwHoldInterrupts();  // one SIGTERM that waited must not act between two
  while (held_count > 0) {
    held_count--;
    Unlock(held[held_count].lock, held[held_count].mode);
    BgwResumeInterrupts();
  }
  for (int place = 1; place < kBgwWaitersPerProc; place++) {
    if (queued[place].lock != NULL) BgwLWLockCancel(queued[place].number);
  }
  BgwResumeInterrupts();
}
