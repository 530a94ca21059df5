// How the core reports failure: a value at or above zero, or minus an errno. Nothing here throws, allocates on V8's heap, or knows of Node.
#pragma once

#if !defined(__linux__)
#error "bgworker runs on Linux only"
#endif

#include <errno.h>

// A function whose result must be looked at.
#define BGW_MUST_CHECK __attribute__((warn_unused_result))

// Any process: the current errno as a result.
static inline int bgw_errno(void) { return -errno; }
