// Glue for core/fork.h and core/imports.h. The hook is what makes fork and uv_loop_fork one native call.
#include <unistd.h>
#include <uv.h>

#include "binding/args.h"
extern "C" {
#include "core/fork.h"
#include "core/imports.h"
#include "core/postmaster_death.h"
}

namespace bgw {

// How long the repair took, for measurements: it is over before a child's JavaScript could look at a clock.
static uint64_t repair_ns;

struct Birth {
  uv_loop_s* loop;
  pid_t parent;
  int parent_death_signo;
};

// The child's first lines. The request for the parent-death signal comes before everything else: from here on a child goes with its postmaster, whatever
// becomes of it. A child whose loop could not be repaired (no descriptors left) shares the postmaster's epoll set and would take its events: it goes at once.
static void BeBorn(void* arg) {
  const Birth* birth = static_cast<const Birth*>(arg);
  if (BgwDeathPipeChild(birth->parent, birth->parent_death_signo) != 0) _exit(1);
  uint64_t begin = uv_hrtime();
  if (uv_loop_fork(birth->loop) != 0) _exit(1);
  repair_ns = uv_hrtime() - begin;
}

// Argument: the signal that the kernel sends the child when we die, 0 for none.
static Napi::Value Fork(const Napi::CallbackInfo& info) {
  Birth birth{nullptr, getpid(), Int(info, 0)};
  napi_get_uv_event_loop(info.Env(), &birth.loop);
  return Number(info, BgwFork(BeBorn, &birth));
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
