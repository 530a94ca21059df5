// Signals: the dispositions that a process can choose, PostgreSQL's two masks, what was recorded, and the way out of a worker that
// is terminated. Any process of ours.
#pragma once

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "last_words.h"
#include "result.h"

#ifdef __cplusplus
extern "C" {
#endif

// What a signal does. src/ipc/signals.ts has the same numbers.
typedef enum BgwDisposition {
  kBgwDefault = 0,  // SIG_DFL
  kBgwIgnore = 1,   // SIG_IGN
  kBgwRecord = 2,   // note it, wake whoever waits; JavaScript acts at its next safe point
  kBgwDie = 3,      // bgworker_die: FATAL line, exit 1, from inside the handler (but see BgwDeferDie)
  kBgwCrashExit =
      4  // SignalHandlerForCrashExit: what BgwSetQuitMessages says to the client, and maybe the log, then _exit(2), at once
} BgwDisposition;

// First in the postmaster, then first in each child: remembers the main thread, forgets what was recorded.
void BgwSignalsInit(void);
// From here on a recorded signal also makes the wait set readable (wait.h): in children. ppoll in the postmaster is ended by the handler itself.
void BgwSignalsWakeWaitSet(void);

// Installs a disposition for one signal, with SA_RESTART, as pqsignal does.
BGW_MUST_CHECK int BgwSignal(int signo, BgwDisposition disposition);
// What BgwSignal installed last for a signal, for who has replaced it and gives it back. False: nothing but the default.
bool BgwChosenAction(int signo, struct sigaction *action);

// Is the signal open, and its handler ours?
bool BgwSignalIsHeard(int signo);

// The set that stays blocked: all but TRAP, ABRT, ILL, FPE, SEGV, BUS, SYS, CONT and QUIT (contract C-22).
void BgwBlockSignals(void);
// Nothing blocked but SIGURG, which is read through a descriptor and never delivered (C-23).
void BgwUnblockSignals(void);
// Everything blocked: the postmaster outside of its wait.
void BgwBlockAllSignals(void);

// The recorded signals as a bit mask (bit signo-1), and forgets them. Signals 1 to 31.
uint32_t BgwTakeRecorded(void);
uint32_t BgwPeekRecorded(void);
// How often a signal was delivered to this process since BgwSignalsInit.
uint32_t BgwSignalCount(int signo);

// From here on kBgwDie records and wakes as kBgwRecord does, so that exit callbacks in JavaScript can run; where no safe point is reached within
// a tenth of a second, the process leaves from inside a handler after all. For good; per process.
BGW_MUST_CHECK int BgwDeferDie(void);
// From here on kBgwDie does nothing: the process is leaving already, and would be cut short (contract C-29).
void BgwDisarmDie(void);

// What a session backend's client is told when SIGQUIT ends the backend: three messages, for the reasons 0, 1 and 2 that *reason (in shared
// memory, written by the postmaster before the signal) then has. Pointers must stay valid.
typedef struct BgwQuitMessage {
  const void *bytes;
  size_t length;
} BgwQuitMessage;
void BgwSetQuitMessages(int fd, const BgwQuitMessage messages[3], const volatile int32_t *reason);

// While held, kBgwDie only notes itself; it acts when the last hold is released. Counts. Resuming what is not held does nothing.
void BgwHoldInterrupts(void);
void BgwResumeInterrupts(void);
int BgwInterruptHoldoffCount(void);

// Leaves shared memory (proc.h) and the process, running nothing else. Async-signal-safe.
void BgwExitNow(int status) __attribute__((noreturn));
void BgwSetExitHook(void (*hook)(void));

#ifdef __cplusplus
}
#endif
