// What lwlock.c needs of a lock's word and queue. For nobody else. PostgreSQL: src/backend/storage/lmgr/lwlock.c, REL_15_STABLE.
#pragma once

#include "lwlock.h"

// Who tries: a newcomer; one that has just queued itself; one that was woken.
typedef enum BgwTurn { kBgwFirstTry, kBgwQueuedTry, kBgwWokenTry } BgwTurn;

bool BgwLockTry(BgwLWLock *lock, uint32_t mode, BgwTurn turn);
bool BgwLockIsHeldExclusively(const BgwLWLock *lock);
// Gives back what was held in that mode, and wakes who is to come next.
void BgwLockUnlock(BgwLWLock *lock, uint32_t mode);

// Interrupts are held in all of these. Into the queue; out of it before a wake-up came, or whether one came or not.
void BgwLockEnqueue(BgwLWLock *lock, uint32_t number, uint32_t mode, bool at_head);
void BgwLockDequeue(BgwLWLock *lock, uint32_t number, bool acquired);
// It was woken and comes for the lock: the next release may wake again.
void BgwLockTakeWakeup(BgwLWLock *lock, uint32_t number);
// Writes the word, and wakes who waits until the lock is free.
void BgwLockUpdateVar(BgwLWLock *lock, BgwAtomicUlong *var, uint64_t value);
