// The fork of a running Node process. Runs in the postmaster; its child half in every child.
#pragma once

#include <sys/types.h>

#include "result.h"

#ifdef __cplusplus
extern "C" {
#endif

// Called in the child before anything else, with every signal blocked: repairs the event loop.
typedef void (*BgwForkChildHook)(void *arg);

// Forks. Returns 0 in the child (every signal still blocked), the child's pid in the parent (mask as before), or -errno:
// -EBUSY when another thread of this process did not come to rest within a second; -ENOSYS where /proc does not tell what threads do.
BGW_MUST_CHECK pid_t BgwFork(BgwForkChildHook hook, void *arg);

// Takes the mark MADV_DONTFORK from all private memory without a file. For BgwPatchImports, which keeps such marks from being made.
BGW_MUST_CHECK int BgwUndoDontFork(void);
// The remedy that BgwFork applies, for tests and measurements.
BGW_MUST_CHECK int BgwOtherThreadsRest(void);

#ifdef __cplusplus
}
#endif
