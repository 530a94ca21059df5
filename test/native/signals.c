// Masks, records, the way out of a terminated worker. Tests: native/core/signals.c.
#include "core/signals.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/syscall.h>

#include "support.h"

// --- masks ----------------------------------------------------------------------------------------------------------------------

// C-22. The number is what /proc/PID/status of a worker of PostgreSQL 15 shows at entry of its main function: everything but QUIT, ILL, TRAP,
// ABRT, BUS, FPE, KILL, SEGV, CONT, STOP, SYS, and the C library's own 32 and 33.
TEST(block_signals_blocks_what_postgres_blocks) {
  BgwBlockSignals();
  CHECK_EQ(own_status("SigBlk"), 0xfffffffe3ff9fa03ULL);
  BgwBlockSignals();
  CHECK_EQ(own_status("SigBlk"), 0xfffffffe3ff9fa03ULL);
}

TEST(unblock_signals_leaves_only_sigurg_blocked) {
  BgwBlockAllSignals();
  CHECK_EQ(own_status("SigBlk"), 0xfffffffe7ffbfeffULL);
  BgwUnblockSignals();
  CHECK_EQ(own_status("SigBlk"), bit_of(SIGURG));
}

TEST(masks_do_not_nest) {
  BgwBlockSignals();
  BgwBlockSignals();
  BgwUnblockSignals();
  CHECK_EQ(own_status("SigBlk"), bit_of(SIGURG));
}

TEST(an_installed_handler_leaves_the_mask_as_it_was) {
  BgwSignalsInit();
  BgwBlockSignals();
  CHECK_EQ(BgwSignal(SIGUSR1, kBgwRecord), 0);
  die_message("ab");
  CHECK_EQ(own_status("SigBlk"), 0xfffffffe3ff9fa03ULL);
  CHECK_EQ(own_status("SigCgt") & bit_of(SIGUSR1), bit_of(SIGUSR1));
}

TEST(what_was_chosen_is_known_to_the_main_thread_alone) {
  struct sigaction action;
  BgwSignalsInit();
  CHECK(!BgwChosenAction(SIGUSR1, &action));
  CHECK_EQ(BgwSignal(SIGUSR1, kBgwIgnore), 0);
  CHECK(BgwChosenAction(SIGUSR1, &action));
  CHECK(action.sa_handler == SIG_IGN);
  CHECK_EQ(BgwSignal(SIGUSR1, kBgwRecord), 0);
  CHECK(BgwChosenAction(SIGUSR1, &action));
  CHECK_EQ(action.sa_flags & SA_SIGINFO, SA_SIGINFO);
  // A child that was forked by others is not whom BgwSignalsInit knows: nothing is to be put back in it.
  pid_t child = fork();
  if (child == 0) _exit(BgwChosenAction(SIGUSR1, &action) ? 1 : 0);
  CHECK_EQ(check_wait(child), 0);
  CHECK_EQ(BgwSignal(SIGUSR1, kBgwDefault), 0);
  CHECK(!BgwChosenAction(SIGUSR1, &action));
}

// --- records --------------------------------------------------------------------------------------------------------------------

TEST(a_signal_is_recorded_until_it_is_taken) {
  BgwSignalsInit();
  BgwUnblockSignals();
  CHECK_EQ(BgwSignal(SIGUSR1, kBgwRecord), 0);
  CHECK_EQ(BgwSignal(SIGHUP, kBgwRecord), 0);
  CHECK_EQ(BgwTakeRecorded(), 0);
  for (int i = 0; i < 3; i++) CHECK_EQ(kill(getpid(), SIGUSR1), 0);
  CHECK_EQ(kill(getpid(), SIGHUP), 0);
  CHECK_EQ(BgwPeekRecorded(), bit_of(SIGUSR1) | bit_of(SIGHUP));
  CHECK_EQ(BgwTakeRecorded(), bit_of(SIGUSR1) | bit_of(SIGHUP));
  CHECK_EQ(BgwTakeRecorded(), 0);
  CHECK_EQ(BgwSignalCount(SIGUSR1), 3);
  CHECK_EQ(BgwSignalCount(SIGHUP), 1);
  CHECK_EQ(BgwSignalCount(0), 0);
  CHECK_EQ(BgwSignalCount(32), 0);
  BgwSignalsInit();
  CHECK_EQ(BgwSignalCount(SIGUSR1), 0);
}

TEST(a_blocked_signal_is_recorded_when_unblock_returns) {
  BgwSignalsInit();
  CHECK_EQ(BgwSignal(SIGUSR1, kBgwRecord), 0);
  BgwBlockSignals();
  for (int i = 0; i < 5; i++) CHECK_EQ(kill(getpid(), SIGUSR1), 0);
  CHECK_EQ(own_status("ShdPnd"), bit_of(SIGUSR1));
  CHECK_EQ(BgwTakeRecorded(), 0);
  BgwUnblockSignals();
  CHECK_EQ(BgwTakeRecorded(), bit_of(SIGUSR1));
  CHECK_EQ(BgwSignalCount(SIGUSR1), 1);  // the kernel merged them
}

TEST(what_cannot_be_handled_is_refused) {
  CHECK_EQ(BgwSignal(SIGKILL, kBgwRecord), -EINVAL);
  CHECK_EQ(BgwSignal(SIGSTOP, kBgwIgnore), -EINVAL);
  CHECK_EQ(BgwSignal(0, kBgwRecord), -EINVAL);
  CHECK_EQ(BgwSignal(32, kBgwRecord), -EINVAL);
}

TEST(ignore_and_default_are_the_kernels) {
  BgwSignalsInit();
  CHECK_EQ(BgwSignal(SIGUSR1, kBgwIgnore), 0);
  CHECK_EQ(own_status("SigIgn") & bit_of(SIGUSR1), bit_of(SIGUSR1));
  CHECK_EQ(BgwSignal(SIGUSR1, kBgwDefault), 0);
  CHECK_EQ((own_status("SigIgn") | own_status("SigCgt")) & bit_of(SIGUSR1), 0);
}

TEST(a_handler_keeps_errno) {
  BgwSignalsInit();
  CHECK_EQ(BgwSignal(SIGUSR1, kBgwRecord), 0);
  errno = 77;
  CHECK_EQ(raise(SIGUSR1), 0);
  CHECK_EQ(errno, 77);
}

// --- the main thread alone --------------------------------------------------------------------------------------------------------

static _Atomic int second_stage;

static void *takes_signals(void *arg) {
  sigset_t none;
  sigemptyset(&none);
  pthread_sigmask(SIG_SETMASK, &none, NULL);
  *(_Atomic pid_t *)arg = (pid_t)syscall(SYS_gettid);
  atomic_store(&second_stage, 1);
  while (atomic_load(&second_stage) != 2) nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
  return NULL;
}

TEST(a_signal_that_another_thread_took_waits_for_the_main_thread) {
  static _Atomic pid_t tid;
  BgwSignalsInit();
  CHECK_EQ(BgwSignal(SIGUSR1, kBgwRecord), 0);
  pthread_t thread;
  CHECK_EQ(pthread_create(&thread, NULL, takes_signals, &tid), 0);
  CHECK_WITHIN(5, atomic_load(&second_stage) == 1);
  BgwBlockSignals();
  // To the process: only the second thread can take it. It sends it on, and it stays pending for the main thread.
  CHECK_EQ(kill(getpid(), SIGUSR1), 0);
  CHECK_WITHIN(5, own_status("SigPnd") == bit_of(SIGUSR1));
  CHECK_EQ(own_status("ShdPnd"), 0);
  CHECK_EQ(BgwTakeRecorded(), 0);
  CHECK_EQ(BgwSignalCount(SIGUSR1), 0);
  BgwUnblockSignals();
  CHECK_EQ(BgwTakeRecorded(), bit_of(SIGUSR1));
  CHECK_EQ(BgwSignalCount(SIGUSR1), 1);
  atomic_store(&second_stage, 2);
  CHECK_EQ(pthread_join(thread, NULL), 0);
}

// --- ways out ---------------------------------------------------------------------------------------------------------------------

static _Atomic int *hooked;
static void note_hook(void) { atomic_fetch_add(hooked, 1); }

// Runs `body` in a child whose stderr is read; result: its status. Everything that it said is in said[].
static char said[8192];

static int run_child(void (*body)(void)) {
  int fds[2];
  adopt_orphans();
  CHECK_EQ(pipe(fds), 0);
  hooked = shared_memory(sizeof(*hooked));
  pid_t child = fork();
  if (child == 0) {
    // Some bodies loop until a signal ends them: they end with the test, too.
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    dup2(fds[1], 2);
    close(fds[0]);
    close(fds[1]);
    BgwSignalsInit();
    BgwSetExitHook(note_hook);
    BgwUnblockSignals();
    body();
    _exit(99);
  }
  close(fds[1]);
  size_t length = 0;
  for (ssize_t n; (n = read(fds[0], said + length, sizeof(said) - 1 - length)) > 0;) length += (size_t)n;
  said[length] = '\0';
  close(fds[0]);
  int status = check_wait(child);
  while (waitpid(-1, NULL, 0) > 0) continue;  // what it forked
  return status;
}

static void die_with_a_line(void) {
  static const char kText[] =
      "before  [1] FATAL:  terminating background worker \"x\" due to administrator command\nagain , \n";
  int again = (int)(strstr(kText, "again ") - kText) + 6;
  const BgwLogTime times[] = {{7, kBgwTimeMilliseconds}, {again, kBgwTimeSeconds}, {again + 2, kBgwTimeEpoch}};
  BgwSetLastWords(kBgwTerminated, kText, strlen(kText), times, 3);
  CHECK_EQ(BgwSignal(SIGTERM, kBgwDie), 0);
  kill(getpid(), SIGTERM);
}

TEST(die_writes_its_line_runs_the_hook_and_exits_1) {
  setenv("TZ", "UTC", 1);
  time_t first = time(NULL);
  CHECK_EQ(run_child(die_with_a_line), 1);
  time_t last = time(NULL);
  CHECK_EQ(atomic_load(hooked), 1);
  // The handler works the date out by itself: compare it with the C library's.
  bool matches = false;
  for (time_t at = first; at <= last && !matches; at++) {
    char day[64], expected[512];
    struct tm parts;
    gmtime_r(&at, &parts);
    strftime(day, sizeof(day), "%Y-%m-%d %H:%M:%S", &parts);
    int ms = atoi(said + strlen("before 2026-11-22 16:43:38."));
    snprintf(expected, sizeof(expected),
             "before %s.%03d UTC [1] FATAL:  terminating background worker \"x\" due to administrator command\nagain "
             "%s UTC, %lld.%03d\n",
             day, ms, day, (long long)at, ms);
    matches = strcmp(said, expected) == 0;
  }
  CHECK(matches);
}

static void die_in_a_loop(void) {
  die_message("gone\n");
  CHECK_EQ(BgwSignal(SIGTERM, kBgwDie), 0);
  CHECK_EQ(BgwSignal(SIGALRM, kBgwDie), 0);
  alarm(1);
  for (volatile unsigned i = 0;; i++) continue;
}

TEST(die_ends_a_worker_that_computes) {
  if (kUnderTSan) return;  // which delivers signals at calls only
  CHECK_EQ(run_child(die_in_a_loop), 1);
  CHECK(strcmp(said, "gone\n") == 0);
}

static void die_with_long_messages(void) {
  static char text[9000];
  memset(text, 'a', sizeof(text) - 1);
  const BgwLogTime times[] = {{4000, kBgwTimeSeconds}, {5000, kBgwTimeSeconds}};
  BgwSetLastWords(kBgwTerminated, text, sizeof(text) - 1, times, 2);
  CHECK_EQ(BgwSignal(SIGTERM, kBgwDie), 0);
  kill(getpid(), SIGTERM);
}

TEST(long_die_messages_are_cut) {
  CHECK_EQ(run_child(die_with_long_messages), 1);
  CHECK_EQ(strlen(said), 4096 + strlen("2026-11-22 16:43:38 UTC"));
}

static void die_with_stderr_closed(void) {
  close(2);
  die_with_a_line();
}

TEST(die_does_without_stderr) { CHECK_EQ(run_child(die_with_stderr_closed), 1); }

static void crash(void) {
  CHECK_EQ(BgwSignal(SIGQUIT, kBgwCrashExit), 0);
  BgwBlockSignals();
  BgwHoldInterrupts();
  kill(getpid(), SIGQUIT);
}

TEST(crash_exit_is_2_without_the_hook_even_where_signals_are_blocked_and_held) {
  CHECK_EQ(run_child(crash), 2);
  CHECK_EQ(atomic_load(hooked), 0);
  CHECK_EQ(strlen(said), 0);
}

static void leave(void) { BgwExitNow(5); }

TEST(exit_now_runs_the_hook) {
  CHECK_EQ(run_child(leave), 5);
  CHECK_EQ(atomic_load(hooked), 1);
}

// --- holding ----------------------------------------------------------------------------------------------------------------------

static void hold_twice(void) {
  die_message("late\n");
  CHECK_EQ(BgwSignal(SIGTERM, kBgwDie), 0);
  BgwHoldInterrupts();
  BgwHoldInterrupts();
  kill(getpid(), SIGTERM);
  CHECK_EQ(BgwSignalCount(SIGTERM), 1);
  BgwResumeInterrupts();
  atomic_fetch_add(hooked, 10);  // still here
  BgwResumeInterrupts();
}

TEST(die_waits_until_the_last_hold_is_released) {
  CHECK_EQ(run_child(hold_twice), 1);
  CHECK_EQ(atomic_load(hooked), 11);
  CHECK(strcmp(said, "late\n") == 0);
}

static void resume_too_often(void) {
  die_message("");
  CHECK_EQ(BgwSignal(SIGTERM, kBgwDie), 0);
  BgwHoldInterrupts();
  for (int i = 0; i < 3; i++) BgwResumeInterrupts();
  kill(getpid(), SIGTERM);
}

TEST(resuming_what_is_not_held_does_not_make_a_worker_immortal) { CHECK_EQ(run_child(resume_too_often), 1); }

static void held_and_resumed_under_fire(void) {
  die_message("");
  CHECK_EQ(BgwSignal(SIGTERM, kBgwDie), 0);
  int *inside = shared_memory(sizeof(*inside));
  pid_t target = getpid();
  pid_t shooter = fork();
  if (shooter == 0) {
    kill(target, SIGTERM);
    _exit(0);
  }
  for (;;) {
    BgwHoldInterrupts();
    (*inside)++;
    (*inside)--;
    BgwResumeInterrupts();
  }
}

// The race between the last subtraction and the look at what is pending: whichever comes first, the worker goes.
TEST(a_term_at_any_moment_of_hold_and_resume_ends_the_worker) {
  for (int i = 0; i < (kUnderTSan ? 50 : 500); i++) CHECK_EQ(run_child(held_and_resumed_under_fire), 1);
}

static void hold_through_the_grace(void) {
  die_message("late\n");
  CHECK_EQ(BgwDeferDie(), 0);
  CHECK_EQ(BgwSignal(SIGTERM, kBgwDie), 0);
  BgwHoldInterrupts();
  kill(getpid(), SIGTERM);
  // Until the grace of a tenth of a second is surely over. What ends it leaves no trace that could be waited for.
  struct timespec grace = {.tv_nsec = 300 * 1000000};
  while (nanosleep(&grace, &grace) < 0) continue;
  atomic_fetch_add(hooked, 10);  // still here
  BgwResumeInterrupts();
}

TEST(a_grace_that_ends_while_interrupts_are_held_is_not_forgotten) {
  CHECK_EQ(run_child(hold_through_the_grace), 1);
  CHECK_EQ(atomic_load(hooked), 11);
  CHECK(strcmp(said, "late\n") == 0);
}

static void change_sigalrm_during_the_grace(void) {
  die_message("late\n");
  CHECK_EQ(BgwDeferDie(), 0);
  CHECK_EQ(BgwSignal(SIGALRM, kBgwRecord), 0);
  CHECK_EQ(BgwSignal(SIGTERM, kBgwDie), 0);
  kill(getpid(), SIGTERM);
  CHECK_EQ(BgwSignal(SIGALRM, kBgwIgnore), 0);
  CHECK_EQ(BgwSignal(SIGALRM, kBgwDefault), 0);
  for (;;) pause();
}

TEST(a_grace_ends_whatever_is_done_to_sigalrm_meanwhile) {
  CHECK_EQ(run_child(change_sigalrm_during_the_grace), 1);
  CHECK(strcmp(said, "late\n") == 0);
}

static void hold_then_defer(void) {
  die_message("late\n");
  CHECK_EQ(BgwSignal(SIGTERM, kBgwDie), 0);
  BgwHoldInterrupts();
  kill(getpid(), SIGTERM);
  CHECK_EQ(BgwTakeRecorded(), 0);
  CHECK_EQ(BgwDeferDie(), 0);
  CHECK_EQ(BgwTakeRecorded(), bit_of(SIGTERM));
  BgwResumeInterrupts();
  atomic_fetch_add(hooked, 10);  // still here: the grace has just begun
  for (;;) pause();
}

TEST(a_term_that_was_held_before_there_was_something_to_wait_for_waits_for_it) {
  CHECK_EQ(run_child(hold_then_defer), 1);
  CHECK_EQ(atomic_load(hooked), 11);
}

static void leave_disarmed(void) {
  die_message("no\n");
  CHECK_EQ(BgwDeferDie(), 0);
  CHECK_EQ(BgwSignal(SIGTERM, kBgwDie), 0);
  kill(getpid(), SIGTERM);
  BgwDisarmDie();
  kill(getpid(), SIGTERM);
  struct timespec grace = {.tv_nsec = 300 * 1000000};
  while (nanosleep(&grace, &grace) < 0) continue;
  BgwHoldInterrupts();
  BgwResumeInterrupts();
  BgwExitNow(5);
}

TEST(who_is_leaving_is_not_cut_short) {
  CHECK_EQ(run_child(leave_disarmed), 5);
  CHECK(strcmp(said, "") == 0);
}

// --- changing one's mind ------------------------------------------------------------------------------------------------------------

static void change_under_fire(void) {
  pid_t target = getpid();
  CHECK_EQ(BgwSignal(SIGTERM, kBgwDie), 0);
  pid_t shooter = fork();
  if (shooter == 0) {
    kill(target, SIGTERM);
    _exit(0);
  }
  // Either rule ends it; what must not be is that the signal is lost between them.
  for (;;) {
    CHECK_EQ(BgwSignal(SIGTERM, kBgwDefault), 0);
    CHECK_EQ(BgwSignal(SIGTERM, kBgwDie), 0);
  }
}

TEST(a_signal_while_the_disposition_changes_is_not_lost) {
  if (kUnderTSan) return;  // which keeps a signal back, and forgets it where the disposition is SIG_DFL by then
  for (int i = 0; i < 500; i++) {
    int status = run_child(change_under_fire);
    if (status != 128 + SIGTERM) CHECK_EQ(status, 1);
  }
}
