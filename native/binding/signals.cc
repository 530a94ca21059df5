// Glue for core/signals.h.
#include <cerrno>
#include <string>
#include <vector>

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
// Arguments: why, the text as bytes, and where times go in it: offset, form, offset, form, …
static Napi::Value SetLastWords(const Napi::CallbackInfo& info) {
  Napi::Uint8Array text = info[1].As<Napi::Uint8Array>();
  Napi::Int32Array flat = info[2].As<Napi::Int32Array>();
  std::vector<BgwLogTime> times(flat.ElementLength() / 2);
  for (size_t i = 0; i < times.size(); i++) times[i] = {flat[2 * i], flat[2 * i + 1]};
  BgwSetLastWords(static_cast<BgwLastWords>(Int(info, 0)), reinterpret_cast<const char*>(text.Data()),
                  text.ByteLength(), times.data(), times.size());
  return info.Env().Undefined();
}
static Napi::Value DeferDie(const Napi::CallbackInfo& info) { return Number(info, BgwDeferDie()); }

// Arguments: descriptor, an array of three byte arrays, offset of the reason in shared memory.
static Napi::Value SetQuitMessages(const Napi::CallbackInfo& info) {
  static std::string kept[3];
  BgwQuitMessage messages[3];
  Napi::Array array = info[1].As<Napi::Array>();
  for (uint32_t i = 0; i < 3; i++) {
    Napi::Uint8Array bytes = array.Get(i).As<Napi::Uint8Array>();
    kept[i].assign(reinterpret_cast<const char*>(bytes.Data()), bytes.ByteLength());
    messages[i] = {kept[i].data(), kept[i].size()};
  }
  int32_t* reason = At<int32_t>(Long(info, 2));
  if (reason == nullptr) return Number(info, -EINVAL);
  BgwSetQuitMessages(Int(info, 0), messages, reason);
  return Number(info, 0);
}

static Napi::Value HoldInterrupts(const Napi::CallbackInfo& info) {
  BgwHoldInterrupts();
  return info.Env().Undefined();
}
static Napi::Value ResumeInterrupts(const Napi::CallbackInfo& info) {
  BgwResumeInterrupts();
  return info.Env().Undefined();
}

static Napi::Value InterruptHoldoffCount(const Napi::CallbackInfo& info) {
  return Number(info, BgwInterruptHoldoffCount());
}
static Napi::Value DisarmDie(const Napi::CallbackInfo& info) {
  BgwDisarmDie();
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
  Export<SetLastWords>(exports, "setLastWords");
  Export<DeferDie>(exports, "deferDie");
  Export<SetQuitMessages>(exports, "setQuitMessages");
  Export<HoldInterrupts>(exports, "holdInterrupts");
  Export<ResumeInterrupts>(exports, "resumeInterrupts");
  Export<InterruptHoldoffCount>(exports, "interruptHoldoffCount");
  Export<DisarmDie>(exports, "disarmDie");
}

}  // namespace bgw
