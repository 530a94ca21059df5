// fork(2) of a running Node process, by the recipe that rests on nothing private: see that every other thread sleeps, fork, repair the loop. That
// memory is there to be forked at all is the business of imports.c, which uses the walk below, once.
// Runs in the postmaster (parent half) and in each child (child half).
//
// One call, from blocking the signals to repairing the loop. In between nothing may allocate on V8's heap, in either process: a
// scavenge there would post a task to a platform thread that is being looked at (parent) or does not exist (child).
//
// The hazards, by number as in docs/fork-safety.md:
//  F1  V8 marks its heap MADV_DONTFORK: the child would have no heap and die at its first JavaScript instruction. To undo it before every fork costs
//      0.2 ms or more, growing with the image; so its marks are kept from being made (imports.c), and the walk only finds those of before.
//  F2  A thread may hold a lock (malloc's, the platform queue's) at the moment of the fork; the child would inherit it locked for
//      ever. A thread that sleeps in futex or epoll_wait holds none, and nobody can wake it meanwhile: the only thread that posts
//      work is the one that is looking, and none sleeps with a time limit (V6: platform.c sees to that).
//  F3  A signal that arrives between fork and the child's set-up would run the postmaster's handler in the child.
//  F4  The loop's epoll and event descriptors are shared with the parent until uv_loop_fork makes new ones (the hook).
#include "fork.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { kRestTimeoutMs = 1000 };

// --- F1: the walk -------------------------------------------------------------------------------------------------------------

// One line of /proc/self/maps: "start-end perms offset dev inode path". Private mappings without a file are V8's candidates.
static void UndoDontForkOnLine(const char *line) {
  unsigned long start, end, inode;
  char perms[5];
  if (sscanf(line, "%lx-%lx %4s %*x %*s %lu", &start, &end, perms, &inode) != 4) return;
  if (perms[3] != 'p' || inode != 0) return;
  // Fails on [vvar] and its kind, which are not ours to change.
  (void)madvise((void *)start, end - start, MADV_DOFORK);
}

int BgwUndoDontFork(void) {
  // Read with plain read(2) into a buffer of our own: stdio would allocate, and so change the map while it is read.
  static char buffer[64 * 1024];
  int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
  if (fd < 0) return bgw_errno();
  size_t kept = 0;
  for (;;) {
    ssize_t n = read(fd, buffer + kept, sizeof(buffer) - 1 - kept);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) {
      int result = bgw_errno();
      close(fd);
      return result;
    }
    if (n == 0) break;
    size_t length = kept + (size_t)n;
    buffer[length] = '\0';
    char *line = buffer;
    for (char *newline; (newline = strchr(line, '\n')) != NULL; line = newline + 1) {
      *newline = '\0';
      UndoDontForkOnLine(line);
    }
    kept = (size_t)(buffer + length - line);
    memmove(buffer, line, kept);
  }
  close(fd);
  return 0;
}

// --- F2: the look -------------------------------------------------------------------------------------------------------------

static bool IsRestingSyscall(long number) {
  switch (number) {
    case SYS_futex:
    case SYS_epoll_pwait:
#ifdef SYS_epoll_wait
    case SYS_epoll_wait:
#endif
#ifdef SYS_epoll_pwait2
    case SYS_epoll_pwait2:
#endif
#ifdef SYS_futex_waitv
    case SYS_futex_waitv:
#endif
      return true;
    default:
      return false;
  }
}

// Some sandboxes have no `syscall` file in /proc: a missing file says "gone" only where the thread's directory is missing, too.
static int Missing(int task_dir, const char *tid) { return faccessat(task_dir, tid, F_OK, 0) < 0 ? 1 : -ENOSYS; }

// 1: asleep where no lock is held, or gone; 0: busy; -errno: could not be seen.
static int ThreadRests(int task_dir, const char *tid) {
  char path[sizeof(((struct dirent64 *)0)->d_name) + 16];
  char text[32];
  snprintf(path, sizeof(path), "%s/syscall", tid);
  int fd = openat(task_dir, path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return errno == ENOENT ? Missing(task_dir, tid) : bgw_errno();
  ssize_t n = read(fd, text, sizeof(text) - 1);
  int result = n < 0 ? bgw_errno() : 0;
  close(fd);
  if (result == -ESRCH) return 1;
  if (result < 0) return result;
  text[n] = '\0';
  // "running", or the number of the system call that the thread sleeps in; -1 when it sleeps outside of one (a page fault, say).
  char *end;
  long number = strtol(text, &end, 10);
  return end != text && IsRestingSyscall(number) ? 1 : 0;
}

int BgwOtherThreadsRest(void) {
  char buffer[4096];
  char self[16];
  snprintf(self, sizeof(self), "%d", (int)syscall(SYS_gettid));
  int dir = open("/proc/self/task", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (dir < 0) return bgw_errno();
  int rests = 1;
  for (;;) {
    long n = syscall(SYS_getdents64, dir, buffer, sizeof(buffer));
    if (n < 0) rests = bgw_errno();
    if (n <= 0) break;
    for (long at = 0; at < n && rests == 1;) {
      const struct dirent64 *entry = (const struct dirent64 *)(buffer + at);
      at += entry->d_reclen;
      if (entry->d_name[0] == '.' || strcmp(entry->d_name, self) == 0) continue;
      rests = ThreadRests(dir, entry->d_name);
    }
    if (rests != 1) break;
  }
  close(dir);
  return rests;
}

static int64_t MonotonicMs(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int WaitUntilOtherThreadsRest(void) {
  int64_t deadline = MonotonicMs() + kRestTimeoutMs;
  for (;;) {
    int rests = BgwOtherThreadsRest();
    if (rests < 0) return rests;
    if (rests == 1) return 0;
    if (MonotonicMs() >= deadline) return -EBUSY;
    struct timespec pause = {.tv_sec = 0, .tv_nsec = 50 * 1000};
    nanosleep(&pause, NULL);
  }
}

// --- the fork -----------------------------------------------------------------------------------------------------------------

pid_t BgwFork(BgwForkChildHook hook, void *arg) {
  sigset_t all, before;
  sigfillset(&all);
  sigprocmask(SIG_SETMASK, &all, &before);  // F3

  int result = WaitUntilOtherThreadsRest();  // F2
  if (result == 0) {
    pid_t pid = fork();
    if (pid == 0) {
      hook(arg);  // F4
      return 0;
    }
    result = pid < 0 ? bgw_errno() : pid;
  }
  sigprocmask(SIG_SETMASK, &before, NULL);
  return result;
}
