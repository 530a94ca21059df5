// Shared and exclusive locks, as a process has them: what it holds, where it waits. Runs in backends; the postmaster takes one only while it has no children.
// PostgreSQL: src/backend/storage/lmgr/lwlock.c, REL_15_STABLE. The word and the queue of a lock are lwlock_queue.c's.
//
// A holder that is killed leaves the lock held: that is a crash, and the crash cycle makes all of shared memory anew.
#include "lwlock.h"

#include <stddef.h>

#include "lwlock_queue.h"
#include "signals.h"
#include "wait_event.h"

// PG_WAIT_LWLOCK; src/ipc/wait-event.ts has the same number.
static const uint32_t kWaitLWLock = 0x01000000;

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
static BgwTurn FirstTurn(const BgwLWLock *lock) { return BgwLWLockHeldByMe(lock) ? kBgwWokenTry : kBgwFirstTry; }

// --- acquiring -------------------------------------------------------------------------------------------------------------------

static int WaitFor(BgwLWLock *lock, uint32_t mode) {
  uint32_t number = BgwWaiterZero();
  if (number == 0) return -EAGAIN;
  for (bool woken = false;; woken = true) {
    BgwLockEnqueue(lock, number, mode, woken);
    if (BgwLockTry(lock, mode, woken ? kBgwWokenTry : kBgwQueuedTry)) {
      BgwLockDequeue(lock, number, true);
      return 1;
    }
    BgwReportWait(kWaitLWLock | lock->tranche);
    int result = BgwWaiterSleep(number);
    BgwReportWait(0);
    if (result < 0) {
      BgwLockDequeue(lock, number, false);
      return result;
    }
    BgwLockTakeWakeup(lock, number);
    if (BgwLockTry(lock, mode, kBgwWokenTry)) return 1;
  }
}

// Who waits for himself waits for ever.
static int CheckBlocking(const BgwLWLock *lock, uint32_t mode) {
  if (held_count > 0 && BgwLWLockHeldByMe(lock) && (mode != kBgwShared || BgwLWLockHeldByMeInMode(lock, kBgwExclusive)))
    return -EDEADLK;
  return held_count == kBgwMaxHeldLocks ? -ENOSPC : 0;
}

int BgwLWLockAcquire(BgwLWLock *lock, uint32_t mode) {
  int refused = CheckBlocking(lock, mode);
  if (refused < 0) return refused;
  BgwHoldInterrupts();
  int result = BgwLockTry(lock, mode, FirstTurn(lock)) ? 0 : WaitFor(lock, mode);
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
  if (BgwLockTry(lock, mode, FirstTurn(lock))) {
    Note(lock, mode);
    return 1;
  }
  BgwResumeInterrupts();
  return 0;
}

// --- waiting for it to be free -----------------------------------------------------------------------------------------------------

// Stands in the queue already. 0: woken; it may have been by UpdateVar.
static int SleepUntilFree(BgwLWLock *lock, uint32_t number) {
  int result = BgwWaiterSleep(number);
  if (result < 0) {
    BgwLockDequeue(lock, number, false);
  } else {
    atomic_store(&BgwWaiterAt(number)->state, kBgwIdle);
  }
  return result;
}

int BgwLWLockAcquireOrWait(BgwLWLock *lock, uint32_t mode) {
  int result = CheckBlocking(lock, mode);
  if (result < 0) return result;
  BgwHoldInterrupts();
  result = BgwLockTry(lock, mode, FirstTurn(lock));
  uint32_t number = BgwWaiterZero();
  if (result == 0 && number == 0) result = -EAGAIN;
  if (result == 0) {
    BgwLockEnqueue(lock, number, kBgwUntilFree, true);
    result = BgwLockTry(lock, mode, kBgwQueuedTry);
    if (result == 1) {
      BgwLockDequeue(lock, number, true);
    } else {
      result = SleepUntilFree(lock, number);
    }
  }
  if (result == 1) {
    Note(lock, mode);
  } else {
    BgwResumeInterrupts();
  }
  return result;
}

// Is there nothing to wait for? The lock first: its holder changes the word before it lets go, and who finds it free need not look.
static bool VarIsDone(const BgwLWLock *lock, BgwAtomicUlong *var, uint64_t old, BgwVarResult *done) {
  done->result = !BgwLockIsHeldExclusively(lock);
  done->value = done->result == 1 ? 0 : atomic_load(var);  // Pairs with the store in BgwLockUpdateVar.
  return done->result == 1 || done->value != old;
}

BgwVarResult BgwLWLockWaitForVar(BgwLWLock *lock, BgwAtomicUlong *var, uint64_t old) {
  BgwVarResult done;
  BgwHoldInterrupts();
  while (!VarIsDone(lock, var, old, &done)) {
    uint32_t number = BgwWaiterZero();
    done.result = number == 0 ? -EAGAIN : BgwLWLockHeldByMe(lock) ? -EDEADLK : 0;
    if (done.result < 0) break;
    // In the queue first, then another look: whoever changes something after that sees us there.
    BgwLockEnqueue(lock, number, kBgwUntilFree, true);
    if (VarIsDone(lock, var, old, &done)) {
      BgwLockDequeue(lock, number, true);
      break;
    }
    done.result = SleepUntilFree(lock, number);
    if (done.result < 0) break;
  }
  BgwResumeInterrupts();
  return done;
}

void BgwLWLockUpdateVar(BgwLWLock *lock, BgwAtomicUlong *var, uint64_t value) {
  BgwHoldInterrupts();
  BgwLockUpdateVar(lock, var, value);
  BgwResumeInterrupts();
}

// --- in steps ----------------------------------------------------------------------------------------------------------------------
//
// Interrupts are held while the queue is touched, and not while we stand in it: a process that is terminated then leaves it on its way out.

static void NoteQueued(BgwLWLock *lock, uint32_t number) {
  queued[(number - 1) % kBgwWaitersPerProc].lock = lock;
  queued[(number - 1) % kBgwWaitersPerProc].number = number;
}
static void LeaveQueue(uint32_t number) {
  queued[(number - 1) % kBgwWaitersPerProc].lock = NULL;
  BgwWaiterGive(number);
}

// Wanted in one mode; it waits in the same, or until the lock is free.
static int BeginIn(BgwLWLock *lock, uint32_t mode, uint32_t wait_mode) {
  int tried = BgwLWLockConditionalAcquire(lock, mode);
  if (tried != 0) return tried < 0 ? tried : 0;
  BgwHoldInterrupts();
  int number = BgwWaiterTake();
  if (number > 0) {
    BgwLockEnqueue(lock, (uint32_t)number, wait_mode, wait_mode == kBgwUntilFree);
    if (BgwLockTry(lock, mode, kBgwQueuedTry)) {
      BgwLockDequeue(lock, (uint32_t)number, true);
      BgwWaiterGive((uint32_t)number);
      Note(lock, mode);
      return 0;
    }
    NoteQueued(lock, (uint32_t)number);
  }
  BgwResumeInterrupts();
  return number;
}
int BgwLWLockBegin(BgwLWLock *lock, uint32_t mode) { return BeginIn(lock, mode, mode); }
int BgwLWLockBeginOrWait(BgwLWLock *lock, uint32_t mode) { return BeginIn(lock, mode, kBgwUntilFree); }

BgwVarResult BgwLWLockBeginWaitForVar(BgwLWLock *lock, BgwAtomicUlong *var, uint64_t old) {
  BgwVarResult done;
  if (VarIsDone(lock, var, old, &done)) return done;
  BgwHoldInterrupts();
  int number = BgwWaiterTake();
  if (number < 0) {
    done.result = number;
  } else {
    BgwLockEnqueue(lock, (uint32_t)number, kBgwUntilFree, true);
    if (VarIsDone(lock, var, old, &done)) {
      BgwLockDequeue(lock, (uint32_t)number, true);
      BgwWaiterGive((uint32_t)number);
    } else {
      NoteQueued(lock, (uint32_t)number);
      done = (BgwVarResult){.result = -EINPROGRESS, .value = (uint64_t)number};
    }
  }
  BgwResumeInterrupts();
  return done;
}

int BgwLWLockContinue(uint32_t number) {
  BgwLWLock *lock = queued[(number - 1) % kBgwWaitersPerProc].lock;
  BgwWaiter *waiter = BgwWaiterAt(number);
  if (lock == NULL || waiter == NULL || atomic_load(&waiter->state) != kBgwWoken) return 0;
  if (waiter->mode == kBgwUntilFree) {
    atomic_store(&waiter->state, kBgwIdle);
    LeaveQueue(number);
    return 2;
  }
  if (held_count == kBgwMaxHeldLocks) return 0;  // comes again with the next release of ours
  BgwHoldInterrupts();
  uint32_t mode = waiter->mode;
  BgwLockTakeWakeup(lock, number);
  bool acquired = BgwLockTry(lock, mode, kBgwWokenTry);
  if (!acquired) {
    BgwLockEnqueue(lock, number, mode, true);
    acquired = BgwLockTry(lock, mode, kBgwWokenTry);
    if (acquired) BgwLockDequeue(lock, number, true);
  }
  if (acquired) {
    LeaveQueue(number);
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
  BgwLockDequeue(lock, number, false);
  LeaveQueue(number);
  BgwResumeInterrupts();
}

int BgwLWLockRelease(BgwLWLock *lock) {
  for (int i = held_count - 1; i >= 0; i--) {
    if (held[i].lock != lock) continue;
    uint32_t mode = held[i].mode;
    for (held_count--; i < held_count; i++) held[i] = held[i + 1];
    BgwLockUnlock(lock, mode);
    BgwResumeInterrupts();
    return 0;
  }
  return -EPERM;
}

static bool IsWithin(const BgwLWLock *lock, const void *address, size_t size) {
  return (uintptr_t)lock >= (uintptr_t)address && (uintptr_t)lock - (uintptr_t)address < size;
}

void BgwLWLockReleaseWithin(const void *address, size_t size) {
  BgwHoldInterrupts();
  for (int i = held_count - 1; i >= 0; i--) {
    if (i < held_count && IsWithin(held[i].lock, address, size)) (void)!BgwLWLockRelease(held[i].lock);
  }
  for (int place = 1; place < kBgwWaitersPerProc; place++) {
    if (queued[place].lock != NULL && IsWithin(queued[place].lock, address, size))
      BgwLWLockCancel(queued[place].number);
  }
  BgwResumeInterrupts();
}

void BgwLWLockReleaseAll(void) {
  BgwHoldInterrupts();  // one SIGTERM that waited must not act between two
  while (held_count > 0) {
    held_count--;
    BgwLockUnlock(held[held_count].lock, held[held_count].mode);
    BgwResumeInterrupts();
  }
  for (int place = 1; place < kBgwWaitersPerProc; place++) {
    if (queued[place].lock != NULL) BgwLWLockCancel(queued[place].number);
  }
  BgwResumeInterrupts();
}
