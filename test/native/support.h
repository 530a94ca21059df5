// What several of the C core's tests need besides the harness: memory that outlives a fork, a look at signal masks, cores to run on.
#pragma once

#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#include "check.h"
#include "core/last_words.h"

// The thread sanitizer has a thread of its own, which sleeps where the core does not call it resting, and makes system calls of its own.
#if defined(__SANITIZE_THREAD__)
enum { kUnderTSan = 1 };
#else
enum { kUnderTSan = 0 };
#endif
#if defined(__SANITIZE_ADDRESS__)
enum { kUnderASan = 1 };
#else
enum { kUnderASan = 0 };
#endif

// Zeroed, shared with the children that are forked later.
static inline void *shared_memory(size_t size) {
  void *address = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  CHECK(address != MAP_FAILED);
  return address;
}

// A line of /proc/PID/task/TID/status such as "SigBlk", as the number that it is (base 16).
static inline unsigned long long status_line(pid_t pid, pid_t tid, const char *name) {
  char path[64], line[256];
  snprintf(path, sizeof(path), "/proc/%d/task/%d/status", (int)pid, (int)tid);
  FILE *file = fopen(path, "re");
  CHECK(file != NULL);
  unsigned long long value = ~0ULL;
  while (fgets(line, sizeof(line), file) != NULL) {
    if (strncmp(line, name, strlen(name)) == 0 && line[strlen(name)] == ':')
      value = strtoull(line + strlen(name) + 1, NULL, 16);
  }
  fclose(file);
  return value;
}

static inline unsigned long long own_status(const char *name) { return status_line(getpid(), getpid(), name); }
static inline unsigned long long bit_of(int signo) { return 1ULL << (signo - 1); }

static inline void die_message(const char *text) { BgwSetLastWords(kBgwTerminated, text, strlen(text), NULL, 0); }

// Orphans of our children come to us, to be waited for.
static inline void adopt_orphans(void) { CHECK_EQ(prctl(PR_SET_CHILD_SUBREAPER, 1), 0); }

static inline void run_on_core(int core) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(core, &set);
  CHECK_EQ(sched_setaffinity(0, sizeof(set), &set), 0);
}
