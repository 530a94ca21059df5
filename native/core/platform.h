// Node's platform, which V8 asks for threads: ours has none to offer. The postmaster, before anything else; its children inherit it.
#pragma once

#include <stdint.h>

#include "result.h"

// From here on this object's one virtual function says 0, and its other one, which posts a task to be run later, does nothing. Named by the addresses of the
// functions that its class has now. Again does no harm. Result: 0, or -errno: -ENOENT where the class's table does not have one of the functions.
BGW_MUST_CHECK int BgwEmptyPlatform(void *platform, uintptr_t number_of_worker_threads, uintptr_t post_delayed_task);
