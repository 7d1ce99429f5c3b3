// A plugin that is loaded, as a program does it.

#ifndef DECOUPLE_TESTS_MODULES_LOADED_PLUGIN_H_
#define DECOUPLE_TESTS_MODULES_LOADED_PLUGIN_H_

#include <dlfcn.h>

#include <cstdio>
#include <cstdlib>

#include "process_testing.h"
#include "shared_queue.h"

class LoadedPlugin {
 public:
  explicit LoadedPlugin(const char* file) : file_(file), handle_(dlopen(file, RTLD_NOW | RTLD_LOCAL)) {
    if (handle_ == nullptr) std::fprintf(stderr, "%s\n", dlerror());
    REQUIRE_TRUE(handle_ != nullptr);
    plugin_ = static_cast<const Plugin*>(dlsym(handle_, "decouple_test_plugin"));
    REQUIRE_TRUE(plugin_ != nullptr);
  }
  LoadedPlugin(const LoadedPlugin&) = delete;
  LoadedPlugin& operator=(const LoadedPlugin&) = delete;
  ~LoadedPlugin() {
    if (handle_ != nullptr) Close();
  }

  void Close() {
    dlclose(handle_);
    handle_ = nullptr;
  }

  // Whether its code is still there.
  bool IsInMemory() const {
    void* const handle = dlopen(file_, RTLD_NOW | RTLD_LOCAL | RTLD_NOLOAD);
    if (handle != nullptr) dlclose(handle);
    return handle != nullptr;
  }

  const Plugin* operator->() const { return plugin_; }

 private:
  const char* const file_;
  void* handle_;
  const Plugin* plugin_ = nullptr;
};

#endif  // DECOUPLE_TESTS_MODULES_LOADED_PLUGIN_H_
