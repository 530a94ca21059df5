// Glue for core/fork.h. The hook is what makes fork and uv_loop_fork one native call.
#include <uv.h>

#include "binding/args.h"
extern "C" {
#include "core/fork.h"
}

namespace bgw {

static void RepairLoop(void* loop) { uv_loop_fork(static_cast<uv_loop_t*>(loop)); }

static Napi::Value Fork(const Napi::CallbackInfo& info) {
  uv_loop_s* loop = nullptr;
  napi_get_uv_event_loop(info.Env(), &loop);
  return Number(info, BgwFork(RepairLoop, loop));
}

static Napi::Value UndoDontFork(const Napi::CallbackInfo& info) { return Number(info, BgwUndoDontFork()); }
static Napi::Value OtherThreadsRest(const Napi::CallbackInfo& info) { return Number(info, BgwOtherThreadsRest()); }

void InitFork(Napi::Object exports) {
  Export<Fork>(exports, "fork");
  Export<UndoDontFork>(exports, "undoDontFork");
  Export<OtherThreadsRest>(exports, "otherThreadsRest");
}

}  // namespace bgw
