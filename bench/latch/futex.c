// Two processes that take turns by a futex: what the kernel itself needs. For bench/latch.mjs: futex CORE0 CORE1 ROUNDS; prints microseconds, one a line.
#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double microseconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

static void run_on_core(int core) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(core, &set);
  if (sched_setaffinity(0, sizeof(set), &set) != 0) exit(1);
}

static void wait_for(_Atomic uint32_t *word, uint32_t value) {
  for (uint32_t now; (now = atomic_load(word)) != value;) syscall(SYS_futex, word, FUTEX_WAIT, now, NULL, NULL, 0);
}

static void pass(_Atomic uint32_t *word, uint32_t value) {
  atomic_store(word, value);
  syscall(SYS_futex, word, FUTEX_WAKE, 1, NULL, NULL, 0);
}

int main(int argc, char **argv) {
  if (argc != 4) return 2;
  uint32_t rounds = (uint32_t)atoi(argv[3]);
  _Atomic uint32_t *word = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (word == MAP_FAILED) return 1;
  pid_t child = fork();
  if (child == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    run_on_core(atoi(argv[2]));
    for (uint32_t i = 0; i < rounds; i++) {
      wait_for(word, 2 * i + 1);
      pass(word, 2 * i + 2);
    }
    _exit(0);
  }
  run_on_core(atoi(argv[1]));
  double *times = calloc(rounds, sizeof(*times));
  for (uint32_t i = 0; i < rounds; i++) {
    double begin = microseconds();
    pass(word, 2 * i + 1);
    wait_for(word, 2 * i + 2);
    times[i] = microseconds() - begin;
  }
  for (uint32_t i = 0; i < rounds; i++) printf("%.3f\n", times[i]);
  return waitpid(child, NULL, 0) == child ? 0 : 1;
}
