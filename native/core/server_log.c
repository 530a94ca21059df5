// PostgreSQL: write_console in src/backend/utils/error/elog.c, which writes once and takes no notice of what became of it.
//
// The hazard P9 of docs/fork-safety.md: O_NONBLOCK belongs to the open file, which the postmaster and all its children share, and a child's first use of
// process.stdout sets it on a pipe. From then on a write into a full pipe fails, in every process, where it would have slept.
#include "server_log.h"

#include <poll.h>
#include <stdint.h>
#include <time.h>
#include <unistd.h>

static int64_t MonotonicMs(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

// Sleeps until there is room, or the time is over. An error of the descriptor is told by the next write.
static void WaitForRoom(int fd, int64_t until) {
  int64_t left = until - MonotonicMs();
  struct pollfd room = {.fd = fd, .events = POLLOUT};
  if (left > 0) (void)poll(&room, 1, (int)left);
}

ssize_t BgwWriteLog(int fd, const void *bytes, size_t length, int timeout_ms) {
  size_t written = 0;
  int64_t until = 0;  // not asked for yet: almost always there is room
  while (written < length) {
    ssize_t n = write(fd, (const char *)bytes + written, length - written);
    if (n > 0) written += (size_t)n;
    if (n >= 0 || errno == EINTR) continue;
    if (errno != EAGAIN && errno != EWOULDBLOCK) return written > 0 ? (ssize_t)written : bgw_errno();
    if (until == 0) until = MonotonicMs() + timeout_ms;
    if (MonotonicMs() >= until) break;
    WaitForRoom(fd, until);
  }
  return (ssize_t)written;
}
