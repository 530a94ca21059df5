// Glue for core/latch.h.
#include <atomic>
#include <cerrno>

#include "binding/args.h"

namespace bgw {

// The latch of a process without shared memory.
static BgwLatch local_latch;

BgwLatch* LatchAt(int64_t offset) { return offset == -1 ? &local_latch : At<BgwLatch>(offset); }

static Napi::Value SetLatch(const Napi::CallbackInfo& info) {
  BgwLatch* latch = LatchAt(Long(info, 0));
  if (latch == nullptr) return Number(info, -EINVAL);
  BgwSetLatch(latch);
  return Number(info, 0);
}
// Result: 1 when it was set, else 0.
static Napi::Value ResetLatch(const Napi::CallbackInfo& info) {
  BgwLatch* latch = LatchAt(Long(info, 0));
  if (latch == nullptr) return Number(info, -EINVAL);
  return Number(info, BgwResetLatch(latch) ? 1 : 0);
}
// Result: 0, or the pid of the owner that stands in the way.
static Napi::Value OwnLatch(const Napi::CallbackInfo& info) {
  BgwLatch* latch = LatchAt(Long(info, 0));
  if (latch == nullptr) return Number(info, -EINVAL);
  pid_t owner = 0;
  return Number(info, BgwOwnLatch(latch, &owner) < 0 ? owner : 0);
}
static Napi::Value DisownLatch(const Napi::CallbackInfo& info) {
  BgwLatch* latch = LatchAt(Long(info, 0));
  if (latch == nullptr) return Number(info, -EINVAL);
  BgwDisownLatch(latch);
  return Number(info, 0);
}
// Result: 1 when the latch is set after all, else 0.
static Napi::Value LatchPrepareSleep(const Napi::CallbackInfo& info) {
  BgwLatch* latch = LatchAt(Long(info, 0));
  if (latch == nullptr) return Number(info, -EINVAL);
  return Number(info, BgwLatchPrepareSleep(latch) ? 1 : 0);
}
static Napi::Value LatchWake(const Napi::CallbackInfo& info) {
  BgwLatch* latch = LatchAt(Long(info, 0));
  if (latch == nullptr) return Number(info, -EINVAL);
  BgwLatchWake(latch);
  return Number(info, 0);
}
// Result: the word, 0 or 1.
static Napi::Value LatchIsSet(const Napi::CallbackInfo& info) {
  BgwLatch* latch = LatchAt(Long(info, 0));
  if (latch == nullptr) return Number(info, -EINVAL);
  return Number(info, __atomic_load_n(reinterpret_cast<int32_t*>(&latch->is_set), __ATOMIC_SEQ_CST));
}

void InitLatch(Napi::Object exports) {
  Export<SetLatch>(exports, "setLatch");
  Export<ResetLatch>(exports, "resetLatch");
  Export<OwnLatch>(exports, "ownLatch");
  Export<DisownLatch>(exports, "disownLatch");
  Export<LatchPrepareSleep>(exports, "latchPrepareSleep");
  Export<LatchWake>(exports, "latchWake");
  Export<LatchIsSet>(exports, "latchIsSet");
}

}  // namespace bgw
