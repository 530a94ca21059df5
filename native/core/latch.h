// Latches. PostgreSQL: src/include/storage/latch.h, src/backend/storage/ipc/latch.c, REL_15_STABLE.
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "atomic_word.h"
#include "result.h"

// One latch: four words, in shared memory or in the process's own.
//
//   is_set          writers: any process sets it (SetLatch), the owner clears it (ResetLatch). Readers: all.
//   maybe_sleeping  writer: the owner, around its sleep. Readers: all setters, who need no signal while it is 0.
//   owner_pid       writer: the process that takes (OwnLatch) or gives up (DisownLatch) the latch; 0 while it has none.
//   reserved        0.
typedef struct BgwLatch {
  BgwAtomicInt is_set;
  BgwAtomicInt maybe_sleeping;
  BgwAtomicInt owner_pid;
  int32_t reserved;
} BgwLatch;

// Any process, any signal handler. Costs no system call when the latch is set already or its owner is awake.
void BgwSetLatch(BgwLatch *latch);
// Owner only. Says whether it was set: the process may have other waits on the latch, which must hear of what this takes away.
bool BgwResetLatch(BgwLatch *latch);
// -EBUSY when somebody owns it; then *owner is who.
BGW_MUST_CHECK int BgwOwnLatch(BgwLatch *latch, pid_t *owner);
void BgwDisownLatch(BgwLatch *latch);
// Owner only: announces sleep, and says whether the latch is set after all (then maybe_sleeping is again what it was).
bool BgwLatchPrepareSleep(BgwLatch *latch);
// Owner only: nobody in this process waits for the latch any more.
void BgwLatchWake(BgwLatch *latch);
