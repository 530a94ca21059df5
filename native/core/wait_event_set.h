// Wait event sets: what a child of the postmaster sleeps in, one epoll instance each. PostgreSQL: src/backend/storage/ipc/latch.c, REL_15_STABLE
// (InitializeLatchSupport, CreateWaitEventSet … WaitEventSetWait in their epoll and signalfd variant).
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "latch.h"
#include "result.h"

// PostgreSQL's wait events, src/include/storage/latch.h.
enum {
  kBgwLatchSet = 1,
  kBgwSocketReadable = 2,
  kBgwSocketWriteable = 4,
  kBgwTimeout = 8,
  kBgwPostmasterDeath = 16,
  kBgwSocketClosed = 128,
  kBgwSocketMask = kBgwSocketReadable | kBgwSocketWriteable | kBgwSocketClosed
};

typedef struct BgwWaitEventSet BgwWaitEventSet;

// What occurred: the position of the member, and which of its events.
typedef struct BgwWaitEvent {
  int32_t pos;
  int32_t events;
} BgwWaitEvent;

// Child, first of all: SIGURG blocked for life and read through a descriptor of its own, nothing seen yet.
BGW_MUST_CHECK int BgwWaitEventSupportInit(void);
// The descriptor through which SIGURG is read, and what empties it.
int BgwUrgentFd(void);
void BgwDrainUrgent(void);

// The postmaster's death was seen, by whichever wait. Never taken back.
bool BgwPostmasterDeathSeen(void);
// Looks, once the death pipe is said to be readable. Result: 1 it is dead, 0, -errno.
BGW_MUST_CHECK int BgwLookForPostmasterDeath(void);

// An empty set with room for so many members; NULL and *error = -errno where there are no descriptors or no memory left.
BgwWaitEventSet *BgwWaitEventSetCreate(int capacity, int *error);
void BgwWaitEventSetFree(BgwWaitEventSet *set);
// One of: kBgwLatchSet with a latch (one a set), kBgwPostmasterDeath, a mixture of kBgwSocket… with a descriptor. Result: the position, or -errno.
BGW_MUST_CHECK int BgwWaitEventSetAdd(BgwWaitEventSet *set, int events, int fd, BgwLatch *latch);
// Other events for a socket, or another latch (NULL: none) for the latch's member.
BGW_MUST_CHECK int BgwWaitEventSetModify(BgwWaitEventSet *set, int pos, int events, BgwLatch *latch);

// Blocks until something occurred, at most timeout_ms (< 0: for ever; never sooner). At most `max` of what occurred, a set latch alone and first.
// Result: how many; 0: the time is over; -EINTR: a signal was recorded that JavaScript must act on first; -errno.
BGW_MUST_CHECK int BgwWaitEventSetWait(BgwWaitEventSet *set, int64_t timeout_ms, BgwWaitEvent *occurred, int max);
// The same for who may not sleep: what has occurred by now. Result: how many, -errno.
BGW_MUST_CHECK int BgwWaitEventSetPoll(BgwWaitEventSet *set, BgwWaitEvent *occurred, int max);
// Readable while a socket of the set is ready, and at times for no reason.
int BgwWaitEventSetFd(const BgwWaitEventSet *set);

// WaitLatch, on one long-lived set of the process (L-33). Result: exactly one of the events, or 0 when a signal was recorded that JavaScript must act
// on first; -errno. `latch` may be NULL.
BGW_MUST_CHECK int BgwWaitLatch(BgwLatch *latch, int events, int64_t timeout_ms);
