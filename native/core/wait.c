// Sleeping. PostgreSQL: src/backend/storage/ipc/latch.c (WaitEventSetWait, epoll and signalfd variant); ServerLoop's ppoll of old.
#include "wait.h"

#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include "postmaster_death.h"
#include "signals.h"

static int64_t MonotonicMs(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

// --- the postmaster ----------------------------------------------------------------------------------------------------------------

int BgwPostmasterWait(int listen_fd, int64_t timeout_ms, uint32_t *recorded) {
  struct pollfd poll_fd = {.fd = listen_fd, .events = POLLIN};
  struct timespec timeout = {.tv_sec = timeout_ms / 1000, .tv_nsec = (timeout_ms % 1000) * 1000000};
  sigset_t none;
  sigemptyset(&none);
  // Signals are open only inside ppoll, so none can be recorded between a look at the record and the sleep. SIGURG, which the handlers
  // send after recording, is ignored here. A record made outside (a platform thread that took a signal sends it on) is pending and ends ppoll.
  int n = ppoll(&poll_fd, 1, timeout_ms < 0 ? NULL : &timeout, &none);
  int result = n < 0 ? (errno == EINTR ? 0 : bgw_errno()) : n > 0;
  *recorded = BgwTakeRecorded();
  return result;
}

// --- a child -----------------------------------------------------------------------------------------------------------------------

static int epoll_fd = -1;
static int urgent_fd = -1;
static bool death_seen;

int BgwWaitSetInit(void) {
  sigset_t urgent;
  sigemptyset(&urgent);
  sigaddset(&urgent, SIGURG);
  sigprocmask(SIG_BLOCK, &urgent, NULL);  // for life: threads started later inherit it, so that nobody else takes it
  death_seen = false;
  epoll_fd = epoll_create1(EPOLL_CLOEXEC);
  if (epoll_fd < 0) return bgw_errno();
  urgent_fd = signalfd(-1, &urgent, SFD_NONBLOCK | SFD_CLOEXEC);
  if (urgent_fd < 0) return bgw_errno();
  struct epoll_event event = {.events = EPOLLIN, .data = {.fd = urgent_fd}};
  if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, urgent_fd, &event) < 0) return bgw_errno();
  event.data.fd = BgwDeathPipeFd();
  if (event.data.fd >= 0 && epoll_ctl(epoll_fd, EPOLL_CTL_ADD, event.data.fd, &event) < 0) return bgw_errno();
  return epoll_fd;
}

bool BgwPostmasterDeathSeen(void) { return death_seen; }

static int TakeEvent(const struct epoll_event *event) {
  if (event->data.fd == urgent_fd) {
    struct signalfd_siginfo buffer[4];
    while (read(urgent_fd, buffer, sizeof(buffer)) > 0) continue;
    return 0;
  }
  // Readiness is not believed before the read says the same (contract L-43).
  int alive = BgwPostmasterIsAlive();
  if (alive < 0) return alive;
  if (alive == 0) {
    death_seen = true;
    // Dead is dead: as a level-triggered member it would keep the set readable for ever, and an event loop spinning.
    if (epoll_ctl(epoll_fd, EPOLL_CTL_DEL, event->data.fd, NULL) < 0) return bgw_errno();
  }
  return 0;
}

static int Poll(int64_t timeout_ms) {
  struct epoll_event events[2];
  int n = epoll_wait(epoll_fd, events, 2, timeout_ms < 0 ? -1 : timeout_ms > INT32_MAX ? INT32_MAX : (int)timeout_ms);
  if (n < 0) return errno == EINTR ? 0 : bgw_errno();
  for (int i = 0; i < n; i++) {
    int result = TakeEvent(&events[i]);
    if (result < 0) return result;
  }
  return 0;
}

int BgwWaitSetDrain(void) { return Poll(0); }

int BgwWaitLatch(BgwLatch *latch, int events, int64_t timeout_ms) {
  bool watch_latch = latch != NULL && (events & kBgwLatchSet) != 0;
  bool watch_time = (events & kBgwTimeout) != 0 && timeout_ms >= 0;
  int64_t deadline = watch_time ? MonotonicMs() + timeout_ms : 0;
  int64_t left = watch_time ? timeout_ms : -1;
  // A set latch is reported before anything else, without a system call (L-11).
  if (watch_latch && atomic_load(&latch->is_set)) return kBgwLatchSet;
  for (;;) {
    if (watch_latch && BgwLatchPrepareSleep(latch)) return kBgwLatchSet;
    // A handler that records after this look has also made urgent_fd readable, so the sleep below ends at once.
    bool awake = BgwPeekRecorded() != 0 || death_seen;
    int result = awake ? 0 : Poll(left);
    if (watch_latch) BgwLatchWake(latch);
    if (result < 0) return result;
    if (watch_latch && atomic_load(&latch->is_set)) return kBgwLatchSet;
    if (BgwPeekRecorded() != 0) return 0;
    if (death_seen && (events & kBgwPostmasterDeath) != 0) return kBgwPostmasterDeath;
    // The time is over the whole call, however often it is interrupted (L-12).
    if (watch_time && (left = deadline - MonotonicMs()) <= 0) return kBgwTimeout;
    if (death_seen && (result = Poll(left)) < 0) return result;
  }
}
