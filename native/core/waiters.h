// Who waits for a lock or a condition variable: lists through shared memory. Backends; the postmaster never waits.
// PostgreSQL: src/include/storage/proclist.h, and the wait links of PGPROC.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "atomic_word.h"
#include "latch.h"
#include "result.h"

// Places in a list that a process has. PostgreSQL has one of each kind, since a process of its waits for one thing at a time; here asynchronous tasks of
// one process may wait for several. Place 0 is for the blocking wait for a lock.
enum { kBgwWaitersPerProc = 15 };

// A waiter is named by its number: process * kBgwWaitersPerProc + place + 1; 0 is none. All fields under the lock of the list that it is in, but
//   state   idle -> queued: its process, under the lock; queued -> woken: whoever takes it off, under the lock; woken -> idle or queued: its process.
//           While idle or woken it is its process's alone. It is the futex on which place 0 sleeps.
enum { kBgwIdle = 0, kBgwQueued = 1, kBgwWoken = 2 };
typedef struct BgwWaiter {
  uint32_t next;
  uint32_t prev;
  uint32_t mode;  // what an LWLock is wanted for
  BgwAtomicUint state;
} BgwWaiter;

// One for each process in shared memory. The latch is set when one of places 1 and up is woken: not the process's own latch, whose sets and resets belong to
// the user's code.
typedef struct BgwWaitBlock {
  BgwLatch latch;
  BgwWaiter waiters[kBgwWaitersPerProc];
} BgwWaitBlock;

typedef struct BgwWaitList {
  uint32_t head;
  uint32_t tail;
} BgwWaitList;

// Postmaster, once: where the blocks are. Children inherit it.
void BgwWaitersInit(BgwWaitBlock *blocks, uint32_t count);
// A child that joins shared memory takes block `index`. -EINVAL beyond them.
BGW_MUST_CHECK int BgwWaitersAttach(uint32_t index);
// It leaves, or is a fresh child to whom the parent's is nothing.
void BgwWaitersDetach(void);

// A free place of this process's, 1 and up, as a number; -EMFILE where all are taken, -ENOTCONN where the process has none. Main thread only.
BGW_MUST_CHECK int BgwWaiterTake(void);
void BgwWaiterGive(uint32_t number);
// The number of place 0, or 0.
uint32_t BgwWaiterZero(void);
// Null for a number that cannot be: lists lie in memory that a worker may have overwritten.
BgwWaiter *BgwWaiterAt(uint32_t number);

// Under the list's lock.
void BgwWaitListPush(BgwWaitList *list, uint32_t number, bool at_head);
void BgwWaitListRemove(BgwWaitList *list, uint32_t number);
// After it, for a waiter that was taken off and marked woken: ends its sleep. It may be spurious by then, which every sleeper bears.
void BgwWaiterWake(uint32_t number);
// Place 0: sleeps until it is woken. -EOWNERDEAD where the postmaster died meanwhile: nobody is left who would clean up after a dead holder.
BGW_MUST_CHECK int BgwWaiterSleep(uint32_t number);
