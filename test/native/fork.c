// fork with the remedies of native/core/fork.c, without Node: V8's marks and busy threads are imitated.
#include "core/fork.h"

#include <pthread.h>
#include <sys/syscall.h>

#include "support.h"

static void count_hook(void *arg) { (*(int *)arg)++; }

// --- memory ---------------------------------------------------------------------------------------------------------------------

static char *private_page(void) {
  char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(page != MAP_FAILED);
  strcpy(page, "warm");
  return page;
}

TEST(a_region_marked_dontfork_is_missing_in_a_plain_child) {
  if (kUnderTSan) return;  // which may map memory of its own where the region was
  char *page = private_page();
  CHECK_EQ(madvise(page, 4096, MADV_DONTFORK), 0);
  pid_t child = fork();
  if (child == 0) {
    // write(2) reports the missing page as EFAULT instead of a signal, which the sanitizers would turn into a report.
    int fds[2];
    CHECK_EQ(pipe(fds), 0);
    _exit(write(fds[1], page, 4) < 0 && errno == EFAULT ? 0 : 1);
  }
  CHECK_EQ(check_wait(child), 0);
}

TEST(undo_dont_fork_keeps_the_region_for_the_child) {
  char *page = private_page();
  CHECK_EQ(madvise(page, 4096, MADV_DONTFORK), 0);
  CHECK_EQ(BgwUndoDontFork(), 0);
  pid_t child = fork();
  if (child == 0) _exit(strcmp(page, "warm") == 0 ? 0 : 1);
  CHECK_EQ(check_wait(child), 0);
}

// More maps than one read of /proc/self/maps returns, every second one marked, so that lines merge while they are read.
TEST(undo_dont_fork_finds_each_of_2000_regions) {
  enum { kRegions = 2000 };
  char *pages = mmap(NULL, kRegions * 2 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(pages != MAP_FAILED);
  for (int i = 0; i < kRegions; i++) {
    pages[i * 2 * 4096] = (char)(i % 100);
    CHECK_EQ(madvise(pages + i * 2 * 4096, 4096, MADV_DONTFORK), 0);
  }
  CHECK_EQ(BgwUndoDontFork(), 0);
  pid_t child = fork();
  if (child == 0) {
    int wrong = 0, fds[2];
    CHECK_EQ(pipe(fds), 0);
    for (int i = 0; i < kRegions; i++) {
      char byte = -1;
      if (write(fds[1], pages + i * 2 * 4096, 1) == 1 && read(fds[0], &byte, 1) < 0) wrong++;
      wrong += byte != (char)(i % 100);
    }
    _exit(wrong == 0 ? 0 : 1);
  }
  CHECK_EQ(check_wait(child), 0);
}

TEST(a_shared_mapping_is_left_alone) {
  if (kUnderTSan) return;  // which may map memory of its own where the region was
  char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  CHECK(page != MAP_FAILED);
  CHECK_EQ(madvise(page, 4096, MADV_DONTFORK), 0);
  CHECK_EQ(BgwUndoDontFork(), 0);
  pid_t child = fork();
  if (child == 0) {
    int fds[2];
    CHECK_EQ(pipe(fds), 0);
    _exit(write(fds[1], page, 1) < 0 && errno == EFAULT ? 0 : 1);
  }
  CHECK_EQ(check_wait(child), 0);
}

// --- the call -------------------------------------------------------------------------------------------------------------------

TEST(fork_runs_the_hook_in_the_child_with_everything_blocked) {
  if (kUnderTSan) return;
  int hooks = 0;
  unsigned long long before = own_status("SigBlk");
  char *page = private_page();
  pid_t parent = getpid();
  pid_t child = BgwFork(count_hook, &hooks);
  CHECK(child >= 0);
  if (child == 0) {
    CHECK_EQ(hooks, 1);
    CHECK_EQ(getppid(), parent);
    CHECK(strcmp(page, "warm") == 0);
    // All but KILL and STOP, which cannot be, and 32 and 33, which are the C library's.
    CHECK_EQ(own_status("SigBlk"), 0xfffffffe7ffbfeffULL);
    _exit(7);
  }
  CHECK_EQ(hooks, 0);
  CHECK_EQ(own_status("SigBlk"), before);
  CHECK_EQ(check_wait(child), 7);
}

TEST(a_signal_during_the_fork_is_not_taken_by_the_child) {
  if (kUnderTSan) return;
  sigset_t usr1;
  sigemptyset(&usr1);
  sigaddset(&usr1, SIGUSR1);
  sigprocmask(SIG_BLOCK, &usr1, NULL);
  CHECK_EQ(kill(getpid(), SIGUSR1), 0);
  int hooks = 0;
  pid_t child = BgwFork(count_hook, &hooks);
  if (child == 0) _exit(own_status("SigPnd") == 0 && own_status("ShdPnd") == 0 ? 0 : 1);
  CHECK_EQ(check_wait(child), 0);
  CHECK_EQ(own_status("ShdPnd"), bit_of(SIGUSR1));
}

// --- other threads --------------------------------------------------------------------------------------------------------------

typedef struct Second {
  pthread_t thread;
  _Atomic int stage;  // 0: not begun, 1: busy, 2: told to rest
  pthread_mutex_t mutex;
  pthread_cond_t rest;  // waited for, for ever
} Second;

static void *busy_then_resting(void *arg) {
  Second *second = arg;
  atomic_store(&second->stage, 1);
  while (atomic_load(&second->stage) != 2) continue;
  pthread_mutex_lock(&second->mutex);
  for (;;) pthread_cond_wait(&second->rest, &second->mutex);
  return NULL;
}

static void start(Second *second, void *(*run)(void *)) {
  pthread_mutex_init(&second->mutex, NULL);
  pthread_cond_init(&second->rest, NULL);
  CHECK_EQ(pthread_create(&second->thread, NULL, run, second), 0);
  CHECK_WITHIN(5, atomic_load(&second->stage) == 1);
}

TEST(a_thread_that_waits_for_a_condition_rests) {
  if (kUnderTSan) return;
  static Second second;
  CHECK_EQ(BgwOtherThreadsRest(), 1);
  start(&second, busy_then_resting);
  CHECK_EQ(BgwOtherThreadsRest(), 0);
  atomic_store(&second.stage, 2);
  CHECK_WITHIN(5, BgwOtherThreadsRest() == 1);
  int hooks = 0;
  pid_t child = BgwFork(count_hook, &hooks);
  if (child == 0) _exit(0);
  CHECK_EQ(check_wait(child), 0);
  _exit(0);  // the thread is not joined
}

static void *rests_soon(void *arg) {
  Second *second = arg;
  atomic_store(&second->stage, 1);
  struct timespec begin, now;
  clock_gettime(CLOCK_MONOTONIC, &begin);
  do {
    clock_gettime(CLOCK_MONOTONIC, &now);
  } while ((now.tv_sec - begin.tv_sec) * 1000 + (now.tv_nsec - begin.tv_nsec) / 1000000 < 100);
  atomic_store(&second->stage, 3);
  pthread_mutex_lock(&second->mutex);
  for (;;) pthread_cond_wait(&second->rest, &second->mutex);
  return NULL;
}

TEST(fork_waits_for_a_busy_thread) {
  if (kUnderTSan) return;
  static Second second;
  start(&second, rests_soon);
  int hooks = 0;
  pid_t child = BgwFork(count_hook, &hooks);
  if (child == 0) _exit(0);
  CHECK(child > 0);
  CHECK_EQ(atomic_load(&second.stage), 3);
  CHECK_EQ(check_wait(child), 0);
  _exit(0);
}

TEST(fork_refuses_where_a_thread_never_rests) {
  if (kUnderTSan) return;
  static Second second;
  start(&second, busy_then_resting);
  unsigned long long before = own_status("SigBlk");
  int hooks = 0;
  CHECK_EQ(BgwFork(count_hook, &hooks), -EBUSY);
  CHECK_EQ(own_status("SigBlk"), before);
  CHECK_EQ(hooks, 0);
  _exit(0);
}

static void *holds_the_lock_asleep(void *arg) {
  Second *second = arg;
  pthread_mutex_lock(&second->mutex);
  atomic_store(&second->stage, 1);
  for (;;) nanosleep(&(struct timespec){.tv_sec = 100}, NULL);
  return NULL;
}

// Asleep, but not where we know that no lock is held.
TEST(a_thread_in_nanosleep_does_not_rest) {
  if (kUnderTSan) return;
  static Second second;
  start(&second, holds_the_lock_asleep);
  for (int i = 0; i < 50; i++) {
    CHECK_EQ(BgwOtherThreadsRest(), 0);
    nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
  }
  _exit(0);
}
