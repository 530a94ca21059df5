// Glue for core/server_log.h.
#include "binding/args.h"
extern "C" {
#include "core/server_log.h"
}

namespace bgw {

// Arguments: descriptor, bytes, milliseconds. Result: how many were written, or -errno.
static Napi::Value WriteLog(const Napi::CallbackInfo& info) {
  Napi::Uint8Array bytes = info[1].As<Napi::Uint8Array>();
  return Number(info, static_cast<double>(BgwWriteLog(Int(info, 0), bytes.Data(), bytes.ByteLength(), Int(info, 2))));
}

void InitServerLog(Napi::Object exports) { Export<WriteLog>(exports, "writeLog"); }

}  // namespace bgw
