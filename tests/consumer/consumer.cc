#include <decouple/decouple.h>
#include <decouple/version.h>

#include <cstdio>
#include <string>
#include <string_view>

// What the CMake package, or decouple.pc, says of itself.
static_assert(std::string_view(PACKAGE_VERSION) == DECOUPLE_VERSION_STRING);

int main() {
  const std::string version = std::to_string(DECOUPLE_VERSION_MAJOR) + "." + std::to_string(DECOUPLE_VERSION_MINOR) +
                              "." + std::to_string(DECOUPLE_VERSION_PATCH);
  if (version != DECOUPLE_VERSION_STRING) return 1;

  decouple::StandardQueue<std::string> queue;
  if (!queue.Send("hello").ok()) return 1;
  for (auto& message : queue.Receive({.wait = absl::Seconds(1)}).value()) {
    std::printf("%s from outside\n", message.body().c_str());
    return message.Delete().ok() ? 0 : 1;
  }
  return 1;
}
