#include "decouple/fifo_topic.h"

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "catch.h"
#include "decouple/fifo_queue.h"
#include "decouple/standard_queue.h"
#include "topic_testing.h"

namespace {

using decouple::Attribute;
using decouple::DeduplicationScope;
using decouple::Error;
using decouple::FifoQueue;
using decouple::FifoTopic;
using decouple::ManualClock;
using decouple::PublishOptions;
using decouple::StandardQueue;
using decouple::Topic;
using namespace decouple::testing;  // NOLINT: all of them

// Receives and deletes all messages, of all groups.
template <typename T>
std::vector<T> Drain(FifoQueue<T>& queue) {
  std::vector<T> bodies;
  for (;;) {
    auto received = queue.Receive({.max_messages = 10});
    REQUIRE(received.ok());
    if (received->empty()) return bodies;
    for (auto& delivery : *received) {
      bodies.push_back(delivery.body());
      REQUIRE(delivery.Delete().ok());
    }
  }
}

}  // namespace

TEST_CASE("a group's messages reach every FIFO queue in the order of publishing") {
  ManualClock clock;
  auto topic = MakeFifoTopic<int>(clock);
  auto one = Make<FifoQueue<int>>(clock);
  auto other = Make<FifoQueue<int>>(clock);
  SubscribeForGood(topic, one);
  SubscribeForGood(topic, other);
  PublishInGroup(topic, "g", 1, 2, 3);
  CHECK(Drain(one) == std::vector{1, 2, 3});
  CHECK(Drain(other) == std::vector{1, 2, 3});
}

TEST_CASE("group, deduplication id and sequence number reach the queue with the message") {
  ManualClock clock;
  auto topic = MakeFifoTopic<int>(clock, {.name = "entries"});
  auto queue = Make<FifoQueue<int>>(clock);
  SubscribeForGood(topic, queue);
  const auto first = topic.Publish(1, {.group = "g", .deduplication_id = "a"}).value();
  const auto second = topic.Publish(2, {.group = "g", .deduplication_id = "b"}).value();
  REQUIRE(first.sequence_number.has_value());
  CHECK(*first.sequence_number < *second.sequence_number);
  const auto delivery = ReceiveOne(queue);
  CHECK(delivery.group() == "g");
  CHECK(delivery.deduplication_id() == "a");
  CHECK(delivery.publication()->sequence_number == first.sequence_number);
  CHECK(delivery.publication()->id == first.message_id);
  CHECK(delivery.publication()->topic() == "entries");
  CHECK(delivery.publication()->published_at == clock.Now());
}

TEST_CASE("a duplicate within five minutes is accepted and not delivered") {
  ManualClock clock;
  auto topic = MakeFifoTopic<int>(clock);
  auto queue = Make<FifoQueue<int>>(clock);
  auto standard = Make<StandardQueue<int>>(clock);
  SubscribeForGood(topic, queue);
  SubscribeForGood(topic, standard);
  const auto first = topic.Publish(1, {.group = "g", .deduplication_id = "a"}).value();
  CHECK(Drain(queue) == std::vector{1});
  clock.Advance(Minutes(5) - kOneNanosecond);
  const auto again = topic.Publish(2, {.group = "other", .deduplication_id = "a"}).value();
  CHECK(again.message_id == first.message_id);
  CHECK(again.sequence_number == first.sequence_number);
  CHECK(Drain(queue).empty());
  clock.Advance(kOneNanosecond);
  CHECK_FALSE(topic.Publish(3, {.group = "g", .deduplication_id = "a"})->message_id == first.message_id);
  CHECK(Drain(queue) == std::vector{3});
  CHECK(ReceiveAll(standard).size() == 2);
  CHECK(topic.Statistics().number_of_duplicates == 1);
  CHECK(topic.Statistics().number_of_messages_published == 3);
}

TEST_CASE("with the scope of a group the same id in another group is no duplicate") {
  ManualClock clock;
  auto topic = MakeFifoTopic<int>(clock, {.deduplication_scope = DeduplicationScope::kMessageGroup});
  auto queue = Make<StandardQueue<int>>(clock);
  SubscribeForGood(topic, queue);
  for (const char* group : {"g", "h", "g"}) REQUIRE(topic.Publish(1, {.group = group, .deduplication_id = "a"}).ok());
  CHECK(ReceiveAll(queue).size() == 2);
}

TEST_CASE("a FIFO queue deduplicates too, and releases the body of a duplicate") {
  ManualClock clock;
  const auto body = std::make_shared<int>(7);
  auto topic = MakeFifoTopic<std::shared_ptr<int>>(clock, {.deduplication_scope = DeduplicationScope::kMessageGroup});
  auto queue = Make<FifoQueue<std::shared_ptr<int>>>(clock);
  const auto subscription = SubscribeForGood(topic, queue);
  for (const char* group : {"g", "h"}) {
    REQUIRE(topic.Publish(std::shared_ptr<int>(body), {.group = group, .deduplication_id = "a"}).ok());
  }
  CHECK(subscription.Statistics().number_of_notifications_delivered == 2);
  CHECK(body.use_count() == 2);
  CHECK(Drain(queue).size() == 1);
  CHECK(body.use_count() == 1);
}

TEST_CASE("with content-based deduplication the body is the id, and an explicit id wins") {
  ManualClock clock;
  auto topic = MakeFifoTopic<std::string>(clock, {.content_based_deduplication = true});
  auto queue = Make<FifoQueue<std::string>>(clock);
  SubscribeForGood(topic, queue);
  CHECK(topic.Publish("x", {.group = "g"}).ok());
  CHECK(topic.Publish("x", {.attributes = {{"a", 1}}, .group = "g"}).ok());
  CHECK(topic.Publish("x", {.group = "g", .deduplication_id = "1"}).ok());
  CHECK(Drain(queue).size() == 2);
  CHECK(ErrorIn(FifoTopic<int>::Create({.content_based_deduplication = true})) == Error::kInvalidParameter);
}

TEST_CASE("group and deduplication id are required") {
  ManualClock clock;
  auto topic = MakeFifoTopic<int>(clock);
  CHECK(ErrorIn(topic.Publish(1)) == Error::kInvalidParameter);
  CHECK(ErrorIn(topic.Publish(1, {.group = "g"})) == Error::kInvalidParameter);
  CHECK(ErrorIn(topic.Publish(1, {.deduplication_id = "a"})) == Error::kInvalidParameter);
  CHECK(ErrorIn(topic.Publish(1, {.group = "g", .deduplication_id = std::string(129, 'a')})) ==
        Error::kInvalidParameterValue);
  CHECK(topic.Publish(1, {.group = "g", .deduplication_id = std::string(128, 'a')}).ok());
}

TEST_CASE("a FIFO queue takes messages of allowed topics only") {
  ManualClock clock;
  auto allowed = MakeFifoTopic<int>(clock, {.name = "a"});
  auto other = MakeFifoTopic<int>(clock, {.name = "b"});
  auto queue = Make<FifoQueue<int>>(clock, {.senders = decouple::AllowSenders{{allowed}}});
  SubscribeForGood(allowed, queue);
  CHECK(ErrorIn(other.Subscribe(queue)) == Error::kAccessDenied);
  PublishInGroup(allowed, "g", 1);
  CHECK(queue.SetAttributes({.senders = decouple::AllowSenders{{other}}}).ok());
  PublishInGroup(allowed, "g", 2);
  CHECK(Drain(queue) == std::vector{1});
}

TEST_CASE("a subscribed FIFO queue keeps to its quota of calls; the rest is retried") {
  ManualClock clock;
  auto topic = MakeFifoTopic<int>(clock);
  auto queue = Make<FifoQueue<int>>(clock, {.max_calls_per_second = 2});
  SubscribeForGood(topic, queue);
  PublishInGroup(topic, "g", 1, 2, 3);
  CHECK(queue.Counts().ready == 2);
  clock.Advance(Seconds(1));
  topic.Deliver();
  CHECK(queue.Counts().ready == 3);
}

TEST_CASE("a FIFO topic takes FIFO and standard queues, and no functions") {
  ManualClock clock;
  auto topic = MakeFifoTopic<int>(clock);
  auto standard = Make<StandardQueue<int>>(clock);
  CHECK(ErrorIn(topic.Subscribe([](const int&) {})) == Error::kInvalidParameter);
  SubscribeForGood(topic, standard);
  PublishInGroup(topic, "g", 1);
  CHECK(ReceiveOne(standard).group() == "g");
}

TEST_CASE("messages wait behind an earlier one that a queue does not take") {
  ManualClock clock;
  auto topic = MakeFifoTopic<int>(clock);
  auto small = Make<FifoQueue<int>>(clock, {.capacity = decouple::Capacity{.messages = 1}});
  auto other = Make<FifoQueue<int>>(clock);
  SubscribeForGood(topic, small);
  SubscribeForGood(topic, other);
  PublishInGroup(topic, "g", 1, 2, 3);
  CHECK(Drain(other) == std::vector{1, 2, 3});
  CHECK(Drain(small) == std::vector{1});
  PublishInGroup(topic, "g", 4);  // there is room, but an earlier one waits
  CHECK(Drain(small).empty());
  clock.Advance(Seconds(1));
  std::vector<int> got;
  for (int i = 0; i < 100 && got.size() < 3; ++i) {
    topic.Deliver();
    for (const int body : Drain(small)) got.push_back(body);
    clock.Advance(Seconds(1));
  }
  CHECK(got == std::vector{2, 3, 4});
}

TEST_CASE("messages of a pause keep their order") {
  ManualClock clock;
  auto topic = MakeFifoTopic<int>(clock);
  auto queue = Make<FifoQueue<int>>(clock);
  const auto subscription = SubscribeForGood(topic, queue);
  subscription.Pause();
  PublishInGroup(topic, "g", 1, 2);
  subscription.Resume();
  PublishInGroup(topic, "g", 3);
  topic.Deliver();
  CHECK(Drain(queue) == std::vector{1, 2, 3});
}

TEST_CASE("a queue that is closed sends its messages to the FIFO dead-letter queue, in order") {
  ManualClock clock;
  auto topic = MakeFifoTopic<int>(clock);
  auto queue = Make<FifoQueue<int>>(clock);
  auto failed = Make<FifoQueue<int>>(clock);
  SubscribeForGood(topic, queue, {.dead_letters = failed});
  queue.Close();
  PublishInGroup(topic, "g", 1, 2);
  CHECK(Drain(failed) == std::vector{1, 2});
}

TEST_CASE("a standard queue on a FIFO topic has a standard dead-letter queue") {
  ManualClock clock;
  auto topic = MakeFifoTopic<int>(clock);
  auto queue = Make<StandardQueue<int>>(clock);
  auto fifo_queue = Make<FifoQueue<int>>(clock);
  auto failed = Make<StandardQueue<int>>(clock);
  auto fifo_failed = Make<FifoQueue<int>>(clock);
  CHECK(ErrorIn(topic.Subscribe(queue, {.dead_letters = fifo_failed})) == Error::kInvalidParameter);
  CHECK(ErrorIn(topic.Subscribe(fifo_queue, {.dead_letters = failed})) == Error::kInvalidParameter);
  const auto subscription = SubscribeForGood(topic, queue, {.dead_letters = failed});
  CHECK(ErrorIn(subscription.SetAttributes({.dead_letters = fifo_failed})) == Error::kInvalidParameter);
  queue.Close();
  PublishInGroup(topic, "g", 1, 2);
  CHECK(ReceiveAll(failed) == std::vector{1, 2});
}

TEST_CASE("dead letters for which there was no room to wait keep their order while the dead-letter queue is full") {
  ManualClock clock;
  auto topic = MakeFifoTopic<int>(clock);
  auto queue = Make<FifoQueue<int>>(clock, {.capacity = decouple::Capacity{.messages = 1}});
  auto failed = Make<FifoQueue<int>>(clock, {.capacity = decouple::Capacity{.messages = 1}});
  REQUIRE(Send(queue, 0).ok());
  REQUIRE(Send(failed, 0).ok());
  const auto subscription = SubscribeForGood(topic, queue, {.dead_letters = failed, .max_waiting = 2});
  PublishInGroup(topic, "g", 1, 2, 3, 4);  // the last two are dead letters
  CHECK(Drain(failed) == std::vector{0});
  PublishInGroup(topic, "g", 5, 6);  // there is room now, but these are younger
  CHECK(subscription.Statistics().number_of_notifications_failed == 4);
  std::vector<int> dead;
  std::vector<int> live;
  for (int i = 0; i < 60; ++i) {
    topic.Deliver();
    for (const int body : Drain(failed)) dead.push_back(body);
    for (const int body : Drain(queue)) live.push_back(body);
    clock.Advance(Seconds(1));
  }
  CHECK(dead == std::vector{3, 4, 5, 6});
  CHECK(live == std::vector{0, 1, 2});
}

TEST_CASE("a batch in which an entry lacks its group or its id is refused whole") {
  ManualClock clock;
  auto topic = MakeFifoTopic<std::string>(clock);
  auto by_content = MakeFifoTopic<std::string>(clock, {.content_based_deduplication = true});
  auto queue = Make<FifoQueue<std::string>>(clock);
  SubscribeForGood(topic, queue);
  SubscribeForGood(by_content, queue);
  using Entries = std::vector<decouple::PublishBatchEntry<std::string>>;
  Entries without_group = {{"a", "x", {.group = "g", .deduplication_id = "1"}}, {"b", "y", {.deduplication_id = "2"}}};
  Entries without_id = {{"a", "x", {.group = "g", .deduplication_id = "1"}}, {"b", "y", {.group = "g"}}};
  CHECK(ErrorIn(topic.PublishBatch(without_group)) == Error::kInvalidParameter);
  CHECK(ErrorIn(topic.PublishBatch(without_id)) == Error::kInvalidParameter);
  CHECK(ErrorIn(by_content.PublishBatch(without_group)) == Error::kInvalidParameter);
  CHECK(Drain(queue).empty());
  CHECK(by_content.PublishBatch(without_id).ok());
  CHECK(Drain(queue) == std::vector<std::string>{"x", "y"});
}

TEST_CASE("a replay delivers archived messages once more, with their ids and marked as replayed") {
  ManualClock clock;
  auto topic = MakeFifoTopic<int>(clock, {.archive_retention = Hours(24)});
  PublishInGroup(topic, "g", 1, 2, 3);  // there is no subscription yet
  auto queue = Make<FifoQueue<int>>(clock);
  const auto subscription = SubscribeForGood(topic, queue);
  const auto fourth = topic.Publish(4, {.group = "g", .deduplication_id = "a"}).value();
  CHECK(subscription.Replay().value() == 4);
  {
    const auto live = ReceiveOne(queue);
    CHECK(live.body() == 4);
    CHECK_FALSE(live.replayed());
  }
  clock.Advance(Seconds(30));
  CHECK(Drain(queue) == std::vector{4, 1, 2, 3, 4});  // though the queue has seen the deduplication id of the last
  CHECK(subscription.Replay({.from = clock.Now() - Seconds(30)}).value() == 4);
  auto all = queue.Receive({.max_messages = 10}).value();
  REQUIRE(all.size() == 4);
  CHECK(all[3].replayed());
  CHECK(all[3].publication()->id == fourth.message_id);
  CHECK(all[3].publication()->published_at == clock.Now() - Seconds(30));
}

TEST_CASE("a replay includes its begin and excludes its end") {
  ManualClock clock;
  auto topic = MakeFifoTopic<int>(clock, {.archive_retention = Hours(24)});
  const absl::Time begin = clock.Now();
  for (int i = 0; i < 5; ++i) {
    PublishInGroup(topic, "g", i);
    clock.Advance(Seconds(1));
  }
  auto queue = Make<FifoQueue<int>>(clock);
  const auto subscription = SubscribeForGood(topic, queue);
  CHECK(subscription.Replay({.from = begin + Seconds(1), .to = begin + Seconds(3)}).value() == 2);
  CHECK(Drain(queue) == std::vector{1, 2});
  CHECK(subscription.Replay({.from = begin + Seconds(1) + kOneNanosecond, .to = begin + Seconds(3) + kOneNanosecond})
            .value() == 2);
  CHECK(Drain(queue) == std::vector{2, 3});
  CHECK(subscription.Replay({.from = begin + Seconds(5)}).value() == 0);
  CHECK(ErrorIn(subscription.Replay({.from = begin, .to = begin})) == Error::kInvalidParameter);
}

TEST_CASE("a replay is filtered, and reaches no other subscription") {
  ManualClock clock;
  auto topic = MakeFifoTopic<int>(clock, {.archive_retention = Hours(24)});
  auto queue = Make<FifoQueue<int>>(clock);
  auto other = Make<FifoQueue<int>>(clock);
  const auto subscription = SubscribeForGood(topic, queue, {.filter = Attribute("a") == 1});
  SubscribeForGood(topic, other);
  for (int i = 0; i < 4; ++i) {
    REQUIRE(topic.Publish(i, {.attributes = {{"a", i % 2}}, .group = "g", .deduplication_id = std::to_string(i)}).ok());
  }
  Drain(queue);
  Drain(other);
  CHECK(subscription.Replay().value() == 2);
  CHECK(Drain(queue) == std::vector{1, 3});
  CHECK(Drain(other).empty());
}

TEST_CASE("messages published during a replay come after it") {
  ManualClock clock;
  auto topic = MakeFifoTopic<int>(clock, {.archive_retention = Hours(24)});
  auto queue = Make<FifoQueue<int>>(clock);
  PublishInGroup(topic, "g", 1, 2);
  const auto subscription = SubscribeForGood(topic, queue);
  subscription.Pause();
  CHECK(subscription.Replay().value() == 2);
  PublishInGroup(topic, "g", 3);
  subscription.Resume();
  topic.Deliver();
  CHECK(Drain(queue) == std::vector{1, 2, 3});
}

TEST_CASE("an archive keeps its messages for its retention") {
  ManualClock clock;
  auto topic = MakeFifoTopic<int>(clock, {.archive_retention = Hours(24)});
  auto queue = Make<FifoQueue<int>>(clock);
  PublishInGroup(topic, "g", 1);
  const auto subscription = SubscribeForGood(topic, queue);
  clock.Advance(Hours(24) - kOneNanosecond);
  CHECK(subscription.Replay().value() == 1);
  clock.Advance(kOneNanosecond);
  CHECK(subscription.Replay().value() == 0);
}

TEST_CASE("an archive's retention changes live, and its begin is told") {
  ManualClock clock;
  auto topic = MakeFifoTopic<int>(clock);
  auto queue = Make<FifoQueue<int>>(clock);
  const auto subscription = SubscribeForGood(topic, queue);
  const absl::Time created = clock.Now();
  CHECK_FALSE(topic.archive_begin().has_value());
  PublishInGroup(topic, "g", 1);
  clock.Advance(Seconds(1));
  CHECK(topic.SetAttributes({.archive_retention = Hours(48)}).ok());
  CHECK(topic.archive_begin() == created + Seconds(1));
  PublishInGroup(topic, "g", 2);
  clock.Advance(Hours(36));
  PublishInGroup(topic, "g", 3);
  CHECK(topic.archive_begin() == created + Seconds(1));
  CHECK(subscription.Replay().value() == 2);
  CHECK(topic.SetAttributes({.archive_retention = Hours(24)}).ok());
  CHECK(topic.archive_begin() == clock.Now() - Hours(24));
  CHECK(subscription.Replay().value() == 1);
  const absl::Time raised = clock.Now();
  CHECK(topic.SetAttributes({.archive_retention = Hours(72)}).ok());
  clock.Advance(Hours(30));
  CHECK(topic.archive_begin() == raised - Hours(24));  // what is older has gone
  CHECK(subscription.Replay().value() == 1);
  CHECK(topic.SetAttributes({.archive_retention = absl::ZeroDuration()}).ok());
  CHECK_FALSE(topic.archive_begin().has_value());
  CHECK(ErrorIn(subscription.Replay()) == Error::kInvalidParameter);
  CHECK(topic.SetAttributes({.archive_retention = Hours(24)}).ok());
  CHECK(subscription.Replay().value() == 0);
  CHECK(ErrorIn(topic.SetAttributes({.archive_retention = Hours(23)})) == Error::kInvalidParameter);
  CHECK(topic.attributes().archive_retention == Hours(24));
}

TEST_CASE("a message that leaves the archive when its retention shrinks is destroyed with no lock held") {
  ManualClock clock;
  std::optional<FifoTopic<std::shared_ptr<void>>> topic =
      MakeFifoTopic<std::shared_ptr<void>>(clock, {.archive_retention = Hours(24)});
  int destroyed = 0;
  std::shared_ptr<void> body(nullptr, [&](void*) { destroyed += topic->archive_begin().has_value() ? 0 : 1; });
  REQUIRE(topic->Publish(std::move(body), {.group = "g", .deduplication_id = "1"}).ok());
  CHECK(topic->SetAttributes({.archive_retention = absl::ZeroDuration()}).ok());
  CHECK(FifoTopic<int>::Create({.archive_retention = topic->attributes().archive_retention}).ok());
  CHECK(destroyed == 1);
}

TEST_CASE("the status of a replay can be read until every message of it was delivered or has failed") {
  using decouple::ReplayState;
  ManualClock clock;
  auto topic = MakeFifoTopic<int>(clock, {.archive_retention = Hours(24)});
  auto queue = Make<FifoQueue<int>>(clock);
  PublishInGroup(topic, "g", 1, 2);
  const auto subscription = SubscribeForGood(topic, queue);
  CHECK(subscription.replay_status().state == ReplayState::kNone);
  subscription.Pause();
  CHECK(subscription.Replay().value() == 2);
  CHECK(subscription.replay_status().state == ReplayState::kInProgress);
  CHECK(subscription.replay_status().messages == 2);
  CHECK(subscription.replay_status().messages_waiting == 2);
  PublishInGroup(topic, "g", 3);
  subscription.Resume();
  topic.Deliver();
  CHECK(subscription.replay_status().state == ReplayState::kCompleted);
  CHECK(subscription.replay_status().messages_waiting == 0);
  queue.Close();
  CHECK(subscription.Replay().value() == 3);
  topic.Deliver();
  CHECK(subscription.replay_status().state == ReplayState::kCompleted);
  CHECK(subscription.replay_status().messages == 5);
}

TEST_CASE("all that can be set of a FIFO topic can be read, with the times of its creation and its last change") {
  ManualClock clock;
  auto topic = MakeFifoTopic<std::string>(clock);
  auto without_content = MakeFifoTopic<std::unique_ptr<int>>(clock);
  const absl::Time created = clock.Now();
  clock.Advance(Seconds(1));
  CHECK(topic.attributes().content_based_deduplication == false);
  CHECK(topic.attributes().deduplication_scope == DeduplicationScope::kQueue);
  CHECK(topic.attributes().archive_retention == absl::ZeroDuration());
  CHECK_FALSE(topic.attributes().delivery.has_value());
  CHECK(topic.last_modified_at() == created);
  CHECK(ErrorIn(topic.Publish("x", {.group = "g"})) == Error::kInvalidParameter);
  CHECK(topic
            .SetAttributes(
                {.content_based_deduplication = true, .deduplication_scope = DeduplicationScope::kMessageGroup})
            .ok());
  CHECK(topic.attributes().content_based_deduplication == true);
  CHECK(topic.attributes().deduplication_scope == DeduplicationScope::kMessageGroup);
  CHECK(topic.created_at() == created);
  CHECK(topic.last_modified_at() == clock.Now());
  CHECK(topic.Publish("x", {.group = "g"}).ok());
  CHECK(ErrorIn(topic.SetAttributes({.delivery = decouple::DeliveryPolicy()})) == Error::kInvalidParameter);
  CHECK(ErrorIn(without_content.SetAttributes({.content_based_deduplication = true})) == Error::kInvalidParameter);
}

// Calls `hook` once, at the next time that it is read.
class HookedClock final : public decouple::Clock {
 public:
  std::int64_t NowNanos() const override {
    if (hook) std::exchange(hook, nullptr)();
    return clock_.NowNanos();
  }
  void Sleep(decouple::internal::Parker& parker, std::int64_t deadline) override { clock_.Sleep(parker, deadline); }

  mutable std::function<void()> hook;

 private:
  ManualClock clock_;
};

TEST_CASE("a dead-letter queue that is replaced while a FIFO topic sends to it is not destroyed under its locks") {
  using Body = std::shared_ptr<void>;
  ManualClock clock;
  HookedClock hooked;
  auto topic = MakeFifoTopic<Body>(clock);
  auto queue = Make<StandardQueue<Body>>(clock);
  std::optional<StandardQueue<Body>> dead_letters = StandardQueue<Body>::Create({.clock = &hooked}).value();
  std::optional<decouple::Subscription<Body>> subscription =
      topic.Subscribe(queue, {.dead_letters = *dead_letters}).value();
  bool has_published = false;
  REQUIRE(dead_letters
              ->Send(Body(
                  nullptr,
                  [&](void*) { has_published = topic.Publish(Body(), {.group = "g", .deduplication_id = "2"}).ok(); }))
              .ok());
  queue.Close();
  hooked.hook = [&] {
    CHECK(subscription->SetAttributes({.dead_letters = decouple::QueueReference()}).ok());
    dead_letters.reset();
  };
  REQUIRE(topic.Publish(Body(), {.group = "g", .deduplication_id = "1"}).ok());
  CHECK_FALSE(dead_letters.has_value());
  subscription.reset();
  CHECK(has_published);
}

TEST_CASE("an archive is kept for 1 to 365 days, and by FIFO topics on request only") {
  const auto error = [](absl::Duration retention) {
    return ErrorIn(FifoTopic<int>::Create({.archive_retention = retention}));
  };
  CHECK(error(Hours(24)) == std::nullopt);
  CHECK(error(Hours(24) - kOneNanosecond) == Error::kInvalidParameter);
  CHECK(error(Hours(365 * 24)) == std::nullopt);
  CHECK(error(Hours(365 * 24) + kOneNanosecond) == Error::kInvalidParameter);
  ManualClock clock;
  auto fifo = MakeFifoTopic<int>(clock);
  auto standard = MakeTopic<int>(clock);
  auto queue = Make<StandardQueue<int>>(clock);
  CHECK(ErrorIn(SubscribeForGood(fifo, queue).Replay()) == Error::kInvalidParameter);
  CHECK(ErrorIn(SubscribeForGood(standard, queue).Replay()) == Error::kInvalidParameter);
}

TEST_CASE("a FIFO topic can be used as a topic") {
  ManualClock clock;
  Topic<int> topic = MakeFifoTopic<int>(clock);
  auto queue = Make<FifoQueue<int>>(clock);
  SubscribeForGood(topic, queue);
  PublishInGroup(topic, "g", 1);
  CHECK(Drain(queue) == std::vector{1});
}
