// A million visibility timeouts that end at once: how fast the messages are received, and how long a Receive() takes
// meanwhile. Compared with a million messages that are just ready, as preemption by other threads counts for both.

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>
#include <thread>
#include <vector>

#include "decouple/clock.h"
#include "decouple/standard_queue.h"
#include "measures/measures.h"

namespace {

using Queue = decouple::StandardQueue<std::size_t>;

constexpr std::size_t kMessages = 1'000'000;

// Two threads receive and delete all messages.
void Drain(Queue& queue, const std::string& name) {
  std::atomic<std::size_t> left{kMessages};
  std::array<std::vector<std::int64_t>, 2> durations;
  std::vector<std::thread> receivers;
  const std::int64_t begin = SteadyNanos();
  for (auto& local : durations) {
    local.reserve(kMessages);
    receivers.emplace_back([&] {
      while (left.load(std::memory_order_relaxed) > 0) {
        const std::int64_t receive_begin = SteadyNanos();
        auto received = queue.Receive({.max_messages = 10});
        local.push_back(SteadyNanos() - receive_begin);
        received->Delete().IgnoreError();
        left.fetch_sub(received->size(), std::memory_order_relaxed);
      }
    });
  }
  for (auto& receiver : receivers) receiver.join();
  const double seconds = static_cast<double>(SteadyNanos() - begin) / 1e9;
  std::vector<std::int64_t> all(durations[0]);
  all.insert(all.end(), durations[1].begin(), durations[1].end());
  std::sort(all.begin(), all.end());
  Print(name + "_received", static_cast<double>(kMessages) / seconds / 1e6, "million/s");
  Print(name + "_stall_p50", Percentile(all, 0.5) / 1e3, "us");
  Print(name + "_stall_p99.9", Percentile(all, 0.999) / 1e3, "us");
  Print(name + "_stall_longest", Percentile(all, 1) / 1e3, "us");
}

}  // namespace

void MeasureExpiries() {
  decouple::ManualClock clock;
  decouple::Limits limits;
  limits.max_in_flight = 2 * kMessages;
  auto queue = *Queue::Create({.limits = limits, .clock = &clock});
  for (std::size_t i = 0; i < kMessages; ++i) queue.Send(i).IgnoreError();
  Drain(queue, "ready");
  for (std::size_t i = 0; i < kMessages; ++i) queue.Send(i).IgnoreError();
  for (std::size_t i = 0; i < kMessages;) i += queue.Receive({.max_messages = 10})->size();
  clock.Advance(absl::Seconds(30));
  Drain(queue, "expired");
}
