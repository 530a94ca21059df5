// The shared mapping. Tests: native/core/shmem.c.
#include "core/shmem.h"

#include <fcntl.h>
#include <stdint.h>
#include <sys/stat.h>

#include "support.h"

TEST(children_see_what_any_of_them_writes) {
  void *address = NULL;
  int fd = BgwShmemCreate(1 << 20, &address);
  CHECK(fd >= 0);
  _Atomic int *word = address;
  CHECK_EQ(*word, 0);
  pid_t child = fork();
  if (child == 0) {
    atomic_store(word, 42);
    _exit(0);
  }
  CHECK_EQ(check_wait(child), 0);
  CHECK_EQ(*word, 42);
}

TEST(the_file_has_no_name_and_does_not_pass_an_exec) {
  void *address = NULL;
  int fd = BgwShmemCreate(12345, &address);
  CHECK(fd >= 0);
  struct stat about;
  CHECK_EQ(fstat(fd, &about), 0);
  CHECK_EQ(about.st_size, 12345);
  CHECK_EQ(about.st_nlink, 0);
  CHECK_EQ(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
}

TEST(what_is_unmapped_is_gone) {
  if (kUnderTSan) return;  // which may map memory of its own where ours was
  void *address = NULL;
  int fd = BgwShmemCreate(4096, &address);
  CHECK(fd >= 0);
  CHECK_EQ(BgwShmemUnmap(address, 4096), 0);
  int fds[2];
  CHECK_EQ(pipe(fds), 0);
  CHECK_EQ(write(fds[1], address, 1), -1);
  CHECK_EQ(errno, EFAULT);
}

TEST(a_size_that_cannot_be_had_is_reported) {
  void *address = NULL;
  int before = open("/dev/null", O_RDONLY);
  close(before);
  CHECK(BgwShmemCreate(SIZE_MAX / 2, &address) < 0);
  int after = open("/dev/null", O_RDONLY);
  CHECK_EQ(after, before);  // nothing was left open
}
