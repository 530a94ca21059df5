// Limits of a process's resources, and of its JavaScript heap's. Runs in a worker, before its main function.
#pragma once

#include <stdint.h>

#include "result.h"

#ifdef __cplusplus
extern "C" {
#endif

// Where there is no limit: RLIM_INFINITY, as a number that a double holds.
enum { kBgwUnlimited = -1 };

typedef struct BgwLimit {
  int64_t soft, hard;
} BgwLimit;

// `resource` is one of <sys/resource.h>. -EPERM: above the hard limit of before.
BGW_MUST_CHECK int BgwSetLimit(int resource, BgwLimit limit);
BGW_MUST_CHECK int BgwGetLimit(int resource, BgwLimit *limit);

#ifdef __cplusplus
}
#endif
