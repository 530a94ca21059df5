// The latches that asynchronous waits of this process wait for, while its event loop sleeps. A child's main thread.
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "latch.h"
#include "result.h"

// One more wait for the latch. 0, or -ENOMEM.
BGW_MUST_CHECK int BgwWatchLatch(BgwLatch *latch);
// One less.
void BgwUnwatchLatch(BgwLatch *latch);
// The memory is about to go: nobody waits for a latch in it any more.
void BgwUnwatchMemory(const void *begin, size_t size);

// The event loop is about to sleep: announces it in all watched latches. True where it must not: one of them is set, or a signal was recorded.
// `may_poll`: it would sleep, and may look for a moment before (latch_poll.h).
bool BgwBeforeLoopSleeps(bool may_poll);
// It has slept: takes the announcements back. True where a watched latch is set, or a signal was recorded.
bool BgwAfterLoopSlept(void);
