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

enum { kNsPerMs = 1000000 };

static int64_t MonotonicNs(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000 * kNsPerMs + now.tv_nsec;
}

// --- the postmaster ----------------------------------------------------------------------------------------------------------------

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

// --- a child -----------------------------------------------------------------------------------------------------------------------

static int epoll_fd = -1;
static int urgent_fd = -1;
static bool death_seen;
static bool loop_waits;

static int CloseWaitSet(int result) {
  if (epoll_fd >= 0) close(epoll_fd);
  if (urgent_fd >= 0) close(urgent_fd);
  epoll_fd = urgent_fd = -1;
  return result;
}

static int Watch(int fd) {
  struct epoll_event event = {.events = EPOLLIN, .data = {.fd = fd}};
  return epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0 ? bgw_errno() : 0;
}

int BgwWaitSetInit(void) {
  sigset_t urgent;
  sigemptyset(&urgent);
  sigaddset(&urgent, SIGURG);
  // For life: threads started later inherit it. One that had SIGURG open would be given it, ignore it, and so lose our wake-up.
  sigprocmask(SIG_BLOCK, &urgent, NULL);
  death_seen = loop_waits = false;
  epoll_fd = epoll_create1(EPOLL_CLOEXEC);
  if (epoll_fd < 0) return bgw_errno();
  urgent_fd = signalfd(-1, &urgent, SFD_NONBLOCK | SFD_CLOEXEC);
  if (urgent_fd < 0) return CloseWaitSet(bgw_errno());
  int result = Watch(urgent_fd);
  if (result == 0 && BgwDeathPipeFd() >= 0) result = Watch(BgwDeathPipeFd());
  if (result < 0) return CloseWaitSet(result);
  BgwSignalsWakeWaitSet();
  return epoll_fd;
}

void BgwWaitSetShare(bool waits) { loop_waits = waits; }

bool BgwPostmasterDeathSeen(void) { return death_seen; }

static int TakeEvent(const struct epoll_event *event) {
  if (event->data.fd == urgent_fd) {
    // Room for more than there can be (one for the process, one for the thread), so that one read empties it.
    struct signalfd_siginfo buffer[4];
    while (read(urgent_fd, buffer, sizeof(buffer)) == (ssize_t)sizeof(buffer)) continue;
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

// Result: how many events were taken, or -errno.
static int Poll(int64_t timeout_ms) {
  struct epoll_event events[2];
  int n = epoll_wait(epoll_fd, events, 2, timeout_ms < 0 ? -1 : timeout_ms > INT32_MAX ? INT32_MAX : (int)timeout_ms);
  if (n < 0) return errno == EINTR ? 0 : bgw_errno();
  for (int i = 0; i < n; i++) {
    int result = TakeEvent(&events[i]);
    if (result < 0) return result;
  }
  return n;
}

int BgwWaitSetDrain(void) {
  int result = Poll(0);
  return result < 0 ? result : 0;
}

// Rounded up: a wait may end late, never early (what is left of a millisecond is slept, too).
static int64_t LeftMs(int64_t deadline) { return (deadline - MonotonicNs() + kNsPerMs - 1) / kNsPerMs; }

int BgwWaitLatch(BgwLatch *latch, int events, int64_t timeout_ms) {
  bool watch_latch = latch != NULL && (events & kBgwLatchSet) != 0;
  bool watch_death = (events & kBgwPostmasterDeath) != 0;
  bool watch_time = (events & kBgwTimeout) != 0 && timeout_ms >= 0;
  // A set latch is reported before anything else, without a system call (L-11).
  if (watch_latch && atomic_load(&latch->is_set)) return kBgwLatchSet;
  // An asynchronous wait for the same latch may have announced itself and goes on after us: its announcement is not ours to withdraw, or the
  // next setter would send it no signal.
  bool announced = watch_latch && atomic_load(&latch->maybe_sleeping) != 0;
  int64_t deadline = watch_time ? MonotonicNs() + timeout_ms * kNsPerMs : 0;
  int64_t left = watch_time ? timeout_ms : -1;
  bool taken = false;
  int result;
  for (;;) {
    if (watch_latch && BgwLatchPrepareSleep(latch)) {
      result = kBgwLatchSet;
      break;
    }
    // A handler that records after this look has also made urgent_fd readable, so the sleep below ends at once.
    bool awake = BgwPeekRecorded() != 0 || (death_seen && watch_death);
    result = awake ? 0 : Poll(left);
    if (watch_latch && !announced) BgwLatchWake(latch);
    if (result < 0) break;
    if (result > 0) taken = true;
    if (watch_latch && atomic_load(&latch->is_set)) {
      result = kBgwLatchSet;
      break;
    }
    if (BgwPeekRecorded() != 0) {
      result = 0;
      break;
    }
    if (death_seen && watch_death) {
      result = kBgwPostmasterDeath;
      break;
    }
    // The time is over the whole call, however often it is interrupted (L-12).
    if (watch_time && (left = LeftMs(deadline)) <= 0) {
      result = kBgwTimeout;
      break;
    }
  }
  // What we took out of the set may have been meant for the loop: it is to look for itself.
  if (taken && loop_waits) (void)raise(SIGURG);
  return result;
}
