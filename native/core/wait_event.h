// What this process waits for, as others see it. PostgreSQL: src/include/utils/wait_event.h, src/backend/utils/activity/wait_event.c, REL_15_STABLE.
//
// One word in the process's entry in shared memory. Writer: the process, one plain store before it sleeps and one after. Readers: any backend, at any time; it
// is advice, and nothing is decided by it.
#pragma once

#include "atomic_word.h"

// From here on the word is there (pgstat_set_wait_event_storage); NULL: in this process's own memory (pgstat_reset_wait_event_storage).
void BgwSetWaitEventStorage(BgwAtomicUint *word);
// A class in the upper byte and an event below; 0: it does not wait. Async-signal-safe.
void BgwReportWait(uint32_t info);
