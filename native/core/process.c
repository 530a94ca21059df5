// Other processes. PostgreSQL: src/backend/postmaster/fork_process.c, src/backend/libpq/pqsignal.c, src/backend/postmaster/pgarch.c.
#include "process.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

pid_t BgwWaitPid(pid_t pid, int *status) {
  pid_t result;
  do {
    result = waitpid(pid, status, WNOHANG);
  } while (result < 0 && errno == EINTR);
  return result < 0 ? bgw_errno() : result;
}

int BgwKill(pid_t pid, int signo) {
  if (pid == 0 || pid == -1) return -EINVAL;
  return kill(pid, signo) < 0 ? bgw_errno() : 0;
}
int BgwSetSid(void) { return setsid() < 0 ? bgw_errno() : 0; }
int BgwSetName(const char *name) { return prctl(PR_SET_NAME, name) < 0 ? bgw_errno() : 0; }
pid_t BgwGetPid(void) { return getpid(); }
pid_t BgwGetPpid(void) { return getppid(); }
int BgwRandom32(unsigned *value) {
  ssize_t n;
  do {
    n = getrandom(value, sizeof(*value), 0);  // EINTR: only while the kernel has no entropy yet
  } while (n < 0 && errno == EINTR);
  return n < 0 ? bgw_errno() : 0;
}
int BgwFlock(int fd) { return flock(fd, LOCK_EX | LOCK_NB) < 0 ? bgw_errno() : 0; }

int BgwExec(const char *file, char *const argv[], char *const envp[]) {
  // Node marks its standard descriptors close-on-exec when it starts; the new program is to have them.
  for (int fd = 0; fd <= 2; fd++) fcntl(fd, F_SETFD, 0);
  execve(file, argv, envp);
  return bgw_errno();
}

// --- fork + exec -------------------------------------------------------------------------------------------------------------------
//
// The race that the pipe closes: without it the parent knows only a pid, and a program that is missing looks like one that ran and
// exited. The pipe is close-on-exec: end of file says that exec happened, four bytes are the errno of the step that failed.

// In the child: async-signal-safe calls only, V8's heap is not even mapped.
static int BecomeProgram(const BgwSpawnOptions *options, pid_t parent) {
  struct sigaction default_action;
  memset(&default_action, 0, sizeof(default_action));
  default_action.sa_handler = SIG_DFL;
  for (int signo = 1; signo <= 31; signo++) {
    if (signo != SIGKILL && signo != SIGSTOP) sigaction(signo, &default_action, NULL);
  }
  if (setsid() < 0) return bgw_errno();
  // Descriptors 0 to 2 may be each other's sources: move them out of the way first.
  int moved[3];
  for (int i = 0; i < 3; i++) {
    moved[i] = fcntl(options->stdio[i], F_DUPFD_CLOEXEC, 3);
    if (moved[i] < 0) return bgw_errno();
  }
  for (int i = 0; i < 3; i++) {
    if (dup2(moved[i], i) < 0) return bgw_errno();
  }
  if (options->change_user) {
    // The bare system calls: the C library's functions take a lock, to change all threads of the process that we are a copy of.
    if (syscall(SYS_setgroups, 0, NULL) < 0) return bgw_errno();
    if (syscall(SYS_setresgid, options->gid, options->gid, options->gid) < 0) return bgw_errno();
    if (syscall(SYS_setresuid, options->uid, options->uid, options->uid) < 0) return bgw_errno();
  }
  if (options->cwd != NULL && chdir(options->cwd) < 0) return bgw_errno();
  // After the change of user, which clears it.
  if (options->parent_death_signo != 0) {
    if (prctl(PR_SET_PDEATHSIG, options->parent_death_signo) < 0) return bgw_errno();
    if (getppid() != parent) return -ESRCH;
  }
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
  execve(options->file, options->argv, options->envp);
  return bgw_errno();
}

pid_t BgwSpawn(const BgwSpawnOptions *options) {
  int report[2];
  if (pipe2(report, O_CLOEXEC) < 0) return bgw_errno();
  // Out of the way of what becomes 0 to 2, where one of these was closed.
  if (report[1] <= 2) {
    int moved = fcntl(report[1], F_DUPFD_CLOEXEC, 3);
    int result = moved < 0 ? bgw_errno() : 0;
    close(report[1]);
    if (result < 0) {
      close(report[0]);
      return result;
    }
    report[1] = moved;
  }
  pid_t parent = getpid();
  sigset_t all, before;
  sigfillset(&all);
  sigprocmask(SIG_SETMASK, &all, &before);
  pid_t pid = fork();
  if (pid == 0) {
    int failure = BecomeProgram(options, parent);
    if (write(report[1], &failure, sizeof(failure)) < 0) {
      // The parent sees the exit status.
    }
    _exit(127);
  }
  int result = pid < 0 ? bgw_errno() : pid;
  close(report[1]);
  if (pid > 0) {
    int failure = 0;
    ssize_t n;
    do {
      n = read(report[0], &failure, sizeof(failure));
    } while (n < 0 && errno == EINTR);
    if (n == (ssize_t)sizeof(failure)) {
      result = failure;
      while (waitpid(pid, NULL, 0) < 0 && errno == EINTR) continue;
    }
  }
  close(report[0]);
  sigprocmask(SIG_SETMASK, &before, NULL);
  return result;
}
