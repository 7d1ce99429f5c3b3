// Threads publish while others subscribe, unsubscribe, change filters and destroy queues. Each message is accounted
// for.

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "catch.h"
#include "decouple/fifo_queue.h"
#include "decouple/fifo_topic.h"
#include "decouple/standard_queue.h"
#include "decouple/topic.h"
#include "stress_testing.h"

namespace {

using decouple::Attribute;
using decouple::FifoQueue;
using decouple::FifoTopic;
using decouple::Limits;
using decouple::StandardQueue;
using decouple::Topic;

constexpr std::size_t kPublishers = 2;

// How often each body is among the messages of a queue.
template <typename Queue>
std::map<std::size_t, std::size_t> Count(Queue& queue) {
  std::map<std::size_t, std::size_t> counts;
  for (;;) {
    auto received = queue.Receive({.max_messages = 10});
    REQUIRE(received.ok());
    if (received->empty()) return counts;
    for (auto& delivery : *received) {
      ++counts[delivery.body()];
      REQUIRE(delivery.Delete().ok());
    }
  }
}

bool EachOnce(const std::map<std::size_t, std::size_t>& counts, std::size_t messages) {
  if (counts.size() != messages) return false;
  for (const auto& [body, count] : counts) {
    if (count != 1) return false;
  }
  return true;
}

}  // namespace

TEST_CASE("a queue that stays subscribed gets every message once while other subscriptions change") {
  const std::size_t messages = static_cast<std::size_t>(decouple::testing::Messages(200'000) / 10);
  Topic<std::size_t> topic;
  StandardQueue<std::size_t> stays;
  StandardQueue<std::size_t> refiltered;
  auto staying = topic.Subscribe(stays).value();
  auto changing = topic.Subscribe(refiltered, {.filter = Attribute("a") == 1}).value();
  std::atomic<bool> is_over = false;
  std::atomic<std::size_t> passing = 0;

  std::vector<std::thread> changers;
  changers.emplace_back([&] {
    while (!is_over) {
      StandardQueue<std::size_t> passing_queue;  // destroyed with its messages
      auto subscription = topic.Subscribe(passing_queue).value();
      auto function = topic.Subscribe([&](const std::size_t&) { ++passing; }).value();
      topic.Deliver();
    }
  });
  changers.emplace_back([&] {
    while (!is_over) {  // each message matches both filters
      REQUIRE(changing.SetFilter(Attribute("b") == 2).ok());
      REQUIRE(changing.SetFilter(Attribute("a") == 1).ok());
    }
  });
  std::vector<std::thread> publishers;
  for (std::size_t i = 0; i < kPublishers; ++i) {
    publishers.emplace_back([&, i] {
      for (std::size_t n = i; n < messages; n += kPublishers) {
        if (!topic.Publish(n, {.attributes = {{"a", 1}, {"b", 2}}}).ok()) std::abort();
      }
    });
  }
  for (std::thread& publisher : publishers) publisher.join();
  is_over = true;
  for (std::thread& changer : changers) changer.join();

  CHECK(EachOnce(Count(stays), messages));
  CHECK(EachOnce(Count(refiltered), messages));
  CHECK(topic.Statistics().number_of_messages_published == messages);
  CHECK(topic.Subscriptions().size() == 2);
}

TEST_CASE("functions that fail now and then get every message, one call at a time") {
  const std::size_t messages = static_cast<std::size_t>(decouple::testing::Messages(100'000) / 10);
  decouple::ManualClock clock;
  auto topic = Topic<std::size_t>::Create({.clock = &clock}).value();
  std::map<std::size_t, std::size_t> got;  // not synchronized: there is one call at a time
  std::atomic<int> within = 0;
  auto subscription = topic
                          .Subscribe([&](const decouple::Notification<std::size_t>& notification) -> absl::Status {
                            if (within.fetch_add(1) != 0) std::abort();
                            const bool fails = notification.body() % 7 == 0 && notification.attempt() == 1;
                            if (!fails) ++got[notification.body()];
                            within.fetch_sub(1);
                            return fails ? absl::UnavailableError("once") : absl::OkStatus();
                          })
                          .value();
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < kPublishers; ++i) {
    threads.emplace_back([&, i] {
      for (std::size_t n = i; n < messages; n += kPublishers) {
        if (!topic.Publish(n).ok()) std::abort();
        if (n % 64 == i) topic.Deliver();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  topic.Deliver();
  clock.Advance(absl::Seconds(20));
  topic.Deliver();
  CHECK(EachOnce(got, messages));
  CHECK(subscription.Statistics().number_of_notifications_delivered == messages);
  CHECK(subscription.Statistics().number_of_notifications_waiting == 0);
}

TEST_CASE("several queues see a group of a FIFO topic in one order, whichever thread publishes") {
  const auto messages = static_cast<std::size_t>(decouple::testing::Messages(300'000) / 10);
  FifoTopic<std::size_t> topic;
  std::vector<FifoQueue<std::size_t>> queues(6);
  for (auto& queue : queues) topic.Subscribe(queue)->Detach();
  std::vector<std::thread> publishers;
  for (std::size_t i = 0; i < kPublishers; ++i) {
    publishers.emplace_back([&, i] {
      for (std::size_t n = i; n < messages; n += kPublishers) {
        if (!topic.Publish(n, {.group = "g", .deduplication_id = std::to_string(n)}).ok()) std::abort();
      }
    });
  }
  decouple::testing::Join(publishers);
  std::vector<std::vector<std::size_t>> orders;
  for (auto& queue : queues) {
    std::vector<std::size_t>& order = orders.emplace_back();
    for (auto received = queue.Receive({.max_messages = 10}); !received->empty();
         received = queue.Receive({.max_messages = 10})) {
      for (auto& delivery : *received) {
        order.push_back(delivery.body());
        REQUIRE(delivery.Delete().ok());
      }
    }
  }
  CHECK(orders.front().size() == messages);
  for (const auto& order : orders) CHECK(order == orders.front());
}

TEST_CASE("no message that is published meanwhile comes between those of a replay") {
  const auto messages = static_cast<std::size_t>(decouple::testing::Messages(200'000) / 10);
  auto topic = FifoTopic<std::size_t>::Create({.archive_retention = absl::Hours(24)}).value();
  FifoQueue<std::size_t> queue;
  auto subscription = topic.Subscribe(queue).value();
  const auto publish = [&](std::size_t from, std::size_t to) {
    for (std::size_t n = from; n < to; ++n) {
      if (!topic.Publish(n, {.group = "g", .deduplication_id = std::to_string(n)}).ok()) std::abort();
    }
  };
  publish(0, messages / 2);
  std::atomic<bool> is_over = false;
  std::thread publisher(publish, messages / 2, messages);
  std::thread deliverer([&] {
    while (!is_over) topic.Deliver();
  });
  const auto replayed = static_cast<std::size_t>(subscription.Replay().value());
  is_over = true;
  publisher.join();
  deliverer.join();
  topic.Deliver();
  std::vector<std::size_t> live;
  std::vector<std::size_t> again;
  std::size_t live_before = 0;
  for (auto received = queue.Receive({.max_messages = 10}); !received->empty();
       received = queue.Receive({.max_messages = 10})) {
    for (auto& delivery : *received) {
      if (delivery.replayed() && again.empty()) live_before = live.size();
      if (delivery.replayed()) REQUIRE(live.size() == live_before);
      (delivery.replayed() ? again : live).push_back(delivery.body());
      REQUIRE(delivery.Delete().ok());
    }
  }
  CHECK(again.size() == replayed);
  CHECK(std::is_sorted(again.begin(), again.end()));
  CHECK(live.size() == messages);
  CHECK(std::is_sorted(live.begin(), live.end()));
}

TEST_CASE("a FIFO topic brings each group to all queues in one order, even while one is full") {
  const std::size_t messages = static_cast<std::size_t>(decouple::testing::Messages(100'000) / 10);
  constexpr std::size_t kGroups = 3;
  decouple::ManualClock clock;
  auto topic = FifoTopic<std::size_t>::Create({.clock = &clock}).value();
  auto one = FifoQueue<std::size_t>::Create({.clock = &clock}).value();
  auto small =
      FifoQueue<std::size_t>::Create({.capacity = decouple::Capacity{.messages = 50}, .clock = &clock}).value();
  auto first = topic.Subscribe(one).value();
  auto second = topic.Subscribe(small).value();
  std::vector<std::vector<std::size_t>> of_small(kGroups);
  std::atomic<bool> is_over = false;
  const auto drain = [&](FifoQueue<std::size_t>& queue, std::vector<std::vector<std::size_t>>& orders) {
    std::size_t n = 0;
    auto received = queue.Receive({.max_messages = 10});
    for (auto& delivery : *received) {
      orders[static_cast<std::size_t>(std::stoi(std::string(delivery.group())))].push_back(delivery.body());
      REQUIRE(delivery.Delete().ok());
      ++n;
    }
    return n;
  };
  std::thread drainer([&] {
    while (!is_over || second.Statistics().number_of_notifications_waiting > 0) {
      if (drain(small, of_small) > 0 || second.Statistics().number_of_notifications_waiting == 0) continue;
      clock.Advance(absl::Seconds(1));
      topic.Deliver();
    }
  });
  std::vector<std::thread> publishers;
  for (std::size_t i = 0; i < kPublishers; ++i) {
    publishers.emplace_back([&, i] {
      for (std::size_t n = i; n < messages; n += kPublishers) {
        const std::string group = std::to_string(n / kPublishers % kGroups);
        if (!topic.Publish(n, {.group = group, .deduplication_id = std::to_string(n)}).ok()) std::abort();
      }
    });
  }
  for (std::thread& publisher : publishers) publisher.join();
  is_over = true;
  drainer.join();
  while (drain(small, of_small) > 0) {
  }
  std::vector<std::vector<std::size_t>> of_one(kGroups);
  while (drain(one, of_one) > 0) {
  }
  CHECK(of_one == of_small);
  std::size_t all = 0;
  for (const auto& order : of_one) all += order.size();
  CHECK(all == messages);
}
