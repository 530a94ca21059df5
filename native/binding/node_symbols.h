// C++ functions of Node's that Node-API does not have. They are looked up at run time: one Node-API binary serves every line of Node, and where one is
// missing the caller refuses with a clear error.
#pragma once

#include <dlfcn.h>

namespace node {
class Environment;
}

namespace bgw {

template <typename Function>
Function Symbol(const char* name) {
  return reinterpret_cast<Function>(dlsym(RTLD_DEFAULT, name));
}

// v8::Local<T>: one pointer, passed and returned in a register.
struct LocalContext {
  void* slot;
};

// Node's environment of this thread; null where this Node lacks a symbol.
inline node::Environment* CurrentEnvironment() {
  auto isolate = Symbol<void* (*)()>("_ZN2v87Isolate10GetCurrentEv");
  auto context = Symbol<LocalContext (*)(void*)>("_ZN2v87Isolate17GetCurrentContextEv");
  auto environment =
      Symbol<node::Environment* (*)(LocalContext)>("_ZN4node21GetCurrentEnvironmentEN2v85LocalINS0_7ContextEEE");
  if (isolate == nullptr || context == nullptr || environment == nullptr) return nullptr;
  return environment(context(isolate()));
}

}  // namespace bgw
