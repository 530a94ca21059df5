// Glue for core/signals.h.
#include "binding/args.h"
extern "C" {
#include "core/signals.h"
}

namespace bgw {

static Napi::Value SignalsInit(const Napi::CallbackInfo& info) {
  BgwSignalsInit();
  return info.Env().Undefined();
}
static Napi::Value Signal(const Napi::CallbackInfo& info) {
  return Number(info, BgwSignal(Int(info, 0), static_cast<BgwDisposition>(Int(info, 1))));
}
static Napi::Value BlockSignals(const Napi::CallbackInfo& info) {
  BgwBlockSignals();
  return info.Env().Undefined();
}
static Napi::Value UnblockSignals(const Napi::CallbackInfo& info) {
  BgwUnblockSignals();
  return info.Env().Undefined();
}
static Napi::Value BlockAllSignals(const Napi::CallbackInfo& info) {
  BgwBlockAllSignals();
  return info.Env().Undefined();
}
static Napi::Value TakeRecorded(const Napi::CallbackInfo& info) { return Number(info, BgwTakeRecorded()); }
static Napi::Value SignalCount(const Napi::CallbackInfo& info) { return Number(info, BgwSignalCount(Int(info, 0))); }
static Napi::Value SetDieMessage(const Napi::CallbackInfo& info) {
  BgwSetDieMessage(Text(info, 0).c_str(), info[1].As<Napi::Boolean>(), Text(info, 2).c_str());
  return info.Env().Undefined();
}
static Napi::Value HoldInterrupts(const Napi::CallbackInfo& info) {
  BgwHoldInterrupts();
  return info.Env().Undefined();
}
static Napi::Value ResumeInterrupts(const Napi::CallbackInfo& info) {
  BgwResumeInterrupts();
  return info.Env().Undefined();
}

void InitSignals(Napi::Object exports) {
  Export<SignalsInit>(exports, "signalsInit");
  Export<Signal>(exports, "signal");
  Export<BlockSignals>(exports, "blockSignals");
  Export<UnblockSignals>(exports, "unblockSignals");
  Export<BlockAllSignals>(exports, "blockAllSignals");
  Export<TakeRecorded>(exports, "takeRecorded");
  Export<SignalCount>(exports, "signalCount");
  Export<SetDieMessage>(exports, "setDieMessage");
  Export<HoldInterrupts>(exports, "holdInterrupts");
  Export<ResumeInterrupts>(exports, "resumeInterrupts");
}

}  // namespace bgw
