// Joining and leaving shared memory. PostgreSQL: src/backend/storage/lmgr/proc.c (InitProcess, ProcKill), src/backend/storage/ipc/pmsignal.c
// (MarkPostmasterChildActive, MarkPostmasterChildInactive).
//
// The flag is how the postmaster tells a clean exit from a dirty one, whatever the status: a child that is reaped while ACTIVE did not
// come this way.
#include "proc.h"

#include <stddef.h>

#include "condition_variable.h"
#include "dsm.h"
#include "lwlock.h"
#include "shm_mq.h"
#include "wait_event.h"

static BgwAtomicInt *my_flag;
static BgwLatch *my_latch;

int BgwProcAttach(BgwAtomicInt *flag, BgwLatch *latch, pid_t *owner) {
  // First ours, then ACTIVE: a way out in between puts back ASSIGNED, where the other order would leave ACTIVE behind, a crash.
  my_flag = flag;
  atomic_store(flag, kBgwChildActive);
  if (latch == NULL) return 0;
  int result = BgwOwnLatch(latch, owner);
  if (result == 0) my_latch = latch;
  return result;
}

void BgwProcDetach(void) {
  BgwLWLockReleaseAll();
  BgwConditionVariableCancelAll();  // they may lie in segments, too
  // The other ends of our queues are told before the segments that hold the queues may go. Locks are free, which the segments need.
  BgwShmMqDetachAll();
  BgwDsmDetachAll();
  BgwWaitersDetach();
  BgwReportWait(0);
  BgwSetWaitEventStorage(NULL);
  if (my_latch != NULL) {
    BgwDisownLatch(my_latch);
    my_latch = NULL;
  }
  // Last: after this the postmaster believes that nothing of ours is left behind. Pairs with the load in releaseChildSlot().
  if (my_flag != NULL) {
    atomic_store(my_flag, kBgwChildAssigned);
    my_flag = NULL;
  }
}

void BgwProcForget(void) {
  my_flag = NULL;
  my_latch = NULL;
  BgwSetWaitEventStorage(NULL);
  BgwShmMqForget();
  BgwDsmForget();
  BgwWaitersDetach();
}
