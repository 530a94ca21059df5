// Glue for core/proc.h.
#include <cerrno>

#include "binding/args.h"
extern "C" {
#include "core/proc.h"
#include "core/wait_event.h"
}

namespace bgw {

// Arguments: offset of the flag, offset of the latch. Result: 0, or the pid of the latch's owner that stands in the way.
static Napi::Value ProcAttach(const Napi::CallbackInfo& info) {
  BgwAtomicInt* flag = At<BgwAtomicInt>(Long(info, 0));
  BgwLatch* latch = LatchAt(Long(info, 1));
  if (flag == nullptr || latch == nullptr) return Number(info, -EINVAL);
  pid_t owner = 0;
  return Number(info, BgwProcAttach(flag, latch, &owner) < 0 ? owner : 0);
}
// Argument: offset of the word.
static Napi::Value SetWaitEventStorage(const Napi::CallbackInfo& info) {
  BgwAtomicUint* word = At<BgwAtomicUint>(Long(info, 0));
  if (word == nullptr) return Number(info, -EINVAL);
  BgwSetWaitEventStorage(word);
  return Number(info, 0);
}
static Napi::Value ProcDetach(const Napi::CallbackInfo& info) {
  BgwProcDetach();
  return info.Env().Undefined();
}
static Napi::Value ProcForget(const Napi::CallbackInfo& info) {
  BgwProcForget();
  return info.Env().Undefined();
}

void InitProc(Napi::Object exports) {
  Export<ProcAttach>(exports, "procAttach");
  Export<SetWaitEventStorage>(exports, "setWaitEventStorage");
  Export<ProcDetach>(exports, "procDetach");
  Export<ProcForget>(exports, "procForget");
}

}  // namespace bgw
