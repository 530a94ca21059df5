// What core/platform.c does to Node's platform; and which C library it runs on.
#include <cerrno>

#include "binding/args.h"
#include "binding/node_symbols.h"
extern "C" {
#include "core/platform.h"
}

namespace bgw {

static Napi::Value EmptyPlatform(const Napi::CallbackInfo& info) {
  node::Environment* environment = CurrentEnvironment();
  auto platform_of = Symbol<void* (*)(node::Environment*)>("_ZN4node23GetMultiIsolatePlatformEPNS_11EnvironmentE");
  auto threads = Symbol<uintptr_t>("_ZN4node12NodePlatform21NumberOfWorkerThreadsEv");
  auto post = Symbol<uintptr_t>(
      "_ZN4node12NodePlatform26PostTaskOnWorkerThreadImplEN2v812TaskPriorityESt10unique_ptrINS1_"
      "4TaskESt14default_deleteIS4_EERKNS1_14SourceLocationE");
  auto post_delayed = Symbol<uintptr_t>(
      "_ZN4node12NodePlatform33PostDelayedTaskOnWorkerThreadImplEN2v812TaskPriorityESt10unique_ptrINS1_"
      "4TaskESt14default_deleteIS4_EEdRKNS1_14SourceLocationE");
  if (post_delayed == 0) {  // Node 20
    post = Symbol<uintptr_t>(
        "_ZN4node12NodePlatform18CallOnWorkerThreadESt10unique_ptrIN2v84TaskESt14default_deleteIS3_EE");
    post_delayed = Symbol<uintptr_t>(
        "_ZN4node12NodePlatform25CallDelayedOnWorkerThreadESt10unique_ptrIN2v84TaskESt14default_deleteIS3_EEd");
  }
  if (environment == nullptr || platform_of == nullptr || threads == 0 || post == 0 || post_delayed == 0)
    return Number(info, -ENOENT);
  return Number(info, BgwEmptyPlatform(platform_of(environment), {threads, post, post_delayed}));
}

// What V8 does when the machine is short of memory: collects, and gives back at once what it keeps for later. Result: 0, or -ENOSYS.
static Napi::Value GiveBackMemory(const Napi::CallbackInfo& info) {
  enum Pressure { kNone = 0, kCritical = 2 };  // v8::MemoryPressureLevel
  auto current = Symbol<void* (*)()>("_ZN2v87Isolate10GetCurrentEv");
  auto notify =
      Symbol<void (*)(void*, Pressure)>("_ZN2v87Isolate26MemoryPressureNotificationENS_19MemoryPressureLevelE");
  if (current == nullptr || notify == nullptr) return Number(info, -ENOSYS);
  notify(current(), kCritical);
  notify(current(), kNone);
  return Number(info, 0);
}

// Result: the version as text, or null where the C library is another one.
static Napi::Value GlibcVersion(const Napi::CallbackInfo& info) {
  auto version = Symbol<const char* (*)()>("gnu_get_libc_version");
  if (version == nullptr) return info.Env().Null();
  return Napi::String::New(info.Env(), version());
}

void InitPlatform(Napi::Object exports) {
  Export<EmptyPlatform>(exports, "emptyPlatform");
  Export<GiveBackMemory>(exports, "giveBackMemory");
  Export<GlibcVersion>(exports, "glibcVersion");
}

}  // namespace bgw
