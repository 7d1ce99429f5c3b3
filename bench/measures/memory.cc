// The memory of a message that is ready, beyond its body.

#include <unistd.h>

#include <cstddef>
#include <fstream>

#include "decouple/standard_queue.h"
#include "measures/measures.h"

namespace {

double ResidentBytes() {
  std::ifstream file("/proc/self/statm");
  std::size_t pages = 0;
  std::size_t resident = 0;
  file >> pages >> resident;
  return static_cast<double>(resident) * static_cast<double>(sysconf(_SC_PAGESIZE));
}

}  // namespace

void MeasureMemory() {
  constexpr std::size_t kMessages = 4'000'000;
  decouple::StandardQueue<std::size_t> queue;
  const double before = ResidentBytes();
  for (std::size_t i = 0; i < kMessages; ++i) queue.Send(i).IgnoreError();
  const double each = (ResidentBytes() - before) / static_cast<double>(kMessages);
  Print("bytes_beside_the_body", each - sizeof(std::size_t), "bytes");
}

// Sends, receives and deletes on one thread, so no receiver waits when a message is sent.
void SendOnly(std::size_t messages) {
  decouple::StandardQueue<std::size_t> queue;
  for (std::size_t i = 0; i < 1'000 + messages; ++i) {
    queue.Send(i).IgnoreError();
    for (auto& delivery : *queue.Receive()) delivery.Delete().IgnoreError();
  }
}
