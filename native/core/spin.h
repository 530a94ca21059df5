// Locks for a few instructions: one bit of a word. Backends. PostgreSQL: src/include/storage/s_lock.h, src/backend/storage/lmgr/s_lock.c.
#pragma once

#include <stdint.h>

#include "atomic_word.h"

// Takes a bit of a word as a lock. Whoever is killed while he has it is a crash, and SIGQUIT ends who spins.
void BgwSpinBit(BgwAtomicUint *word, uint32_t bit);

// What a spinner does between two looks; `waits` counts them, from 0. Where it has waited for minutes nobody has the lock, and somebody has written over it: it
// does not return then, but says so and aborts, which is a crash (C: PANIC).
void BgwSpinDelay(int *waits);
