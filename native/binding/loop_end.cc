// Sees that the event loop of a child has nothing left to do, before Node does. In children only.
//
// Node would then wait until the tasks that V8 has posted to its platform are done (NodePlatform::DrainTasks), and only after that emit
// 'beforeExit'. In a forked child the platform has no threads: after a garbage collection, which posts some, it would wait for ever, in
// a place where no signal reaches JavaScript. So Node is kept from that place: a handle of ours keeps the loop alive, and asks before
// each sleep whether anybody else does. Where nobody does, one round without sleep follows, for what is not counted (V8's foreground
// tasks come by an unreferenced async handle); and where still nobody does, JavaScript is called.
#include <uv.h>

#include <memory>

#include "binding/args.h"

namespace bgw {

struct LoopEnd {
  uv_prepare_t prepare;
  uv_idle_t no_sleep;
  Napi::Env env;
  Napi::FunctionReference callback;
  std::unique_ptr<Napi::AsyncContext> context;
  bool looked_twice = false;
  bool told = false;
};
static LoopEnd* loop_end = nullptr;

static bool OthersKeepLoopAlive(LoopEnd* self) {
  uv_handle_t* handle = reinterpret_cast<uv_handle_t*>(&self->prepare);
  uv_unref(handle);
  bool alive = uv_loop_alive(handle->loop) != 0;
  uv_ref(handle);
  return alive;
}

static void LookAgain(LoopEnd* self) {
  self->looked_twice = true;
  uv_idle_start(&self->no_sleep, [](uv_idle_t*) {});
}

static void OnPrepare(uv_prepare_t* prepare) {
  LoopEnd* self = static_cast<LoopEnd*>(prepare->data);
  if (OthersKeepLoopAlive(self)) {
    uv_idle_stop(&self->no_sleep);
    self->looked_twice = self->told = false;
    return;
  }
  if (!self->looked_twice) return LookAgain(self);
  Napi::HandleScope scope(self->env);
  bool again = self->told;
  self->told = true;
  // What the callback leaves behind in microtasks runs at its end, and what these begin is seen in the next round.
  self->callback.MakeCallback(self->env.Global(), {Napi::Boolean::New(self->env, again)}, *self->context);
  if (self->env.IsExceptionPending()) {
    napi_fatal_exception(self->env, self->env.GetAndClearPendingException().Value());
  }
}

// Argument: called when nothing keeps the loop alive, with false; and with true where after that still nothing does. Result: 0 or -errno.
static Napi::Value WatchLoopEnd(const Napi::CallbackInfo& info) {
  uv_loop_s* loop = nullptr;
  napi_get_uv_event_loop(info.Env(), &loop);
  loop_end = new LoopEnd{{},
                         {},
                         info.Env(),
                         Napi::Persistent(info[0].As<Napi::Function>()),
                         std::make_unique<Napi::AsyncContext>(info.Env(), "bgworker.LoopEnd")};
  loop_end->prepare.data = loop_end;
  uv_idle_init(loop, &loop_end->no_sleep);
  uv_unref(reinterpret_cast<uv_handle_t*>(&loop_end->no_sleep));
  int result = uv_prepare_init(loop, &loop_end->prepare);
  if (result == 0) result = uv_prepare_start(&loop_end->prepare, OnPrepare);
  return Number(info, result);
}

void InitLoopEnd(Napi::Object exports) { Export<WatchLoopEnd>(exports, "watchLoopEnd"); }

}  // namespace bgw
