// Spinlocks: taken, waited for, and given up where nobody can have them. Tests: native/core/spin.c.
#include "core/spin.h"

#include <sys/syscall.h>

#include "support.h"

enum { kBit = 4 };

// In place of libc's: where a test wants it, minutes pass at once. PostgreSQL's spinners sleep a thousand times before they are stuck, for a millisecond to a
// second each. Elsewhere they do sleep: who waits for a holder that the kernel has set aside would be through with its thousand before it runs again.
static bool time_flies;
static _Atomic int sleeps;
static _Atomic int64_t slept_ns, longest_ns;
int clock_nanosleep(clockid_t clock, int flags, const struct timespec *request, struct timespec *left) {
  if (!time_flies) return syscall(SYS_clock_nanosleep, clock, flags, request, left) < 0 ? errno : 0;
  int64_t ns = request->tv_sec * 1000000000LL + request->tv_nsec;
  atomic_fetch_add(&sleeps, 1);
  atomic_fetch_add(&slept_ns, ns);
  if (ns > atomic_load(&longest_ns)) atomic_store(&longest_ns, ns);
  return 0;
}

TEST(one_at_a_time_has_the_bit) {
  typedef struct Shared {
    BgwAtomicUint word;
    long counter;
  } Shared;
  Shared *shared = shared_memory(sizeof(*shared));
  atomic_store(&shared->word, 3);
  enum { kProcesses = 4, kRounds = 20000 };
  pid_t children[kProcesses];
  for (int i = 0; i < kProcesses; i++) {
    children[i] = fork();
    if (children[i] != 0) continue;
    for (int round = 0; round < kRounds; round++) {
      BgwSpinBit(&shared->word, kBit);
      *(volatile long *)&shared->counter += 1;
      atomic_fetch_and(&shared->word, ~(uint32_t)kBit);
    }
    _exit(0);
  }
  for (int i = 0; i < kProcesses; i++) CHECK_EQ(check_wait(children[i]), 0);
  CHECK_EQ(shared->counter, kProcesses * kRounds);
  CHECK_EQ(shared->word, 3);  // the other bits are somebody else's
}

TEST(a_bit_that_nobody_clears_is_the_end_after_some_two_minutes) {
  int to_parent[2];
  CHECK_EQ(pipe(to_parent), 0);
  time_flies = true;
  int waits = 0;
  for (int i = 0; i < 1200; i++) BgwSpinDelay(&waits);
  CHECK_EQ(sleeps, 1000);
  CHECK(slept_ns > 60 * 1000000000LL && slept_ns < 300 * 1000000000LL);
  CHECK(longest_ns <= 1000000000LL);
  pid_t child = fork();
  if (child == 0) {
    static const char kText[] = "PANIC:  stuck spinlock detected\n";
    BgwSetLastWords(kBgwStuckSpinlock, kText, sizeof(kText) - 1, NULL, 0);
    dup2(to_parent[1], STDERR_FILENO);
    BgwAtomicUint word = kBit;
    BgwSpinBit(&word, kBit);
    _exit(0);
  }
  close(to_parent[1]);
  char said[64] = "";
  CHECK(read(to_parent[0], said, sizeof(said) - 1) > 0);
  CHECK(strcmp(said, "PANIC:  stuck spinlock detected\n") == 0);
  CHECK_EQ(check_wait(child), 128 + SIGABRT);
}
