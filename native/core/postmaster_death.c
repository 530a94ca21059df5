// The postmaster-death pipe, and the parent-death signal as a second line.
// PostgreSQL: src/backend/postmaster/postmaster.c (InitPostmasterDeathWatchHandle), src/backend/storage/ipc/pmsignal.c.
#include "postmaster_death.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "own_words.h"
#include "signals.h"

static int watch_fd = -1;
static int own_fd = -1;
static int death_signo;  // that was asked for; 0: none

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
  death_signo = 0;
  BgwPostmasterMayBeDead();
  if (signo != 0 && prctl(PR_SET_PDEATHSIG, signo) < 0) return bgw_errno();
  death_signo = signo;
  // The parent may have died before the request was made: then we have another parent already, and no signal will come.
  if (getppid() != parent) _exit(1);
  return 0;
}

int BgwDeathPipeFd(void) { return watch_fd; }

int BgwReadDeathPipe(void) {
  char byte;
  for (;;) {
    ssize_t n = read(watch_fd, &byte, 1);
    if (n == 0) return 0;
    if (n > 0) return -EBADMSG;
    if (errno == EAGAIN || errno == EWOULDBLOCK) return 1;
    if (errno != EINTR) return bgw_errno();
  }
}

void BgwPostmasterMayBeDead(void) { atomic_store(&bgw_own_words.look_for_death, 1); }

// SIGKILL needs nobody to hear it: who still runs has a postmaster. (A change of credentials that asks for no new signal makes us deaf, as it does in C.)
static bool WillBeTold(void) { return death_signo == SIGKILL || (death_signo != 0 && BgwSignalIsHeard(death_signo)); }

int BgwPostmasterIsAlive(void) {
  if (atomic_load(&bgw_own_words.look_for_death) == 0) return 1;
  // First the flag, then the pipe. The other way round:
  //
  //     read: alive      the postmaster dies      the signal's handler: look_for_death = 1      look_for_death = 0: for ever
  //
  // The kernel closes a process's files before it tells its children, so whoever was told reads the end of the file.
  if (WillBeTold()) atomic_store(&bgw_own_words.look_for_death, 0);
  int alive = BgwReadDeathPipe();
  if (alive != 1) BgwPostmasterMayBeDead();
  return alive;
}
