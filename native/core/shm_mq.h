// The part of message queues that must work on the way out of a process: the other side is told that nobody is here any more. All else about them is
// in src/ipc/shm-mq.ts. PostgreSQL: src/backend/storage/ipc/shm_mq.c (shm_mq_detach_internal).
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "atomic_word.h"
#include "result.h"

// A queue's first words; src/ipc/shm-mq-layout.ts has all of them, and who writes what and when.
typedef struct BgwShmMq {
  uint32_t magic;
  uint32_t ring_size;
  BgwAtomicInt receiver;
  BgwAtomicInt sender;
  BgwAtomicInt detached;
} BgwShmMq;

// Remembers an end of a queue that this process has. `base` and `size`: shared memory, in which the ends' latches are named by offsets. -ENOMEM.
BGW_MUST_CHECK int BgwShmMqTrack(BgwShmMq *mq, void *base, size_t size);
// Forgets one of them; again is harmless.
void BgwShmMqUntrack(BgwShmMq *mq);
// On the way out of the process, also from a signal handler: marks all of them detached and wakes the other ends.
void BgwShmMqDetachAll(void);
// A fresh child.
void BgwShmMqForget(void);
