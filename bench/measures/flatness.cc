// The cost of a cycle as the backlog grows, and as the number of messages in flight grows.

#include <cstddef>
#include <string>

#include "decouple/standard_queue.h"
#include "measures/measures.h"

namespace {

using Queue = decouple::StandardQueue<std::size_t>;

constexpr std::size_t kCycles = 1'000'000;

void Cycle(Queue& queue) {
  queue.Send(1).IgnoreError();
  for (auto& delivery : *queue.Receive()) delivery.Delete().IgnoreError();
}

double CycleNanos(Queue& queue) {
  return MedianNanos(kCycles, [&] {
    for (std::size_t i = 0; i < kCycles; ++i) Cycle(queue);
  });
}

}  // namespace

void MeasureFlatness() {
  for (const std::size_t backlog : {1, 1'000, 100'000, 1'000'000, 10'000'000}) {
    Queue queue;
    for (std::size_t i = 1; i < backlog; ++i) queue.Send(i).IgnoreError();
    Print("cycle_with_backlog_" + std::to_string(backlog), CycleNanos(queue), "ns");
  }
  decouple::Limits limits;
  limits.max_in_flight = 2'000'000;
  for (const std::size_t in_flight : {1, 1'000, 100'000, 1'000'000}) {
    auto queue = *Queue::Create({.visibility_timeout = absl::Hours(12), .limits = limits});
    for (std::size_t i = 1; i < in_flight; ++i) queue.Send(i).IgnoreError();
    for (std::size_t i = 1; i < in_flight;) i += queue.Receive({.max_messages = 10})->size();
    Print("cycle_with_in_flight_" + std::to_string(in_flight), CycleNanos(queue), "ns");
  }
}
