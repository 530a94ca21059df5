// PostgreSQL: src/backend/storage/lmgr/condition_variable.c, src/backend/storage/ipc/barrier.c, REL_15_STABLE.
//
// A sleeper enters the list first and looks at its condition after that; who changes the condition looks at the list after that. One of the two sees the
// other. To wake is to take off the list and to set the latch of the sleeper's block (waiters.h). DIFFERS FROM POSTGRES: not the process's own latch, which
// the sleeper would have to reset, and with it what was meant for others (contract L-23).
#include "condition_variable.h"

#include <stddef.h>

#include "signals.h"
#include "spin.h"

enum { kMutex = 1, kWakeBatch = 64 };

// Where this process stands. Changed while interrupts are held, read on the way out.
static BgwConditionVariable *standing[kBgwWaitersPerProc];

_Static_assert(sizeof(BgwConditionVariable) == 16 && sizeof(BgwBarrier) == 40,
               "src/shmem/layout.ts counts these bytes");

static void Lock(BgwAtomicUint *mutex) {
  BgwHoldInterrupts();
  BgwSpinBit(mutex, kMutex);
}
static void Unlock(BgwAtomicUint *mutex) {
  atomic_fetch_and(mutex, ~(uint32_t)kMutex);
  BgwResumeInterrupts();
}

int BgwConditionVariablePrepare(BgwConditionVariable *cv) {
  int number = BgwWaiterTake();
  if (number < 0) return number;
  Lock(&cv->mutex);
  atomic_store(&BgwWaiterAt((uint32_t)number)->state, kBgwQueued);
  BgwWaitListPush(&cv->wakeup, (uint32_t)number, false);
  standing[(number - 1) % kBgwWaitersPerProc] = cv;
  Unlock(&cv->mutex);
  return number;
}

int BgwConditionVariableWoken(uint32_t number) {
  BgwWaiter *waiter = BgwWaiterAt(number);
  BgwConditionVariable *cv = standing[(number - 1) % kBgwWaitersPerProc];
  if (cv == NULL || waiter == NULL || atomic_load(&waiter->state) != kBgwWoken) return 0;
  Lock(&cv->mutex);
  atomic_store(&waiter->state, kBgwQueued);
  BgwWaitListPush(&cv->wakeup, number, false);
  Unlock(&cv->mutex);
  return 1;
}

bool BgwConditionVariableCancel(uint32_t number) {
  BgwWaiter *waiter = BgwWaiterAt(number);
  BgwConditionVariable *cv = standing[(number - 1) % kBgwWaitersPerProc];
  if (cv == NULL || waiter == NULL) return false;
  Lock(&cv->mutex);
  bool woken = atomic_load(&waiter->state) == kBgwWoken;
  if (!woken) BgwWaitListRemove(&cv->wakeup, number);
  atomic_store(&waiter->state, kBgwIdle);
  standing[(number - 1) % kBgwWaitersPerProc] = NULL;
  BgwWaiterGive(number);
  Unlock(&cv->mutex);
  // The signal may have been meant for whoever would act on it: it must not end with us.
  if (woken) BgwConditionVariableSignal(cv);
  return woken;
}

void BgwConditionVariableCancelAll(void) {
  uint32_t zero = BgwWaiterZero();
  if (zero == 0) return;
  for (uint32_t place = 1; place < kBgwWaitersPerProc; place++) {
    if (standing[place] != NULL) BgwConditionVariableCancel(zero + place);
  }
}

// The first of the list; 0 where it is empty. Under its lock.
static uint32_t Pop(BgwConditionVariable *cv) {
  uint32_t number = cv->wakeup.head;
  BgwWaiter *waiter = BgwWaiterAt(number);
  if (waiter == NULL) return 0;
  BgwWaitListRemove(&cv->wakeup, number);
  atomic_store(&waiter->state, kBgwWoken);
  return number;
}

bool BgwConditionVariableSignal(BgwConditionVariable *cv) {
  Lock(&cv->mutex);
  uint32_t number = Pop(cv);
  Unlock(&cv->mutex);
  if (number != 0) BgwWaiterWake(number);
  return number != 0;
}

static uint32_t Length(const BgwConditionVariable *cv) {
  uint32_t length = 0;
  for (const BgwWaiter *at = BgwWaiterAt(cv->wakeup.head); at != NULL; at = BgwWaiterAt(at->next)) length++;
  return length;
}

// Woken sleepers stand at the end of the list again at once: to go on until it is empty would never end. As many as there were at first are enough, since
// who stood before stands in front.
void BgwConditionVariableBroadcast(BgwConditionVariable *cv) {
  Lock(&cv->mutex);
  uint32_t left = Length(cv);
  while (left > 0) {
    uint32_t wake[kWakeBatch];
    int count = 0;
    for (uint32_t number; count < kWakeBatch && left > 0; left--) {
      if ((number = Pop(cv)) == 0) {
        left = 0;
        break;
      }
      wake[count++] = number;
    }
    Unlock(&cv->mutex);
    for (int i = 0; i < count; i++) BgwWaiterWake(wake[i]);
    if (left == 0) return;
    Lock(&cv->mutex);
  }
  Unlock(&cv->mutex);
}

// --- barriers --------------------------------------------------------------------------------------------------------------------

void BgwBarrierInit(BgwBarrier *barrier, int32_t participants) {
  *barrier = (BgwBarrier){.participants = participants, .static_party = participants > 0};
}

// Everybody has arrived, and somebody waits: the next phase begins.
static bool Advance(BgwBarrier *barrier) {
  barrier->arrived = 0;
  barrier->phase = (int32_t)((uint32_t)barrier->phase + 1);
  return true;
}

static int32_t After(int32_t phase) { return (int32_t)((uint32_t)phase + 1); }

BgwBarrierResult BgwBarrierArrive(BgwBarrier *barrier) {
  Lock(&barrier->mutex);
  BgwBarrierResult result = {.phase = barrier->phase};
  barrier->arrived++;
  if (barrier->arrived == barrier->participants) {
    result.done = Advance(barrier);
    result.elected = true;
    barrier->elected = barrier->phase;
  }
  Unlock(&barrier->mutex);
  if (result.done) BgwConditionVariableBroadcast(&barrier->cv);
  return result;
}

BgwBarrierResult BgwBarrierLook(BgwBarrier *barrier, int32_t phase) {
  Lock(&barrier->mutex);
  // It cannot have gone on further than to the next one: we have not arrived there.
  BgwBarrierResult result = {.phase = phase, .done = barrier->phase == After(phase)};
  if (result.done && barrier->elected != barrier->phase) {
    // Whoever detached ended the phase and elected nobody: the first of us to come by is it.
    barrier->elected = barrier->phase;
    result.elected = true;
  }
  Unlock(&barrier->mutex);
  return result;
}

BgwBarrierResult BgwBarrierAttach(BgwBarrier *barrier) {
  Lock(&barrier->mutex);
  BgwBarrierResult result = {.error = barrier->static_party ? -EPERM : 0, .phase = barrier->phase, .done = true};
  if (result.error == 0) barrier->participants++;
  Unlock(&barrier->mutex);
  return result;
}

BgwBarrierResult BgwBarrierDetach(BgwBarrier *barrier, bool arrive) {
  Lock(&barrier->mutex);
  BgwBarrierResult result = {.phase = barrier->phase, .done = true};
  if (barrier->static_party || barrier->participants < 1) result.error = -EPERM;
  bool release = false;
  if (result.error == 0) {
    barrier->participants--;
    // It completes the phase where all the others have arrived; arriving ends it for nobody, too.
    release = (arrive || barrier->participants > 0) && barrier->arrived == barrier->participants && Advance(barrier);
    result.elected = barrier->participants == 0;
  }
  Unlock(&barrier->mutex);
  if (release) BgwConditionVariableBroadcast(&barrier->cv);
  return result;
}

BgwBarrierResult BgwBarrierDetachExceptLast(BgwBarrier *barrier) {
  Lock(&barrier->mutex);
  BgwBarrierResult result = {.phase = barrier->phase, .done = true, .error = barrier->static_party ? -EPERM : 0};
  bool release = false;
  if (result.error == 0 && barrier->participants > 1) {
    barrier->participants--;
    release = barrier->arrived == barrier->participants && Advance(barrier);
  } else if (result.error == 0) {
    barrier->phase = After(barrier->phase);
    result.elected = true;
  }
  Unlock(&barrier->mutex);
  if (release) BgwConditionVariableBroadcast(&barrier->cv);
  return result;
}

int32_t BgwBarrierParticipants(BgwBarrier *barrier) {
  Lock(&barrier->mutex);
  int32_t participants = barrier->participants;
  Unlock(&barrier->mutex);
  return participants;
}

int32_t BgwBarrierPhase(BgwBarrier *barrier) {
  Lock(&barrier->mutex);
  int32_t phase = barrier->phase;
  Unlock(&barrier->mutex);
  return phase;
}
