#include "decouple/topic.h"

#include <algorithm>
#include <any>
#include <array>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "catch.h"
#include "decouple/fifo_queue.h"
#include "decouple/standard_queue.h"
#include "topic_testing.h"
#include "without_address_of.h"

namespace {

using decouple::Attribute;
using decouple::Error;
using decouple::FifoQueue;
using decouple::ManualClock;
using decouple::Notification;
using decouple::PublishBatchEntry;
using decouple::QueueReference;
using decouple::StandardQueue;
using decouple::Subscription;
using decouple::Topic;
using namespace decouple::testing;  // NOLINT: all of them

// Counts its copies and how many there are.
struct Counted {
  explicit Counted(int n) : number(n) { ++alive; }
  Counted(const Counted& other) : number(other.number) {
    ++alive;
    ++copies;
  }
  Counted(Counted&& other) noexcept : number(other.number) { ++alive; }
  ~Counted() { --alive; }

  int number;
  static inline int alive = 0;
  static inline int copies = 0;
};

}  // namespace

TEST_CASE("every subscription gets each message exactly once") {
  ManualClock clock;
  auto topic = MakeTopic<int>(clock);
  auto one = Make<StandardQueue<int>>(clock);
  auto other = Make<StandardQueue<int>>(clock);
  SubscribeForGood(topic, one);
  SubscribeForGood(topic, other);
  PublishAll(topic, 1, 2, 3);
  CHECK(ReceiveAll(one) == std::vector{1, 2, 3});
  CHECK(ReceiveAll(other) == std::vector{1, 2, 3});
}

TEST_CASE("a queue gets only messages that are published while it is subscribed") {
  ManualClock clock;
  auto topic = MakeTopic<int>(clock);
  auto queue = Make<StandardQueue<int>>(clock);
  PublishAll(topic, 1);
  auto subscription = topic.Subscribe(queue).value();
  PublishAll(topic, 2);
  CHECK(subscription.Unsubscribe().ok());
  PublishAll(topic, 3);
  CHECK(ReceiveAll(queue) == std::vector{2});
}

TEST_CASE("a published body is never copied, and is destroyed with the last message that refers to it") {
  ManualClock clock;
  auto topic = MakeTopic<Counted>(clock);
  std::vector<StandardQueue<Counted>> queues;
  for (int i = 0; i < 100; ++i) {
    queues.push_back(Make<StandardQueue<Counted>>(clock));
    SubscribeForGood(topic, queues.back());
  }
  Counted::copies = 0;
  REQUIRE(topic.Publish(Counted(7)).ok());
  CHECK(Counted::copies == 0);
  CHECK(Counted::alive == 1);
  const Counted* shown = nullptr;
  for (auto& queue : queues) {
    auto delivery = ReceiveOne(queue);
    CHECK(delivery.body().number == 7);
    if (shown != nullptr) CHECK(&delivery.body() == shown);
    shown = &delivery.body();
    CHECK(Counted::alive == 1);
    CHECK(delivery.Delete().ok());
  }
  CHECK(Counted::alive == 0);
}

TEST_CASE("move-only bodies are published") {
  ManualClock clock;
  auto topic = MakeTopic<std::unique_ptr<int>>(clock);
  auto one = Make<StandardQueue<std::unique_ptr<int>>>(clock);
  auto other = Make<StandardQueue<std::unique_ptr<int>>>(clock);
  SubscribeForGood(topic, one);
  SubscribeForGood(topic, other);
  REQUIRE(topic.Publish(std::make_unique<int>(7)).ok());
  CHECK(*ReceiveOne(one).body() == 7);
  CHECK(*ReceiveOne(other).body() == 7);
}

TEST_CASE("a function that would take a notification only by a conversion gets the body") {
  ManualClock clock;
  auto topic = MakeTopic<std::any>(clock);
  struct Member {
    void Take(const std::any& body) { number += std::any_cast<int>(body); }
    int number = 0;
  } bound;
  struct {
    void operator()(const std::any& body) const { *number += std::any_cast<int>(body); }
    void operator()(int) const {}
    int* number;
  } overloaded{nullptr};
  int by_reference = 0;
  int by_overload = 0;
  int by_lambda_of_auto = 0;
  int by_notification = 0;
  int by_ref = 0;
  int by_ref_of_auto = 0;
  int by_bind = 0;
  overloaded.number = &by_overload;
  const auto add_body = [](int& sum, const std::any& body) { sum += std::any_cast<int>(body); };
  const auto add_to_ref = [&](const std::any& body) { add_body(by_ref, body); };
  const auto add_of_auto = [&](const auto& n) { by_ref_of_auto += std::any_cast<int>(n.body()); };
  SubscribeForGood(topic, std::ref(add_to_ref));
  SubscribeForGood(topic, std::ref(add_of_auto));
  SubscribeForGood(topic, std::bind(add_body, std::ref(by_bind), std::placeholders::_1));
  SubscribeForGood(topic, [&](const std::any& body) { by_reference += std::any_cast<int>(body); });
  SubscribeForGood(topic, std::bind_front(&Member::Take, &bound));
  SubscribeForGood(topic, overloaded);
  SubscribeForGood(topic, [&](const auto& n) { by_lambda_of_auto += std::any_cast<int>(n.body()); });
  SubscribeForGood(topic, [&](const Notification<std::any>& n) { by_notification += std::any_cast<int>(n.body()); });
  PublishAll(topic, 7);
  CHECK(topic.Deliver() == 8);
  CHECK(std::array{by_reference, bound.number, by_overload, by_lambda_of_auto, by_notification, by_ref, by_ref_of_auto,
                   by_bind} == std::array{7, 7, 7, 7, 7, 7, 7, 7});
}

TEST_CASE("a body's type may have no operator&") {
  ManualClock clock;
  auto topic = MakeTopic<WithoutAddressOf>(clock);
  auto queue = Make<StandardQueue<WithoutAddressOf>>(clock);
  struct Other : WithoutAddressOf {};
  auto converted = Make<StandardQueue<Other>>(clock);
  int got = 0;
  SubscribeForGood(topic, [&](const WithoutAddressOf& body) { got = body.number; });
  SubscribeForGood(topic, queue, {.filter = decouple::Where(&WithoutAddressOf::number) > 6});
  auto conversion = topic.Subscribe(converted, [](const WithoutAddressOf& body) { return Other{body}; });
  PublishAll(topic, 7);
  topic.Deliver();
  CHECK(got == 7);
  CHECK(ReceiveOne(queue).body().number == 7);
  CHECK(ReceiveOne(converted).body().number == 7);
}

TEST_CASE("a delivery says what was published, where and when") {
  ManualClock clock;
  auto topic = MakeTopic<int>(clock, {.name = "placed"});
  auto queue = Make<StandardQueue<int>>(clock, {.delay = Seconds(5)});
  SubscribeForGood(topic, queue);
  const absl::Time published_at = clock.Now();
  const auto result = topic.Publish(7, {.subject = "new order", .attributes = {{"store", "oslo"}}}).value();
  CHECK_FALSE(result.sequence_number.has_value());
  CHECK(queue.Counts().delayed == 1);  // the queue's own delay counts
  clock.Advance(Seconds(5));
  const auto delivery = ReceiveOne(queue);
  REQUIRE(delivery.publication() != nullptr);
  CHECK(delivery.publication()->id == result.message_id);
  CHECK(delivery.publication()->topic() == "placed");
  CHECK(delivery.publication()->subject == "new order");
  CHECK(delivery.publication()->published_at == published_at);
  CHECK(delivery.sent_at() == published_at);
  REQUIRE(delivery.attributes().Find("store") != nullptr);
  CHECK(delivery.attributes().Find("store")->value() == "oslo");
  CHECK_FALSE(delivery.id() == result.message_id);  // the queue gives its own
  CHECK(delivery.group().empty());
  CHECK_FALSE(delivery.replayed());

  SendAll(queue, 8);
  clock.Advance(Seconds(5));
  CHECK(ReceiveOne(queue).publication() == nullptr);
}

TEST_CASE("a message's group reaches a standard queue as its tenant") {
  ManualClock clock;
  auto topic = MakeTopic<int>(clock);
  auto queue = Make<StandardQueue<int>>(clock);
  SubscribeForGood(topic, queue);
  REQUIRE(topic.Publish(1, {.group = "customer-7"}).ok());
  CHECK(ReceiveOne(queue).group() == "customer-7");
}

TEST_CASE("a published message goes through all states that a sent one does") {
  ManualClock clock;
  auto topic = MakeTopic<std::string>(clock);
  auto failed = Make<StandardQueue<std::string>>(clock);
  auto queue = Make<StandardQueue<std::string>>(clock, {.redrive = decouple::Redrive{.to = failed, .max_receives = 1}});
  auto other = Make<StandardQueue<std::string>>(clock);
  SubscribeForGood(topic, queue);
  SubscribeForGood(topic, other);
  REQUIRE(topic.Publish("hello", {.subject = "s", .attributes = {{"a", "bc"}}}).ok());
  CHECK(queue.Statistics().approximate_number_of_bytes == 5 + 1 + 6 + 2);
  {
    const auto held = ReceiveOne(queue);
    clock.Advance(Seconds(30));
    CHECK(ReceivesNothing(queue));  // moved to the dead-letter queue, though a delivery shows it
    CHECK(held.body() == "hello");
  }
  const auto dead = ReceiveOne(failed);
  CHECK(dead.body() == "hello");
  CHECK(dead.attributes().Find("a")->value() == "bc");
  CHECK(dead.publication()->subject == "s");
  clock.Advance(Seconds(30));
  auto task = failed.StartMessageMoveTask().value();
  task.Run();
  CHECK(ReceiveOne(queue).publication()->subject == "s");
  CHECK(queue.Statistics().approximate_number_of_bytes == 14);
  CHECK(queue.Purge().ok());
  CHECK(queue.Statistics().approximate_number_of_bytes == 0);
  clock.Advance(Hours(4 * 24));
  CHECK(other.Counts().total() == 0);
}

TEST_CASE("compaction moves published messages, whose bodies stay shared") {
  ManualClock clock;
  auto topic = MakeTopic<Counted>(clock);
  auto queue = Make<StandardQueue<Counted>>(clock);
  auto other = Make<StandardQueue<Counted>>(clock);
  SubscribeForGood(topic, queue);
  SubscribeForGood(topic, other);
  constexpr int kMessages = 20'000;
  constexpr int kStay = 500;  // one of so many
  for (int i = 0; i < kMessages; ++i) REQUIRE(topic.Publish(Counted(i)).ok());
  for (;;) {
    auto received = queue.Receive({.max_messages = 10});
    if (received->empty()) break;
    for (auto& delivery : *received) {
      if (delivery.body().number % kStay != 0) REQUIRE(delivery.Delete().ok());
    }
  }
  for (int i = 0; i < 1'000; ++i) CHECK(queue.Receive()->empty());  // tidies up
  CHECK(Counted::alive == kMessages);
  CHECK(other.Purge().ok());
  CHECK(Counted::alive == kMessages / kStay);
  clock.Advance(Seconds(30));
  std::vector<int> stayed;
  std::vector<int> expected;
  for (int i = 0; i < kMessages; i += kStay) expected.push_back(i);
  for (;;) {
    auto received = queue.Receive({.max_messages = 10});
    if (received->empty()) break;
    for (auto& delivery : *received) {
      stayed.push_back(delivery.body().number);
      REQUIRE(delivery.Delete().ok());
    }
  }
  std::sort(stayed.begin(), stayed.end());
  CHECK(stayed == expected);
  CHECK(Counted::alive == 0);
}

TEST_CASE("queues of another type are subscribed by a conversion") {
  ManualClock clock;
  auto topic = MakeTopic<std::string>(clock);
  auto lengths = Make<StandardQueue<std::size_t>>(clock);
  auto checked = Make<StandardQueue<int>>(clock);
  topic.Subscribe(lengths, [](const std::string& text) { return text.size(); })->Detach();
  const auto to_checked = [](const std::string& text) -> absl::StatusOr<int> {
    if (text == "bad") return absl::InvalidArgumentError("bad");
    return static_cast<int>(text.size());
  };
  const auto reference = topic.Subscribe(checked, to_checked)->Detach();
  REQUIRE(topic.Publish("hello", {.subject = "s", .attributes = {{"a", 1}}}).ok());
  REQUIRE(topic.Publish("bad").ok());
  const auto delivery = ReceiveOne(lengths);
  CHECK(delivery.body() == 5);
  CHECK(delivery.publication()->subject == "s");
  CHECK(delivery.attributes().size() == 1);
  CHECK(ReceiveAll(checked) == std::vector{5});
  CHECK(reference.Statistics().number_of_notifications_failed == 1);
}

TEST_CASE("a FIFO queue on a standard topic is refused") {
  ManualClock clock;
  auto topic = MakeTopic<int>(clock);
  auto queue = Make<FifoQueue<int>>(clock);
  CHECK(ErrorIn(topic.Subscribe(queue)) == Error::kInvalidParameter);
  CHECK(topic.Subscriptions().empty());
}

TEST_CASE("a queue takes messages of allowed topics only") {
  ManualClock clock;
  auto allowed = MakeTopic<int>(clock, {.name = "a"});
  auto other = MakeTopic<int>(clock, {.name = "b"});
  auto queue = Make<StandardQueue<int>>(clock, {.senders = decouple::AllowSenders{{allowed}}});
  const auto subscription = SubscribeForGood(allowed, queue);
  CHECK(ErrorIn(other.Subscribe(queue)) == Error::kAccessDenied);
  CHECK(ErrorIn(other.Subscribe([](const int&) {}, {.dead_letters = queue})) == Error::kAccessDenied);
  PublishAll(allowed, 1);
  REQUIRE(queue.Send(2).ok());  // a handle is enough
  CHECK(ReceiveAll(queue) == std::vector{1, 2});
  CHECK(queue.SetAttributes({.senders = decouple::AllowSenders{}}).ok());
  PublishAll(allowed, 3);
  CHECK(ReceivesNothing(queue));
  CHECK(subscription.Statistics().number_of_notifications_failed == 1);  // for good
  CHECK(queue.SetAttributes({.senders = decouple::AllowAllSenders{}}).ok());
  CHECK(other.Subscribe(queue).ok());
}

TEST_CASE("a message has 1 to 262 144 bytes, attributes included") {
  ManualClock clock;
  auto topic = MakeTopic<std::string>(clock);
  CHECK(topic.Publish(std::string(262'144, 'x')).ok());
  CHECK(ErrorIn(topic.Publish(std::string(262'145, 'x'))) == Error::kInvalidParameter);
  CHECK(topic.Publish(std::string(262'144 - 9, 'x'), {.attributes = {{"a", "bc"}}}).ok());
  CHECK(ErrorIn(topic.Publish(std::string(262'144 - 8, 'x'), {.attributes = {{"a", "bc"}}})) ==
        Error::kInvalidParameter);
  CHECK(ErrorIn(topic.Publish("")) == Error::kInvalidParameter);
  auto unlimited = MakeTopic<std::string>(clock, {.limits = decouple::Limits::Unlimited()});
  CHECK(unlimited.Publish(std::string(300'000, 'x')).ok());
}

TEST_CASE("a subject has 1 to 100 printable characters") {
  ManualClock clock;
  auto topic = MakeTopic<int>(clock);
  CHECK(topic.Publish(1, {.subject = std::string(100, 'x')}).ok());
  CHECK(topic.Publish(1, {.subject = "an order, #45"}).ok());
  for (const std::string& subject :
       {std::string(101, 'x'), std::string(" x"), std::string("a\nb"), std::string("\xC3\xA5")}) {
    CHECK(ErrorIn(topic.Publish(1, {.subject = subject})) == Error::kInvalidParameter);
  }
}

TEST_CASE("malformed attributes, groups and ids are refused") {
  ManualClock clock;
  auto topic = MakeTopic<int>(clock);
  CHECK(ErrorIn(topic.Publish(1, {.attributes = {{"", 1}}})) == Error::kInvalidParameterValue);
  CHECK(ErrorIn(topic.Publish(1, {.group = "with space"})) == Error::kInvalidParameterValue);
  CHECK(ErrorIn(topic.Publish(1, {.deduplication_id = "id"})) == Error::kInvalidParameter);
  CHECK(topic.Statistics().number_of_messages_published == 0);
}

TEST_CASE("a refused body stays with the caller") {
  ManualClock clock;
  auto topic = MakeTopic<std::string>(clock);
  std::string body(300'000, 'x');
  CHECK_FALSE(topic.Publish(std::move(body)).ok());
  CHECK(body.size() == 300'000);  // NOLINT: that is the rule
}

TEST_CASE("a batch is published entry by entry") {
  ManualClock clock;
  auto topic = MakeTopic<std::string>(clock);
  auto queue = Make<StandardQueue<std::string>>(clock);
  SubscribeForGood(topic, queue);
  std::vector<PublishBatchEntry<std::string>> entries = {{"a", "one"}, {"b", "two"}};
  const auto results = topic.PublishBatch(entries);
  REQUIRE(results.ok());
  REQUIRE(results->size() == 2);
  CHECK_FALSE((*results)[0]->message_id == (*results)[1]->message_id);
  CHECK(ReceiveAll(queue) == std::vector<std::string>{"one", "two"});
}

TEST_CASE("a batch with a malformed entry is refused whole, by an error that names the entry") {
  ManualClock clock;
  auto topic = MakeTopic<std::string>(clock);
  auto queue = Make<StandardQueue<std::string>>(clock);
  SubscribeForGood(topic, queue);
  const auto refuse = [&](PublishBatchEntry<std::string> malformed, Error error) {
    std::vector<PublishBatchEntry<std::string>> entries = {{"a", "one"}, std::move(malformed), {"c", "three"}};
    const auto results = topic.PublishBatch(entries);
    CHECK(ErrorIn(results) == error);
    CHECK(results.status().message().find("batch entry \"b\"") != std::string::npos);
    CHECK(entries[0].body == "one");  // nothing was moved from
  };
  refuse({"b", ""}, Error::kInvalidParameter);
  refuse({"b", "x", {.subject = " "}}, Error::kInvalidParameter);
  refuse({"b", "x", {.attributes = {{"AWS.x", "y"}}}}, Error::kInvalidParameterValue);
  refuse({"b", "x", {.group = "a b"}}, Error::kInvalidParameterValue);
  refuse({"b", "x", {.deduplication_id = "1"}}, Error::kInvalidParameter);
  CHECK(ReceivesNothing(queue));
  CHECK(topic.Statistics().number_of_messages_published == 0);
}

TEST_CASE("a batch to publish is written as a list in braces, and its results have the entries' ids") {
  ManualClock clock;
  auto topic = MakeTopic<std::string>(clock);
  auto queue = Make<StandardQueue<std::string>>(clock);
  SubscribeForGood(topic, queue);
  const auto results = topic.PublishBatch({{"a", "one"}, {"b", "two", {.subject = "2"}}});
  REQUIRE(results.ok());
  CHECK((*results)[0].id() == "a");
  CHECK((*results)[1].id() == "b");
  CHECK(ReceiveAll(queue) == std::vector<std::string>{"one", "two"});
}

TEST_CASE("a batch fails as a whole when its shape is wrong") {
  ManualClock clock;
  auto topic = MakeTopic<std::string>(clock);
  const auto error = [&](std::vector<PublishBatchEntry<std::string>> entries) {
    return ErrorIn(topic.PublishBatch(entries));
  };
  CHECK(error({}) == Error::kEmptyBatchRequest);
  std::vector<PublishBatchEntry<std::string>> eleven;
  for (int i = 0; i < 11; ++i) eleven.push_back({std::to_string(i), "x"});
  CHECK(error(eleven) == Error::kTooManyEntriesInBatchRequest);
  eleven.pop_back();
  CHECK(error(eleven) == std::nullopt);
  CHECK(error({{"a", "x"}, {"a", "y"}}) == Error::kBatchEntryIdsNotDistinct);
  CHECK(error({{"a b", "x"}}) == Error::kInvalidBatchEntryId);
  CHECK(error({{"a", std::string(131'072, 'x')}, {"b", std::string(131'072, 'x')}}) == std::nullopt);
  CHECK(error({{"a", std::string(131'072, 'x')}, {"b", std::string(131'073, 'x')}}) == Error::kBatchRequestTooLong);
  CHECK(topic.Statistics().number_of_messages_published == 12);
}

TEST_CASE("a closed topic publishes nothing") {
  ManualClock clock;
  auto topic = MakeTopic<int>(clock);
  auto copy = topic;
  CHECK(copy == topic);
  topic.Close();
  CHECK(copy.closed());
  CHECK(ErrorIn(copy.Publish(1)) == Error::kTopicClosed);
}

TEST_CASE("two runs with one seed have the same message ids, two topics have different ones") {
  ManualClock clock;
  const auto first_id = [&](const std::string& name, std::uint64_t seed) {
    return MakeTopic<int>(clock, {.name = name, .seed = seed}).Publish(1)->message_id;
  };
  CHECK(first_id("a", 1) == first_id("a", 1));
  CHECK_FALSE(first_id("a", 1) == first_id("b", 1));
  CHECK_FALSE(first_id("a", 1) == first_id("a", 2));
}

TEST_CASE("two topics of one name and seed are not one") {
  ManualClock clock;
  auto one = MakeTopic<int>(clock, {.name = "placed", .seed = 1});
  auto other = MakeTopic<int>(clock, {.name = "placed", .seed = 1});
  CHECK_FALSE(one.identity() == other.identity());
  CHECK_FALSE(decouple::TopicReference(one) == decouple::TopicReference(other));
  CHECK_FALSE(one.Publish(1)->message_id == other.Publish(1)->message_id);
  auto queue = Make<StandardQueue<int>>(clock, {.senders = decouple::AllowSenders{{one}}});
  CHECK(ErrorIn(other.Subscribe(queue)) == Error::kAccessDenied);
  SubscribeForGood(one, queue);
  PublishAll(other, 1);
  PublishAll(one, 2);
  CHECK(ReceiveAll(queue) == std::vector{2});
}

TEST_CASE("a topic that is gone leaves its permissions to no other one of its name and seed") {
  ManualClock clock;
  auto queue = Make<StandardQueue<int>>(clock);
  {
    const auto former = MakeTopic<int>(clock, {.name = "placed", .seed = 1});
    REQUIRE(queue.SetAttributes({.senders = decouple::AllowSenders{{former}}}).ok());
  }
  auto topic = MakeTopic<int>(clock, {.name = "placed", .seed = 1});
  CHECK(ErrorIn(topic.Subscribe(queue)) == Error::kAccessDenied);
}
