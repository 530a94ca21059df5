// Every way out of a forked child ends in our exit: Node's own teardown joins platform threads that do not exist in the child, and
// crashes. process.exit, an uncaught exception and a fatal error of Node's go through its process exit handler; the natural end of the
// environment goes through a cleanup hook.
//
// A Node without node::SetProcessExitHandler is refused with a clear error.
#include <unistd.h>

#include <cstdlib>

#include <functional>

#include "binding/args.h"
#include "binding/node_symbols.h"
extern "C" {
#include "core/proc.h"
#include "core/signals.h"
}

namespace bgw {

using ExitHandler = std::function<void(node::Environment*, int)>;
using SetProcessExitHandler = void (*)(node::Environment*, ExitHandler&&);

static void RunExitCallbacks(napi_env env, napi_ref callbacks) {
  napi_handle_scope scope;
  napi_value function, self, result;
  if (napi_open_handle_scope(env, &scope) != napi_ok) return;
  if (napi_get_reference_value(env, callbacks, &function) == napi_ok && napi_get_global(env, &self) == napi_ok) {
    napi_call_function(env, self, function, 0, nullptr, &result);
  }
}

// Arguments: install them, or only look; what runs the exit callbacks. Result: false where this Node lacks a symbol.
static Napi::Value TakeExits(const Napi::CallbackInfo& info) {
  node::Environment* environment = CurrentEnvironment();
  auto set_handler =
      Symbol<SetProcessExitHandler>("_ZN4node21SetProcessExitHandlerEPNS_11EnvironmentEOSt8functionIFvS1_iEE");
  if (environment == nullptr || set_handler == nullptr) return Napi::Boolean::New(info.Env(), false);
  if (!info[0].As<Napi::Boolean>().Value()) return Napi::Boolean::New(info.Env(), true);
  // Whoever calls process.exit does not come here (src/ipc/exit.ts). What does is a failure of JavaScript's that nobody caught, with a status of Node's own
  // (1, 7 where a handler failed, 13 and others), and a failure of JavaScript's is an ERROR, status 1; the others would mean a crash. The 'exit' event has
  // not run in every case, so the exit callbacks are called from here; where they ran already that does nothing.
  napi_env env = info.Env();
  napi_ref callbacks;
  if (napi_create_reference(env, info[1], 1, &callbacks) != napi_ok) return Napi::Boolean::New(info.Env(), false);
  set_handler(environment, [env, callbacks](node::Environment*, int code) {
    RunExitCallbacks(env, callbacks);
    BgwExitNow(code == 0 ? 0 : 1);
  });
  // exit(3), by a library: Node's and its libraries' own handlers would join and free what is not there. The last registered runs first; it cannot call
  // JavaScript, which may be in any state.
  on_exit([](int status, void*) { BgwExitNow(status); }, nullptr);
  // The hook that was added last runs first: ours, before those of everything that the postmaster loaded. It never comes back.
  napi_add_env_cleanup_hook(
      info.Env(), [](void*) { BgwExitNow(1); }, nullptr);
  return Napi::Boolean::New(info.Env(), true);
}

// Leaves shared memory and the process, running nothing else.
static Napi::Value ExitNow(const Napi::CallbackInfo& info) { BgwExitNow(Int(info, 0)); }

// _exit(2): leaves without detaching, which the postmaster takes for a crash.
static Napi::Value ExitDirty(const Napi::CallbackInfo& info) { _exit(Int(info, 0)); }

// abort(3): what PANIC does. Node's own abort prints stacks first.
static Napi::Value Abort(const Napi::CallbackInfo& info) { abort(); }

void InitExit(Napi::Object exports) {
  BgwSetExitHook(BgwProcDetach);
  Export<TakeExits>(exports, "takeExits");
  Export<ExitNow>(exports, "exitNow");
  Export<ExitDirty>(exports, "exitDirty");
  Export<Abort>(exports, "abort");
}

}  // namespace bgw
