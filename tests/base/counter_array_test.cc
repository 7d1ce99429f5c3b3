#include "decouple/internal/base/counter_array.h"

#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

#include "catch.h"
#include "decouple/standard_queue.h"
#include "topic_testing.h"

namespace decouple::testing {
namespace {

using internal::CounterArray;
using internal::CounterNumbers;
using Place = CounterArray::Place;

TEST_CASE("each number has a counter of its own, in whatever order numbers are used") {
  CounterArray counters;
  constexpr std::uint32_t kNumbers = 1'000;  // over seven blocks
  for (std::uint32_t number = kNumbers; number-- > 0;) {
    CHECK(counters.value(Place(number)) == 0);
    counters.Add(Place(number), number + 1);
  }
  for (std::uint32_t number = 0; number < kNumbers; ++number) {
    counters.Add(Place(number), 1);
    CHECK(counters.value(Place(number)) == number + 2);
  }
  CHECK(counters.value(Place(UINT32_MAX)) == 0);
}

TEST_CASE("other threads read counters while the owner counts, and no count is lost") {
  CounterArray counters;
  std::atomic<bool> done{false};
  std::thread reader([&] {
    std::vector<std::uint64_t> seen(100, 0);
    while (!done.load(std::memory_order_acquire)) {
      for (std::uint32_t number = 0; number < 100; ++number) {
        const std::uint64_t now = counters.value(Place(number));
        if (now < seen[number]) std::abort();  // they only grow
        seen[number] = now;
      }
    }
  });
  for (int round = 0; round < 1'000; ++round) {
    for (std::uint32_t number = 0; number < 100; ++number) counters.Add(Place(number), 1);
  }
  done.store(true, std::memory_order_release);
  reader.join();
  for (std::uint32_t number = 0; number < 100; ++number) CHECK(counters.value(Place(number)) == 1'000);
}

TEST_CASE("a number that was given back is taken again, and no number is taken twice at a time") {
  CounterNumbers numbers;
  CHECK(numbers.Take() == 0);
  CHECK(numbers.Take() == 1);
  CHECK(numbers.Take() == 2);
  numbers.GiveBack(1);
  CHECK(numbers.Take() == 1);
  CHECK(numbers.Take() == 3);
}

TEST_CASE("a new subscription starts with no deliveries, whatever counter it takes over") {
  ManualClock clock;
  auto topic = MakeTopic<int>(clock);
  auto queue = Make<StandardQueue<int>>(clock);
  for (int i = 0; i < 20; ++i) {
    auto subscription = topic.Subscribe(queue).value();
    CHECK(subscription.Statistics().number_of_notifications_delivered == 0);
    PublishAll(topic, 1, 2, 3);
    CHECK(subscription.Statistics().number_of_notifications_delivered == 3);
  }
  CHECK(topic.Statistics().number_of_notifications_delivered == 60);
}

TEST_CASE("deliveries by several publishing threads are counted once per subscription") {
  ManualClock clock;
  auto topic = MakeTopic<int>(clock);
  std::vector<StandardQueue<int>> queues;
  std::vector<SubscriptionReference<int>> subscriptions;
  for (int i = 0; i < 20; ++i) {
    queues.push_back(Make<StandardQueue<int>>(clock));
    subscriptions.push_back(SubscribeForGood(topic, queues.back()));
  }
  std::vector<std::thread> publishers;
  for (int i = 0; i < 4; ++i) {
    publishers.emplace_back([&topic] {
      for (int n = 0; n < 500; ++n) {
        if (!topic.Publish(int{n}).ok()) std::abort();
      }
    });
  }
  for (std::thread& publisher : publishers) publisher.join();
  for (const auto& subscription : subscriptions) {
    CHECK(subscription.Statistics().number_of_notifications_delivered == 2'000);
  }
  for (auto& queue : queues) CHECK(queue.Counts() == MessageCounts{.ready = 2'000});
}

}  // namespace
}  // namespace decouple::testing
