// An exclusive lock between backends, in shared memory. PostgreSQL: src/backend/storage/lmgr/lwlock.c.
#pragma once

#include <stdint.h>

#include "atomic_word.h"
#include "result.h"

// One lock: two words.
//   state   0 free, 1 held, 2 held and somebody may wait. Writers: whoever acquires and releases.
//   holder  pid of the holder, for whoever looks at a stuck system; 0 when free. Writer: the holder.
typedef struct BgwLWLock {
  BgwAtomicUint state;
  BgwAtomicInt holder;
} BgwLWLock;

// Blocks. Interrupts are held from here to the release: a holder that is terminated finishes first.
// -EDEADLK when this process holds it already; -ENOSPC when it holds kBgwMaxHeldLocks others.
BGW_MUST_CHECK int BgwLWLockAcquire(BgwLWLock *lock);
BGW_MUST_CHECK int BgwLWLockRelease(BgwLWLock *lock);
// On the way out of the process, also from a signal handler.
void BgwLWLockReleaseAll(void);

enum { kBgwMaxHeldLocks = 16 };
