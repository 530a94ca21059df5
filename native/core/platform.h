// Node's platform, which V8 asks for threads: ours has none to offer. The postmaster, before anything else; its children inherit it.
#pragma once

#include <stdint.h>

#include "result.h"

// The addresses of the functions that its class has now.
typedef struct BgwPlatformFunctions {
  uintptr_t number_of_worker_threads, post_task, post_delayed_task;
} BgwPlatformFunctions;

// From here on this object's first virtual function says 0, and the others, which post a task to be run at once and later, do nothing. Again does no harm. Result:
// 0, or -errno: -ENOENT where the class's table does not have one of the functions.
BGW_MUST_CHECK int BgwEmptyPlatform(void *platform, BgwPlatformFunctions functions);
