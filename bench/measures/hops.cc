// The latency of one hop under load: half a million messages per second from one thread to another one that polls. Each
// message carries the time of its send.

#include <concurrentqueue/concurrentqueue.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <thread>
#include <vector>

#include "decouple/standard_queue.h"
#include "measures/measures.h"

namespace {

constexpr std::size_t kMessages = 500'000;
constexpr std::int64_t kNanosBetween = 2'000;

// receive() returns the send time of the next message, 0 if there is none.
template <typename Send, typename Receive>
void Hop(const std::string& name, Send send, Receive receive) {
  std::vector<std::int64_t> latencies;
  latencies.reserve(kMessages);
  std::thread receiver([&] {
    while (latencies.size() < kMessages) {
      const std::int64_t sent = receive();
      if (sent != 0) latencies.push_back(SteadyNanos() - sent);
    }
  });
  std::int64_t due = SteadyNanos();
  for (std::size_t i = 0; i < kMessages; ++i) {
    while (SteadyNanos() < due) {
    }
    send(SteadyNanos());
    due += kNanosBetween;
  }
  receiver.join();
  std::sort(latencies.begin(), latencies.end());
  Print(name + "_p50", Percentile(latencies, 0.5), "ns");
  Print(name + "_p99", Percentile(latencies, 0.99), "ns");
  Print(name + "_p99.9", Percentile(latencies, 0.999), "ns");
}

}  // namespace

void MeasureHops() {
  decouple::StandardQueue<std::int64_t> queue;
  Hop(
      "hop", [&](std::int64_t now) { queue.Send(now).IgnoreError(); },
      [&] {
        auto received = queue.Receive();
        if (received->empty()) return std::int64_t{0};
        const std::int64_t sent = received->front().body();
        received->Delete().IgnoreError();
        return sent;
      });
  moodycamel::ConcurrentQueue<std::int64_t> peer;
  Hop(
      "hop_of_moodycamel", [&](std::int64_t now) { peer.enqueue(now); },
      [&] {
        std::int64_t sent = 0;
        peer.try_dequeue(sent);
        return sent;
      });
}
