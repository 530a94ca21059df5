// Glue for core/rlimits.h, and the limit of V8's heap, which is V8's own business.
//
// A heap is configured when its isolate is made, long before the fork: flags come too late. But V8 lowers a heap's limit when a callback for its nearness is
// taken away (v8::Isolate::RemoveNearHeapLimitCallback): meant to restore a limit that the callback has raised. Both functions are public API of V8's.
#include <cstddef>

#include "binding/args.h"
#include "binding/node_symbols.h"
extern "C" {
#include "core/last_words.h"
#include "core/rlimits.h"
}

namespace bgw {

// Arguments: resource, soft, hard; -1: none.
static Napi::Value SetLimit(const Napi::CallbackInfo& info) {
  return Number(info, BgwSetLimit(Int(info, 0), BgwLimit{Long(info, 1), Long(info, 2)}));
}

// Result: [soft, hard], or -errno.
static Napi::Value GetLimit(const Napi::CallbackInfo& info) {
  BgwLimit limit;
  int result = BgwGetLimit(Int(info, 0), &limit);
  if (result < 0) return Number(info, result);
  Napi::Array pair = Napi::Array::New(info.Env(), 2);
  pair.Set(0u, Number(info, static_cast<double>(limit.soft)));
  pair.Set(1u, Number(info, static_cast<double>(limit.hard)));
  return pair;
}

using Callback = size_t (*)(void* data, size_t current, size_t initial);

// V8 collects no more that is worth it. It dies of that next, mostly; the reason is told while somebody can.
static size_t NearLimit(void*, size_t current, size_t) {
  static bool told = false;
  if (!told) BgwWriteLastWords(kBgwOutOfHeap);
  told = true;
  return current;
}

// Argument: bytes. Result: 0, or -ENOSYS where this Node does not export the functions.
static Napi::Value SetHeapLimit(const Napi::CallbackInfo& info) {
  auto isolate = Symbol<void* (*)()>("_ZN2v87Isolate10GetCurrentEv");
  auto add = Symbol<void (*)(void*, Callback, void*)>("_ZN2v87Isolate24AddNearHeapLimitCallbackEPFmPvmmES1_");
  auto remove = Symbol<void (*)(void*, Callback, size_t)>("_ZN2v87Isolate27RemoveNearHeapLimitCallbackEPFmPvmmEm");
  if (isolate == nullptr || add == nullptr || remove == nullptr) return Number(info, -ENOSYS);
  add(isolate(), NearLimit, nullptr);
  remove(isolate(), NearLimit, static_cast<size_t>(Long(info, 0)));
  add(isolate(), NearLimit, nullptr);
  return Number(info, 0);
}

void InitRlimits(Napi::Object exports) {
  Export<SetLimit>(exports, "setLimit");
  Export<GetLimit>(exports, "getLimit");
  Export<SetHeapLimit>(exports, "setHeapLimit");
}

}  // namespace bgw
