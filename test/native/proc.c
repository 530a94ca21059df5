// Joining and leaving shared memory: the dead-man switch. Tests: native/core/proc.c.
#include "core/proc.h"

#include "core/lwlock.h"
#include "core/signals.h"
#include "support.h"

typedef struct Entry {
  BgwAtomicInt flag;
  BgwLatch latch;
  BgwLWLock lock;
  _Atomic int stage;
} Entry;

static Entry *assigned_entry(void) {
  Entry *entry = shared_memory(sizeof(*entry));
  entry->flag = kBgwChildAssigned;
  return entry;
}

static void attach(Entry *entry) {
  pid_t owner = 0;
  CHECK_EQ(BgwProcAttach(&entry->flag, &entry->latch, &owner), 0);
  CHECK_EQ(entry->flag, kBgwChildActive);
  CHECK_EQ(entry->latch.owner_pid, getpid());
}

// What the postmaster finds after the child was reaped.
static void check_left(const Entry *entry, int flag) {
  CHECK_EQ(entry->flag, flag);
  if (flag == kBgwChildAssigned) CHECK_EQ(entry->latch.owner_pid, 0);
}

TEST(detaching_gives_everything_back_and_again_is_harmless) {
  Entry *entry = assigned_entry();
  attach(entry);
  BgwProcDetach();
  check_left(entry, kBgwChildAssigned);
  // By now the postmaster may have given the entry to somebody else.
  entry->flag = kBgwChildActive;
  entry->latch.owner_pid = 4711;
  BgwProcDetach();
  CHECK_EQ(entry->flag, kBgwChildActive);
  CHECK_EQ(entry->latch.owner_pid, 4711);
}

TEST(a_latch_that_somebody_owns_is_not_taken) {
  Entry *entry = assigned_entry();
  entry->latch.owner_pid = 4711;
  pid_t owner = 0;
  CHECK_EQ(BgwProcAttach(&entry->flag, &entry->latch, &owner), -EBUSY);
  CHECK_EQ(owner, 4711);
  BgwProcDetach();
  CHECK_EQ(entry->latch.owner_pid, 4711);
  CHECK_EQ(entry->flag, kBgwChildAssigned);
}

TEST(a_process_without_a_latch_attaches) {
  Entry *entry = assigned_entry();
  pid_t owner = 0;
  CHECK_EQ(BgwProcAttach(&entry->flag, NULL, &owner), 0);
  CHECK_EQ(entry->flag, kBgwChildActive);
  BgwProcDetach();
  CHECK_EQ(entry->flag, kBgwChildAssigned);
}

TEST(what_the_parent_attached_is_forgotten) {
  Entry *entry = assigned_entry();
  attach(entry);
  pid_t child = fork();
  if (child == 0) {
    BgwProcForget();
    BgwProcDetach();
    _exit(0);
  }
  CHECK_EQ(check_wait(child), 0);
  CHECK_EQ(entry->flag, kBgwChildActive);
  CHECK_EQ(entry->latch.owner_pid, getpid());
}

TEST(exit_now_detaches_and_plain_exit_does_not) {
  for (int plain = 0; plain <= 1; plain++) {
    Entry *entry = assigned_entry();
    pid_t child = fork();
    if (child == 0) {
      BgwSetExitHook(BgwProcDetach);
      attach(entry);
      if (plain) _exit(0);
      BgwExitNow(0);
    }
    CHECK_EQ(check_wait(child), 0);
    check_left(entry, plain ? kBgwChildActive : kBgwChildAssigned);
  }
}

// A SIGTERM at any moment of attaching and detaching: the process is gone, and nothing says that it is still there.
TEST(a_term_at_any_moment_leaves_the_entry_clean) {
  Entry *entry = assigned_entry();
  for (int i = 0; i < (kUnderTSan ? 50 : 500); i++) {
    pid_t child = fork();
    if (child == 0) {
      BgwSignalsInit();
      BgwSetExitHook(BgwProcDetach);
      die_message("");
      CHECK_EQ(BgwSignal(SIGTERM, kBgwDie), 0);
      atomic_store(&entry->stage, 1);
      for (;;) {
        pid_t owner = 0;
        CHECK_EQ(BgwProcAttach(&entry->flag, NULL, &owner), 0);
        CHECK_EQ(BgwLWLockAcquire(&entry->lock, kBgwExclusive), 0);
        CHECK_EQ(BgwLWLockRelease(&entry->lock), 0);
        BgwProcDetach();
      }
    }
    CHECK_WITHIN(5, atomic_load(&entry->stage) == 1);
    CHECK_EQ(kill(child, SIGTERM), 0);
    CHECK_EQ(check_wait(child), 1);
    CHECK_EQ(entry->flag, kBgwChildAssigned);
    CHECK_EQ(entry->lock.state, 0);
    atomic_store(&entry->stage, 0);
  }
}
