// Where processes sleep: the postmaster in one ppoll, a child in one epoll instance that serves blocking and asynchronous waits alike.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "latch.h"
#include "result.h"

// PostgreSQL's wait events, src/include/storage/latch.h.
enum { kBgwLatchSet = 1, kBgwTimeout = 8, kBgwPostmasterDeath = 16 };

// Postmaster: sleeps until a signal is recorded, the listening socket is readable, or the time is over (timeout_ms < 0: for ever).
// *recorded gets what BgwTakeRecorded says. Result: 1 when a connection waits, else 0; -errno. All signals stay blocked outside.
BGW_MUST_CHECK int BgwPostmasterWait(int listen_fd, int64_t timeout_ms, uint32_t *recorded);

// Child: makes the wait set (epoll over the signalfd of SIGURG and the death pipe). Result: the epoll descriptor.
BGW_MUST_CHECK int BgwWaitSetInit(void);
// Child: takes what is readable without sleeping. Asynchronous waits call it when the loop says that the epoll descriptor is readable.
BGW_MUST_CHECK int BgwWaitSetDrain(void);
// Child: does the event loop wait on the set as well (asynchronous waits are under way)? Then a blocking wait hands on what it takes out of the set.
void BgwWaitSetShare(bool loop_waits);
// The postmaster's death was seen by a wait. Never taken back.
bool BgwPostmasterDeathSeen(void);

// Child: blocks until one of the events, at most timeout_ms (< 0: for ever). Result: exactly one of the events, or 0 when a signal was
// recorded that JavaScript must act on first; -errno. `latch` may be NULL. Never sooner than timeout_ms with kBgwTimeout.
BGW_MUST_CHECK int BgwWaitLatch(BgwLatch *latch, int events, int64_t timeout_ms);
