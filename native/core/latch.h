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
//   maybe_sleeping  writer: the owner, around its sleep, blocking or in the event loop. Readers: all setters, who need no signal while it is 0.
//   owner_pid       writer: the process that takes (OwnLatch) or gives up (DisownLatch) the latch; 0 while it has none. Readers: all setters, who
//                   signal it; the process itself, which waits for its own latches only.
//   reserved        0.
typedef struct BgwLatch {
  BgwAtomicInt is_set;
  BgwAtomicInt maybe_sleeping;
  BgwAtomicInt owner_pid;
  int32_t reserved;
} BgwLatch;

// Clear, and owned by this process (a private latch) or by nobody (a shared one, before others may know of it).
void BgwInitLatch(BgwLatch *latch, bool shared);
// Any process, any signal handler. Costs no system call when the latch is set already or its owner is awake.
void BgwSetLatch(BgwLatch *latch);
// The second half of BgwSetLatch, for who has set the latch itself (src/ipc/latch-word.ts), behind a fence, and seen maybe_sleeping.
void BgwWakeLatchOwner(BgwLatch *latch);
// Owner only. Says whether it was set: the process may have other waits on the latch, which must hear of what this takes away.
bool BgwResetLatch(BgwLatch *latch);
// -EBUSY when somebody owns it; then *owner is who.
BGW_MUST_CHECK int BgwOwnLatch(BgwLatch *latch, pid_t *owner);
void BgwDisownLatch(BgwLatch *latch);
// Is it this process's? Makes no system call once BgwLatchSupportInit has run.
bool BgwOwnsLatch(const BgwLatch *latch);
// First in each child: remembers its pid.
void BgwLatchSupportInit(void);
// Owner only: announces sleep; or says that the latch is set after all, and announces nothing.
bool BgwLatchPrepareSleep(BgwLatch *latch);
// Owner only: awake again.
void BgwLatchWake(BgwLatch *latch);
