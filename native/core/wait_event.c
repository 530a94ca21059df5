// Reporting what this process waits for. See wait_event.h.
#include "wait_event.h"

#include <stddef.h>

static BgwAtomicUint own;
static BgwAtomicUint *storage = &own;

void BgwSetWaitEventStorage(BgwAtomicUint *word) { storage = word != NULL ? word : &own; }

void BgwReportWait(uint32_t info) { atomic_store_explicit(storage, info, memory_order_relaxed); }
