// Helpers for tests of topics.
#ifndef DECOUPLE_TESTS_TOPIC_TESTING_H_
#define DECOUPLE_TESTS_TOPIC_TESTING_H_

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "catch.h"
#include "decouple/clock.h"
#include "decouple/fifo_topic.h"
#include "decouple/publication.h"
#include "decouple/topic.h"
#include "queue_testing.h"

namespace decouple::testing {

template <typename T>
Topic<T> MakeTopic(ManualClock& clock, TopicOptions options = {}) {
  options.clock = &clock;
  return Topic<T>::Create(options).value();
}

template <typename T>
FifoTopic<T> MakeFifoTopic(ManualClock& clock, FifoTopicOptions options = {}) {
  options.clock = &clock;
  auto topic = FifoTopic<T>::Create(options);
  REQUIRE(topic.ok());
  return *std::move(topic);
}

// A subscription that must succeed, and lasts as long as the topic.
template <typename T, typename Endpoint>
SubscriptionReference<T> SubscribeForGood(Topic<T>& topic, Endpoint endpoint, SubscribeOptions<T> options = {}) {
  auto subscription = topic.Subscribe(std::move(endpoint), std::move(options));
  INFO(subscription.status());
  REQUIRE(subscription.ok());
  return subscription->Detach();
}

template <typename T, typename... Bodies>
void PublishAll(Topic<T>& topic, Bodies... bodies) {
  (..., [&] { REQUIRE(topic.Publish(T(bodies)).ok()); }());
}

// Another one with each call.
inline std::string NextDeduplicationId() {
  static std::size_t last = 0;
  return "id-" + std::to_string(++last);
}

// Publishes into one group of a FIFO topic, each message with its own deduplication id.
template <typename T, typename... Bodies>
void PublishInGroup(Topic<T>& topic, const std::string& group, Bodies... bodies) {
  (..., [&] { REQUIRE(topic.Publish(T(bodies), {.group = group, .deduplication_id = NextDeduplicationId()}).ok()); }());
}

// Records the calls of a function, and says what it returns.
struct Script {
  std::vector<int> bodies = {};
  std::vector<absl::Duration> at = {};  // since Function()
  std::vector<int> attempts = {};
  absl::Status answer = absl::OkStatus();

  auto Function(const ManualClock& clock) {
    return [this, &clock, begin = clock.Now()](const Notification<int>& notification) {
      bodies.push_back(notification.body());
      at.push_back(clock.Now() - begin);
      attempts.push_back(notification.attempt());
      return answer;
    };
  }
};

// Delivers what becomes due within `duration`, at the exact time.
template <typename T>
void DeliverFor(Topic<T>& topic, ManualClock& clock, absl::Duration duration) {
  const absl::Time end = clock.Now() + duration;
  for (;;) {
    topic.Deliver();
    const absl::Time next = topic.NextDelivery();
    if (next > end) break;
    clock.AdvanceTo(next);
  }
  clock.AdvanceTo(end);
}

}  // namespace decouple::testing

#endif  // DECOUPLE_TESTS_TOPIC_TESTING_H_
