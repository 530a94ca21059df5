// Lists of waiters through shared memory, and how a waiter sleeps and is woken. PostgreSQL: src/include/storage/proclist.h.
#include "waiters.h"

#include <linux/futex.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "postmaster_death.h"

static BgwWaitBlock *blocks;
static uint32_t block_count;
static int64_t mine = -1;
// Places that are taken. Main thread; handlers that leave the process look at it and do not come back.
static uint32_t taken;

_Static_assert(sizeof(BgwWaitBlock) == 256, "src/shmem/layout.ts counts 256 bytes");

void BgwWaitersInit(BgwWaitBlock *at, uint32_t count) {
  blocks = at;
  block_count = count;
  mine = -1;
}

int BgwWaitersAttach(uint32_t index) {
  if (blocks == NULL || index >= block_count) return -EINVAL;
  BgwWaitBlock *block = &blocks[index];
  for (int i = 0; i < kBgwWaitersPerProc; i++) atomic_store(&block->waiters[i].state, kBgwIdle);
  // Who had the block before has left it, or there was a crash cycle: it is ours alone.
  BgwDisownLatch(&block->latch);
  (void)BgwResetLatch(&block->latch);
  pid_t owner;
  int result = BgwOwnLatch(&block->latch, &owner);
  if (result < 0) return result;
  mine = index;
  taken = 1;
  return 0;
}

void BgwWaitersDetach(void) {
  if (mine >= 0) BgwDisownLatch(&blocks[mine].latch);
  mine = -1;
}

int BgwWaiterTake(void) {
  if (mine < 0) return -ENOTCONN;
  for (uint32_t place = 1; place < kBgwWaitersPerProc; place++) {
    if ((taken & (1u << place)) != 0) continue;
    taken |= 1u << place;
    return (int)(mine * kBgwWaitersPerProc + place + 1);
  }
  return -EMFILE;
}

void BgwWaiterGive(uint32_t number) { taken &= ~(1u << ((number - 1) % kBgwWaitersPerProc)); }

uint32_t BgwWaiterZero(void) { return mine < 0 ? 0 : (uint32_t)mine * kBgwWaitersPerProc + 1; }

BgwWaiter *BgwWaiterAt(uint32_t number) {
  if (number == 0 || (number - 1) / kBgwWaitersPerProc >= block_count) return NULL;
  return &blocks[(number - 1) / kBgwWaitersPerProc].waiters[(number - 1) % kBgwWaitersPerProc];
}

void BgwWaitListPush(BgwWaitList *list, uint32_t number, bool at_head) {
  BgwWaiter *waiter = BgwWaiterAt(number);
  BgwWaiter *neighbour = BgwWaiterAt(at_head ? list->head : list->tail);
  waiter->next = at_head ? list->head : 0;
  waiter->prev = at_head ? 0 : list->tail;
  if (neighbour == NULL) {
    list->head = list->tail = number;
  } else if (at_head) {
    neighbour->prev = number;
    list->head = number;
  } else {
    neighbour->next = number;
    list->tail = number;
  }
}

void BgwWaitListRemove(BgwWaitList *list, uint32_t number) {
  BgwWaiter *waiter = BgwWaiterAt(number);
  BgwWaiter *next = BgwWaiterAt(waiter->next);
  BgwWaiter *prev = BgwWaiterAt(waiter->prev);
  if (prev != NULL) {
    prev->next = waiter->next;
  } else {
    list->head = waiter->next;
  }
  if (next != NULL) {
    next->prev = waiter->prev;
  } else {
    list->tail = waiter->prev;
  }
}

static long Futex(BgwAtomicUint *word, int op, uint32_t value, const struct timespec *timeout) {
  return syscall(SYS_futex, (uint32_t *)word, op, value, timeout, NULL, 0);
}

void BgwWaiterWake(uint32_t number) {
  int saved_errno = errno;  // We may be in a signal handler.
  BgwWaiter *waiter = BgwWaiterAt(number);
  if ((number - 1) % kBgwWaitersPerProc == 0) {
    Futex(&waiter->state, FUTEX_WAKE, 1, NULL);
  } else {
    BgwSetLatch(&blocks[(number - 1) / kBgwWaitersPerProc].latch);
  }
  errno = saved_errno;
}

int BgwWaiterSleep(uint32_t number) {
  BgwWaiter *waiter = BgwWaiterAt(number);
  // The kernel looks at the word once more before it lets us sleep: a wake-up in between is not lost. The second is only for the postmaster's death.
  static const struct timespec kSecond = {.tv_sec = 1};
  while (atomic_load(&waiter->state) != kBgwWoken) {
    if (Futex(&waiter->state, FUTEX_WAIT, kBgwQueued, &kSecond) == 0 || errno != ETIMEDOUT) continue;
    if (BgwDeathPipeFd() >= 0 && BgwPostmasterIsAlive() == 0) return -EOWNERDEAD;
  }
  return 0;
}
