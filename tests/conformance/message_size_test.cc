// What a message may be: its size and its attributes.

#include <cstddef>
#include <string>
#include <vector>

#include "queue_testing.h"

namespace decouple::testing {

struct Document {
  std::size_t pages = 0;
};

std::size_t DecoupleMessageSize(const Document& document) { return document.pages * 1000; }

CONFORMANCE_TEST("a string of up to 1048576 bytes is a message, a longer one is not") {
  ManualClock clock;
  using Strings = typename QueueKind<TestType>::template Of<std::string>;
  auto queue = Make<Strings>(clock);
  CHECK(queue.Send(std::string(1'048'576, 'x')).ok());
  CHECK(ErrorIn(queue.Send(std::string(1'048'577, 'x'))) == Error::kInvalidParameterValue);
  CHECK(queue.Counts().ready == 1);
}

CONFORMANCE_TEST("attribute names, types and values count towards the size") {
  ManualClock clock;
  using Strings = typename QueueKind<TestType>::template Of<std::string>;
  auto queue = Make<Strings>(clock, {.max_message_size = 1024});
  const MessageAttributes attributes = {{"name", "value"}};  // 4 + 6 of "String" + 5
  CHECK(queue.Send(std::string(1009, 'x'), {.attributes = attributes}).ok());
  CHECK(ErrorIn(queue.Send(std::string(1010, 'x'), {.attributes = attributes})) == Error::kInvalidParameterValue);
}

CONFORMANCE_TEST("an empty string is no message") {
  ManualClock clock;
  using Strings = typename QueueKind<TestType>::template Of<std::string>;
  auto queue = Make<Strings>(clock);
  CHECK(ErrorIn(queue.Send("")) == Error::kMissingParameter);
  CHECK(ErrorIn(queue.Send("", {.delay = Seconds(1)})) == Error::kMissingParameter);
  CHECK(queue.Counts().total() == 0);
}

CONFORMANCE_TEST("a body of one's own type has the size that its function says") {
  ManualClock clock;
  using Documents = typename QueueKind<TestType>::template Of<Document>;
  auto queue = Make<Documents>(clock, {.max_message_size = 2000});
  CHECK(queue.Send(Document{2}).ok());
  CHECK(ErrorIn(queue.Send(Document{3})) == Error::kInvalidParameterValue);
  CHECK(queue.Statistics().sent_message_size == 2000);
}

CONFORMANCE_TEST("a body of another type has its sizeof") {
  ManualClock clock;
  auto queue = Make<TestType>(clock);
  SendAll(queue, 1, 2);
  CHECK(queue.Statistics().sent_message_size == 2 * sizeof(int));
}

CONFORMANCE_TEST("a vector of bytes counts its length") {
  ManualClock clock;
  using Bytes = typename QueueKind<TestType>::template Of<std::vector<std::byte>>;
  auto queue = Make<Bytes>(clock);
  REQUIRE(queue.Send(std::vector<std::byte>(777)).ok());
  CHECK(queue.Statistics().sent_message_size == 777);
}

CONFORMANCE_TEST("attributes travel with their message") {
  ManualClock clock;
  auto queue = Make<TestType>(clock);
  const MessageAttributes attributes = {{"store", "oslo"}, {"price", 120}, {"blob", AttributeValue::Binary("\x01")}};
  REQUIRE(queue.Send(1, {.attributes = attributes}).ok());
  SendAll(queue, 2);
  auto with = ReceiveOne(queue);
  const auto without = ReceiveOne(queue);
  CHECK(with.attributes() == attributes);
  CHECK(without.attributes().empty());
  REQUIRE(with.Delete().ok());
  CHECK(with.attributes().Find("price")->value() == "120");  // readable as long as the delivery
  clock.Advance(Seconds(30));
  CHECK(ReceiveOne(queue).attributes().empty());
}

CONFORMANCE_TEST("attributes survive a return to the queue") {
  ManualClock clock;
  auto queue = Make<TestType>(clock);
  REQUIRE(queue.Send(1, {.attributes = {{"store", "oslo"}}}).ok());
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
  CHECK(queue.Send(1, {.attributes = attributes}).ok());
  attributes.Set("a10", 10);
  CHECK(ErrorIn(queue.Send(1, {.attributes = attributes})) == Error::kInvalidParameterValue);
  CHECK(queue.Counts().ready == 1);
}

CONFORMANCE_TEST("a message with an invalid attribute is refused") {
  ManualClock clock;
  auto queue = Make<TestType>(clock);
  CHECK(ErrorIn(queue.Send(1, {.attributes = {{"AWS.x", "y"}}})) == Error::kInvalidParameterValue);
  CHECK(queue.Counts().total() == 0);
}

CONFORMANCE_TEST("a body is consumed only if it is sent") {
  ManualClock clock;
  using Strings = typename QueueKind<TestType>::template Of<std::string>;
  auto queue = Make<Strings>(clock, {.max_message_size = 1024});
  std::string body(2000, 'x');
  CHECK_FALSE(queue.Send(std::move(body)).ok());
  CHECK(body.size() == 2000);  // NOLINT(bugprone-use-after-move): this is what is tested
  queue.Close();
  std::string small(10, 'x');
  CHECK(ErrorIn(queue.Send(std::move(small))) == Error::kQueueClosed);
  CHECK(small.size() == 10);  // NOLINT(bugprone-use-after-move)
}

}  // namespace decouple::testing
