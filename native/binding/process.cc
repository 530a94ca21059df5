// Glue for core/process.h.
#include <vector>

#include "binding/args.h"
extern "C" {
#include "core/process.h"
}

namespace bgw {

// Keeps the strings of an argument array alive and hands out the char* array that exec wants.
class StringArray {
 public:
  explicit StringArray(const Napi::Value& value) {
    Napi::Array array = value.As<Napi::Array>();
    for (uint32_t i = 0; i < array.Length(); i++) strings_.push_back(array.Get(i).As<Napi::String>().Utf8Value());
    for (std::string& string : strings_) pointers_.push_back(string.data());
    pointers_.push_back(nullptr);
  }
  char* const* get() const { return pointers_.data(); }

 private:
  std::vector<std::string> strings_;
  std::vector<char*> pointers_;
};

// Result: null while the process lives, its wait status when it is gone (and reaped), or -errno.
static Napi::Value WaitPid(const Napi::CallbackInfo& info) {
  int status = 0;
  pid_t pid = BgwWaitPid(Int(info, 0), &status);
  if (pid == 0) return info.Env().Null();
  return Number(info, pid < 0 ? pid : status);
}
static Napi::Value Kill(const Napi::CallbackInfo& info) { return Number(info, BgwKill(Int(info, 0), Int(info, 1))); }
static Napi::Value SetSid(const Napi::CallbackInfo& info) { return Number(info, BgwSetSid()); }
static Napi::Value SetName(const Napi::CallbackInfo& info) { return Number(info, BgwSetName(Text(info, 0).c_str())); }
static Napi::Value GetPid(const Napi::CallbackInfo& info) { return Number(info, BgwGetPid()); }
static Napi::Value GetPpid(const Napi::CallbackInfo& info) { return Number(info, BgwGetPpid()); }
static Napi::Value Flock(const Napi::CallbackInfo& info) { return Number(info, BgwFlock(Int(info, 0))); }

static Napi::Value Random32(const Napi::CallbackInfo& info) {
  unsigned value = 0;
  int result = BgwRandom32(&value);
  return Number(info, result < 0 ? static_cast<double>(result) : static_cast<double>(value));
}

// Arguments: file, argv, environment. Returns -errno, or not at all.
static Napi::Value Exec(const Napi::CallbackInfo& info) {
  StringArray argv(info[1]), envp(info[2]);
  return Number(info, BgwExec(Text(info, 0).c_str(), argv.get(), envp.get()));
}

// Argument: { file, argv, env, cwd, user?: { uid, gid }, stdio: [fd, fd, fd], parentDeathSignal }. Result: pid or -errno.
static Napi::Value Spawn(const Napi::CallbackInfo& info) {
  Napi::Object from = info[0].As<Napi::Object>();
  std::string file = from.Get("file").As<Napi::String>(), cwd = from.Get("cwd").As<Napi::String>();
  StringArray argv(from.Get("argv")), envp(from.Get("env"));
  BgwSpawnOptions options{};
  options.file = file.c_str();
  options.argv = argv.get();
  options.envp = envp.get();
  options.cwd = cwd.c_str();
  options.parent_death_signo = from.Get("parentDeathSignal").As<Napi::Number>();
  Napi::Array stdio = from.Get("stdio").As<Napi::Array>();
  for (uint32_t i = 0; i < 3; i++) options.stdio[i] = stdio.Get(i).As<Napi::Number>();
  if (from.Get("user").IsObject()) {
    Napi::Object user = from.Get("user").As<Napi::Object>();
    options.change_user = 1;
    options.uid = user.Get("uid").As<Napi::Number>().Uint32Value();
    options.gid = user.Get("gid").As<Napi::Number>().Uint32Value();
  }
  return Number(info, BgwSpawn(&options));
}

void InitProcess(Napi::Object exports) {
  Export<WaitPid>(exports, "waitPid");
  Export<Kill>(exports, "kill");
  Export<SetSid>(exports, "setSid");
  Export<SetName>(exports, "setName");
  Export<GetPid>(exports, "getPid");
  Export<GetPpid>(exports, "getPpid");
  Export<Flock>(exports, "flock");
  Export<Random32>(exports, "random32");
  Export<Exec>(exports, "exec");
  Export<Spawn>(exports, "spawn");
}

}  // namespace bgw
