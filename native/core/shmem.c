// The shared mapping: a memfd, so that nothing is left in the file system after any death. Postmaster.
// PostgreSQL: src/backend/port/sysv_shmem.c (there an anonymous mmap and a small System V segment as interlock; our interlock is the
// lock on postmaster.pid).
#include "shmem.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif

// Linux 6.3 and later want to be told that nothing in the file will be executed, and refuse a file of which this is not said where the
// administrator has set vm.memfd_noexec = 2. Earlier kernels do not know the flag.
static int MakeFile(void) {
  int fd = memfd_create("bgworker", MFD_CLOEXEC | MFD_NOEXEC_SEAL);
  if (fd < 0 && errno == EINVAL) fd = memfd_create("bgworker", MFD_CLOEXEC);
  return fd < 0 ? bgw_errno() : fd;
}

int BgwShmemCreate(size_t size, void **address) {
  int fd = MakeFile();
  if (fd < 0) return fd;
  int result = ftruncate(fd, (off_t)size) < 0 ? bgw_errno() : fd;
  if (result >= 0) {
    *address = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (*address == MAP_FAILED) result = bgw_errno();
  }
  if (result < 0) close(fd);
  return result;
}

int BgwShmemUnmap(void *address, size_t size) { return munmap(address, size) < 0 ? bgw_errno() : 0; }

int BgwShmemReset(int fd, void *address, size_t size) {
  // A hole costs nothing, whatever the size; zeroing by hand would make a page of each that was never touched.
  if (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, (off_t)size) == 0) return 0;
  if (errno != EOPNOTSUPP && errno != ENOSYS) return bgw_errno();
  memset(address, 0, size);
  return 0;
}
