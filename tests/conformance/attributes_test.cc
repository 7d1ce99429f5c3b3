// Message attributes on their way through a queue.

#include <optional>
#include <string>

#include "queue_testing.h"

namespace decouple::testing {

CONFORMANCE_TEST("attributes travel with their message") {
  ManualClock clock;
  auto queue = Make<TestType>(clock);
  const MessageAttributes attributes = {{"store", "oslo"}, {"price", 120}, {"blob", AttributeValue::Binary("\x01")}};
  REQUIRE(Send(queue, 1, {.attributes = attributes}).ok());
  SendAll(queue, 2);
  auto with = ReceiveOne(queue);
  const auto without = ReceiveOne(queue);
  CHECK(with.attributes() == attributes);
  CHECK(without.attributes().empty());
  REQUIRE(with.Delete().ok());
  CHECK(with.attributes().Find("price")->value() == "120");  // readable as long as the delivery lives
  clock.Advance(Seconds(30));
  CHECK(ReceiveOne(queue).attributes().empty());
}

CONFORMANCE_TEST("attributes survive a return to the queue") {
  ManualClock clock;
  auto queue = Make<TestType>(clock);
  REQUIRE(Send(queue, 1, {.attributes = {{"store", "oslo"}}}).ok());
  for (int i = 0; i < 5; ++i) {
    auto delivery = ReceiveOne(queue);
    CHECK(delivery.attributes().Find("store")->value() == "oslo");
    REQUIRE(delivery.Release().ok());
  }
}

CONFORMANCE_TEST("a message has at most ten attributes") {
  ManualClock clock;
  auto queue = Make<TestType>(clock);
  MessageAttributes attributes;
  for (int i = 0; i < 10; ++i) attributes.Set("a" + std::to_string(i), i);
  CHECK(Send(queue, 1, {.attributes = attributes}).ok());
  attributes.Set("a10", 10);
  CHECK(ErrorIn(Send(queue, 1, {.attributes = attributes})) == Error::kInvalidParameterValue);
  CHECK(queue.Counts().ready == 1);
}

CONFORMANCE_TEST("a message with an invalid attribute is refused") {
  ManualClock clock;
  auto queue = Make<TestType>(clock);
  CHECK(ErrorIn(Send(queue, 1, {.attributes = {{"AWS.x", "y"}}})) == Error::kInvalidParameterValue);
  CHECK(ErrorIn(Send(queue, 1, {.attributes = {{"x", "\x01"}}})) == Error::kInvalidParameterValue);
  CHECK(ErrorIn(Send(queue, 1, {.attributes = {{"x", 1e127}}})) == Error::kInvalidParameterValue);
  CHECK(queue.Counts().total() == 0);
  CHECK(Send(queue, 1, {.attributes = {{"x", AttributeValue("y").WithSuffix("  prefixed.")}}}).ok());
  CHECK(ReceiveOne(queue).attributes().Find("x")->type() == "String.  prefixed.");
}

CONFORMANCE_TEST("a body may hold any bytes") {
  ManualClock clock;
  using Strings = typename QueueKind<TestType>::template Of<std::string>;
  auto queue = Make<Strings>(clock);
  std::string bytes;
  for (int c = 0; c < 256; ++c) bytes.push_back(static_cast<char>(c));
  REQUIRE(Send(queue, bytes).ok());
  CHECK(ReceiveOne(queue).body() == bytes);
}

CONFORMANCE_TEST("a group, a deduplication id or an attempt id that is given is not empty") {
  ManualClock clock;
  auto queue = Make<TestType>(clock);
  CHECK(ErrorIn(Send(queue, 1, {.group = ""})) == Error::kInvalidParameterValue);
  CHECK(ErrorIn(Send(queue, 1, {.deduplication_id = ""})) == Error::kInvalidParameterValue);
  CHECK(ErrorIn(queue.Receive({.attempt_id = ""})) == Error::kInvalidParameterValue);
  CHECK(queue.Counts().total() == 0);
  CHECK(Send(queue, 1, {.group = std::nullopt, .deduplication_id = std::nullopt}).ok());
  CHECK(queue.Receive({.attempt_id = std::nullopt})->size() == 1);
}

}  // namespace decouple::testing
