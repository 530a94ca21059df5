// Glue for core/postmaster_death.h.
#include "binding/args.h"
extern "C" {
#include "core/postmaster_death.h"
}

namespace bgw {

static Napi::Value DeathPipeCreate(const Napi::CallbackInfo& info) { return Number(info, BgwDeathPipeCreate()); }
static Napi::Value DeathPipeChild(const Napi::CallbackInfo& info) {
  return Number(info, BgwDeathPipeChild(Int(info, 0), Int(info, 1)));
}
static Napi::Value PostmasterIsAlive(const Napi::CallbackInfo& info) { return Number(info, BgwPostmasterIsAlive()); }

void InitPostmasterDeath(Napi::Object exports) {
  Export<DeathPipeCreate>(exports, "deathPipeCreate");
  Export<DeathPipeChild>(exports, "deathPipeChild");
  Export<PostmasterIsAlive>(exports, "postmasterIsAlive");
}

}  // namespace bgw
