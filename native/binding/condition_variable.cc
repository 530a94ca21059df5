// Glue for core/condition_variable.h. Both are named by their address; -EFAULT: there is no shared memory at it.
#include <cerrno>

#include "binding/args.h"
extern "C" {
#include "core/condition_variable.h"
}

namespace bgw {

static Napi::Value CvInit(const Napi::CallbackInfo& info) {
  BgwConditionVariable* cv = At<BgwConditionVariable>(Long(info, 0));
  if (cv == nullptr) return Number(info, -EFAULT);
  *cv = {0, 0, {0, 0}};
  return Number(info, 0);
}
static Napi::Value CvPrepare(const Napi::CallbackInfo& info) {
  BgwConditionVariable* cv = At<BgwConditionVariable>(Long(info, 0));
  return Number(info, cv == nullptr ? -EFAULT : BgwConditionVariablePrepare(cv));
}
static Napi::Value CvWoken(const Napi::CallbackInfo& info) {
  return Number(info, BgwConditionVariableWoken(static_cast<uint32_t>(Int(info, 0))));
}
static Napi::Value CvCancel(const Napi::CallbackInfo& info) {
  return Number(info, BgwConditionVariableCancel(static_cast<uint32_t>(Int(info, 0))));
}
static Napi::Value CvSignal(const Napi::CallbackInfo& info) {
  BgwConditionVariable* cv = At<BgwConditionVariable>(Long(info, 0));
  return Number(info, cv == nullptr ? -EFAULT : BgwConditionVariableSignal(cv));
}
static Napi::Value CvBroadcast(const Napi::CallbackInfo& info) {
  BgwConditionVariable* cv = At<BgwConditionVariable>(Long(info, 0));
  if (cv == nullptr) return Number(info, -EFAULT);
  BgwConditionVariableBroadcast(cv);
  return Number(info, 0);
}

// { error, phase, done, elected }
static Napi::Value Result(const Napi::CallbackInfo& info, const BgwBarrierResult& result) {
  Napi::Object object = Napi::Object::New(info.Env());
  object.Set("error", Number(info, result.error));
  object.Set("phase", Number(info, result.phase));
  object.Set("done", Napi::Boolean::New(info.Env(), result.done));
  object.Set("elected", Napi::Boolean::New(info.Env(), result.elected));
  return object;
}
static BgwBarrier* BarrierAt(const Napi::CallbackInfo& info) { return At<BgwBarrier>(Long(info, 0)); }
static const BgwBarrierResult kNoBarrier = {-EFAULT, 0, false, false};

static Napi::Value BarrierInit(const Napi::CallbackInfo& info) {
  BgwBarrier* barrier = BarrierAt(info);
  if (barrier == nullptr) return Number(info, -EFAULT);
  BgwBarrierInit(barrier, Int(info, 1));
  return Number(info, 0);
}
static Napi::Value BarrierArrive(const Napi::CallbackInfo& info) {
  BgwBarrier* barrier = BarrierAt(info);
  return Result(info, barrier == nullptr ? kNoBarrier : BgwBarrierArrive(barrier));
}
static Napi::Value BarrierLook(const Napi::CallbackInfo& info) {
  BgwBarrier* barrier = BarrierAt(info);
  return Result(info, barrier == nullptr ? kNoBarrier : BgwBarrierLook(barrier, Int(info, 1)));
}
static Napi::Value BarrierAttach(const Napi::CallbackInfo& info) {
  BgwBarrier* barrier = BarrierAt(info);
  return Result(info, barrier == nullptr ? kNoBarrier : BgwBarrierAttach(barrier));
}
static Napi::Value BarrierDetach(const Napi::CallbackInfo& info) {
  BgwBarrier* barrier = BarrierAt(info);
  return Result(info, barrier == nullptr ? kNoBarrier : BgwBarrierDetach(barrier, info[1].As<Napi::Boolean>()));
}
static Napi::Value BarrierDetachExceptLast(const Napi::CallbackInfo& info) {
  BgwBarrier* barrier = BarrierAt(info);
  return Result(info, barrier == nullptr ? kNoBarrier : BgwBarrierDetachExceptLast(barrier));
}
static Napi::Value BarrierParticipants(const Napi::CallbackInfo& info) {
  BgwBarrier* barrier = BarrierAt(info);
  return Number(info, barrier == nullptr ? -EFAULT : BgwBarrierParticipants(barrier));
}

// { error, phase }
static Napi::Value BarrierPhase(const Napi::CallbackInfo& info) {
  BgwBarrier* barrier = BarrierAt(info);
  return Result(info, barrier == nullptr ? kNoBarrier : BgwBarrierResult{0, BgwBarrierPhase(barrier), false, false});
}

void InitConditionVariable(Napi::Object exports) {
  Export<CvInit>(exports, "conditionVariableInit");
  Export<CvPrepare>(exports, "conditionVariablePrepare");
  Export<CvWoken>(exports, "conditionVariableWoken");
  Export<CvCancel>(exports, "conditionVariableCancel");
  Export<CvSignal>(exports, "conditionVariableSignal");
  Export<CvBroadcast>(exports, "conditionVariableBroadcast");
  Export<BarrierInit>(exports, "barrierInit");
  Export<BarrierArrive>(exports, "barrierArrive");
  Export<BarrierLook>(exports, "barrierLook");
  Export<BarrierAttach>(exports, "barrierAttach");
  Export<BarrierDetach>(exports, "barrierDetach");
  Export<BarrierDetachExceptLast>(exports, "barrierDetachExceptLast");
  Export<BarrierPhase>(exports, "barrierPhase");
  Export<BarrierParticipants>(exports, "barrierParticipants");
}

}  // namespace bgw
