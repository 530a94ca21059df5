// Glue for core/lwlock.h.
#include <cerrno>

#include "binding/args.h"
extern "C" {
#include "core/lwlock.h"
}

namespace bgw {

static Napi::Value LWLockAcquire(const Napi::CallbackInfo& info) {
  BgwLWLock* lock = At<BgwLWLock>(Long(info, 0));
  return Number(info, lock == nullptr ? -EINVAL : BgwLWLockAcquire(lock));
}
static Napi::Value LWLockRelease(const Napi::CallbackInfo& info) {
  BgwLWLock* lock = At<BgwLWLock>(Long(info, 0));
  return Number(info, lock == nullptr ? -EINVAL : BgwLWLockRelease(lock));
}

void InitLWLock(Napi::Object exports) {
  Export<LWLockAcquire>(exports, "lwLockAcquire");
  Export<LWLockRelease>(exports, "lwLockRelease");
}

}  // namespace bgw
