// The postmaster-death pipe, and the parent-death signal as a second line.
// PostgreSQL: src/backend/postmaster/postmaster.c (InitPostmasterDeathWatchHandle), src/backend/storage/ipc/pmsignal.c.
#include "postmaster_death.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <unistd.h>

static int watch_fd = -1;
static int own_fd = -1;

int BgwDeathPipeCreate(void) {
  int fds[2];
  if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) < 0) return bgw_errno();
  watch_fd = fds[0];
  own_fd = fds[1];
  return 0;
}

int BgwDeathPipeChild(pid_t parent, int signo) {
  // A child that kept the write end would hide the postmaster's death from all the others.
  if (own_fd >= 0) close(own_fd);
  own_fd = -1;
  if (signo != 0 && prctl(PR_SET_PDEATHSIG, signo) < 0) return bgw_errno();
  // The parent may have died before the request was made: then we have another parent already, and no signal will come.
  if (getppid() != parent) _exit(1);
  return 0;
}

int BgwDeathPipeFd(void) { return watch_fd; }

int BgwPostmasterIsAlive(void) {
  char byte;
  for (;;) {
    ssize_t n = read(watch_fd, &byte, 1);
    if (n == 0) return 0;
    if (n > 0) return -EBADMSG;
    if (errno == EAGAIN || errno == EWOULDBLOCK) return 1;
    if (errno != EINTR) return bgw_errno();
  }
}
