// This process's entry in shared memory, as far as leaving must touch it. Any child.
#pragma once

#include <stdint.h>

#include "atomic_word.h"
#include "latch.h"

// The dead-man switch (contract X-03). src/ipc/proc.ts has the same numbers.
enum { kBgwChildUnused = 0, kBgwChildAssigned = 1, kBgwChildActive = 2 };

// Joins shared memory: the flag goes ACTIVE, the latch is owned. `latch` may be NULL.
BGW_MUST_CHECK int BgwProcAttach(BgwAtomicInt *flag, BgwLatch *latch, pid_t *owner);
// Leaves it: locks released, latch given up, flag back to ASSIGNED, last of all. Async-signal-safe; again is harmless.
void BgwProcDetach(void);
// In a fresh child: what the parent had attached is not ours.
void BgwProcForget(void);
