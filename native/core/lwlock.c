// An exclusive lock between backends: a futex word in shared memory. Runs in backends; the postmaster takes no lock.
// PostgreSQL: src/backend/storage/lmgr/lwlock.c (the part of LWLockAcquire in LW_EXCLUSIVE mode).
//
// A holder that is killed leaves the lock held: that is a crash, and the crash cycle makes all of shared memory anew.
#include "lwlock.h"

#include <linux/futex.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "signals.h"

// What this process holds. Main thread only; read by BgwLWLockReleaseAll inside a handler, which cannot run between the two lines
// that change it, since interrupts are held there.
static BgwLWLock *held[kBgwMaxHeldLocks];
static int held_count;

static long Futex(BgwAtomicUint *word, int op, uint32_t value) {
  return syscall(SYS_futex, (uint32_t *)word, op, value, NULL, NULL, 0);
}

int BgwLWLockAcquire(BgwLWLock *lock) {
  for (int i = 0; i < held_count; i++) {
    if (held[i] == lock) return -EDEADLK;
  }
  if (held_count == kBgwMaxHeldLocks) return -ENOSPC;
  BgwHoldInterrupts();
  uint32_t state = 0;
  if (!atomic_compare_exchange_strong(&lock->state, &state, 1)) {
    // Contended: whoever comes from here leaves the word at 2, so that the release after it wakes one more.
    while (atomic_exchange(&lock->state, 2) != 0) Futex(&lock->state, FUTEX_WAIT, 2);
  }
  atomic_store(&lock->holder, (int32_t)getpid());
  held[held_count++] = lock;
  return 0;
}

static void Unlock(BgwLWLock *lock) {
  atomic_store(&lock->holder, 0);
  if (atomic_exchange(&lock->state, 0) == 2) Futex(&lock->state, FUTEX_WAKE, 1);
}

int BgwLWLockRelease(BgwLWLock *lock) {
  for (int i = held_count - 1; i >= 0; i--) {
    if (held[i] != lock) continue;
    for (held_count--; i < held_count; i++) held[i] = held[i + 1];
    Unlock(lock);
    BgwResumeInterrupts();
    return 0;
  }
  return -EPERM;
}

void BgwLWLockReleaseAll(void) {
  while (held_count > 0) Unlock(held[--held_count]);
}
