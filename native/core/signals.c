// Signals of a process of ours. PostgreSQL: src/backend/libpq/pqsignal.c, src/backend/postmaster/interrupt.c, bgworker.c (bgworker_die).
//
// A handler does one of two things: it records the signal and wakes the main thread (JavaScript acts later, at a safe point), or it
// leaves the process. Nothing else can be done inside a handler that may have interrupted V8 anywhere.
//
// Why leaving from inside the handler is safe: the way out writes one line with write(2), stores a few words in shared memory, and calls
// _exit. It takes no lock, allocates nothing and never returns into the interrupted code. What the interrupted code may have held in
// shared memory is a lock, and while it holds one the handler only notes itself (BgwHoldInterrupts).
//
// Only the main thread takes signals. A signal to the process may be delivered to any thread that does not block it; such a thread
// sends it on to the main one, with SI_QUEUE since the kernel refuses to forge SI_USER.
#include "signals.h"

#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "own_words.h"
#include "postmaster_death.h"

// Written by the handlers, in the main thread.
static _Atomic uint32_t counts[32];
static BgwDisposition dispositions[32];
static pid_t main_tid;
static bool wake_wait_set;

static _Atomic int holdoff_count;
static _Atomic int die_pending;

// While set, SIGTERM's default action waits for JavaScript, and this timer for JavaScript's patience to end. Its signal is none of the 31 that a worker
// can choose an action for: what a worker does with SIGALRM is its own affair, also after a SIGTERM.
static bool die_deferred;
static timer_t die_timer;
enum { kDieGraceMs = 100 };
static int DieTimerSigno(void) { return SIGRTMAX - 2; }

// Set for good when the process is on its way out.
static bool die_disarmed;

static int quit_fd = -1;
static BgwQuitMessage quit_messages[3];
static const volatile int32_t *quit_reason;

static void (*exit_hook)(void);

void BgwSignalsInit(void) {
  main_tid = (pid_t)syscall(SYS_gettid);
  wake_wait_set = false;
  atomic_store(&bgw_own_words.recorded, 0);
  for (int i = 0; i < 32; i++) atomic_store(&counts[i], 0);
  atomic_store(&holdoff_count, 0);
  atomic_store(&die_pending, 0);
  die_deferred = die_disarmed = false;  // timers do not survive a fork
  quit_fd = -1;
}

void BgwSignalsWakeWaitSet(void) { wake_wait_set = true; }

void BgwSetExitHook(void (*hook)(void)) { exit_hook = hook; }

void BgwExitNow(int status) {
  if (exit_hook != NULL) exit_hook();
  _exit(status);
}

static void RecordAndWake(int signo, pid_t pid) {
  // Record, then wake: SIGURG is blocked for life and stays readable in the wait set's descriptor, so a wait that is about to
  // sleep (between its look at `recorded` and epoll_wait) is woken too.
  atomic_fetch_or(&bgw_own_words.recorded, 1u << (signo - 1));
  if (wake_wait_set) syscall(SYS_tgkill, pid, main_tid, SIGURG);
}

// --- the way out of a terminated worker ------------------------------------------------------------------------------------------

static void DieNow(void) {
  atomic_store(&die_pending, 0);  // the way out holds and resumes interrupts, too
  // As bgworker_die does: the write below may block on a log that nobody reads, and SIGQUIT must still end us then.
  BgwBlockSignals();
  BgwWriteLastWords(kBgwTerminated);
  BgwExitNow(1);
}

void BgwHoldInterrupts(void) { atomic_fetch_add(&holdoff_count, 1); }

void BgwResumeInterrupts(void) {
  // Below zero the handler would take for held what nobody holds, and SIGTERM would never act again. Handlers do not change the count.
  if (atomic_load(&holdoff_count) == 0) return;
  // A handler that runs after the subtraction sees zero and dies by itself; one that ran before it left die_pending for us.
  if (atomic_fetch_sub(&holdoff_count, 1) == 1 && atomic_load(&die_pending) && !die_disarmed) DieNow();
}

int BgwInterruptHoldoffCount(void) { return atomic_load(&holdoff_count); }

void BgwDisarmDie(void) { die_disarmed = true; }

static void StartGrace(pid_t pid) {
  static const struct itimerspec kGrace = {.it_value = {.tv_sec = 0, .tv_nsec = kDieGraceMs * 1000000L}};
  RecordAndWake(SIGTERM, pid);
  timer_settime(die_timer, 0, &kGrace, NULL);
}

// The grace is over: JavaScript computes, or is stuck. A lock holds interrupts, but is released again, and the timer does not come twice: noted, the request
// is acted on then.
static void DieTimerHandler(int signo, siginfo_t *info, void *context) {
  (void)signo, (void)context;
  if (info->si_code != SI_TIMER || info->si_value.sival_ptr != &die_timer || die_disarmed) return;
  if (atomic_load(&holdoff_count) == 0) DieNow();
  atomic_store(&die_pending, 1);
}

int BgwDeferDie(void) {
  if (die_deferred) return 0;
  struct sigaction action;
  memset(&action, 0, sizeof(action));
  sigfillset(&action.sa_mask);
  action.sa_flags = SA_RESTART | SA_SIGINFO;
  action.sa_sigaction = DieTimerHandler;
  if (sigaction(DieTimerSigno(), &action, NULL) < 0) return bgw_errno();
  struct sigevent event;
  memset(&event, 0, sizeof(event));
  // To the main thread alone; the handler can tell our timer's signal from anybody else's.
  event.sigev_notify = SIGEV_THREAD_ID;
  event.sigev_signo = DieTimerSigno();
  event.sigev_value.sival_ptr = &die_timer;
  event._sigev_un._tid = main_tid;
  if (timer_create(CLOCK_MONOTONIC, &event, &die_timer) < 0) return bgw_errno();
  die_deferred = true;
  // One that came while interrupts were held, and before there was anything to wait for, waits for it, too.
  if (atomic_exchange(&die_pending, 0)) StartGrace(getpid());
  return 0;
}

void BgwSetQuitMessages(int fd, const BgwQuitMessage messages[3], const volatile int32_t *reason) {
  memcpy(quit_messages, messages, sizeof(quit_messages));
  quit_reason = reason;
  quit_fd = fd;
}

// --- handlers --------------------------------------------------------------------------------------------------------------------

// PostgreSQL's quickdie: a client is told why it is left alone, and the log what nobody has announced. A message of the protocol's, whole or not at all.
static void SayWhyWeQuit(void) {
  if (quit_fd < 0) return;
  int32_t reason = *quit_reason;
  bool expected = reason == 1 || reason == 2;
  const BgwQuitMessage *message = &quit_messages[expected ? reason : 0];
  (void)!send(quit_fd, message->bytes, message->length, MSG_DONTWAIT | MSG_NOSIGNAL);
  // Why the postmaster sends one stands in the log already. Last, since a log that nobody reads may keep us for ever, as it may PostgreSQL's.
  if (!expected) BgwWriteLastWords(kBgwUnexpectedQuit);
}

// A fault of this process's own, as opposed to a signal that somebody sent. To record it and return would repeat it for ever.
static bool IsFault(int signo, const siginfo_t *info) {
  return (signo == SIGFPE || signo == SIGSEGV || signo == SIGBUS || signo == SIGILL) && info->si_code > 0;
}

// SIGTERM's default action.
static void Die(pid_t pid) {
  if (die_disarmed) return;
  if (die_deferred) {
    StartGrace(pid);
    return;
  }
  if (atomic_load(&holdoff_count) == 0) DieNow();
  atomic_store(&die_pending, 1);
}

static void Handler(int signo, siginfo_t *info, void *context) {
  (void)context;
  if (IsFault(signo, info)) {
    signal(signo, SIG_DFL);  // the instruction is executed again, and ends us as it would have
    return;
  }
  int saved_errno = errno;
  pid_t pid = getpid();
  if ((pid_t)syscall(SYS_gettid) != main_tid) {
    siginfo_t forward;
    memset(&forward, 0, sizeof(forward));
    forward.si_signo = signo;
    forward.si_code = SI_QUEUE;
    forward.si_pid = pid;
    forward.si_uid = getuid();
    syscall(SYS_rt_tgsigqueueinfo, pid, main_tid, signo, &forward);
    errno = saved_errno;
    return;
  }
  atomic_fetch_add(&counts[signo], 1);
  if (signo == SIGPWR) BgwPostmasterMayBeDead();
  switch (dispositions[signo]) {
    case kBgwCrashExit:
      SayWhyWeQuit();
      _exit(2);
    case kBgwDie:
      Die(pid);
      break;
    default:
      RecordAndWake(signo, pid);
      break;
  }
  errno = saved_errno;
}

static struct sigaction ActionOf(int signo, BgwDisposition disposition) {
  struct sigaction action;
  memset(&action, 0, sizeof(action));
  sigfillset(&action.sa_mask);
  // SIGSEGV and its kind must stay deliverable inside a handler, or a fault there would hang instead of killing.
  sigdelset(&action.sa_mask, SIGSEGV);
  sigdelset(&action.sa_mask, SIGBUS);
  sigdelset(&action.sa_mask, SIGILL);
  sigdelset(&action.sa_mask, SIGFPE);
  sigdelset(&action.sa_mask, SIGABRT);
  action.sa_flags = SA_RESTART;
  if (signo == SIGCHLD) action.sa_flags |= SA_NOCLDSTOP;
  if (disposition == kBgwDefault) {
    action.sa_handler = SIG_DFL;
  } else if (disposition == kBgwIgnore) {
    action.sa_handler = SIG_IGN;
  } else {
    action.sa_sigaction = Handler;
    action.sa_flags |= SA_SIGINFO;
  }
  return action;
}

bool BgwChosenAction(int signo, struct sigaction *action) {
  if (signo < 1 || signo > 31 || dispositions[signo] == kBgwDefault) return false;
  // Not for a program about to be executed, by a child that shares our memory (libuv's vfork): it is to begin with the default.
  if ((pid_t)syscall(SYS_gettid) != main_tid) return false;
  *action = ActionOf(signo, dispositions[signo]);
  return true;
}

int BgwSignal(int signo, BgwDisposition disposition) {
  if (signo < 1 || signo > 31) return -EINVAL;
  if (signo == SIGPWR) BgwPostmasterMayBeDead();  // as it may not be heard of any more
  struct sigaction action = ActionOf(signo, disposition);
  // The order of the two stores, ours and the kernel's, is such that Handler never meets a signal that is not its own. The other way round:
  //
  //     O: dispositions[SIGTERM] = default      (was: die)
  //                                             SIGTERM: Handler, still installed, finds "default", and the signal is lost
  //     O: sigaction(SIGTERM, SIG_DFL)
  if (disposition != kBgwDefault && disposition != kBgwIgnore) {
    dispositions[signo] = disposition;
    atomic_signal_fence(memory_order_seq_cst);
  }
  if (sigaction(signo, &action, NULL) < 0) return bgw_errno();
  dispositions[signo] = disposition;
  return 0;
}

uint32_t BgwTakeRecorded(void) { return atomic_exchange(&bgw_own_words.recorded, 0); }
uint32_t BgwPeekRecorded(void) { return atomic_load(&bgw_own_words.recorded); }
uint32_t BgwSignalCount(int signo) { return signo >= 1 && signo <= 31 ? atomic_load(&counts[signo]) : 0; }

// --- masks -----------------------------------------------------------------------------------------------------------------------

void BgwBlockSignals(void) {
  static const int kNeverBlocked[] = {SIGTRAP, SIGABRT, SIGILL, SIGFPE, SIGSEGV, SIGBUS, SIGSYS, SIGCONT, SIGQUIT};
  sigset_t set;
  sigfillset(&set);
  for (size_t i = 0; i < sizeof(kNeverBlocked) / sizeof(kNeverBlocked[0]); i++) sigdelset(&set, kNeverBlocked[i]);
  sigprocmask(SIG_SETMASK, &set, NULL);
  BgwPostmasterMayBeDead();  // its signal would stay pending
}

void BgwUnblockSignals(void) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGURG);
  sigprocmask(SIG_SETMASK, &set, NULL);
}

bool BgwSignalIsHeard(int signo) {
  sigset_t blocked;
  struct sigaction action;
  if (sigprocmask(SIG_SETMASK, NULL, &blocked) < 0 || sigismember(&blocked, signo)) return false;
  return sigaction(signo, NULL, &action) == 0 && (action.sa_flags & SA_SIGINFO) != 0 && action.sa_sigaction == Handler;
}

void BgwBlockAllSignals(void) {
  sigset_t set;
  sigfillset(&set);
  sigprocmask(SIG_SETMASK, &set, NULL);
  BgwPostmasterMayBeDead();
}
