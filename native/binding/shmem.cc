// Glue for core/shmem.h: the mapping as an ArrayBuffer over foreign memory. Atomics work on it; its memory is not V8's to free.
#include <unistd.h>

#include "binding/args.h"
extern "C" {
#include "core/shmem.h"
}

namespace bgw {

// Result: the ArrayBuffer, or -errno.
static Napi::Value ShmemCreate(const Napi::CallbackInfo& info) {
  void* address = nullptr;
  std::size_t size = static_cast<std::size_t>(Long(info, 0));
  int fd = BgwShmemCreate(size, &address);
  if (fd < 0) return Number(info, fd);
  mapping = {static_cast<std::byte*>(address), size, fd};
  return Napi::ArrayBuffer::New(info.Env(), address, size);
}

// A process without BGWORKER_SHMEM_ACCESS: the buffer is detached first, so that JavaScript meets an empty array and not a fault. The
// descriptor goes, too: with it the memory could be mapped again.
static Napi::Value ShmemUnmap(const Napi::CallbackInfo& info) {
  info[0].As<Napi::ArrayBuffer>().Detach();
  if (mapping.address == nullptr) return Number(info, 0);
  int result = BgwShmemUnmap(mapping.address, mapping.size);
  if (mapping.fd >= 0) close(mapping.fd);
  mapping = {};
  return Number(info, result);
}

void InitShmem(Napi::Object exports) {
  Export<ShmemCreate>(exports, "shmemCreate");
  Export<ShmemUnmap>(exports, "shmemUnmap");
}

}  // namespace bgw
