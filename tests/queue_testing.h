// What the tests of queues share. Conformance tests are templated on the queue type; QueueKind completes the options of
// a send as the kind of queue requires.

#ifndef DECOUPLE_TESTS_QUEUE_TESTING_H_
#define DECOUPLE_TESTS_QUEUE_TESTING_H_

#include <atomic>
#include <cstddef>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "catch.h"
#include "decouple/clock.h"
#include "decouple/error.h"
#include "decouple/fifo_queue.h"
#include "decouple/standard_queue.h"
#include "testing.h"

namespace decouple::testing {

template <typename Queue>
struct QueueKind;

template <typename T>
struct QueueKind<StandardQueue<T>> {
  template <typename U>
  using Of = StandardQueue<U>;

  static SendOptions Complete(SendOptions options) { return options; }
};

template <typename T>
struct QueueKind<FifoQueue<T>> {
  template <typename U>
  using Of = FifoQueue<U>;

  // Gives each message a group and a deduplication id of its own, so that none waits for another or is a duplicate.
  static SendOptions Complete(SendOptions options) {
    static std::atomic<int> sent{0};
    const std::string number = std::to_string(sent++);
    if (!options.group) options.group = "group-" + number;
    if (!options.deduplication_id) options.deduplication_id = "id-" + number;
    return options;
  }
};

// A test case that runs for each type of queue.
#define CONFORMANCE_TEST(name) TEMPLATE_TEST_CASE(name, "", ::decouple::StandardQueue<int>, ::decouple::FifoQueue<int>)

template <typename Queue>
Queue Make(ManualClock& clock, QueueOptions options = {}) {
  options.clock = &clock;
  auto queue = Queue::Create(std::move(options));
  REQUIRE(queue.ok());
  return *std::move(queue);
}

// Sends with the options completed for the kind of queue.
template <typename Queue, typename Body>
auto Send(Queue& queue, Body&& body, SendOptions options = {}) {
  return queue.Send(std::forward<Body>(body), QueueKind<Queue>::Complete(std::move(options)));
}
template <typename T, typename Body>
auto Send(StandardQueue<T>& queue, Body&& body) {
  return queue.Send(std::forward<Body>(body));
}

template <typename Queue, typename Entries>
auto SendBatch(Queue& queue, Entries& entries) {
  for (auto& entry : entries) entry.options = QueueKind<Queue>::Complete(std::move(entry.options));
  return queue.SendBatch(entries);
}

template <typename Queue, typename... Bodies>
void SendAll(Queue& queue, Bodies... bodies) {
  (..., [&] { REQUIRE(Send(queue, typename Queue::Body(bodies)).ok()); }());
}

// The next message, which must be there.
template <typename Queue>
auto ReceiveOne(Queue& queue, ReceiveOptions options = {}) {
  options.max_messages = 1;
  auto received = queue.Receive(options);
  REQUIRE(received.ok());
  REQUIRE(received->size() == 1);
  return std::move(received->front());
}

template <typename Queue>
bool ReceivesNothing(Queue& queue) {
  const auto received = queue.Receive();
  REQUIRE(received.ok());
  return received->empty();
}

// The bodies of all messages that can be received now; they stay in flight.
template <typename Queue>
std::vector<typename Queue::Body> ReceiveAll(Queue& queue) {
  std::vector<typename Queue::Body> bodies;
  for (;;) {
    auto received = queue.Receive({.max_messages = 10});
    REQUIRE(received.ok());
    if (received->empty()) return bodies;
    for (auto& delivery : *received) bodies.push_back(delivery.body());
  }
}

// How many messages can be received now, by `at_once` a call; they stay in flight.
template <typename Queue>
int ReceiveAllBy(Queue& queue, std::size_t at_once) {
  for (int received = 0;;) {
    const auto some = queue.Receive({.max_messages = at_once});
    REQUIRE(some.ok());
    if (some->empty()) return received;
    received += static_cast<int>(some->size());
  }
}

}  // namespace decouple::testing

#endif  // DECOUPLE_TESTS_QUEUE_TESTING_H_
