// Glue for core/socket.h and core/tcp.h.
#include <unistd.h>

#include "binding/args.h"
extern "C" {
#include "core/socket.h"
#include "core/tcp.h"
}

namespace bgw {

static Napi::Value Listen(const Napi::CallbackInfo& info) { return Number(info, BgwListen(Text(info, 0).c_str())); }

// A connection with its other end: { fd, pid, uid }, or -errno.
static Napi::Value Connection(const Napi::CallbackInfo& info, int fd, pid_t pid, uid_t uid) {
  if (fd < 0) return Number(info, fd);
  Napi::Object peer = Napi::Object::New(info.Env());
  peer.Set("fd", fd);
  peer.Set("pid", static_cast<double>(pid));
  peer.Set("uid", static_cast<double>(uid));
  return peer;
}

static Napi::Value Connect(const Napi::CallbackInfo& info) {
  pid_t pid = 0;
  uid_t uid = 0;
  int fd = BgwConnect(Text(info, 0).c_str(), &pid, &uid);
  return Connection(info, fd, pid, uid);
}

static Napi::Value Accept(const Napi::CallbackInfo& info) {
  pid_t pid = 0;
  uid_t uid = 0;
  int fd = BgwAccept(Int(info, 0), &pid, &uid);
  return Connection(info, fd, pid, uid);
}

static Napi::Value SendOnce(const Napi::CallbackInfo& info) {
  Napi::Uint8Array bytes = info[1].As<Napi::Uint8Array>();
  BgwSendOnce(Int(info, 0), bytes.Data(), bytes.ByteLength());
  return info.Env().Undefined();
}

static Napi::Value Close(const Napi::CallbackInfo& info) {
  close(Int(info, 0));
  return info.Env().Undefined();
}

static Napi::Value SetKeepalives(const Napi::CallbackInfo& info) {
  Napi::Object o = info[1].As<Napi::Object>();
  auto field = [&](const char* name) { return o.Get(name).As<Napi::Number>().Int32Value(); };
  return Number(info,
                BgwSetKeepalives(Int(info, 0), field("idle"), field("interval"), field("count"), field("userTimeout")));
}

void InitSocket(Napi::Object exports) {
  Export<Listen>(exports, "listen");
  Export<Connect>(exports, "connect");
  Export<Accept>(exports, "accept");
  Export<SendOnce>(exports, "sendOnce");
  Export<Close>(exports, "close");
  Export<SetKeepalives>(exports, "setKeepalives");
}

}  // namespace bgw
