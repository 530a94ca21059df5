// Glue for core/wait_event_set.h: sets have numbers, and a poll handle where the event loop is to watch their sockets.
#include <uv.h>

#include <cerrno>
#include <vector>

#include "binding/args.h"
#include "binding/loop.h"
extern "C" {
#include "core/signals.h"
#include "core/wait_event_set.h"
}

namespace bgw {

// In a result: signals were recorded that JavaScript must act on.
static const int kRecorded = 1 << 30;

struct Set {
  BgwWaitEventSet* core;
  uv_poll_t* poll;  // made when the first asynchronous wait asks for it
  bool waited_for;  // by asynchronous waits
};
static std::vector<Set> sets;

static Set* SetAt(int64_t id) {
  if (id < 0 || static_cast<std::size_t>(id) >= sets.size()) return nullptr;
  Set* set = &sets[static_cast<std::size_t>(id)];
  return set->core == nullptr ? nullptr : set;
}

static int WithRecorded(int result) { return result >= 0 && BgwPeekRecorded() != 0 ? result | kRecorded : result; }

static BgwWaitEvent* Events(const Napi::CallbackInfo& info, std::size_t at, int* max) {
  Napi::Int32Array words = info[at].As<Napi::Int32Array>();
  *max = static_cast<int>(words.ElementLength() / 2);
  return reinterpret_cast<BgwWaitEvent*>(words.Data());
}

// Arguments: latch, events, timeout in milliseconds. Result: events, or -errno; -EPERM: somebody else's latch.
static Napi::Value WaitLatch(const Napi::CallbackInfo& info) {
  int events = Int(info, 1);
  BgwLatch* latch = nullptr;
  if ((events & kBgwLatchSet) != 0) {
    latch = LatchAt(Long(info, 0));
    if (latch == nullptr) return Number(info, -EINVAL);
    if (!BgwOwnsLatch(latch)) return Number(info, -EPERM);
  }
  LoopLookAgain();
  return Number(info, WithRecorded(BgwWaitLatch(latch, events, Long(info, 2))));
}

// Argument: how many members it has room for. Result: its number, or -errno.
static Napi::Value WaitEventSetCreate(const Napi::CallbackInfo& info) {
  int error = 0;
  BgwWaitEventSet* core = BgwWaitEventSetCreate(Int(info, 0), &error);
  if (core == nullptr) return Number(info, error);
  std::size_t id = 0;
  while (id < sets.size() && sets[id].core != nullptr) id++;
  if (id == sets.size()) sets.emplace_back();
  sets[id] = {core, nullptr, false};
  return Number(info, static_cast<double>(id));
}

// Polling goes on when a wait ends: the next one needs no call of the kernel's then. Level-triggered, it stops where there is news and nobody waits.
static void OnSetReadable(uv_poll_t* poll, int, int) {
  if (sets[reinterpret_cast<std::size_t>(poll->data)].waited_for) {
    LoopHasNews();
  } else {
    uv_poll_stop(poll);
  }
}

static void StopPolling(Set* set) {
  if (set->poll == nullptr) return;
  uv_close(reinterpret_cast<uv_handle_t*>(set->poll),
           [](uv_handle_t* handle) { delete reinterpret_cast<uv_poll_t*>(handle); });
  set->poll = nullptr;
}

static Napi::Value WaitEventSetFree(const Napi::CallbackInfo& info) {
  Set* set = SetAt(Long(info, 0));
  if (set == nullptr) return Number(info, -EINVAL);
  StopPolling(set);
  BgwWaitEventSetFree(set->core);
  set->core = nullptr;
  return Number(info, 0);
}

// Arguments: set, events, descriptor, latch (a name that no latch has: none). Result: the position, or -errno.
static Napi::Value WaitEventSetAdd(const Napi::CallbackInfo& info) {
  Set* set = SetAt(Long(info, 0));
  if (set == nullptr) return Number(info, -EINVAL);
  return Number(info, BgwWaitEventSetAdd(set->core, Int(info, 1), Int(info, 2), LatchAt(Long(info, 3))));
}

// Arguments: set, position, events, latch. Result: 0 or -errno.
static Napi::Value WaitEventSetModify(const Napi::CallbackInfo& info) {
  Set* set = SetAt(Long(info, 0));
  if (set == nullptr) return Number(info, -EINVAL);
  return Number(info, BgwWaitEventSetModify(set->core, Int(info, 1), Int(info, 2), LatchAt(Long(info, 3))));
}

// Arguments: set, timeout in milliseconds, pairs of words that take what occurred. Result: how many; -EINTR: signals first; -errno.
static Napi::Value WaitEventSetWait(const Napi::CallbackInfo& info) {
  Set* set = SetAt(Long(info, 0));
  if (set == nullptr) return Number(info, -EINVAL);
  int max = 0;
  BgwWaitEvent* occurred = Events(info, 2, &max);
  LoopLookAgain();
  return Number(info, WithRecorded(BgwWaitEventSetWait(set->core, Long(info, 1), occurred, max)));
}

// Arguments: set, pairs of words. Result: how many, -errno.
static Napi::Value WaitEventSetPoll(const Napi::CallbackInfo& info) {
  Set* set = SetAt(Long(info, 0));
  if (set == nullptr) return Number(info, -EINVAL);
  int max = 0;
  BgwWaitEvent* occurred = Events(info, 1, &max);
  return Number(info, BgwWaitEventSetPoll(set->core, occurred, max));
}

// Arguments: set; is the event loop to watch it? Result: 0 or -errno.
static Napi::Value WaitEventSetWatch(const Napi::CallbackInfo& info) {
  Set* set = SetAt(Long(info, 0));
  if (set == nullptr) return Number(info, -EINVAL);
  set->waited_for = info[1].As<Napi::Boolean>();
  if (!set->waited_for) return Number(info, 0);
  if (set->poll == nullptr) {
    uv_loop_s* uv = nullptr;
    napi_get_uv_event_loop(info.Env(), &uv);
    uv_poll_t* poll = new uv_poll_t;
    int result = uv_poll_init(uv, poll, BgwWaitEventSetFd(set->core));
    if (result < 0) {
      delete poll;
      return Number(info, result);
    }
    uv_unref(reinterpret_cast<uv_handle_t*>(poll));
    poll->data = reinterpret_cast<void*>(static_cast<std::size_t>(set - sets.data()));
    set->poll = poll;
  }
  if (uv_is_active(reinterpret_cast<uv_handle_t*>(set->poll))) return Number(info, 0);
  return Number(info, uv_poll_start(set->poll, UV_READABLE, OnSetReadable));
}

void InitWaitEventSets(Napi::Object exports) {
  Export<WaitLatch>(exports, "waitLatch");
  Export<WaitEventSetCreate>(exports, "waitEventSetCreate");
  Export<WaitEventSetFree>(exports, "waitEventSetFree");
  Export<WaitEventSetAdd>(exports, "waitEventSetAdd");
  Export<WaitEventSetModify>(exports, "waitEventSetModify");
  Export<WaitEventSetWait>(exports, "waitEventSetWait");
  Export<WaitEventSetPoll>(exports, "waitEventSetPoll");
  Export<WaitEventSetWatch>(exports, "waitEventSetWatch");
}

}  // namespace bgw
