// Dynamic shared memory: ranges, counts, and what the kernel holds. Tests: native/core/dsm.c.
#include "core/dsm.h"

#include <fcntl.h>
#include <stdint.h>
#include <sys/resource.h>

#include "core/waiters.h"
#include "support.h"

enum { kItems = 8 };
static const uint64_t kLimit = 64 << 20;

static BgwDsmControl *Begin(void) {
  BgwDsmControl *control = shared_memory(sizeof(BgwDsmControl) + kItems * sizeof(BgwDsmItem));
  CHECK_EQ(BgwDsmMap(kLimit), 0);
  CHECK_EQ(BgwDsmReset(control, kItems, kLimit), 0);
  return control;
}

// Pages that the kernel holds for the whole range, by what the process sees of the file: mincore would count holes as absent, and so is it meant.
static long ResidentKb(void) {
  FILE *file = fopen("/proc/self/status", "re");
  CHECK(file != NULL);
  char line[256];
  long kb = -1;
  while (fgets(line, sizeof(line), file) != NULL) (void)sscanf(line, "RssShmem: %ld", &kb);
  fclose(file);
  return kb;
}

TEST(segments_do_not_overlap_and_begin_as_zeroes) {
  BgwDsmControl *control = Begin();
  int a = BgwDsmCreate(control, 100), b = BgwDsmCreate(control, 5000), c = BgwDsmCreate(control, 4096);
  CHECK(a >= 0 && b >= 0 && c >= 0);
  memset(BgwDsmAddress(control, a), 1, 100);
  memset(BgwDsmAddress(control, b), 2, 5000);
  CHECK_EQ(*(char *)BgwDsmAddress(control, c), 0);
  CHECK_EQ(control->used, 4);
  // The gap in the middle is used again, and what was in it is gone; a stray write into it after the detach, too.
  char *stray = BgwDsmAddress(control, b);
  CHECK_EQ(BgwDsmDetach(control, b), 0);
  stray[8] = 3;
  int d = BgwDsmCreate(control, 8192);
  CHECK_EQ(d, b);
  CHECK(BgwDsmAddress(control, d) == stray);
  for (int i = 0; i < 8192; i++) CHECK_EQ(stray[i], 0);
  CHECK_EQ(*(char *)BgwDsmAddress(control, a), 1);
}

TEST(there_are_so_many_segments_and_so_much_memory) {
  BgwDsmControl *control = Begin();
  int index[kItems];
  for (int i = 0; i < kItems; i++) CHECK((index[i] = BgwDsmCreate(control, 1)) >= 0);
  CHECK_EQ(BgwDsmCreate(control, 1), -EMFILE);
  for (int i = 0; i < kItems; i++) CHECK_EQ(BgwDsmDetach(control, index[i]), 0);
  CHECK_EQ(control->used, 0);
  CHECK_EQ(BgwDsmCreate(control, kLimit + 1), -ENOSPC);
  CHECK_EQ(BgwDsmCreate(control, 0), -EINVAL);
  CHECK_EQ(BgwDsmCreate(control, UINT64_MAX), -ENOSPC);
  int all = BgwDsmCreate(control, kLimit);
  CHECK(all >= 0);
  CHECK_EQ(BgwDsmCreate(control, 1), -ENOSPC);
  CHECK_EQ(BgwDsmDetach(control, all), 0);
  CHECK_EQ(control->used, 0);
}

TEST(a_child_attaches_by_handle_and_the_last_one_destroys) {
  BgwDsmControl *control = Begin();
  BgwDsmForget();
  int pipe_fds[2], back[2];
  CHECK_EQ(pipe(pipe_fds), 0);
  CHECK_EQ(pipe(back), 0);
  pid_t child = fork();  // before the segment is made
  if (child == 0) {
    uint32_t handle = 0;
    CHECK_EQ(read(pipe_fds[0], &handle, sizeof(handle)), sizeof(handle));
    CHECK_EQ(BgwDsmAttach(control, handle + 1), -ENOENT);
    int index = BgwDsmAttach(control, handle);
    CHECK(index >= 0);
    CHECK_EQ(BgwDsmAttach(control, handle), -EEXIST);
    CHECK(strcmp(BgwDsmAddress(control, index), "to the child") == 0);
    CHECK_EQ(write(back[1], "x", 1), 1);
    char byte;
    CHECK_EQ(read(pipe_fds[0], &byte, 1), 1);
    CHECK(strcmp(BgwDsmAddress(control, index), "to the child") == 0);
    BgwDsmDetachAll();
    BgwDsmDetachAll();
    _exit(0);
  }
  int index = BgwDsmCreate(control, 100);
  CHECK(index >= 0);
  strcpy(BgwDsmAddress(control, index), "to the child");
  CHECK_EQ(write(pipe_fds[1], &control->items[index].handle, 4), 4);
  char byte;
  CHECK_EQ(read(back[0], &byte, 1), 1);
  CHECK_EQ(control->items[index].refcnt, 3);
  CHECK_EQ(BgwDsmDetach(control, index), 0);
  CHECK_EQ(BgwDsmDetach(control, index), -EINVAL);
  CHECK_EQ(control->items[index].refcnt, 2);
  CHECK_EQ(write(pipe_fds[1], "x", 1), 1);
  CHECK_EQ(check_wait(child), 0);
  CHECK_EQ(control->items[index].refcnt, 0);
  CHECK_EQ(control->used, 0);
}

TEST(a_pin_keeps_it_and_only_a_pinned_one_can_be_unpinned) {
  BgwDsmControl *control = Begin();
  int index = BgwDsmCreate(control, 100);
  uint32_t handle = control->items[index].handle;
  CHECK_EQ(BgwDsmUnpin(control, handle), -EINVAL);
  CHECK_EQ(BgwDsmPin(control, index), 0);
  CHECK_EQ(BgwDsmPin(control, index), -EALREADY);
  strcpy(BgwDsmAddress(control, index), "kept");
  CHECK_EQ(BgwDsmDetach(control, index), 0);
  CHECK_EQ(BgwDsmPin(control, index), -EINVAL);
  CHECK_EQ(BgwDsmAttach(control, handle), index);
  CHECK(strcmp(BgwDsmAddress(control, index), "kept") == 0);
  CHECK_EQ(BgwDsmDetach(control, index), 0);
  CHECK_EQ(BgwDsmUnpin(control, handle), 0);
  CHECK_EQ(BgwDsmUnpin(control, handle), -ENOENT);
  CHECK_EQ(BgwDsmAttach(control, handle), -ENOENT);
  CHECK_EQ(control->used, 0);
}

TEST(memory_is_there_at_create_and_gone_with_the_segment) {
  if (kUnderTSan) return;
  BgwDsmControl *control = Begin();
  long before = ResidentKb();
  int index = BgwDsmCreate(control, 16 << 20);
  CHECK(index >= 0);
  memset(BgwDsmAddress(control, index), 1, 16 << 20);
  CHECK(ResidentKb() - before >= 16 * 1024);
  CHECK_EQ(BgwDsmDetach(control, index), 0);
  CHECK(ResidentKb() - before < 1024);
  // So it is after a crash, whatever the dead had attached.
  index = BgwDsmCreate(control, 16 << 20);
  memset(BgwDsmAddress(control, index), 1, 16 << 20);
  memset(control, 0, sizeof(BgwDsmControl) + kItems * sizeof(BgwDsmItem));
  CHECK_EQ(BgwDsmReset(control, kItems, kLimit), 0);
  CHECK(ResidentKb() - before < 1024);
}

TEST(limits_on_address_space_and_file_size_are_lived_with) {
  if (kUnderTSan) return;
  struct rlimit small = {.rlim_cur = 256 << 20, .rlim_max = 256 << 20};
  CHECK_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
  BgwDsmControl *control = Begin();
  CHECK(BgwDsmCreate(control, 1 << 20) >= 0);
}

TEST(many_processes_make_attach_and_leave_at_once) {
  enum { kProcesses = 4, kRounds = 300 };
  BgwDsmControl *control = Begin();
  BgwWaitersInit(shared_memory(kProcesses * sizeof(BgwWaitBlock)), kProcesses);
  pid_t pids[kProcesses];
  for (int p = 0; p < kProcesses; p++) {
    pids[p] = fork();
    if (pids[p] != 0) continue;
    CHECK_EQ(BgwWaitersAttach((uint32_t)p), 0);
    unsigned seed = (unsigned)p;
    for (int round = 0; round < kRounds; round++) {
      int index = BgwDsmCreate(control, (uint64_t)(rand_r(&seed) % 20000) + 1);
      if (index == -EMFILE) continue;
      CHECK(index >= 0);
      uint32_t *word = BgwDsmAddress(control, (uint32_t)index);
      CHECK_EQ(*word, 0);
      *word = (uint32_t)getpid();
      for (uint32_t i = 0; i < kItems; i++) {
        int other = BgwDsmAttach(control, control->items[i].handle);
        if (other >= 0 && round % 2 == 0) CHECK_EQ(BgwDsmDetach(control, (uint32_t)other), 0);
      }
      CHECK_EQ(*word, (uint32_t)getpid());
      BgwDsmDetachAll();
      BgwDsmForget();
    }
    _exit(0);
  }
  for (int p = 0; p < kProcesses; p++) CHECK_EQ(check_wait(pids[p]), 0);
  CHECK_EQ(control->used, 0);
  for (int i = 0; i < kItems; i++) CHECK_EQ(control->items[i].refcnt, 0);
}
