// Which ends of message queues this process has, and what becomes of them when it leaves. Any child of the postmaster.
// PostgreSQL: src/backend/storage/ipc/shm_mq.c (shm_mq_detach_callback).
//
// A process that ends inside of a signal handler runs no JavaScript; whoever waits for it at the other end of a queue would wait for ever.
#include "shm_mq.h"

#include <stdlib.h>

#include "latch.h"
#include "signals.h"

// Main thread only. Read on the way out, in a handler, which finds it whole: interrupts are held where it changes.
static BgwShmMq **tracked;
static size_t tracked_count;
static size_t tracked_room;
static uint8_t *shmem_base;
static size_t shmem_size;

int BgwShmMqTrack(BgwShmMq *mq, void *base, size_t size) {
  int result = 0;
  BgwHoldInterrupts();
  shmem_base = base;
  shmem_size = size;
  if (tracked_count == tracked_room) {
    size_t room = tracked_room == 0 ? 16 : tracked_room * 2;
    BgwShmMq **more = realloc(tracked, room * sizeof(*more));
    if (more == NULL) {
      result = -ENOMEM;
    } else {
      tracked = more;
      tracked_room = room;
    }
  }
  if (result == 0) tracked[tracked_count++] = mq;
  BgwResumeInterrupts();
  return result;
}

void BgwShmMqUntrack(BgwShmMq *mq) {
  BgwHoldInterrupts();
  for (size_t i = 0; i < tracked_count; i++) {
    if (tracked[i] != mq) continue;
    tracked[i] = tracked[--tracked_count];
    break;
  }
  BgwResumeInterrupts();
}

// An end is named by the offset of its latch. The word may hold anything, if somebody wrote over it.
static void Wake(int32_t latch) {
  if (latch <= 0 || latch % 4 != 0 || (size_t)latch + sizeof(BgwLatch) > shmem_size) return;
  BgwSetLatch((BgwLatch *)(shmem_base + latch));
}

void BgwShmMqDetachAll(void) {
  while (tracked_count > 0) {
    BgwShmMq *mq = tracked[--tracked_count];
    // First the flag, then the latches: whoever is about to sleep looks at the flag after it has reset its latch.
    atomic_store(&mq->detached, 1);
    // One of them is ours: a set latch of a process that ends does no harm.
    Wake(atomic_load(&mq->receiver));
    Wake(atomic_load(&mq->sender));
  }
}

void BgwShmMqForget(void) { tracked_count = 0; }
