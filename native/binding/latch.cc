// Glue for core/latch.h.
#include <atomic>
#include <cerrno>
#include <deque>
#include <vector>

#include "binding/args.h"
extern "C" {
#include "core/latch_poll.h"
}

namespace bgw {

// Latches in the process's own memory; the first is that of a process without shared memory. They never move: the owner may wait for one.
static std::deque<BgwLatch> local(1);
static std::vector<int64_t> unused;

BgwLatch* LatchAt(int64_t offset) {
  if (offset >= 0) return At<BgwLatch>(offset);
  std::size_t at = static_cast<std::size_t>(-1 - offset);
  return at < local.size() ? &local[at] : nullptr;
}

// Argument: an address: a shared latch, owned by nobody. None: a private one, whose name is the result.
static Napi::Value InitLatch(const Napi::CallbackInfo& info) {
  bool shared = info.Length() > 0;
  int64_t name = -1 - static_cast<int64_t>(local.size());
  if (shared) {
    name = Long(info, 0);
  } else if (unused.empty()) {
    local.emplace_back();
  } else {
    name = unused.back();
    unused.pop_back();
  }
  BgwLatch* latch = LatchAt(name);
  if (latch == nullptr) return Number(info, -EINVAL);
  BgwInitLatch(latch, shared);
  return Number(info, shared ? 0 : static_cast<double>(name));
}
// A private latch that nobody can name any more.
static Napi::Value FreeLatch(const Napi::CallbackInfo& info) {
  unused.push_back(Long(info, 0));
  return info.Env().Undefined();
}

static Napi::Value SetLatch(const Napi::CallbackInfo& info) {
  BgwLatch* latch = LatchAt(Long(info, 0));
  if (latch == nullptr) return Number(info, -EINVAL);
  BgwSetLatch(latch);
  return Number(info, 0);
}
// The owner of a latch that JavaScript has set itself, and that announced its sleep.
static Napi::Value WakeLatchOwner(const Napi::CallbackInfo& info) {
  BgwLatch* latch = LatchAt(Long(info, 0));
  if (latch != nullptr) BgwWakeLatchOwner(latch);
  return info.Env().Undefined();
}
// A brief look for a latch that is not set yet, where such looks have paid of late. Result: was there one, and it is set now?
static Napi::Value PollLatch(const Napi::CallbackInfo& info) {
  BgwLatch* latch = LatchAt(Long(info, 0));
  return Napi::Boolean::New(info.Env(), latch != nullptr && BgwPollLatch(latch));
}
// Result: 1 when it was set, else 0; -EPERM: somebody else's.
static Napi::Value ResetLatch(const Napi::CallbackInfo& info) {
  BgwLatch* latch = LatchAt(Long(info, 0));
  if (latch == nullptr) return Number(info, -EINVAL);
  if (!BgwOwnsLatch(latch)) return Number(info, -EPERM);
  return Number(info, BgwResetLatch(latch) ? 1 : 0);
}
// Result: 0, or the pid of the owner that stands in the way.
static Napi::Value OwnLatch(const Napi::CallbackInfo& info) {
  BgwLatch* latch = LatchAt(Long(info, 0));
  if (latch == nullptr) return Number(info, -EINVAL);
  pid_t owner = 0;
  return Number(info, BgwOwnLatch(latch, &owner) < 0 ? owner : 0);
}
// Result: 0; -EPERM: somebody else's.
static Napi::Value DisownLatch(const Napi::CallbackInfo& info) {
  BgwLatch* latch = LatchAt(Long(info, 0));
  if (latch == nullptr) return Number(info, -EINVAL);
  if (!BgwOwnsLatch(latch)) return Number(info, -EPERM);
  BgwDisownLatch(latch);
  return Number(info, 0);
}
static Napi::Value OwnsLatch(const Napi::CallbackInfo& info) {
  BgwLatch* latch = LatchAt(Long(info, 0));
  return Napi::Boolean::New(info.Env(), latch != nullptr && BgwOwnsLatch(latch));
}
// Result: the word, 0 or 1; -EPERM: somebody else's.
static Napi::Value LatchIsSet(const Napi::CallbackInfo& info) {
  BgwLatch* latch = LatchAt(Long(info, 0));
  if (latch == nullptr) return Number(info, -EINVAL);
  if (!BgwOwnsLatch(latch)) return Number(info, -EPERM);
  return Number(info, __atomic_load_n(reinterpret_cast<int32_t*>(&latch->is_set), __ATOMIC_SEQ_CST) != 0);
}

void InitLatches(Napi::Object exports) {
  Export<InitLatch>(exports, "initLatch");
  Export<FreeLatch>(exports, "freeLatch");
  Export<SetLatch>(exports, "setLatch");
  Export<WakeLatchOwner>(exports, "wakeLatchOwner");
  Export<PollLatch>(exports, "pollLatch");
  Export<ResetLatch>(exports, "resetLatch");
  Export<OwnLatch>(exports, "ownLatch");
  Export<DisownLatch>(exports, "disownLatch");
  Export<OwnsLatch>(exports, "ownsLatch");
  Export<LatchIsSet>(exports, "latchIsSet");
}

}  // namespace bgw
