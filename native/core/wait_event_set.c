// Wait event sets. PostgreSQL: src/backend/storage/ipc/latch.c, REL_15_STABLE.
//
// Every set watches SIGURG's descriptor, also a set without a latch: a signal that a handler has recorded must end the sleep, for JavaScript to
// act on it. In C the handler itself acts, and the wait goes on.
#include "wait_event_set.h"

#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include "latch_poll.h"
#include "own_words.h"
#include "postmaster_death.h"
#include "signals.h"
#include "wait_event.h"

enum { kNsPerMs = 1000000, kMostAtOnce = 64 };

// In place of a position: SIGURG's descriptor, which is every set's, and no member.
static const uint32_t kUrgent = UINT32_MAX;

typedef struct Member {
  int events;
  int fd;  // a socket's; else -1
} Member;

struct BgwWaitEventSet {
  int epoll_fd;
  BgwLatch *latch;  // NULL: none, or none just now
  int latch_pos;    // -1: no such member
  int death_pos;    // -1: no such member
  int count, capacity;
  Member members[];
};

static int urgent_fd = -1;
static BgwWaitEventSet *latch_set;

static int64_t MonotonicNs(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000 * kNsPerMs + now.tv_nsec;
}

// Rounded up: a wait may end late, never early (what is left of a millisecond is slept, too).
static int64_t LeftMs(int64_t deadline) { return (deadline - MonotonicNs() + kNsPerMs - 1) / kNsPerMs; }

// --- what all sets share -------------------------------------------------------------------------------------------------------------

int BgwUrgentFd(void) { return urgent_fd; }

void BgwDrainUrgent(void) {
  // Room for more than there can be (one for the process, one for the thread), so that one read empties it.
  struct signalfd_siginfo buffer[4];
  while (read(urgent_fd, buffer, sizeof(buffer)) == (ssize_t)sizeof(buffer)) continue;
}

bool BgwPostmasterDeathSeen(void) { return atomic_load_explicit(&bgw_own_words.death_seen, memory_order_relaxed) != 0; }

int BgwLookForPostmasterDeath(void) {
  // Readiness is not believed before the read says the same (contract L-43).
  int alive = BgwReadDeathPipe();
  if (alive < 0) return alive;
  if (alive == 0) atomic_store(&bgw_own_words.death_seen, 1);
  return alive == 0;
}

static int MakeLatchSet(void) {
  int result = 0;
  latch_set = BgwWaitEventSetCreate(2, &result);
  if (latch_set == NULL) return result;
  // WaitLatch chooses the latch each time, and looks at `death_pos` as the caller asks.
  latch_set->latch_pos = latch_set->count++;
  result = BgwDeathPipeFd() < 0 ? 0 : BgwWaitEventSetAdd(latch_set, kBgwPostmasterDeath, -1, NULL);
  return result < 0 ? result : 0;
}

int BgwWaitEventSupportInit(void) {
  sigset_t urgent;
  sigemptyset(&urgent);
  sigaddset(&urgent, SIGURG);
  // For life: threads started later inherit it. One that had SIGURG open would be given it, ignore it, and so lose our wake-up.
  sigprocmask(SIG_BLOCK, &urgent, NULL);
  BgwLatchSupportInit();
  BgwLatchPollInit();
  atomic_store(&bgw_own_words.death_seen, 0);
  atomic_store(&bgw_own_words.lingers, 0);
  atomic_store(&bgw_own_words.wait_event_info, 0);
  urgent_fd = signalfd(-1, &urgent, SFD_NONBLOCK | SFD_CLOEXEC);
  int result = urgent_fd < 0 ? bgw_errno() : MakeLatchSet();
  if (result < 0) {
    if (latch_set != NULL) BgwWaitEventSetFree(latch_set);
    if (urgent_fd >= 0) close(urgent_fd);
    latch_set = NULL;
    urgent_fd = -1;
    return result;
  }
  BgwSignalsWakeWaitSet();
  return 0;
}

// --- making sets ------------------------------------------------------------------------------------------------------------------------

static int Control(const BgwWaitEventSet *set, int op, int fd, uint32_t events, uint32_t pos) {
  struct epoll_event event = {.events = events, .data = {.u32 = pos}};
  return epoll_ctl(set->epoll_fd, op, fd, &event) < 0 ? bgw_errno() : 0;
}

BgwWaitEventSet *BgwWaitEventSetCreate(int capacity, int *error) {
  *error = -ENOTCONN;  // no child of a postmaster: there is nothing that could wake it
  if (urgent_fd < 0) return NULL;
  *error = -ENOMEM;
  BgwWaitEventSet *set = calloc(1, sizeof(*set) + (size_t)capacity * sizeof(Member));
  if (set == NULL) return NULL;
  set->capacity = capacity;
  set->latch_pos = set->death_pos = -1;
  set->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
  *error = set->epoll_fd < 0 ? bgw_errno() : Control(set, EPOLL_CTL_ADD, urgent_fd, EPOLLIN, kUrgent);
  if (*error == 0) return set;
  BgwWaitEventSetFree(set);
  return NULL;
}

void BgwWaitEventSetFree(BgwWaitEventSet *set) {
  if (set->epoll_fd >= 0) close(set->epoll_fd);
  free(set);
}

static uint32_t EpollEvents(int events) {
  return ((events & kBgwSocketReadable) != 0 ? EPOLLIN : 0u) | ((events & kBgwSocketWriteable) != 0 ? EPOLLOUT : 0u) |
         ((events & kBgwSocketClosed) != 0 ? EPOLLRDHUP : 0u);
}

int BgwWaitEventSetAdd(BgwWaitEventSet *set, int events, int fd, BgwLatch *latch) {
  if (set->count == set->capacity) return -ENOSPC;
  int pos = set->count, result = 0;
  if (events == kBgwLatchSet) {
    set->latch = latch;
    set->latch_pos = pos;
  } else if (events == kBgwPostmasterDeath) {
    result = Control(set, EPOLL_CTL_ADD, BgwDeathPipeFd(), EPOLLIN, (uint32_t)pos);
    if (result == 0) set->death_pos = pos;
  } else {
    result = Control(set, EPOLL_CTL_ADD, fd, EpollEvents(events), (uint32_t)pos);
  }
  if (result < 0) return result;
  set->members[pos] = (Member){.events = events, .fd = fd};
  return set->count++;
}

int BgwWaitEventSetModify(BgwWaitEventSet *set, int pos, int events, BgwLatch *latch) {
  if (pos < 0 || pos >= set->count) return -EINVAL;
  Member *member = &set->members[pos];
  if (pos == set->latch_pos) {
    set->latch = latch;
    return 0;
  }
  if (events == member->events) return 0;
  int result = Control(set, EPOLL_CTL_MOD, member->fd, EpollEvents(events), (uint32_t)pos);
  if (result == 0) member->events = events;
  return result;
}

int BgwWaitEventSetFd(const BgwWaitEventSet *set) { return set->epoll_fd; }

// --- waiting ------------------------------------------------------------------------------------------------------------------------------

static int SocketEvents(int wanted, uint32_t got) {
  const uint32_t broken = EPOLLERR | EPOLLHUP;  // reported as whatever was asked for
  return ((got & (EPOLLIN | broken)) != 0 ? wanted & kBgwSocketReadable : 0) |
         ((got & (EPOLLOUT | broken)) != 0 ? wanted & kBgwSocketWriteable : 0) |
         ((got & (EPOLLRDHUP | broken)) != 0 ? wanted & kBgwSocketClosed : 0);
}

// What one entry of epoll's says, as bits of its member; 0: nothing that is to be reported; -errno.
static int TakeEvent(BgwWaitEventSet *set, const struct epoll_event *event) {
  if (event->data.u32 == kUrgent) {
    BgwDrainUrgent();
    return 0;
  }
  const Member *member = &set->members[event->data.u32];
  if (member->events != kBgwPostmasterDeath) return SocketEvents(member->events, event->events);
  int dead = BgwLookForPostmasterDeath();
  if (dead <= 0) return dead;
  // Dead is dead: as a level-triggered member it would keep the set readable for ever, and an event loop spinning.
  int result = Control(set, EPOLL_CTL_DEL, BgwDeathPipeFd(), 0, 0);
  return result < 0 ? result : 0;  // reported by `death_seen`
}

// Sleeps once, at most timeout_ms. Result: how many of `occurred` were filled in, -errno.
static int Sleep(BgwWaitEventSet *set, int64_t timeout_ms, BgwWaitEvent *occurred, int max) {
  struct epoll_event events[kMostAtOnce];
  int most = max < kMostAtOnce ? max + 1 : kMostAtOnce;  // one more, for what is no member
  int n = epoll_wait(set->epoll_fd, events, most,
                     timeout_ms < 0           ? -1
                     : timeout_ms > INT32_MAX ? INT32_MAX
                                              : (int)timeout_ms);
  if (n < 0) return errno == EINTR ? 0 : bgw_errno();
  int count = 0;
  for (int i = 0; i < n; i++) {
    int result = TakeEvent(set, &events[i]);
    if (result < 0) return result;
    if (result > 0 && count < max) occurred[count++] = (BgwWaitEvent){(int32_t)events[i].data.u32, result};
  }
  if (count < max && set->latch != NULL && atomic_load(&set->latch->is_set))
    occurred[count++] = (BgwWaitEvent){set->latch_pos, kBgwLatchSet};
  if (count < max && set->death_pos >= 0 && BgwPostmasterDeathSeen())
    occurred[count++] = (BgwWaitEvent){set->death_pos, kBgwPostmasterDeath};
  return count;
}

static bool LooksSet(const void *latch) {
  return atomic_load_explicit(&((const BgwLatch *)latch)->is_set, memory_order_relaxed);
}

static int LatchAlone(const BgwWaitEventSet *set, BgwWaitEvent *occurred) {
  *occurred = (BgwWaitEvent){set->latch_pos, kBgwLatchSet};
  return 1;
}

// Around a sleep: what others see of it, and what the next look before one goes by.
static int SleepForLatch(BgwWaitEventSet *set, int64_t timeout_ms, BgwWaitEvent *occurred, int max) {
  bool sleeps = timeout_ms != 0;
  if (sleeps) {
    BgwReportWait(atomic_load_explicit(&bgw_own_words.wait_event_info, memory_order_relaxed));
    if (set->latch != NULL) BgwSleepBegins();
  }
  int n = Sleep(set, timeout_ms, occurred, max);
  if (set->latch != NULL) BgwLatchWake(set->latch);
  if (sleeps) {
    BgwReportWait(0);
    if (set->latch != NULL) BgwSleepEnds(LooksSet(set->latch));
  }
  return n;
}

int BgwWaitEventSetPoll(BgwWaitEventSet *set, BgwWaitEvent *occurred, int max) {
  if (set->latch != NULL && atomic_load(&set->latch->is_set)) return LatchAlone(set, occurred);
  return Sleep(set, 0, occurred, max);
}

int BgwWaitEventSetWait(BgwWaitEventSet *set, int64_t timeout_ms, BgwWaitEvent *occurred, int max) {
  // A set latch is reported before anything else, without a system call (L-11).
  if (set->latch != NULL && atomic_load(&set->latch->is_set)) return LatchAlone(set, occurred);
  int64_t deadline = timeout_ms > 0 ? MonotonicNs() + timeout_ms * kNsPerMs : 0;
  for (int64_t left = timeout_ms;;) {
    if (set->latch != NULL && timeout_ms != 0 && BgwPollLatch(set->latch)) return LatchAlone(set, occurred);
    if (set->latch != NULL && BgwLatchPrepareSleep(set->latch)) return LatchAlone(set, occurred);
    // A handler that records after this look has also made urgent_fd readable, so the sleep below ends at once.
    bool awake = BgwPeekRecorded() != 0 || (BgwPostmasterDeathSeen() && set->death_pos >= 0);
    int n = SleepForLatch(set, awake ? 0 : left, occurred, max);
    if (n != 0) return n;
    if (BgwPeekRecorded() != 0) return -EINTR;
    // The time is over the whole call, however often it is interrupted (L-12).
    if (timeout_ms == 0 || (timeout_ms > 0 && (left = LeftMs(deadline)) <= 0)) return 0;
  }
}

int BgwWaitLatch(BgwLatch *latch, int events, int64_t timeout_ms) {
  BgwLatch *watched = (events & kBgwLatchSet) != 0 ? latch : NULL;
  if (watched != NULL && atomic_load(&watched->is_set)) return kBgwLatchSet;
  if (latch_set == NULL) return -ENOTCONN;
  latch_set->latch = watched;
  latch_set->death_pos = (events & kBgwPostmasterDeath) != 0 ? 1 : -1;
  BgwWaitEvent occurred;
  int n = BgwWaitEventSetWait(latch_set, (events & kBgwTimeout) != 0 ? timeout_ms : -1, &occurred, 1);
  if (n == -EINTR) return 0;
  return n > 0 ? occurred.events : n == 0 ? kBgwTimeout : n;
}
