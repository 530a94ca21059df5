// The postmaster's sleep. PostgreSQL: src/backend/postmaster/postmaster.c (ServerLoop, as it was with signals blocked outside of its select).
#include "wait.h"

#include <poll.h>
#include <signal.h>
#include <time.h>

#include "signals.h"

enum { kNsPerMs = 1000000 };

int BgwPostmasterWait(int listen_fd, int64_t timeout_ms, uint32_t *recorded) {
  struct pollfd poll_fd = {.fd = listen_fd, .events = POLLIN};
  struct timespec timeout = {.tv_sec = timeout_ms / 1000, .tv_nsec = (timeout_ms % 1000) * kNsPerMs};
  sigset_t none;
  sigemptyset(&none);
  // Signals are open only inside ppoll, so none can be recorded between a look at the record and the sleep. One that a platform thread
  // took and sent on meanwhile is pending here, and ends ppoll at once.
  int n = ppoll(&poll_fd, 1, timeout_ms < 0 ? NULL : &timeout, &none);
  int result = n < 0 ? (errno == EINTR ? 0 : bgw_errno()) : n > 0;
  if (n > 0) {
    // A descriptor that is ready wins: ppoll then returns with the mask put back and delivers nothing. An application that connects again
    // and again would keep SIGTERM and SIGCHLD out for ever, so let in what is pending. Without descriptors ppoll looks at signals first.
    struct timespec no_time = {0, 0};
    (void)ppoll(NULL, 0, &no_time, &none);
  }
  *recorded = BgwTakeRecorded();
  return result;
}
