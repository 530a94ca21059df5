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

// How JavaScript names a place in shared memory: an offset into the mapping, below 2^40; in another segment, its region's number times 2^32, and the offset
// there. The same place may have another address in each process, so none is ever stored in shared memory.
constexpr int kRegionShift = 32;
constexpr int64_t kFirstRegion = int64_t{1} << (40 - kRegionShift);
constexpr int64_t kLastRegion = (int64_t{1} << (52 - kRegionShift)) - 1;  // a double holds all addresses exactly

// Regions of this process besides the mapping. A number is used again when all others have been: who keeps an address of a region that is gone finds
// nothing there, and not another segment. There are a million numbers, and not as many segments.
int64_t AddRegion(std::byte* address, std::size_t size);
void RemoveRegion(int64_t number);
const Mapping* RegionAt(int64_t number);

// An address as a pointer; null outside of what is mapped.
template <typename T>
T* At(int64_t address) {
  if (address < 0) return nullptr;
  bool in_region = address >> kRegionShift >= kFirstRegion;
  const Mapping* region = in_region ? RegionAt(address >> kRegionShift) : &mapping;
  std::size_t offset = static_cast<std::size_t>(in_region ? address & ((int64_t{1} << kRegionShift) - 1) : address);
  if (region == nullptr || region->address == nullptr || offset + sizeof(T) > region->size || offset % alignof(T) != 0)
    return nullptr;
  return reinterpret_cast<T*>(region->address + offset);
}

// A buffer of JavaScript's over memory that is not V8's to free: a SharedArrayBuffer where this Node can make one (22 and later), else an ArrayBuffer,
// on which Atomics work just the same. `finalize` may be null; it is called when nothing refers to the buffer any more.
Napi::Value ForeignBuffer(Napi::Env env, void* address, std::size_t size, napi_finalize finalize, void* hint);

// A latch is named by its address, or by a number below zero: one in the process's own memory. -1 is always there.
BgwLatch* LatchAt(int64_t offset);

template <Napi::Value (*Function)(const Napi::CallbackInfo&)>
void Export(Napi::Object exports, const char* name) {
  exports.Set(name, Napi::Function::New<Function>(exports.Env(), name));
}

void InitFork(Napi::Object exports);
void InitSignals(Napi::Object exports);
void InitLatches(Napi::Object exports);
void InitLWLock(Napi::Object exports);
void InitConditionVariable(Napi::Object exports);
void InitShmem(Napi::Object exports);
void InitProc(Napi::Object exports);
void InitPostmasterDeath(Napi::Object exports);
void InitLoop(Napi::Object exports);
void InitWaitEventSets(Napi::Object exports);
void InitSocket(Napi::Object exports);
void InitProcess(Napi::Object exports);
void InitDsm(Napi::Object exports);
void InitPrivileges(Napi::Object exports);
void InitRlimits(Napi::Object exports);
void InitExit(Napi::Object exports);
void InitPlatform(Napi::Object exports);
void InitServerLog(Napi::Object exports);

}  // namespace bgw
