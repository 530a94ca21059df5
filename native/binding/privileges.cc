// Glue for core/privileges.h.
#include "binding/args.h"
extern "C" {
#include "core/privileges.h"
}

namespace bgw {

// Result: { name, uid, gid, home }, null where there is none, or -errno.
static Napi::Value LookUpUser(const Napi::CallbackInfo& info) {
  BgwUser user;
  int result = BgwLookUpUser(Text(info, 0).c_str(), &user);
  if (result < 0) return Number(info, result);
  if (result == 0) return info.Env().Null();
  Napi::Object object = Napi::Object::New(info.Env());
  object.Set("name", Napi::String::New(info.Env(), user.name));
  object.Set("uid", Napi::Number::New(info.Env(), user.uid));
  object.Set("gid", Napi::Number::New(info.Env(), user.gid));
  object.Set("home", Napi::String::New(info.Env(), user.home));
  return object;
}

// Arguments: name or null, uid, gid.
static Napi::Value BecomeUser(const Napi::CallbackInfo& info) {
  uid_t uid = static_cast<uid_t>(Long(info, 1));
  gid_t gid = static_cast<gid_t>(Long(info, 2));
  if (info[0].IsNull()) return Number(info, BgwBecomeUser(nullptr, uid, gid));
  return Number(info, BgwBecomeUser(Text(info, 0).c_str(), uid, gid));
}

static Napi::Value IdsMatch(const Napi::CallbackInfo& info) { return Napi::Boolean::New(info.Env(), BgwIdsMatch()); }

static Napi::Value SetEffective(const Napi::CallbackInfo& info) {
  return Number(info, BgwSetEffective(static_cast<uid_t>(Long(info, 0)), static_cast<gid_t>(Long(info, 1))));
}

void InitPrivileges(Napi::Object exports) {
  Export<LookUpUser>(exports, "lookUpUser");
  Export<BecomeUser>(exports, "becomeUser");
  Export<IdsMatch>(exports, "idsMatch");
  Export<SetEffective>(exports, "setEffective");
}

}  // namespace bgw
