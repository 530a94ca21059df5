// The server log: standard error, which all processes of a server share. Any process.
#pragma once

#include <stddef.h>
#include <sys/types.h>

#include "result.h"

#ifdef __cplusplus
extern "C" {
#endif

// Writes bytes, with one write(2) where that takes them all, so that records of several processes do not mix. A reader that is behind is waited for,
// `timeout_ms` in all. Result: how many were written, which are fewer where the time was over; or -errno where nobody will read any of them.
// May be called in a signal handler.
BGW_MUST_CHECK ssize_t BgwWriteLog(int fd, const void *bytes, size_t length, int timeout_ms);

#ifdef __cplusplus
}
#endif
