// Locks between backends, in shared memory: shared or exclusive. PostgreSQL: src/include/storage/lwlock.h, src/backend/storage/lmgr/lwlock.c.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "atomic_word.h"
#include "result.h"
#include "waiters.h"

// PostgreSQL's LWLockMode. The last is no mode of a lock, but of a waiter who wants to know that it is free, and not to have it.
enum { kBgwExclusive = 0, kBgwShared = 1, kBgwUntilFree = 2 };

// One lock. Zeroed memory is a free one, of tranche 0.
//   tranche   writer: whoever initialises it, before others use it. Readers: messages.
//   passed    how many went ahead of the waiters since one of these had the lock. Writers: those who do, without more order than that; a hint.
//   state     who holds it, and three flags; see lwlock.c. Writers: all.
//   waiters   under the flag kLocked of `state`.
typedef struct BgwLWLock {
  uint16_t tranche;
  BgwAtomicShort passed;
  BgwAtomicUint state;
  BgwWaitList waiters;
} BgwLWLock;

// Interrupts are held from an acquisition to its release: a holder that is terminated finishes first.

// Blocks. 0, or 1 where it had to wait. -EDEADLK when this process holds it already (but for shared and shared); -ENOSPC when it holds
// kBgwMaxHeldLocks; -EAGAIN where it would have to wait and is no process that can (the postmaster); -EOWNERDEAD: the postmaster died meanwhile.
BGW_MUST_CHECK int BgwLWLockAcquire(BgwLWLock *lock, uint32_t mode);
// 1: acquired; 0: somebody holds it, or -ENOSPC.
BGW_MUST_CHECK int BgwLWLockConditionalAcquire(BgwLWLock *lock, uint32_t mode);

// Blocks. 1: acquired, which was possible at once; 0: somebody held it, and has let go meanwhile; it is not held. Errors as above.
BGW_MUST_CHECK int BgwLWLockAcquireOrWait(BgwLWLock *lock, uint32_t mode);

// A word that the holder of a lock in exclusive mode changes as it goes on, for others to wait for.
typedef struct BgwVarResult {
  int result;  // 1: nobody holds the lock exclusively; 0: the word is another by now; -EAGAIN, -EOWNERDEAD; in steps, -EINPROGRESS and others
  uint64_t value;  // where it is another: what it is
} BgwVarResult;
// Blocks while somebody holds the lock exclusively and the word is `old`.
BgwVarResult BgwLWLockWaitForVar(BgwLWLock *lock, BgwAtomicUlong *var, uint64_t old);
// Writes the word and wakes who waits for that. The caller holds the lock exclusively.
void BgwLWLockUpdateVar(BgwLWLock *lock, BgwAtomicUlong *var, uint64_t value);

// In steps, for who cannot sleep. Begin: 0 acquired; above 0 the number of the waiter that now stands in the queue; -EMFILE where there is no place.
BGW_MUST_CHECK int BgwLWLockBegin(BgwLWLock *lock, uint32_t mode);
// The same for who does not want it where it is not to be had at once.
BGW_MUST_CHECK int BgwLWLockBeginOrWait(BgwLWLock *lock, uint32_t mode);
// -EINPROGRESS: `value` is the number of the waiter.
BgwVarResult BgwLWLockBeginWaitForVar(BgwLWLock *lock, BgwAtomicUlong *var, uint64_t old);
// Whenever the block's latch was set: 1 acquired, and the number is free; 0 not yet; 2: it was let go, or the word has changed, and the number is free.
BGW_MUST_CHECK int BgwLWLockContinue(uint32_t number);
void BgwLWLockCancel(uint32_t number);

// -EPERM where it is not held.
BGW_MUST_CHECK int BgwLWLockRelease(BgwLWLock *lock);
bool BgwLWLockHeldByMe(const BgwLWLock *lock);
bool BgwLWLockHeldByMeInMode(const BgwLWLock *lock, uint32_t mode);
int BgwLWLockHeldCount(void);
// Errors and the way out of the process, also from a signal handler: releases, and takes waiters out of their queues.
void BgwLWLockReleaseAll(void);
// The same for locks within so many bytes, which are about to go.
void BgwLWLockReleaseWithin(const void *address, size_t size);

enum { kBgwMaxHeldLocks = 200 };  // MAX_SIMUL_LWLOCKS
