// Glue for core/dsm.h and core/shm_mq.h. Segments are named by their index in the control structure.
#include <cerrno>

#include "binding/args.h"
extern "C" {
#include "core/dsm.h"
#include "core/lwlock.h"
#include "core/shm_mq.h"
}

namespace bgw {

static int64_t control_offset;

// Set once by dsmReset, in the postmaster; null in a process without shared memory.
static BgwDsmControl* Control() { return At<BgwDsmControl>(control_offset); }

static Napi::Value DsmMap(const Napi::CallbackInfo& info) { return Number(info, BgwDsmMap(Long(info, 0))); }
static Napi::Value DsmUnmap(const Napi::CallbackInfo& info) { return Number(info, BgwDsmUnmap()); }
// Arguments: offset of the control structure, how many segments, how many bytes in all.
static Napi::Value DsmReset(const Napi::CallbackInfo& info) {
  control_offset = Long(info, 0);
  BgwDsmControl* control = Control();
  return Number(info, control == nullptr ? -EINVAL : BgwDsmReset(control, Int(info, 1), Long(info, 2)));
}

static Napi::Value DsmCreate(const Napi::CallbackInfo& info) {
  BgwDsmControl* control = Control();
  return Number(info, control == nullptr ? -EINVAL : BgwDsmCreate(control, Long(info, 0)));
}
static Napi::Value DsmAttach(const Napi::CallbackInfo& info) {
  BgwDsmControl* control = Control();
  return Number(info, control == nullptr ? -EINVAL : BgwDsmAttach(control, static_cast<uint32_t>(Long(info, 0))));
}
// Arguments: index, the number of its region, whose locks are released first. The ArrayBuffer has been detached.
static Napi::Value DsmDetach(const Napi::CallbackInfo& info) {
  BgwDsmControl* control = Control();
  int64_t number = Long(info, 1);
  const Mapping* region = RegionAt(number);
  if (control == nullptr || region == nullptr) return Number(info, -EINVAL);
  BgwLWLockReleaseWithin(region->address, region->size);
  RemoveRegion(number);
  return Number(info, BgwDsmDetach(control, Int(info, 0)));
}
static Napi::Value DsmPin(const Napi::CallbackInfo& info) {
  BgwDsmControl* control = Control();
  return Number(info, control == nullptr ? -EINVAL : BgwDsmPin(control, Int(info, 0)));
}
static Napi::Value DsmUnpin(const Napi::CallbackInfo& info) {
  BgwDsmControl* control = Control();
  return Number(info, control == nullptr ? -EINVAL : BgwDsmUnpin(control, static_cast<uint32_t>(Long(info, 0))));
}
// Result: the handle, the bytes and the address of a segment that is attached here, by its index.
static Napi::Value DsmSegment(const Napi::CallbackInfo& info) {
  const BgwDsmControl* control = Control();
  uint32_t index = Int(info, 0);
  void* address = BgwDsmAddress(control, index);
  std::size_t size = control->items[index].size;
  Napi::Object segment = Napi::Object::New(info.Env());
  segment.Set("handle", Number(info, control->items[index].handle));
  segment.Set("buffer", Napi::ArrayBuffer::New(info.Env(), address, size));
  segment.Set("region", Number(info, static_cast<double>(AddRegion(static_cast<std::byte*>(address), size))));
  return segment;
}

// Bytes of shared memory as a queue; null for any others.
static BgwShmMq* Queue(const Napi::CallbackInfo& info) {
  void* data = nullptr;
  std::size_t size = 0;
  if (napi_get_buffer_info(info.Env(), info[0], &data, &size) != napi_ok || size < sizeof(BgwShmMq)) return nullptr;
  std::byte* at = static_cast<std::byte*>(data);
  bool in_shmem = mapping.address != nullptr && at >= mapping.address && at + size <= mapping.address + mapping.size;
  return in_shmem || BgwDsmContains(data, size) ? static_cast<BgwShmMq*>(data) : nullptr;
}
// -EFAULT: the bytes are not shared with anybody.
static Napi::Value ShmMqTrack(const Napi::CallbackInfo& info) {
  BgwShmMq* mq = Queue(info);
  return Number(info, mq == nullptr ? -EFAULT : BgwShmMqTrack(mq, mapping.address, mapping.size));
}
static Napi::Value ShmMqUntrack(const Napi::CallbackInfo& info) {
  BgwShmMq* mq = Queue(info);
  if (mq != nullptr) BgwShmMqUntrack(mq);
  return info.Env().Undefined();
}

void InitDsm(Napi::Object exports) {
  Export<DsmMap>(exports, "dsmMap");
  Export<DsmUnmap>(exports, "dsmUnmap");
  Export<DsmReset>(exports, "dsmReset");
  Export<DsmCreate>(exports, "dsmCreate");
  Export<DsmAttach>(exports, "dsmAttach");
  Export<DsmDetach>(exports, "dsmDetach");
  Export<DsmPin>(exports, "dsmPin");
  Export<DsmUnpin>(exports, "dsmUnpin");
  Export<DsmSegment>(exports, "dsmSegment");
  Export<ShmMqTrack>(exports, "shmMqTrack");
  Export<ShmMqUntrack>(exports, "shmMqUntrack");
}

}  // namespace bgw
