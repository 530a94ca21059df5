// Memory that is shared besides the mapping, and buffers of JavaScript's over any of it.
#include <unordered_map>

#include "binding/args.h"
extern "C" {
#include "core/latch_watch.h"
}

// Node 22 and later. In Node 20 the symbol is not there, and stays null.
extern "C" napi_status node_api_create_external_sharedarraybuffer(napi_env env, void* external_data, size_t byte_length,
                                                                  void (*finalize_cb)(void* external_data,
                                                                                      void* finalize_hint),
                                                                  void* finalize_hint, napi_value* result)
    __attribute__((weak));

namespace bgw {

static std::unordered_map<int64_t, Mapping> regions;
static int64_t last_number = kFirstRegion - 1;

int64_t AddRegion(std::byte* address, std::size_t size) {
  do {
    last_number = last_number == kLastRegion ? kFirstRegion : last_number + 1;
  } while (regions.contains(last_number));
  regions[last_number] = {address, size, -1};
  return last_number;
}

void RemoveRegion(int64_t number) {
  auto found = regions.find(number);
  if (found == regions.end()) return;
  // Asynchronous waits for a latch in it end by their time, or not at all: the event loop must not look there again.
  BgwUnwatchMemory(found->second.address, found->second.size);
  regions.erase(found);
}

const Mapping* RegionAt(int64_t number) {
  auto found = regions.find(number);
  return found == regions.end() ? nullptr : &found->second;
}

namespace {
struct Finalizer {
  napi_finalize finalize;
  void* hint;
};
}  // namespace

// V8 may call this from any thread, and without an environment.
static void FinalizeShared(void* address, void* data) {
  Finalizer* finalizer = static_cast<Finalizer*>(data);
  if (finalizer->finalize != nullptr) finalizer->finalize(nullptr, address, finalizer->hint);
  delete finalizer;
}

Napi::Value ForeignBuffer(Napi::Env env, void* address, std::size_t size, napi_finalize finalize, void* hint) {
  napi_value result = nullptr;
  if (node_api_create_external_sharedarraybuffer != nullptr) {
    auto* finalizer = new Finalizer{finalize, hint};
    if (node_api_create_external_sharedarraybuffer(env, address, size, FinalizeShared, finalizer, &result) == napi_ok)
      return {env, result};
    delete finalizer;
  }
  if (napi_create_external_arraybuffer(env, address, size, finalize, hint, &result) != napi_ok) return env.Null();
  return {env, result};
}

}  // namespace bgw
