// How a child learns that the postmaster is gone. PostgreSQL: src/backend/storage/ipc/pmsignal.c, contract L-40 to L-46.
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "result.h"

// Postmaster, once: makes the pipe. It keeps the write end and never writes.
BGW_MUST_CHECK int BgwDeathPipeCreate(void);
// Child, first thing: closes the write end; asks the kernel for `signo` (0: none) when the parent dies; leaves at once (status 1) when the
// parent is gone already, which closes the hole between fork and here. Again after a change of credentials, which takes the request back.
BGW_MUST_CHECK int BgwDeathPipeChild(pid_t parent, int signo);
// The read end: readable (end of file) when the postmaster is gone. -1 outside of a postmaster's family.
int BgwDeathPipeFd(void);
// 1 alive, 0 dead, -errno: the pipe could not be read; -EBADMSG: somebody wrote into it. No system call while the kernel would have told us.
BGW_MUST_CHECK int BgwPostmasterIsAlive(void);
// The same by the pipe alone.
BGW_MUST_CHECK int BgwReadDeathPipe(void);
// The parent-death signal has come, or would not be heard any more: the next look reads the pipe. Async-signal-safe.
void BgwPostmasterMayBeDead(void);
