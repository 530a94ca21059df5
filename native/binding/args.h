// What all of the binding shares: the shared mapping's address, how arguments are read, how functions are exported.
// Arguments are checked by type only: src/ is the only caller and validates values.
#pragma once

#include <napi.h>

#include <cstddef>
#include <cstdint>
#include <string>

extern "C" {
#include "core/latch.h"
}

namespace bgw {

// Per process, since fork copies it: the postmaster maps once, its children inherit the address.
struct Mapping {
  std::byte* address = nullptr;
  std::size_t size = 0;
  int fd = -1;
};
extern Mapping mapping;

inline int32_t Int(const Napi::CallbackInfo& info, std::size_t at) { return info[at].As<Napi::Number>().Int32Value(); }
inline int64_t Long(const Napi::CallbackInfo& info, std::size_t at) { return info[at].As<Napi::Number>().Int64Value(); }
inline std::string Text(const Napi::CallbackInfo& info, std::size_t at) {
  return info[at].As<Napi::String>().Utf8Value();
}
inline Napi::Value Number(const Napi::CallbackInfo& info, double value) { return Napi::Number::New(info.Env(), value); }

// An offset into the mapping as a pointer; null outside of it.
template <typename T>
T* At(int64_t offset) {
  if (mapping.address == nullptr || offset < 0 || static_cast<std::size_t>(offset) + sizeof(T) > mapping.size)
    return nullptr;
  return reinterpret_cast<T*>(mapping.address + offset);
}

// A latch is named by its offset in the mapping, or by -1: the process's own, for processes without shared memory.
BgwLatch* LatchAt(int64_t offset);

template <Napi::Value (*Function)(const Napi::CallbackInfo&)>
void Export(Napi::Object exports, const char* name) {
  exports.Set(name, Napi::Function::New<Function>(exports.Env(), name));
}

void InitFork(Napi::Object exports);
void InitSignals(Napi::Object exports);
void InitLatch(Napi::Object exports);
void InitLWLock(Napi::Object exports);
void InitShmem(Napi::Object exports);
void InitProc(Napi::Object exports);
void InitPostmasterDeath(Napi::Object exports);
void InitWait(Napi::Object exports);
void InitSocket(Napi::Object exports);
void InitProcess(Napi::Object exports);
void InitDsm(Napi::Object exports);
void InitExit(Napi::Object exports);

}  // namespace bgw
