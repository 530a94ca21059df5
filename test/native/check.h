// A harness for the C core's tests: one program per file of test/native, without Node, fit for the sanitizers.
//
//   TEST(latch_set_twice_is_set_once) {
//     CHECK_EQ(BgwOwnLatch(&latch, &owner), 0);
//     CHECK(strcmp(a, b) == 0);
//   }
//
// No list and no main() to write: TEST registers itself before main() runs. Each test runs in a child process of its
// own, so that it may change signal masks, fork, crash and leave descriptors open, and with a deadline. A check that
// fails ends its test. To debug one: `./test_latch NAME` runs it alone and in the program's own process.
#pragma once

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

// Sanitizers are slow, and so are loaded machines: this ends what hangs, and measures nothing.
enum { kCheckDeadlineSeconds = 30, kCheckMaxTests = 200 };

typedef struct CheckTest {
  const char *name;
  void (*run)(void);
} CheckTest;

static CheckTest check_tests[kCheckMaxTests];
static int check_count;

static inline void check_add(const char *name, void (*run)(void)) {
  if (check_count == kCheckMaxTests) abort();
  check_tests[check_count++] = (CheckTest){name, run};
}

#define TEST(name)                                                                      \
  static void name(void);                                                               \
  __attribute__((constructor)) static void name##_add(void) { check_add(#name, name); } \
  static void name(void)

#define CHECK(condition)                                          \
  do {                                                            \
    if (!(condition)) check_fail(__FILE__, __LINE__, #condition); \
  } while (0)

// Integers of any kind; the values are shown.
#define CHECK_EQ(actual, expected) check_eq((long long)(actual), (long long)(expected), __FILE__, __LINE__, #actual)

// A condition that another process or thread brings about: looked at every millisecond until it holds. Never a sleep of
// fixed length.
#define CHECK_WITHIN(seconds, condition)                                                         \
  do {                                                                                           \
    for (int check_left = (seconds)*1000; !(condition); check_left--) {                          \
      if (check_left == 0) check_fail(__FILE__, __LINE__, "within " #seconds " s: " #condition); \
      nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);                                   \
    }                                                                                            \
  } while (0)

__attribute__((noreturn)) static inline void check_fail(const char *file, int line, const char *what) {
  fprintf(stderr, "%s:%d: not true: %s\n", file, line, what);
  _exit(1);
}

static inline void check_eq(long long actual, long long expected, const char *file, int line, const char *what) {
  if (actual == expected) return;
  fprintf(stderr, "%s:%d: %s is %lld (%s as an errno), expected %lld\n", file, line, what, actual,
          actual < 0 && actual > -200 ? strerror((int)-actual) : "nothing", expected);
  _exit(1);
}

// The exit status of a child of the test, 128 + number for a signal's victim.
static inline int check_wait(pid_t pid) {
  int status;
  while (waitpid(pid, &status, 0) < 0) {
    if (errno != EINTR) return -errno;
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

// One test in a child. exit() rather than _exit() at its end: the leak check hangs on it. Has it failed, the children that it did not come to wait for end, too:
// whoever runs this program waits until nobody has its output open any more.
static inline int check_run(const CheckTest *test) {
  fflush(NULL);
  pid_t pid = fork();
  if (pid < 0) {
    perror("fork");
    return 1;
  }
  if (pid == 0) {
    (void)setpgid(0, 0);
    alarm(kCheckDeadlineSeconds);
    test->run();
    exit(0);
  }
  int status = check_wait(pid);
  if (status != 0) (void)kill(-pid, SIGKILL);
  return status;
}

int main(int argc, char **argv) {
  int failed = 0;
  // The thread sanitizer makes its list of pending signals at the first system call that may block, and loses what comes in while it does (gcc 12): let it be now.
  nanosleep(&(struct timespec){.tv_nsec = 1}, NULL);
  for (int i = 0; i < check_count; i++) {
    if (argc > 1) {
      if (strcmp(argv[1], check_tests[i].name) == 0) check_tests[i].run();
      continue;
    }
    int status = check_run(&check_tests[i]);
    printf("%s %s", status == 0 ? "ok    " : "FAILED", check_tests[i].name);
    if (status > 1) printf(status == 128 + SIGALRM ? " (deadline)" : " (status %d)", status);
    printf("\n");
    failed += status != 0;
  }
  if (argc > 1) return 0;
  printf("%d passed, %d failed\n", check_count - failed, failed);
  return failed > 0 || check_count == 0;
}
