// Other processes: waiting for one, signalling one, starting a program; and what a process says of itself.
#pragma once

#include <sys/types.h>

#include "result.h"

// Never "any child": libuv and the database client may have children of their own in the same process.
// Result: pid and *status when it is gone, 0 while it lives, -errno.
BGW_MUST_CHECK pid_t BgwWaitPid(pid_t pid, int *status);
// -EINVAL for 0 and -1: our own group and everybody are never meant; a pid that was lost is.
BGW_MUST_CHECK int BgwKill(pid_t pid, int signo);
// First in each child: own session and process group.
BGW_MUST_CHECK int BgwSetSid(void);
// The name that `ps -o comm` shows, 15 bytes.
BGW_MUST_CHECK int BgwSetName(const char *name);
// The pid as the kernel has it (process.pid is a copy that fork leaves stale).
pid_t BgwGetPid(void);
pid_t BgwGetPpid(void);
// 32 random bits from the kernel.
BGW_MUST_CHECK int BgwRandom32(unsigned *value);
// An exclusive lock on an open file, not waited for: 0 or -EWOULDBLOCK. Inherited over a fork with the descriptor.
BGW_MUST_CHECK int BgwFlock(int fd);
// Replaces this process's program. Returns only to report failure.
BGW_MUST_CHECK int BgwExec(const char *file, char *const argv[], char *const envp[]);

// What a program is started with.
typedef struct BgwSpawnOptions {
  const char *file;
  char *const *argv;
  char *const *envp;
  const char *cwd;  // NULL: unchanged
  uid_t uid;        // with gid and no supplementary groups, where change_user is set
  gid_t gid;
  int change_user;
  int stdio[3];            // descriptors for 0, 1, 2
  int parent_death_signo;  // 0: none
} BgwSpawnOptions;

// fork + exec from a process with every signal blocked. The child reports its failure through a pipe: result -errno, and no child left.
BGW_MUST_CHECK pid_t BgwSpawn(const BgwSpawnOptions *options);
