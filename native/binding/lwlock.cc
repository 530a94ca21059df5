// Glue for core/lwlock.h and core/waiters.h. Locks are named by their address; -EFAULT: there is no shared memory at it.
#include <cerrno>

#include "binding/args.h"
extern "C" {
#include "core/lwlock.h"
#include "core/spin.h"
}

namespace bgw {

// Arguments: offset of the blocks, how many. Postmaster, once.
static Napi::Value WaitersInit(const Napi::CallbackInfo& info) {
  BgwWaitersInit(At<BgwWaitBlock>(Long(info, 0)), static_cast<uint32_t>(Long(info, 1)));
  return info.Env().Undefined();
}
static Napi::Value WaitersAttach(const Napi::CallbackInfo& info) {
  return Number(info, BgwWaitersAttach(static_cast<uint32_t>(Long(info, 0))));
}

template <int (*Function)(BgwLWLock*, uint32_t)>
static Napi::Value WithMode(const Napi::CallbackInfo& info) {
  BgwLWLock* lock = At<BgwLWLock>(Long(info, 0));
  return Number(info, lock == nullptr ? -EFAULT : Function(lock, static_cast<uint32_t>(Int(info, 1))));
}

// The word that a lock's holder changes: its address.
static BgwAtomicUlong* Var(const Napi::CallbackInfo& info) { return At<BgwAtomicUlong>(Long(info, 1)); }
static uint64_t Value(const Napi::CallbackInfo& info) {
  bool lossless;
  return info[2].As<Napi::BigInt>().Uint64Value(&lossless);
}
// Arguments: lock, word, its old value. Result: { result, value }, as core/lwlock.h has them.
template <BgwVarResult (*Function)(BgwLWLock*, BgwAtomicUlong*, uint64_t)>
static Napi::Value WaitForVar(const Napi::CallbackInfo& info) {
  BgwLWLock* lock = At<BgwLWLock>(Long(info, 0));
  BgwAtomicUlong* var = Var(info);
  BgwVarResult done = {-EFAULT, 0};
  if (lock != nullptr && var != nullptr) done = Function(lock, var, Value(info));
  Napi::Object object = Napi::Object::New(info.Env());
  object.Set("result", Number(info, done.result));
  object.Set("value", Napi::BigInt::New(info.Env(), done.value));
  return object;
}
// Arguments: lock, word, its new value.
static Napi::Value LWLockUpdateVar(const Napi::CallbackInfo& info) {
  BgwLWLock* lock = At<BgwLWLock>(Long(info, 0));
  BgwAtomicUlong* var = Var(info);
  if (lock == nullptr || var == nullptr) return Number(info, -EFAULT);
  if (!BgwLWLockHeldByMeInMode(lock, kBgwExclusive)) return Number(info, -EPERM);
  BgwLWLockUpdateVar(lock, var, Value(info));
  return Number(info, 0);
}

static Napi::Value LWLockCancel(const Napi::CallbackInfo& info) {
  BgwLWLockCancel(static_cast<uint32_t>(Int(info, 0)));
  return info.Env().Undefined();
}
static Napi::Value LWLockContinue(const Napi::CallbackInfo& info) {
  return Number(info, BgwLWLockContinue(static_cast<uint32_t>(Int(info, 0))));
}
// Result: how many locks are held now.
static Napi::Value LWLockRelease(const Napi::CallbackInfo& info) {
  BgwLWLock* lock = At<BgwLWLock>(Long(info, 0));
  int result = lock == nullptr ? -EFAULT : BgwLWLockRelease(lock);
  return Number(info, result < 0 ? result : BgwLWLockHeldCount());
}
// Arguments: lock, mode (below 0: any). Result: 1 or 0.
static Napi::Value LWLockHeldByMe(const Napi::CallbackInfo& info) {
  BgwLWLock* lock = At<BgwLWLock>(Long(info, 0));
  int mode = Int(info, 1);
  if (lock == nullptr) return Number(info, -EFAULT);
  return Number(info, mode < 0 ? BgwLWLockHeldByMe(lock) : BgwLWLockHeldByMeInMode(lock, static_cast<uint32_t>(mode)));
}
static Napi::Value LWLockHeldCount(const Napi::CallbackInfo& info) { return Number(info, BgwLWLockHeldCount()); }
static Napi::Value LWLockReleaseAll(const Napi::CallbackInfo& info) {
  BgwLWLockReleaseAll();
  return info.Env().Undefined();
}
// Arguments: lock, tranche.
static Napi::Value LWLockInitialize(const Napi::CallbackInfo& info) {
  BgwLWLock* lock = At<BgwLWLock>(Long(info, 0));
  if (lock == nullptr) return Number(info, -EFAULT);
  *lock = {static_cast<uint16_t>(Int(info, 1)), 0, 0, {0, 0}};
  return Number(info, 0);
}
static Napi::Value LWLockTranche(const Napi::CallbackInfo& info) {
  BgwLWLock* lock = At<BgwLWLock>(Long(info, 0));
  return Number(info, lock == nullptr ? -EFAULT : lock->tranche);
}

// Argument and result: how often was waited.
static Napi::Value SpinDelay(const Napi::CallbackInfo& info) {
  int waits = Int(info, 0);
  BgwSpinDelay(&waits);
  return Number(info, waits);
}

void InitLWLock(Napi::Object exports) {
  Export<WaitersInit>(exports, "waitersInit");
  Export<WaitersAttach>(exports, "waitersAttach");
  Export<WithMode<BgwLWLockAcquire>>(exports, "lwLockAcquire");
  Export<WithMode<BgwLWLockConditionalAcquire>>(exports, "lwLockConditionalAcquire");
  Export<WithMode<BgwLWLockBegin>>(exports, "lwLockBegin");
  Export<WithMode<BgwLWLockBeginOrWait>>(exports, "lwLockBeginOrWait");
  Export<WithMode<BgwLWLockAcquireOrWait>>(exports, "lwLockAcquireOrWait");
  Export<WaitForVar<BgwLWLockWaitForVar>>(exports, "lwLockWaitForVar");
  Export<WaitForVar<BgwLWLockBeginWaitForVar>>(exports, "lwLockBeginWaitForVar");
  Export<LWLockUpdateVar>(exports, "lwLockUpdateVar");
  Export<LWLockCancel>(exports, "lwLockCancel");
  Export<LWLockContinue>(exports, "lwLockContinue");
  Export<LWLockRelease>(exports, "lwLockRelease");
  Export<LWLockHeldByMe>(exports, "lwLockHeldByMe");
  Export<LWLockHeldCount>(exports, "lwLockHeldCount");
  Export<LWLockReleaseAll>(exports, "lwLockReleaseAll");
  Export<LWLockInitialize>(exports, "lwLockInitialize");
  Export<LWLockTranche>(exports, "lwLockTranche");
  Export<SpinDelay>(exports, "spinDelay");
}

}  // namespace bgw
