// The postmaster-death pipe and the parent-death signal. Tests: native/core/postmaster_death.c; waits that see the death are in wait.c.
#include "core/postmaster_death.h"

#include <fcntl.h>

#include "core/signals.h"
#include "support.h"

typedef struct Family {
  _Atomic pid_t worker, sibling;
  _Atomic int go;
} Family;

TEST(outside_of_a_family_there_is_no_pipe) {
  CHECK_EQ(BgwDeathPipeFd(), -1);
  CHECK_EQ(BgwPostmasterIsAlive(), -EBADF);
}

TEST(the_pipe_is_close_on_exec_and_does_not_block) {
  CHECK_EQ(BgwDeathPipeCreate(), 0);
  CHECK_EQ(fcntl(BgwDeathPipeFd(), F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
  CHECK_EQ(fcntl(BgwDeathPipeFd(), F_GETFL) & O_NONBLOCK, O_NONBLOCK);
  CHECK_EQ(BgwPostmasterIsAlive(), 1);
}

TEST(a_byte_in_the_pipe_is_an_error) {
  CHECK_EQ(BgwDeathPipeCreate(), 0);
  char path[64];
  snprintf(path, sizeof(path), "/proc/self/fd/%d", BgwDeathPipeFd());
  int fd = open(path, O_WRONLY | O_CLOEXEC);
  CHECK(fd >= 0);
  CHECK_EQ(write(fd, "x", 1), 1);
  CHECK_EQ(BgwPostmasterIsAlive(), -EBADMSG);
}

// `orphans`: without the parent-death signal the worker lives on and can look.
static Family *start_family(bool orphans, pid_t *postmaster) {
  adopt_orphans();
  Family *family = shared_memory(sizeof(*family));
  *postmaster = fork();
  if (*postmaster != 0) {
    CHECK_WITHIN(10, atomic_load(&family->worker) != 0 && atomic_load(&family->sibling) != 0);
    return family;
  }
  CHECK_EQ(BgwDeathPipeCreate(), 0);
  pid_t self = getpid();
  for (int i = 0; i < 2; i++) {
    pid_t child = fork();
    if (child != 0) continue;
    CHECK_EQ(BgwDeathPipeChild(self, orphans ? 0 : SIGKILL), 0);
    CHECK_EQ(BgwPostmasterIsAlive(), 1);
    atomic_store(i == 0 ? &family->worker : &family->sibling, getpid());
    // Signals blocked, as in a worker that computes with everything shut.
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    while (atomic_load(&family->go) == 0) continue;
    _exit(BgwPostmasterIsAlive() == 0 ? 0 : 1);
  }
  for (;;) pause();
}

TEST(the_pipe_says_dead_once_the_postmaster_is_although_siblings_live) {
  pid_t postmaster;
  Family *family = start_family(true, &postmaster);
  CHECK_EQ(kill(postmaster, SIGKILL), 0);
  CHECK_EQ(check_wait(postmaster), 128 + SIGKILL);
  atomic_store(&family->go, 1);
  CHECK_EQ(check_wait(family->worker), 0);
  CHECK_EQ(check_wait(family->sibling), 0);
}

TEST(the_parent_death_signal_ends_a_child_that_ignores_everything) {
  pid_t postmaster;
  Family *family = start_family(false, &postmaster);
  CHECK_EQ(kill(postmaster, SIGKILL), 0);
  CHECK_EQ(check_wait(postmaster), 128 + SIGKILL);
  CHECK_EQ(check_wait(family->worker), 128 + SIGKILL);
  CHECK_EQ(check_wait(family->sibling), 128 + SIGKILL);
}

TEST(the_parent_death_signal_ends_a_stopped_child) {
  pid_t postmaster;
  Family *family = start_family(false, &postmaster);
  CHECK_EQ(kill(family->worker, SIGSTOP), 0);
  CHECK_EQ(kill(postmaster, SIGKILL), 0);
  CHECK_EQ(check_wait(postmaster), 128 + SIGKILL);
  CHECK_EQ(check_wait(family->worker), 128 + SIGKILL);
  CHECK_EQ(check_wait(family->sibling), 128 + SIGKILL);
}

// The postmaster dies between fork and the child's request: no signal will come, so the child must see it for itself.
TEST(a_child_whose_parent_is_gone_already_leaves) {
  adopt_orphans();
  Family *family = shared_memory(sizeof(*family));
  pid_t postmaster = fork();
  if (postmaster == 0) {
    CHECK_EQ(BgwDeathPipeCreate(), 0);
    pid_t self = getpid();
    pid_t child = fork();
    if (child == 0) {
      CHECK_WITHIN(10, atomic_load(&family->go) == 1);
      (void)!BgwDeathPipeChild(self, SIGKILL);
      _exit(77);
    }
    atomic_store(&family->worker, child);
    for (;;) pause();
  }
  CHECK_WITHIN(10, atomic_load(&family->worker) != 0);
  CHECK_EQ(kill(postmaster, SIGKILL), 0);
  CHECK_EQ(check_wait(postmaster), 128 + SIGKILL);
  atomic_store(&family->go, 1);
  CHECK_EQ(check_wait(family->worker), 1);
}

// Who would be told does not look: without a pipe that could be read it still says alive.
TEST(while_the_kernel_would_tell_us_the_pipe_is_not_read) {
  CHECK_EQ(BgwDeathPipeCreate(), 0);
  pid_t self = getpid();
  pid_t child = fork();
  if (child == 0) {
    CHECK_EQ(BgwDeathPipeChild(self, SIGKILL), 0);
    CHECK_EQ(BgwPostmasterIsAlive(), 1);  // the first look reads
    CHECK_EQ(close(BgwDeathPipeFd()), 0);
    CHECK_EQ(BgwPostmasterIsAlive(), 1);
    BgwPostmasterMayBeDead();
    CHECK_EQ(BgwPostmasterIsAlive(), -EBADF);
    _exit(0);
  }
  CHECK_EQ(check_wait(child), 0);
}

// The signal is heard where it is open and its handler is ours, and else the pipe is read each time.
TEST(a_parent_death_signal_that_could_not_be_heard_is_not_relied_on) {
  CHECK_EQ(BgwDeathPipeCreate(), 0);
  pid_t self = getpid();
  pid_t child = fork();
  if (child == 0) {
    BgwSignalsInit();
    CHECK_EQ(BgwDeathPipeChild(self, SIGPWR), 0);
    CHECK_EQ(BgwSignal(SIGPWR, kBgwRecord), 0);
    BgwBlockSignals();
    CHECK_EQ(BgwPostmasterIsAlive(), 1);
    int pipe_fd = BgwDeathPipeFd(), kept = dup(pipe_fd);
    CHECK_EQ(close(pipe_fd), 0);
    CHECK_EQ(BgwPostmasterIsAlive(), -EBADF);  // blocked: it looked
    CHECK_EQ(dup2(kept, pipe_fd), pipe_fd);
    BgwUnblockSignals();
    CHECK_EQ(BgwPostmasterIsAlive(), 1);
    CHECK_EQ(close(pipe_fd), 0);
    CHECK_EQ(BgwPostmasterIsAlive(), 1);  // open: it did not
    CHECK_EQ(raise(SIGPWR), 0);
    CHECK_EQ(BgwPostmasterIsAlive(), -EBADF);
    CHECK_EQ(dup2(kept, pipe_fd), pipe_fd);
    CHECK_EQ(BgwPostmasterIsAlive(), 1);
    CHECK_EQ(BgwSignal(SIGPWR, kBgwIgnore), 0);
    CHECK_EQ(close(pipe_fd), 0);
    CHECK_EQ(BgwPostmasterIsAlive(), -EBADF);  // ignored: it looked
    _exit(0);
  }
  CHECK_EQ(check_wait(child), 0);
}

TEST(the_signal_of_the_postmasters_death_makes_the_next_look_read_the_pipe) {
  adopt_orphans();
  Family *family = shared_memory(sizeof(*family));
  pid_t postmaster = fork();
  if (postmaster == 0) {
    CHECK_EQ(BgwDeathPipeCreate(), 0);
    pid_t self = getpid();
    pid_t child = fork();
    if (child == 0) {
      BgwSignalsInit();
      CHECK_EQ(BgwDeathPipeChild(self, SIGPWR), 0);
      CHECK_EQ(BgwSignal(SIGPWR, kBgwRecord), 0);
      BgwUnblockSignals();
      CHECK_EQ(BgwPostmasterIsAlive(), 1);
      atomic_store(&family->worker, getpid());
      while (BgwPostmasterIsAlive() == 1) continue;
      _exit(BgwPostmasterIsAlive() == 0 ? 0 : 1);
    }
    for (;;) pause();
  }
  CHECK_WITHIN(10, atomic_load(&family->worker) != 0);
  CHECK_EQ(kill(postmaster, SIGKILL), 0);
  CHECK_EQ(check_wait(postmaster), 128 + SIGKILL);
  CHECK_EQ(check_wait(family->worker), 0);
}
