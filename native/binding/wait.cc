// Glue for core/wait.h. Asynchronous waits: the event loop polls the wait set's own descriptor, so both kinds of wait share one set.
#include <uv.h>

#include <cerrno>
#include <memory>

#include "binding/args.h"
extern "C" {
#include "core/wait.h"
}

namespace bgw {

// The loop's interest in the wait set. One a process, made after the fork.
struct Watcher {
  uv_poll_t poll;
  Napi::Env env;
  Napi::FunctionReference callback;
  std::unique_ptr<Napi::AsyncContext> context;
};
static Watcher* watcher = nullptr;

static void OnReadable(uv_poll_t* poll, int, int) {
  Watcher* self = static_cast<Watcher*>(poll->data);
  Napi::HandleScope scope(self->env);
  int result = BgwWaitSetDrain();
  self->callback.MakeCallback(self->env.Global(), {Napi::Number::New(self->env, result)}, *self->context);
  if (self->env.IsExceptionPending()) {
    // An exit callback or a signal handler of the user's threw: the same as in any other callback of the loop.
    napi_fatal_exception(self->env, self->env.GetAndClearPendingException().Value());
  }
}

// Argument: the function to call when something became readable. Result: 0 or -errno.
static Napi::Value WaitSetInit(const Napi::CallbackInfo& info) {
  int fd = BgwWaitSetInit();
  if (fd < 0) return Number(info, fd);
  uv_loop_s* loop = nullptr;
  napi_get_uv_event_loop(info.Env(), &loop);
  watcher = new Watcher{{},
                        info.Env(),
                        Napi::Persistent(info[0].As<Napi::Function>()),
                        std::make_unique<Napi::AsyncContext>(info.Env(), "bgworker.WaitSet")};
  watcher->poll.data = watcher;
  int result = uv_poll_init(loop, &watcher->poll, fd);
  if (result == 0) result = uv_poll_start(&watcher->poll, UV_READABLE, OnReadable);
  if (result == 0) uv_unref(reinterpret_cast<uv_handle_t*>(&watcher->poll));
  return Number(info, result);
}

// While somebody waits asynchronously the set keeps the event loop alive, and blocking waits leave the loop its part.
static Napi::Value WaitSetRef(const Napi::CallbackInfo& info) {
  if (watcher == nullptr) return info.Env().Undefined();
  uv_handle_t* handle = reinterpret_cast<uv_handle_t*>(&watcher->poll);
  bool waits = info[0].As<Napi::Boolean>();
  BgwWaitSetShare(waits);
  if (waits) {
    uv_ref(handle);
  } else {
    uv_unref(handle);
  }
  return info.Env().Undefined();
}

static Napi::Value PostmasterDeathSeen(const Napi::CallbackInfo& info) {
  return Napi::Boolean::New(info.Env(), BgwPostmasterDeathSeen());
}

// Arguments: latch, events, timeout in milliseconds.
static Napi::Value WaitLatch(const Napi::CallbackInfo& info) {
  BgwLatch* latch = LatchAt(Long(info, 0));
  return Number(info, latch == nullptr ? -EINVAL : BgwWaitLatch(latch, Int(info, 1), Long(info, 2)));
}

// Arguments: listening descriptor (-1: none), timeout in milliseconds. Result: recorded signals as bits 0 to 30, bit 31: a connection waits.
static Napi::Value PostmasterWait(const Napi::CallbackInfo& info) {
  uint32_t recorded = 0;
  int result = BgwPostmasterWait(Int(info, 0), Long(info, 1), &recorded);
  if (result < 0) return Number(info, result);
  return Number(info, recorded | (result > 0 ? 1u << 31 : 0));
}

void InitWait(Napi::Object exports) {
  Export<WaitSetInit>(exports, "waitSetInit");
  Export<WaitSetRef>(exports, "waitSetRef");
  Export<PostmasterDeathSeen>(exports, "postmasterDeathSeen");
  Export<WaitLatch>(exports, "waitLatch");
  Export<PostmasterWait>(exports, "postmasterWait");
}

}  // namespace bgw
