// Sleeping: what WaitLatch returns, when, and that no wake-up is lost; the postmaster's own sleep. Tests: native/core/wait_event_set.c, native/core/wait.c.
#include "core/wait.h"

#include <linux/seccomp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>

#include "core/postmaster_death.h"
#include "core/process.h"
#include "core/signals.h"
#include "core/socket.h"
#include "core/wait_event_set.h"
#include "support.h"

enum { kAll = kBgwLatchSet | kBgwTimeout | kBgwPostmasterDeath };

static int64_t now_us(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static void own(BgwLatch *latch) {
  pid_t owner = 0;
  CHECK_EQ(BgwOwnLatch(latch, &owner), 0);
}

// A process that waits: signals, a wait set, a latch of its own.
static BgwLatch *become_waiter(void) {
  BgwLatch *latch = shared_memory(sizeof(*latch));
  BgwSignalsInit();
  CHECK(BgwWaitEventSupportInit() == 0);
  BgwUnblockSignals();
  own(latch);
  return latch;
}

static pid_t set_when_asleep(BgwLatch *latch) {
  pid_t child = fork();
  if (child != 0) return child;
  CHECK_WITHIN(10, atomic_load(&latch->maybe_sleeping) == 1);
  BgwSetLatch(latch);
  _exit(0);
}

// --- return rules -----------------------------------------------------------------------------------------------------------------

TEST(a_set_latch_is_reported_even_with_timeout_0) {
  BgwLatch *latch = become_waiter();
  BgwSetLatch(latch);
  CHECK_EQ(BgwWaitLatch(latch, kAll, 0), kBgwLatchSet);
  CHECK_EQ(BgwWaitLatch(latch, kAll, 0), kBgwLatchSet);  // until it is reset
  BgwResetLatch(latch);
  CHECK_EQ(BgwWaitLatch(latch, kAll, 0), kBgwTimeout);
  CHECK_EQ(latch->maybe_sleeping, 0);
}

TEST(a_set_latch_is_reported_without_a_system_call) {
  if (kUnderTSan) return;
  BgwLatch *latch = become_waiter();
  BgwSetLatch(latch);
  pid_t child = fork();
  if (child == 0) {
    CHECK_EQ(prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT), 0);
    syscall(SYS_exit, BgwWaitLatch(latch, kAll, 1000) == kBgwLatchSet ? 0 : 1);
  }
  CHECK_EQ(check_wait(child), 0);
}

TEST(a_timeout_is_never_early) {
  BgwLatch *latch = become_waiter();
  for (int ms = 0; ms < 12; ms++) {
    int64_t begin = now_us();
    CHECK_EQ(BgwWaitLatch(latch, kAll, ms), kBgwTimeout);
    CHECK(now_us() - begin >= ms * 1000);
  }
}

TEST(without_the_timeout_flag_the_time_is_ignored) {
  BgwLatch *latch = become_waiter();
  pid_t child = set_when_asleep(latch);
  CHECK_EQ(BgwWaitLatch(latch, kBgwLatchSet | kBgwPostmasterDeath, 0), kBgwLatchSet);
  CHECK_EQ(check_wait(child), 0);
}

TEST(a_latch_that_is_not_waited_for_is_not_watched) {
  BgwLatch *latch = become_waiter();
  BgwSetLatch(latch);
  CHECK_EQ(BgwWaitLatch(latch, kBgwTimeout | kBgwPostmasterDeath, 1), kBgwTimeout);
  CHECK_EQ(BgwWaitLatch(NULL, kAll, 1), kBgwTimeout);
}

TEST(a_wake_up_without_a_set_is_hidden) {
  BgwLatch *latch = become_waiter();
  CHECK_EQ(raise(SIGURG), 0);  // pending before the wait
  pid_t parent = getpid(), child = fork();
  if (child == 0) {
    CHECK_WITHIN(10, atomic_load(&latch->maybe_sleeping) == 1);
    for (int i = 0; i < 100; i++) kill(parent, SIGURG);
    _exit(0);
  }
  int64_t begin = now_us();
  CHECK_EQ(BgwWaitLatch(latch, kAll, 50), kBgwTimeout);
  CHECK(now_us() - begin >= 50000);
  CHECK_EQ(check_wait(child), 0);
}

TEST(set_by_another_process_while_asleep) {
  BgwLatch *latch = become_waiter();
  for (int i = 0; i < 100; i++) {
    pid_t child = set_when_asleep(latch);
    CHECK_EQ(BgwWaitLatch(latch, kAll, 10000), kBgwLatchSet);
    BgwResetLatch(latch);
    CHECK_EQ(check_wait(child), 0);
  }
}

// --- signals ------------------------------------------------------------------------------------------------------------------------

TEST(a_recorded_signal_ends_the_wait_with_0) {
  BgwLatch *latch = become_waiter();
  CHECK_EQ(BgwSignal(SIGUSR1, kBgwRecord), 0);
  pid_t parent = getpid(), child = fork();
  if (child == 0) {
    CHECK_WITHIN(10, atomic_load(&latch->maybe_sleeping) == 1);
    kill(parent, SIGUSR1);
    _exit(0);
  }
  CHECK_EQ(BgwWaitLatch(latch, kAll, 10000), 0);
  CHECK_EQ(BgwTakeRecorded(), bit_of(SIGUSR1));
  CHECK_EQ(check_wait(child), 0);
  // What was recorded before the wait ends it before it sleeps.
  CHECK_EQ(raise(SIGUSR1), 0);
  CHECK_EQ(BgwWaitLatch(latch, kAll, 10000), 0);
}

static BgwLatch *handlers_latch;
static void sets_the_latch(int signo) {
  (void)signo;
  BgwSetLatch(handlers_latch);
}

TEST(a_latch_set_by_a_handler_ends_the_wait) {
  BgwLatch *latch = become_waiter();
  handlers_latch = latch;
  struct sigaction action = {.sa_handler = sets_the_latch, .sa_flags = SA_RESTART};
  CHECK_EQ(sigaction(SIGUSR2, &action, NULL), 0);
  pid_t parent = getpid(), child = fork();
  if (child == 0) {
    CHECK_WITHIN(10, atomic_load(&latch->maybe_sleeping) == 1);
    kill(parent, SIGUSR2);
    _exit(0);
  }
  CHECK_EQ(BgwWaitLatch(latch, kAll, 10000), kBgwLatchSet);
  CHECK_EQ(check_wait(child), 0);
}

static void does_nothing(int signo) { (void)signo; }

TEST(a_storm_of_signals_neither_ends_a_wait_nor_stretches_it) {
  BgwLatch *latch = become_waiter();
  struct sigaction action = {.sa_handler = does_nothing};
  CHECK_EQ(sigaction(SIGUSR2, &action, NULL), 0);
  pid_t parent = getpid(), storm = fork();
  if (storm == 0) {
    for (;;) {
      kill(parent, SIGUSR2);
      nanosleep(&(struct timespec){.tv_nsec = 50000}, NULL);
    }
  }
  for (int i = 0; i < 5; i++) {
    int64_t begin = now_us();
    CHECK_EQ(BgwWaitLatch(latch, kAll, 50), kBgwTimeout);
    CHECK(now_us() - begin >= 50000);
    CHECK(now_us() - begin < 5000000);
  }
  // The latch gets through.
  pid_t child = set_when_asleep(latch);
  CHECK_EQ(BgwWaitLatch(latch, kAll, 10000), kBgwLatchSet);
  CHECK_EQ(check_wait(child), 0);
  CHECK_EQ(kill(storm, SIGKILL), 0);
  CHECK_EQ(check_wait(storm), 128 + SIGKILL);
}

// --- the postmaster's death -----------------------------------------------------------------------------------------------------------

// The test plays init, the first child the postmaster, its child the worker. The worker runs `body` and says by its status how it went.
typedef struct Family {
  BgwLatch latch;
  _Atomic pid_t postmaster, worker;
  _Atomic int go;
} Family;

static Family *family;

static void start_family(void (*body)(void)) {
  adopt_orphans();
  family = shared_memory(sizeof(*family));
  pid_t postmaster = fork();
  if (postmaster == 0) {
    CHECK_EQ(BgwDeathPipeCreate(), 0);
    atomic_store(&family->postmaster, getpid());
    pid_t self = getpid(), worker = fork();
    if (worker == 0) {
      CHECK_EQ(BgwDeathPipeChild(self, 0), 0);
      BgwSignalsInit();
      CHECK(BgwWaitEventSupportInit() == 0);
      own(&family->latch);
      atomic_store(&family->worker, getpid());
      body();
      _exit(0);
    }
    for (;;) pause();
  }
  CHECK_WITHIN(10, atomic_load(&family->worker) != 0);
}

static void kill_postmaster(void) {
  CHECK_EQ(kill(family->postmaster, SIGKILL), 0);
  CHECK_EQ(check_wait(family->postmaster), 128 + SIGKILL);
  atomic_store(&family->go, 1);
}

static void sleep_until_death(void) {
  CHECK_EQ(BgwWaitLatch(&family->latch, kAll, 20000), kBgwPostmasterDeath);
  CHECK(BgwPostmasterDeathSeen());
  // For ever, and before a timeout; after a set latch.
  CHECK_EQ(BgwWaitLatch(&family->latch, kAll, 0), kBgwPostmasterDeath);
  CHECK_EQ(BgwWaitLatch(NULL, kAll, 20000), kBgwPostmasterDeath);
  BgwSetLatch(&family->latch);
  CHECK_EQ(BgwWaitLatch(&family->latch, kAll, 0), kBgwLatchSet);
}

TEST(death_ends_a_sleep) {
  start_family(sleep_until_death);
  CHECK_WITHIN(10, atomic_load(&family->latch.maybe_sleeping) == 1);
  kill_postmaster();
  CHECK_EQ(check_wait(family->worker), 0);
}

static void wait_after_death(void) {
  CHECK_WITHIN(10, atomic_load(&family->go) == 1);
  sleep_until_death();
}

TEST(death_before_the_wait_is_seen_by_it) {
  start_family(wait_after_death);
  kill_postmaster();
  CHECK_EQ(check_wait(family->worker), 0);
}

static void poll_after_death(void) {
  CHECK_WITHIN(10, atomic_load(&family->go) == 1);
  CHECK_EQ(BgwWaitLatch(&family->latch, kAll, 0), kBgwPostmasterDeath);
}

TEST(death_comes_before_a_timeout_of_0) {
  start_family(poll_after_death);
  kill_postmaster();
  CHECK_EQ(check_wait(family->worker), 0);
}

static void latch_before_death(void) {
  BgwSetLatch(&family->latch);
  CHECK_WITHIN(10, atomic_load(&family->go) == 1);
  CHECK_EQ(BgwWaitLatch(&family->latch, kAll, 20000), kBgwLatchSet);
  BgwResetLatch(&family->latch);
  CHECK_EQ(BgwWaitLatch(&family->latch, kAll, 20000), kBgwPostmasterDeath);
}

TEST(a_set_latch_comes_before_death) {
  start_family(latch_before_death);
  kill_postmaster();
  CHECK_EQ(check_wait(family->worker), 0);
}

// A worker that has seen the death and goes on: its latch works as before, and its waits sleep.
static void wait_for_the_latch_after_death(void) {
  CHECK_EQ(BgwWaitLatch(&family->latch, kAll, 20000), kBgwPostmasterDeath);
  atomic_store(&family->go, 2);
  CHECK_EQ(BgwWaitLatch(&family->latch, kBgwLatchSet | kBgwTimeout, 20000), kBgwLatchSet);
}

TEST(after_death_a_wait_for_the_latch_alone_is_woken) {
  start_family(wait_for_the_latch_after_death);
  CHECK_EQ(kill(family->postmaster, SIGKILL), 0);
  CHECK_EQ(check_wait(family->postmaster), 128 + SIGKILL);
  CHECK_WITHIN(10, atomic_load(&family->go) == 2);
  CHECK_WITHIN(10, atomic_load(&family->latch.maybe_sleeping) == 1);
  // Not merely announced: asleep in epoll_wait.
  BgwSetLatch(&family->latch);
  CHECK_EQ(check_wait(family->worker), 0);
}

// --- the postmaster's own wait ----------------------------------------------------------------------------------------------------------

static uint32_t become_postmaster(void) {
  BgwSignalsInit();
  BgwBlockAllSignals();
  CHECK_EQ(BgwSignal(SIGUSR1, kBgwRecord), 0);
  CHECK_EQ(BgwSignal(SIGCHLD, kBgwRecord), 0);
  return 0;
}

TEST(the_postmaster_is_woken_by_a_signal_and_sleeps_with_none) {
  uint32_t recorded = become_postmaster();
  int64_t begin = now_us();
  CHECK_EQ(BgwPostmasterWait(-1, 20, &recorded), 0);
  CHECK(now_us() - begin >= 20000);
  CHECK_EQ(recorded, 0);
  CHECK_EQ(raise(SIGUSR1), 0);  // pending before the wait
  CHECK_EQ(BgwPostmasterWait(-1, -1, &recorded), 0);
  CHECK_EQ(recorded, bit_of(SIGUSR1));
  CHECK_EQ(own_status("SigBlk"), 0xfffffffe7ffbfeffULL);
  CHECK_EQ(own_status("SigPnd") | own_status("ShdPnd"), 0);
  pid_t child = fork();
  if (child == 0) _exit(3);
  do CHECK_EQ(BgwPostmasterWait(-1, -1, &recorded), 0);
  while (recorded == 0);
  CHECK_EQ(recorded, bit_of(SIGCHLD));
  int status = 0;
  CHECK_EQ(BgwWaitPid(child, &status), child);
  CHECK_EQ(WEXITSTATUS(status), 3);
}

TEST(connections_that_wait_do_not_keep_signals_out) {
  char path[] = "/tmp/bgw-wait-XXXXXX", socket_path[64];
  CHECK(mkdtemp(path) != NULL);
  snprintf(socket_path, sizeof(socket_path), "%s/s", path);
  int listen_fd = BgwListen(socket_path);
  CHECK(listen_fd >= 0);
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  strcpy(address.sun_path, socket_path);
  int client = socket(AF_UNIX, SOCK_STREAM, 0);
  CHECK_EQ(connect(client, (struct sockaddr *)&address, sizeof(address)), 0);
  unlink(socket_path);
  rmdir(path);
  uint32_t recorded = become_postmaster();
  CHECK_EQ(BgwPostmasterWait(listen_fd, -1, &recorded), 1);
  CHECK_EQ(recorded, 0);
  CHECK_EQ(raise(SIGUSR1), 0);
  CHECK_EQ(BgwPostmasterWait(listen_fd, -1, &recorded), 1);
  CHECK_EQ(recorded, bit_of(SIGUSR1));
}
