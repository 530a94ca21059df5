// Condition variables and barriers, in shared memory. PostgreSQL: src/include/storage/condition_variable.h, barrier.h, REL_15_STABLE.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "atomic_word.h"
#include "result.h"
#include "waiters.h"

// Zeroed memory is one that nobody waits for. `mutex`: its lowest bit is the lock of the list.
typedef struct BgwConditionVariable {
  BgwAtomicUint mutex;
  uint32_t reserved;
  BgwWaitList wakeup;
} BgwConditionVariable;

// Enters the list: from here on no wake-up is missed. The result is the waiter's number; -EMFILE where the process waits for too many things.
BGW_MUST_CHECK int BgwConditionVariablePrepare(BgwConditionVariable *cv);
// Was it woken? Then it stands in the list again, at the end, before its process looks at the condition: 1, else 0.
BGW_MUST_CHECK int BgwConditionVariableWoken(uint32_t number);
// Leaves the list. True where it had been woken: then somebody else is, in its place (as up to release 16).
bool BgwConditionVariableCancel(uint32_t number);
// Leaves all lists, on the way out.
void BgwConditionVariableCancelAll(void);
// Wakes who has waited longest. False where nobody waits.
bool BgwConditionVariableSignal(BgwConditionVariable *cv);
// Wakes all who wait now.
void BgwConditionVariableBroadcast(BgwConditionVariable *cv);

// All fields under the lowest bit of `mutex`.
typedef struct BgwBarrier {
  BgwAtomicUint mutex;
  int32_t phase;
  int32_t participants;
  int32_t arrived;
  int32_t elected;
  int32_t static_party;
  BgwConditionVariable cv;
} BgwBarrier;

void BgwBarrierInit(BgwBarrier *barrier, int32_t participants);
// What an operation found. `done`: nobody is waited for. `elected`: this process is the one of the phase. -EPERM in `error`: not for a static barrier.
typedef struct BgwBarrierResult {
  int error;
  int32_t phase;
  bool done;
  bool elected;
} BgwBarrierResult;
// Not done: wait for cv, and look with BgwBarrierLook whether the phase after `phase` has come.
BgwBarrierResult BgwBarrierArrive(BgwBarrier *barrier);
BgwBarrierResult BgwBarrierLook(BgwBarrier *barrier, int32_t phase);
// `phase` is the one that it begins with.
BgwBarrierResult BgwBarrierAttach(BgwBarrier *barrier);
// `elected`: it was the last. With `arrive`, it arrives as it goes: the phase may end by it.
BgwBarrierResult BgwBarrierDetach(BgwBarrier *barrier, bool arrive);
// `elected`: it is the only one left, and stays attached; else it has arrived and is detached.
BgwBarrierResult BgwBarrierDetachExceptLast(BgwBarrier *barrier);
int32_t BgwBarrierParticipants(BgwBarrier *barrier);
int32_t BgwBarrierPhase(BgwBarrier *barrier);
