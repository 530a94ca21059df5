// The list of what the addon exports. One process has one environment: a worker_threads thread is refused, since signals, latches and
// the mapping belong to the process.
#include "binding/args.h"

namespace bgw {

Mapping mapping;

static Napi::Object Init(Napi::Env env, Napi::Object exports) {
  static bool loaded = false;
  if (loaded) {
    Napi::Error::New(env, "the bgworker addon can be loaded once in a process, in its main thread")
        .ThrowAsJavaScriptException();
    return exports;
  }
  loaded = true;
  InitFork(exports);
  InitSignals(exports);
  InitLatches(exports);
  InitLWLock(exports);
  InitConditionVariable(exports);
  InitShmem(exports);
  InitProc(exports);
  InitPostmasterDeath(exports);
  InitLoop(exports);
  InitWaitEventSets(exports);
  InitSocket(exports);
  InitProcess(exports);
  InitDsm(exports);
  InitPrivileges(exports);
  InitRlimits(exports);
  InitExit(exports);
  InitPlatform(exports);
  InitServerLog(exports);
  return exports;
}

}  // namespace bgw

static Napi::Object Init(Napi::Env env, Napi::Object exports) { return bgw::Init(env, exports); }

NODE_API_MODULE(bgworker, Init)
