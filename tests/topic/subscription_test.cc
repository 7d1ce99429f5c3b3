#include "decouple/subscription.h"

#include <algorithm>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "catch.h"
#include "decouple/fifo_queue.h"
#include "decouple/standard_queue.h"
#include "topic_testing.h"

namespace {

using decouple::Attribute;
using decouple::DefaultDelivery;
using decouple::DeliveryPolicy;
using decouple::Error;
using decouple::FifoQueue;
using decouple::ManualClock;
using decouple::QueueReference;
using decouple::StandardQueue;
using decouple::Subscription;
using decouple::Topic;
using namespace decouple::testing;  // NOLINT: all of them

}  // namespace

TEST_CASE("subscribing the same queue again gives the same subscription, unless the options differ") {
  ManualClock clock;
  auto topic = MakeTopic<int>(clock);
  auto queue = Make<StandardQueue<int>>(clock);
  auto first = topic.Subscribe(queue, {.filter = Attribute("a") == 1, .name = "x"}).value();
  {
    auto again = topic.Subscribe(queue, {.filter = Attribute("a") == 1, .name = "x"}).value();
    CHECK(first == again);
    CHECK(topic.Subscriptions().size() == 1);
  }
  CHECK_FALSE(first.ended());  // the last of its owners ends it
  CHECK(ErrorIn(topic.Subscribe(queue, {.filter = Attribute("a") == 2, .name = "x"})) == Error::kInvalidParameter);
  CHECK(ErrorIn(topic.Subscribe(queue, {.filter = Attribute("a") == 1})) == Error::kInvalidParameter);
  REQUIRE(topic.Publish(1, {.attributes = {{"a", 1}}}).ok());
  CHECK(ReceiveAll(queue).size() == 1);
  CHECK(first.Unsubscribe().ok());
  CHECK(topic.Subscribe(queue).ok());  // now with others
}

TEST_CASE("a subscription ends with its handle, unless it is detached") {
  ManualClock clock;
  auto topic = MakeTopic<int>(clock);
  auto queue = Make<StandardQueue<int>>(clock);
  { auto subscription = topic.Subscribe(queue); }
  PublishAll(topic, 1);
  CHECK(ReceivesNothing(queue));
  std::optional<decouple::SubscriptionReference<int>> reference;
  {
    auto subscription = topic.Subscribe(queue).value();
    auto moved = std::move(subscription);
    reference = moved.Detach();
  }
  PublishAll(topic, 2);
  CHECK(ReceiveAll(queue) == std::vector{2});
  CHECK(reference->Unsubscribe().ok());
  CHECK(reference->ended());
  CHECK(reference->Unsubscribe().ok());  // twice is no error
  CHECK(ErrorIn(reference->SetFilter(Attribute("a") == 1)) == Error::kNotFound);
  CHECK_FALSE(reference->filter().has_value());
  PublishAll(topic, 3);
  CHECK(ReceivesNothing(queue));
}

TEST_CASE("topic, queue and subscription may be destroyed in any order") {
  ManualClock clock;
  auto topic = std::make_unique<Topic<int>>(MakeTopic<int>(clock));
  auto queue = std::make_unique<StandardQueue<int>>(Make<StandardQueue<int>>(clock));
  auto subscription = topic->Subscribe(*queue).value();
  auto owned = topic->Subscribe([](const int&) {}).value();
  queue.reset();
  PublishAll(*topic, 1);  // the subscription keeps the queue
  auto again = StandardQueue<int>::From(subscription.queue());
  REQUIRE(again.has_value());
  CHECK(again->Counts().ready == 1);
  topic.reset();
  CHECK(subscription.ended());
  CHECK(subscription.Unsubscribe().ok());
  CHECK(again->Receive()->front().body() == 1);  // and its payload outlives the topic
}

TEST_CASE("subscriptions are listed in their order, with their names, queues and filters") {
  ManualClock clock;
  auto topic = MakeTopic<int>(clock);
  auto queue = Make<StandardQueue<int>>(clock);
  const auto first = SubscribeForGood(topic, queue, {.filter = Attribute("a") == 1, .name = "first"});
  SubscribeForGood(topic, [](const int&) {}, {.name = "second"});
  CHECK(first.SetFilter(Attribute("a") == 2).ok());
  const auto all = topic.Subscriptions();
  REQUIRE(all.size() == 2);
  CHECK(all[0].name() == "first");
  CHECK(all[0].queue() == QueueReference(queue));
  CHECK(all[0].filter() == (Attribute("a") == 2).Policy().value());
  CHECK(all[1].name() == "second");
  CHECK_FALSE(all[1].queue());
  CHECK(all[1].filter()->lets_all_through());
}

TEST_CASE("a filter changes while the subscription lives") {
  ManualClock clock;
  auto topic = MakeTopic<int>(clock);
  auto queue = Make<StandardQueue<int>>(clock);
  const auto subscription = SubscribeForGood(topic, queue, {.filter = Attribute("n") > 5});
  const auto publish = [&](int n) { REQUIRE(topic.Publish(n, {.attributes = {{"n", n}}}).ok()); };
  publish(5);
  publish(6);
  CHECK(subscription.SetFilter(Attribute("n") < 5).ok());
  publish(4);
  publish(7);
  CHECK(subscription.SetFilter({}).ok());
  publish(8);
  CHECK(ReceiveAll(queue) == std::vector{6, 4, 8});
}

TEST_CASE("messages published during a pause wait, in order") {
  ManualClock clock;
  auto topic = MakeTopic<int>(clock);
  auto queue = Make<StandardQueue<int>>(clock);
  const auto subscription = SubscribeForGood(topic, queue);
  subscription.Pause();
  CHECK(subscription.paused());
  PublishAll(topic, 1, 2);
  topic.Deliver();
  CHECK(ReceivesNothing(queue));
  CHECK(subscription.Statistics().number_of_notifications_waiting == 2);
  subscription.Resume();
  CHECK(topic.Deliver() == 2);
  PublishAll(topic, 3);
  CHECK(ReceiveAll(queue) == std::vector{1, 2, 3});
}

TEST_CASE("a publisher delivers the messages that waited during a pause") {
  ManualClock clock;
  auto topic = MakeTopic<int>(clock);
  auto queue = Make<StandardQueue<int>>(clock);
  const auto subscription = SubscribeForGood(topic, queue);
  subscription.Pause();
  PublishAll(topic, 1);
  subscription.Resume();
  PublishAll(topic, 2);
  auto received = ReceiveAll(queue);
  std::sort(received.begin(), received.end());
  CHECK(received == std::vector{1, 2});
}

TEST_CASE("options of a subscription that do not go together are refused") {
  ManualClock clock;
  auto topic = MakeTopic<int>(clock);
  auto queue = Make<StandardQueue<int>>(clock);
  auto fifo = Make<FifoQueue<int>>(clock);
  auto text = Make<StandardQueue<std::string>>(clock);
  const auto function = [](const int&) {};
  constexpr auto kInvalid = Error::kInvalidParameter;
  CHECK(ErrorIn(topic.Subscribe(queue, {.max_receives_per_second = 5})) == kInvalid);
  CHECK(ErrorIn(topic.Subscribe(function, {.max_receives_per_second = 0})) == kInvalid);
  CHECK(ErrorIn(topic.Subscribe(function, {.dead_letters = fifo})) == kInvalid);
  CHECK(ErrorIn(topic.Subscribe(function, {.dead_letters = text})) == kInvalid);
  CHECK(ErrorIn(topic.Subscribe(function, {.max_waiting = -1})) == kInvalid);
  CHECK(ErrorIn(topic.Subscribe(queue, {.executor = [](const auto& run) { run(); }})) == kInvalid);
  CHECK(ErrorIn(topic.Subscribe(function, {.filter = Attribute("a").DoesNotStartWith("")})) == kInvalid);
  CHECK(topic.Subscriptions().empty());
}

TEST_CASE("a function that owns a subscription of its topic is destroyed by a later change of another one") {
  ManualClock clock;
  auto topic = MakeTopic<int>(clock);
  auto queue = Make<StandardQueue<int>>(clock);
  auto other = Make<StandardQueue<int>>(clock);
  for (int i = 0; i < 4; ++i) SubscribeForGood(topic, [](const int&) {});
  auto owned = std::make_shared<Subscription<int>>(topic.Subscribe(queue).value());
  {
    const auto owner = topic.Subscribe([own = std::move(owned)](const int&) {}).value();
  }
  // That has ended, but the function is kept until the part of the set of which it was one is made anew.
  CHECK(topic.Subscriptions().size() == 5);
  SubscribeForGood(topic, other);
  CHECK(topic.Subscriptions().size() == 5);
  PublishAll(topic, 1);
  CHECK(ReceivesNothing(queue));
  CHECK(ReceiveAll(other) == std::vector{1});
}

TEST_CASE("a delivery policy that is set applies to what is failing already") {
  ManualClock clock;
  auto topic = MakeTopic<int>(clock);
  Script script{.answer = absl::UnavailableError("down")};
  const auto subscription = SubscribeForGood(topic, script.Function(clock));
  PublishAll(topic, 1);
  topic.Deliver();
  const DeliveryPolicy longer = {.min_delay = Seconds(5), .max_delay = Seconds(5), .retries = 5};
  CHECK(subscription.SetAttributes({.delivery = longer}).ok());
  CHECK(subscription.effective_delivery() == longer);
  DeliverFor(topic, clock, Seconds(1'000));
  CHECK(script.at == std::vector{Seconds(0), Seconds(20), Seconds(25), Seconds(30), Seconds(35), Seconds(40)});
  CHECK(subscription.SetAttributes({.delivery = DefaultDelivery{}}).ok());
  CHECK(subscription.effective_delivery() == DeliveryPolicy());
}

TEST_CASE("a topic's delivery policy is that of the functions without their own, and changes live") {
  ManualClock clock;
  const DeliveryPolicy at_first = {.min_delay = Seconds(2), .max_delay = Seconds(2), .retries = 1};
  const DeliveryPolicy later = {.min_delay = Seconds(3), .max_delay = Seconds(3), .retries = 2};
  const DeliveryPolicy own = {.retries = 0};
  auto topic = MakeTopic<int>(clock, {.delivery = at_first});
  auto queue = Make<StandardQueue<int>>(clock);
  const auto of_topic = SubscribeForGood(topic, [](const int&) {});
  const auto of_its_own = SubscribeForGood(topic, [](const int&) {}, {.delivery = own});
  const auto of_queue = SubscribeForGood(topic, queue);
  CHECK(of_topic.effective_delivery() == at_first);
  CHECK(topic.SetAttributes({.delivery = later}).ok());
  CHECK(topic.attributes().delivery == later);
  CHECK(of_topic.effective_delivery() == later);
  CHECK(SubscribeForGood(topic, [](const int&) {}).effective_delivery() == later);
  CHECK(of_its_own.effective_delivery() == own);
  CHECK(of_queue.effective_delivery() == DeliveryPolicy::OfQueues());
  CHECK(ErrorIn(topic.SetAttributes({.delivery = DeliveryPolicy{.retries = 101}})) == Error::kInvalidParameter);
  CHECK(ErrorIn(topic.SetAttributes({.archive_retention = Hours(24)})) == Error::kInvalidParameter);
  CHECK(ErrorIn(Topic<int>::Create({.delivery = {.retries = -1}})) == Error::kInvalidParameter);
  CHECK(topic.attributes().delivery == later);
}

TEST_CASE("a throttle is set, changed and removed while messages wait") {
  ManualClock clock;
  auto topic = MakeTopic<int>(clock);
  Script script;
  const auto subscription = SubscribeForGood(topic, script.Function(clock), {.max_receives_per_second = 1});
  for (int i = 0; i < 9; ++i) PublishAll(topic, i);
  topic.Deliver();
  CHECK(script.bodies.size() == 1);
  CHECK(subscription.SetAttributes({.max_receives_per_second = 4}).ok());
  CHECK(topic.NextDelivery() == clock.Now() + absl::Milliseconds(250));
  DeliverFor(topic, clock, absl::Milliseconds(250));
  CHECK(script.bodies.size() == 2);
  CHECK(subscription.SetAttributes({.max_receives_per_second = 0}).ok());
  CHECK(topic.Deliver() == 7);
  CHECK(ErrorIn(subscription.SetAttributes({.max_receives_per_second = -1})) == Error::kInvalidParameter);
}

TEST_CASE("a dead-letter queue that is set takes what is failing already, and a removed one nothing more") {
  ManualClock clock;
  auto topic = MakeTopic<int>(clock);
  auto full = Make<StandardQueue<int>>(clock, {.capacity = decouple::Capacity{.messages = 1}});
  auto failed = Make<StandardQueue<int>>(clock);
  SendAll(full, 0);
  Script script{.answer = absl::UnavailableError("down")};
  const auto subscription = SubscribeForGood(topic, script.Function(clock));
  PublishAll(topic, 1);
  topic.Deliver();
  CHECK(subscription.SetAttributes({.dead_letters = full}).ok());
  DeliverFor(topic, clock, Seconds(60));  // the last retry fails, and the queue is full
  CHECK(subscription.Statistics().number_of_notifications_waiting == 1);
  CHECK(subscription.SetAttributes({.dead_letters = failed}).ok());
  DeliverFor(topic, clock, Seconds(1));
  CHECK(ReceiveAll(failed) == std::vector{1});
  CHECK(failed.Purge().ok());
  CHECK(subscription.SetAttributes({.dead_letters = QueueReference()}).ok());
  PublishAll(topic, 2);
  DeliverFor(topic, clock, Seconds(60));
  CHECK(ReceivesNothing(failed));
  CHECK(subscription.Statistics().number_of_notifications_failed == 2);
  CHECK(subscription.Statistics().number_of_notifications_redriven_to_dlq == 1);
}

TEST_CASE("all that can be set of a subscription can be read, with the times of its creation and its last change") {
  ManualClock clock;
  auto topic = MakeTopic<int>(clock);
  auto failed = Make<StandardQueue<int>>(clock);
  const absl::Time created = clock.Now();
  const auto subscription = SubscribeForGood(topic, [](const int&) {});
  clock.Advance(Seconds(1));
  auto all = subscription.attributes();
  CHECK(all.filter->policy()->lets_all_through());
  CHECK(std::holds_alternative<DefaultDelivery>(*all.delivery));
  CHECK(all.max_receives_per_second == 0);
  CHECK(all.dead_letters == QueueReference());
  CHECK(all.max_waiting == std::numeric_limits<std::int64_t>::max());
  CHECK(subscription.created_at() == created);
  CHECK(subscription.last_modified_at() == created);
  const DeliveryPolicy policy = {.retries = 1};
  REQUIRE(subscription
              .SetAttributes({.filter = Attribute("a") == 1,
                              .delivery = policy,
                              .max_receives_per_second = 5,
                              .dead_letters = failed,
                              .max_waiting = 7})
              .ok());
  all = subscription.attributes();
  CHECK(*all.filter->policy() == (Attribute("a") == 1).Policy().value());
  CHECK(std::get<DeliveryPolicy>(*all.delivery) == policy);
  CHECK(all.max_receives_per_second == 5);
  CHECK(all.dead_letters == QueueReference(failed));
  CHECK(all.max_waiting == 7);
  CHECK(subscription.created_at() == created);
  CHECK(subscription.last_modified_at() == clock.Now());
  REQUIRE(SubscribeForGood(topic, failed).SetAttributes(SubscribeForGood(topic, failed).attributes()).ok());
}

TEST_CASE("attributes of a subscription that are wrong change nothing") {
  ManualClock clock;
  auto topic = MakeTopic<int>(clock);
  auto queue = Make<StandardQueue<int>>(clock);
  auto fifo = Make<FifoQueue<int>>(clock);
  const auto subscription = SubscribeForGood(topic, queue);
  clock.Advance(Seconds(1));
  constexpr auto kInvalid = Error::kInvalidParameter;
  CHECK(ErrorIn(subscription.SetAttributes({.filter = Attribute("a") == 1, .max_receives_per_second = 5})) == kInvalid);
  CHECK(ErrorIn(subscription.SetAttributes({.filter = Attribute("a") == 1, .dead_letters = fifo})) == kInvalid);
  CHECK(ErrorIn(subscription.SetAttributes({.delivery = DeliveryPolicy{.retries = 101}, .max_waiting = 1})) ==
        kInvalid);
  CHECK(ErrorIn(subscription.SetAttributes({.max_waiting = -1})) == kInvalid);
  CHECK(subscription.filter()->lets_all_through());
  CHECK(subscription.attributes().max_waiting == std::numeric_limits<std::int64_t>::max());
  CHECK(subscription.last_modified_at() == clock.Now() - Seconds(1));
  CHECK(subscription.Unsubscribe().ok());
  CHECK(ErrorIn(subscription.SetAttributes({.max_waiting = 1})) == Error::kNotFound);
  CHECK_FALSE(subscription.attributes().filter.has_value());
}
