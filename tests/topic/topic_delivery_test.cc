// Delivery to functions: in order, retried when they fail, and to the dead-letter queue.

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "catch.h"
#include "decouple/standard_queue.h"
#include "decouple/topic.h"
#include "topic_testing.h"

namespace {

using decouple::BackoffFunction;
using decouple::DeliveryPolicy;
using decouple::Error;
using decouple::ManualClock;
using decouple::Notification;
using decouple::StandardQueue;
using decouple::Subscription;
using decouple::SubscriptionReference;
using decouple::Topic;
using namespace decouple::testing;  // NOLINT: all of them

std::vector<absl::Duration> AllSeconds(std::vector<int> seconds) {
  std::vector<absl::Duration> durations;
  for (const int n : seconds) durations.push_back(Seconds(n));
  return durations;
}

}  // namespace

TEST_CASE("a function is called by Deliver, in the order of publishing, and by nothing else") {
  ManualClock clock;
  auto topic = MakeTopic<int>(clock);
  Script script;
  const auto subscription = SubscribeForGood(topic, script.Function(clock));
  CHECK(topic.NextDelivery() == absl::InfiniteFuture());
  PublishAll(topic, 1, 2, 3);
  CHECK(script.bodies.empty());
  CHECK(subscription.Statistics().number_of_notifications_waiting == 3);
  CHECK(topic.NextDelivery() == clock.Now());
  CHECK(topic.Deliver() == 3);
  CHECK(script.bodies == std::vector{1, 2, 3});
  CHECK(topic.Deliver() == 0);
  CHECK(topic.NextDelivery() == absl::InfiniteFuture());
  CHECK(subscription.Statistics().number_of_notifications_delivered == 3);
}

TEST_CASE("a function gets the message with its whole publication") {
  ManualClock clock;
  auto topic = MakeTopic<std::string>(clock, {.name = "placed"});
  int called = 0;
  decouple::MessageId id;
  SubscribeForGood(topic, [&](const Notification<std::string>& notification) {
    ++called;
    id = notification.id();
    CHECK(notification.body() == "hello");
    CHECK(notification.topic() == "placed");
    CHECK(notification.subject() == "s");
    CHECK(notification.attributes().Find("a")->value() == "b");
    CHECK(notification.published_at() == clock.Now());
    CHECK(notification.attempt() == 1);
  });
  const auto published = topic.Publish("hello", {.subject = "s", .attributes = {{"a", "b"}}}).value();
  topic.Deliver();
  CHECK(called == 1);
  CHECK(id == published.message_id);
}

TEST_CASE("a function that fails is retried three times, 20 s apart") {
  ManualClock clock;
  auto topic = MakeTopic<int>(clock);
  Script script{.answer = absl::UnavailableError("down")};
  const auto subscription = SubscribeForGood(topic, script.Function(clock));
  PublishAll(topic, 1);
  topic.Deliver();
  CHECK(script.at == AllSeconds({0}));
  clock.Advance(Seconds(20) - kOneNanosecond);
  CHECK(topic.Deliver() == 0);
  clock.Advance(kOneNanosecond);
  CHECK(topic.Deliver() == 1);
  DeliverFor(topic, clock, Seconds(1'000));
  CHECK(script.at == AllSeconds({0, 20, 40, 60}));
  CHECK(script.attempts == std::vector{1, 2, 3, 4});
  const auto statistics = subscription.Statistics();
  CHECK(statistics.number_of_notifications_failed == 1);
  CHECK(statistics.number_of_notifications_retried == 3);
  CHECK(statistics.number_of_notifications_waiting == 0);
}

TEST_CASE("a delivery policy is followed to the instant") {
  ManualClock clock;
  auto topic = MakeTopic<int>(clock);
  Script script{.answer = absl::InternalError("down")};
  SubscribeForGood(topic, script.Function(clock),
                   {.delivery = DeliveryPolicy{.min_delay = Seconds(1),
                                               .max_delay = Seconds(8),
                                               .retries = 8,
                                               .immediate_retries = 1,
                                               .pre_backoff_retries = 1,
                                               .post_backoff_retries = 2,
                                               .backoff = BackoffFunction::kGeometric}});
  PublishAll(topic, 1);
  DeliverFor(topic, clock, Seconds(1'000));
  // At once, 1 s, then 1, 2, 4, 8 s, then 8 s twice.
  CHECK(script.at == AllSeconds({0, 0, 1, 2, 4, 8, 16, 24, 32}));
}

TEST_CASE("a function that recovers gets its messages, each once") {
  ManualClock clock;
  auto topic = MakeTopic<int>(clock);
  Script script{.answer = absl::UnavailableError("down")};
  const auto subscription = SubscribeForGood(topic, script.Function(clock));
  PublishAll(topic, 1, 2);
  topic.Deliver();
  script.answer = absl::OkStatus();
  clock.Advance(Seconds(20));
  topic.Deliver();
  CHECK(script.bodies == std::vector{1, 2, 1, 2});
  clock.Advance(Seconds(100));
  CHECK(topic.Deliver() == 0);
  CHECK(subscription.Statistics().number_of_notifications_delivered == 2);
}

TEST_CASE("a message that fails does not hold up others of a standard topic") {
  ManualClock clock;
  auto topic = MakeTopic<int>(clock);
  std::vector<int> delivered;
  SubscribeForGood(topic, [&](const int& body) -> absl::Status {
    if (body == 1) return absl::UnavailableError("not this one");
    delivered.push_back(body);
    return absl::OkStatus();
  });
  PublishAll(topic, 1, 2, 3);
  topic.Deliver();
  CHECK(delivered == std::vector{2, 3});
}

TEST_CASE("a message that failed for good goes to the dead-letter queue") {
  ManualClock clock;
  auto topic = MakeTopic<int>(clock);
  auto failed = Make<StandardQueue<int>>(clock);
  Script script{.answer = absl::UnavailableError("down")};
  const auto subscription = SubscribeForGood(topic, script.Function(clock), {.dead_letters = failed});
  REQUIRE(topic.Publish(7, {.subject = "s", .attributes = {{"a", 1}}}).ok());
  DeliverFor(topic, clock, Seconds(60) - kOneNanosecond);
  CHECK(failed.Counts().total() == 0);
  DeliverFor(topic, clock, kOneNanosecond);
  const auto dead = ReceiveOne(failed);
  CHECK(dead.body() == 7);
  CHECK(dead.publication()->subject == "s");
  CHECK(dead.attributes().size() == 1);
  CHECK(subscription.Statistics().number_of_notifications_failed == 1);
  CHECK(subscription.Statistics().number_of_notifications_redriven_to_dlq == 1);
}

TEST_CASE("a permanent failure is not retried") {
  for (const auto& permanent :
       {absl::InvalidArgumentError(""), absl::NotFoundError(""), absl::AlreadyExistsError(""),
        absl::PermissionDeniedError(""), absl::UnauthenticatedError(""), absl::FailedPreconditionError(""),
        absl::OutOfRangeError(""), absl::UnimplementedError("")}) {
    ManualClock clock;
    auto topic = MakeTopic<int>(clock);
    auto failed = Make<StandardQueue<int>>(clock);
    Script script{.answer = permanent};
    SubscribeForGood(topic, script.Function(clock), {.dead_letters = failed});
    PublishAll(topic, 1);
    topic.Deliver();
    CHECK(script.bodies.size() == 1);
    CHECK(failed.Counts().ready == 1);
    CHECK(topic.NextDelivery() == absl::InfiniteFuture());
  }
}

TEST_CASE("all other errors are retried") {
  for (const auto& passing : {absl::UnavailableError(""), absl::DeadlineExceededError(""), absl::AbortedError(""),
                              absl::ResourceExhaustedError(""), absl::InternalError(""), absl::UnknownError(""),
                              absl::CancelledError(""), absl::DataLossError("")}) {
    ManualClock clock;
    auto topic = MakeTopic<int>(clock);
    Script script{.answer = passing};
    SubscribeForGood(topic, script.Function(clock));
    PublishAll(topic, 1);
    topic.Deliver();
    CHECK(topic.NextDelivery() == clock.Now() + Seconds(20));
  }
}

#if defined(__cpp_exceptions)
TEST_CASE("a function that throws affects no other subscription, and is retried") {
  ManualClock clock;
  auto topic = MakeTopic<int>(clock);
  auto failed = Make<StandardQueue<int>>(clock);
  SubscribeForGood(topic, [](const int&) { throw std::runtime_error("oh"); }, {.dead_letters = failed});
  Script script;
  SubscribeForGood(topic, script.Function(clock));
  PublishAll(topic, 1);
  topic.Deliver();
  CHECK(script.bodies == std::vector{1});
  CHECK(topic.NextDelivery() == clock.Now() + Seconds(20));
  DeliverFor(topic, clock, Seconds(60));
  CHECK(failed.Counts().ready == 1);
}
#endif

TEST_CASE("a function may unsubscribe itself, and its pending deliveries are abandoned") {
  ManualClock clock;
  auto topic = MakeTopic<int>(clock);
  int calls = 0;
  std::optional<SubscriptionReference<int>> self;
  self = SubscribeForGood(topic, [&](const int&) {
    ++calls;
    CHECK(self->Unsubscribe().ok());
  });
  PublishAll(topic, 1, 2);
  topic.Deliver();
  CHECK(calls == 1);
  CHECK(topic.Subscriptions().empty());
  CHECK(topic.Statistics().number_of_notifications_abandoned == 1);
  CHECK(topic.Statistics().number_of_notifications_delivered == 1);
}

TEST_CASE("a function may publish and subscribe") {
  ManualClock clock;
  auto topic = MakeTopic<int>(clock);
  std::vector<int> got;
  bool has_subscribed = false;
  SubscribeForGood(topic, [&](const int& body) {
    if (!has_subscribed) SubscribeForGood(topic, [&](const int& later) { got.push_back(later); });
    has_subscribed = true;
    if (body < 3) PublishAll(topic, body + 1);
  });
  PublishAll(topic, 1);
  topic.Deliver();
  CHECK(got == std::vector{2, 3});
}

TEST_CASE("a function that blocks holds up neither publishers nor other functions") {
  ManualClock clock;
  auto topic = MakeTopic<int>(clock);
  std::atomic<bool> is_in = false;
  std::atomic<bool> may_go = false;
  SubscribeForGood(topic, [&](const int&) {
    is_in = true;
    while (!may_go) std::this_thread::yield();
  });
  Script script;
  SubscribeForGood(topic, script.Function(clock));
  auto queue = Make<StandardQueue<int>>(clock);
  SubscribeForGood(topic, queue);
  PublishAll(topic, 1);
  std::thread blocked([&] { topic.Deliver(); });
  while (!is_in) std::this_thread::yield();
  PublishAll(topic, 2);
  topic.Deliver();
  CHECK(script.bodies == std::vector{1, 2});
  CHECK(ReceiveAll(queue) == std::vector{1, 2});
  may_go = true;
  blocked.join();
}

TEST_CASE("unsubscribing returns when the function is not running any more") {
  ManualClock clock;
  auto topic = MakeTopic<int>(clock);
  std::atomic<bool> is_in = false;
  std::atomic<bool> may_go = false;
  std::atomic<bool> is_out = false;
  auto subscription = topic
                          .Subscribe([&](const int&) {
                            is_in = true;
                            while (!may_go) std::this_thread::yield();
                            is_out = true;
                          })
                          .value();
  PublishAll(topic, 1);
  std::thread deliverer([&] { topic.Deliver(); });
  while (!is_in) std::this_thread::yield();
  std::thread releaser([&] {
    while (!subscription.ended()) std::this_thread::yield();  // Unsubscribe() has begun
    may_go = true;
  });
  CHECK(subscription.Unsubscribe().ok());
  CHECK(is_out);
  deliverer.join();
  releaser.join();
}

TEST_CASE("a throttled function is called at most max_receives_per_second times a second") {
  ManualClock clock;
  auto topic = MakeTopic<int>(clock);
  Script script;
  SubscribeForGood(topic, script.Function(clock), {.max_receives_per_second = 4});
  for (int i = 0; i < 9; ++i) PublishAll(topic, i);
  topic.Deliver();
  CHECK(script.bodies.size() == 4);
  CHECK(topic.NextDelivery() == clock.Now() + absl::Milliseconds(250));
  clock.Advance(absl::Milliseconds(250) - kOneNanosecond);
  CHECK(topic.Deliver() == 0);
  clock.Advance(kOneNanosecond);
  CHECK(topic.Deliver() == 1);
  DeliverFor(topic, clock, Seconds(1));
  CHECK(script.bodies.size() == 9);
}

TEST_CASE("a full dead-letter queue gets the message once it has room") {
  ManualClock clock;
  auto topic = MakeTopic<int>(clock);
  auto failed = Make<StandardQueue<int>>(clock, {.capacity = decouple::Capacity{.messages = 1}});
  SendAll(failed, 0);
  Script script{.answer = absl::InvalidArgumentError("")};
  const auto subscription = SubscribeForGood(topic, script.Function(clock), {.dead_letters = failed});
  PublishAll(topic, 1);
  topic.Deliver();
  CHECK(subscription.Statistics().number_of_notifications_waiting == 1);
  CHECK(failed.Purge().ok());
  DeliverFor(topic, clock, Seconds(1));
  CHECK(ReceiveAll(failed) == std::vector{1});
  CHECK(script.bodies.size() == 1);
}

TEST_CASE("a message that a closed dead-letter queue refuses is counted") {
  ManualClock clock;
  auto topic = MakeTopic<int>(clock);
  auto failed = Make<StandardQueue<int>>(clock);
  Script script{.answer = absl::InvalidArgumentError("")};
  const auto subscription = SubscribeForGood(topic, script.Function(clock), {.dead_letters = failed});
  failed.Close();
  PublishAll(topic, 1);
  topic.Deliver();
  CHECK(subscription.Statistics().number_of_notifications_failed_to_redrive_to_dlq == 1);
  CHECK(topic.Statistics().number_of_notifications_failed_to_redrive_to_dlq == 1);
  CHECK(topic.NextDelivery() == absl::InfiniteFuture());
}

TEST_CASE("a delivery beyond max_waiting fails for good") {
  ManualClock clock;
  auto topic = MakeTopic<int>(clock);
  auto failed = Make<StandardQueue<int>>(clock);
  Script script;
  SubscribeForGood(topic, script.Function(clock), {.dead_letters = failed, .max_waiting = 2});
  PublishAll(topic, 1, 2, 3);
  topic.Deliver();
  CHECK(script.bodies == std::vector{1, 2});
  CHECK(ReceiveAll(failed) == std::vector{3});
}

TEST_CASE("a pause also keeps retries") {
  ManualClock clock;
  auto topic = MakeTopic<int>(clock);
  Script script{.answer = absl::UnavailableError("down")};
  const auto subscription = SubscribeForGood(topic, script.Function(clock));
  PublishAll(topic, 1);
  topic.Deliver();
  subscription.Pause();
  clock.Advance(Seconds(100));
  CHECK(topic.Deliver() == 0);
  CHECK(topic.NextDelivery() == absl::InfiniteFuture());
  subscription.Resume();
  CHECK(topic.Deliver() == 1);
}

TEST_CASE("RunDeliveries delivers what becomes due until the topic is closed and nothing is pending") {
  ManualClock clock;
  auto topic = MakeTopic<int>(clock);
  std::atomic<int> calls = 0;
  SubscribeForGood(topic, [&](const Notification<int>& notification) -> absl::Status {
    ++calls;
    return notification.attempt() < 3 ? absl::UnavailableError("down") : absl::OkStatus();
  });
  std::thread deliverer([&] { topic.RunDeliveries(); });
  clock.AwaitSleepers(1);
  PublishAll(topic, 1);
  while (calls != 1) std::this_thread::yield();
  clock.AwaitSleepers(1);
  clock.Advance(Seconds(20));
  while (calls != 2) std::this_thread::yield();
  topic.Close();  // pending deliveries are still made
  clock.AwaitSleepers(1);
  clock.Advance(Seconds(20));
  deliverer.join();
  CHECK(calls == 3);
}

TEST_CASE("deliveries pending when the topic is closed are still made") {
  ManualClock clock;
  auto topic = MakeTopic<int>(clock);
  std::atomic<int> calls = 0;
  SubscribeForGood(topic, [&](const Notification<int>& notification) -> absl::Status {
    ++calls;
    return notification.attempt() == 1 ? absl::UnavailableError("down") : absl::OkStatus();
  });
  PublishAll(topic, 1);
  topic.Close();
  const absl::Time begin = clock.Now();
  const auto advancing = clock.AdvanceWhileAsleep();
  topic.RunDeliveries();
  CHECK(clock.Now() == begin + Seconds(20));
  CHECK(calls == 2);
}

TEST_CASE("statistics have the service's names and add up") {
  ManualClock clock;
  auto topic = MakeTopic<int>(clock);
  auto queue = Make<StandardQueue<int>>(clock);
  SubscribeForGood(topic, queue, {.filter = decouple::Attribute("a") == 1});
  Script script{.answer = absl::InvalidArgumentError("")};
  SubscribeForGood(topic, script.Function(clock), {.dead_letters = queue});
  REQUIRE(topic.Publish(1, {.attributes = {{"a", 1}}}).ok());
  REQUIRE(topic.Publish(2, {.attributes = {{"a", 2}}}).ok());
  PublishAll(topic, 3);
  topic.Deliver();
  std::vector<std::pair<std::string, double>> metrics;
  topic.Statistics().ForEach([&](const char* name, double value) {
    if (value != 0) metrics.emplace_back(name, value);
  });
  CHECK(metrics == std::vector<std::pair<std::string, double>>{
                       {"NumberOfMessagesPublished", 3},
                       {"PublishSize", 3 * sizeof(int) + 2 * 8},
                       {"NumberOfNotificationsDelivered", 1},
                       {"NumberOfNotificationsFailed", 3},
                       {"NumberOfNotificationsFilteredOut", 2},
                       {"NumberOfNotificationsFilteredOut-MessageAttributes", 1},
                       {"NumberOfNotificationsFilteredOut-NoMessageAttributes", 1},
                       {"NumberOfNotificationsRedrivenToDlq", 3},
                   });
}
