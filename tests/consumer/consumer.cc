#include <decouple/decouple.h>

#include <cstdio>
#include <string>

int main() {
  decouple::StandardQueue<std::string> queue;
  if (!queue.Send("hello").ok()) return 1;
  for (auto& message : queue.Receive({.wait = absl::Seconds(1)}).value()) {
    std::printf("%s from outside\n", message.body().c_str());
    return message.Delete().ok() ? 0 : 1;
  }
  return 1;
}
