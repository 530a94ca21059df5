// Glue for core/fork.h and core/imports.h. The hook is what makes fork and uv_loop_fork one native call.
#include <unistd.h>
#include <uv.h>

#include "binding/args.h"
extern "C" {
#include "core/fork.h"
#include "core/imports.h"
}

namespace bgw {

// How long the repair took, for measurements: it is over before a child's JavaScript could look at a clock.
static uint64_t repair_ns;

// A child whose loop could not be repaired (no descriptors left) shares the postmaster's epoll set and would take its events: it goes at once.
static void RepairLoop(void* loop) {
  uint64_t begin = uv_hrtime();
  if (uv_loop_fork(static_cast<uv_loop_t*>(loop)) != 0) _exit(1);
  repair_ns = uv_hrtime() - begin;
}

static Napi::Value Fork(const Napi::CallbackInfo& info) {
  uv_loop_s* loop = nullptr;
  napi_get_uv_event_loop(info.Env(), &loop);
  return Number(info, BgwFork(RepairLoop, loop));
}

static Napi::Value UndoDontFork(const Napi::CallbackInfo& info) { return Number(info, BgwUndoDontFork()); }
static Napi::Value OtherThreadsRest(const Napi::CallbackInfo& info) { return Number(info, BgwOtherThreadsRest()); }

static Napi::Value PatchImports(const Napi::CallbackInfo& info) { return Number(info, BgwPatchImports()); }

// Requests of the event loop that have no answer yet: in the thread pool (files, names, crypto, zlib, addons' own), or with the kernel.
static Napi::Value ActiveRequests(const Napi::CallbackInfo& info) {
  uv_loop_s* loop = nullptr;
  napi_get_uv_event_loop(info.Env(), &loop);
  return Number(info, loop->active_reqs.count);
}

static Napi::Value LoopRepairTime(const Napi::CallbackInfo& info) {
  return Number(info, static_cast<double>(repair_ns));
}

void InitFork(Napi::Object exports) {
  Export<Fork>(exports, "fork");
  Export<UndoDontFork>(exports, "undoDontFork");
  Export<OtherThreadsRest>(exports, "otherThreadsRest");
  Export<PatchImports>(exports, "patchImports");
  Export<ActiveRequests>(exports, "activeRequests");
  Export<LoopRepairTime>(exports, "loopRepairTime");
}

}  // namespace bgw
