// What publishing allocates, and that all of it is freed.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "allocations.h"
#include "catch.h"
#include "decouple/body_fields.h"
#include "decouple/clock.h"
#include "decouple/filter_policy.h"
#include "decouple/json/filter_policy.h"
#include "decouple/standard_queue.h"
#include "decouple/topic.h"
#include "sanitizers.h"
#include "topic_testing.h"

namespace {

using decouple::FilterPolicy;
using decouple::FilterScope;
using decouple::ManualClock;
using decouple::StandardQueue;
using decouple::Topic;
using namespace decouple::testing;  // NOLINT: all of them

struct Order {
  std::int64_t price = 0;
};
constexpr auto DecoupleFields(const Order*) { return decouple::Fields(decouple::Field("price", &Order::price)); }

}  // namespace

#if !DECOUPLE_TESTS_ADDRESS_SANITIZER && !DECOUPLE_TESTS_THREAD_SANITIZER

namespace {

void ReceiveAndDelete(std::vector<StandardQueue<Order>>& queues) {
  for (auto& queue : queues) {
    for (;;) {
      auto received = queue.Receive({.max_messages = 10});
      if (received->empty()) break;
      for (auto& delivery : *received) delivery.Delete().IgnoreError();
    }
  }
}

}  // namespace

TEST_CASE("publishing to many queues allocates once, with and without filters") {
  ManualClock clock;
  auto topic = MakeTopic<Order>(clock);
  std::vector<StandardQueue<Order>> queues;
  constexpr std::size_t kQueues = 64;
  for (std::size_t i = 0; i < kQueues; ++i) {
    queues.push_back(Make<StandardQueue<Order>>(clock));
    if (i % 2 == 0) {
      SubscribeForGood(topic, queues.back());
    } else {
      SubscribeForGood(
          topic, queues.back(),
          {.filter = FilterPolicy::Parse(R"({"price": [{"numeric": [">", 1]}, 7]})", FilterScope::kMessageBody)});
    }
  }
  constexpr int kRounds = 300;
  for (int i = 0; i < kRounds; ++i) REQUIRE(topic.Publish(Order{5}).ok());  // allocates segments for them
  ReceiveAndDelete(queues);
  const std::uint64_t before = Allocations();
  for (int i = 0; i < kRounds; ++i) topic.Publish(Order{5}).IgnoreError();
  CHECK(Allocations() - before == kRounds);
  const std::uint64_t between = Allocations();
  ReceiveAndDelete(queues);
  CHECK(Allocations() == between);
}

#endif

TEST_CASE("subscriptions that have ended leave no memory behind") {
  ManualClock clock;
  auto topic = MakeTopic<int>(clock);
  const auto token = std::make_shared<int>(0);
  for (int i = 0; i < 1'000; ++i) {
    auto queue = Make<StandardQueue<int>>(clock);
    auto subscription = topic.Subscribe(queue).value();
    auto function = topic.Subscribe([token](const int&) {}).value();
    PublishAll(topic, i);
  }
  CHECK(token.use_count() == 1);
  CHECK(topic.Subscriptions().empty());
  CHECK(topic.NextDelivery() == absl::InfiniteFuture());
}
