// Before a process sleeps for a latch it may look for a moment whether the latch is set: at most 20 microseconds, and only while that pays. Children.
#pragma once

#include <stdbool.h>

#include "latch.h"

// Is what is waited for there? Looks at memory, and nothing else.
typedef bool (*BgwLook)(const void *what);

// First in each child: nothing is known.
void BgwLatchPollInit(void);
// Looks for a moment, where that has paid of late, announcing nothing: whoever sets a latch meanwhile has nobody to wake. True: it is there.
bool BgwPollBeforeSleep(BgwLook look, const void *what);
// The same for one latch.
bool BgwPollLatch(const BgwLatch *latch);
// A sleep for a latch begins, and is over: because one was set, or for something else. What BgwPollBeforeSleep goes by.
void BgwSleepBegins(void);
void BgwSleepEnds(bool set);
