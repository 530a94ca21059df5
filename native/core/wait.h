// Where the postmaster sleeps: one ppoll. Its children sleep in wait_event_set.h.
#pragma once

#include <stdint.h>

#include "result.h"

// Sleeps until a signal is recorded, the listening socket is readable, or the time is over (timeout_ms < 0: for ever).
// *recorded gets what BgwTakeRecorded says. Result: 1 when a connection waits, else 0; -errno. All signals stay blocked outside.
BGW_MUST_CHECK int BgwPostmasterWait(int listen_fd, int64_t timeout_ms, uint32_t *recorded);
