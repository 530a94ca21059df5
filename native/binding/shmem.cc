// Glue for core/shmem.h and core/guard.h: the mapping, whole for src/shmem/shmem.ts, and in pieces for whoever has a structure in it.
#include <unistd.h>

#include "binding/args.h"
extern "C" {
#include "core/guard.h"
#include "core/shmem.h"
}

namespace bgw {

// Result: an ArrayBuffer over all of it, or -errno. It is never given to anybody: who transferred it away would take it from under our feet.
static Napi::Value ShmemCreate(const Napi::CallbackInfo& info) {
  void* address = nullptr;
  std::size_t size = static_cast<std::size_t>(Long(info, 0));
  int fd = BgwShmemCreate(size, &address);
  if (fd < 0) return Number(info, fd);
  mapping = {static_cast<std::byte*>(address), size, fd};
  return Napi::ArrayBuffer::New(info.Env(), address, size);
}

// Arguments: offset, size. Result: a buffer over this part of the mapping, or -EINVAL outside of it.
static Napi::Value ShmemBuffer(const Napi::CallbackInfo& info) {
  int64_t offset = Long(info, 0), size = Long(info, 1);
  int64_t end = static_cast<int64_t>(mapping.size);
  if (mapping.address == nullptr || offset < 0 || size <= 0 || offset > end || size > end - offset)
    return Number(info, -EINVAL);
  return ForeignBuffer(info.Env(), mapping.address + offset, static_cast<std::size_t>(size), nullptr, nullptr);
}

// An ArrayBuffer reads as empty from here on. A SharedArrayBuffer cannot be detached: for those the memory is guarded.
static Napi::Value DetachBuffer(const Napi::CallbackInfo& info) {
  if (info[0].IsArrayBuffer()) info[0].As<Napi::ArrayBuffer>().Detach();
  return info.Env().Undefined();
}

static Napi::Value ShmemReset(const Napi::CallbackInfo& info) {
  if (mapping.address == nullptr) return Number(info, -EINVAL);
  return Number(info, BgwShmemReset(mapping.fd, mapping.address, mapping.size));
}

// A process without BGWORKER_SHMEM_ACCESS: the memory goes, its addresses stay, guarded. The descriptor goes, too: with it the memory could be
// mapped again.
static Napi::Value ShmemUnmap(const Napi::CallbackInfo& info) {
  if (mapping.address == nullptr) return Number(info, 0);
  int result = BgwGuard(mapping.address, mapping.size);
  if (mapping.fd >= 0) close(mapping.fd);
  mapping = {};
  return Number(info, result);
}

void InitShmem(Napi::Object exports) {
  Export<ShmemCreate>(exports, "shmemCreate");
  Export<ShmemBuffer>(exports, "shmemBuffer");
  Export<DetachBuffer>(exports, "detachBuffer");
  Export<ShmemReset>(exports, "shmemReset");
  Export<ShmemUnmap>(exports, "shmemUnmap");
}

}  // namespace bgw
