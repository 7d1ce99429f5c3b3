// How large a message may be.

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
  CHECK(Send(queue, std::string(1'048'576, 'x')).ok());
  CHECK(ErrorIn(Send(queue, std::string(1'048'577, 'x'))) == Error::kInvalidParameterValue);
  CHECK(queue.Counts().ready == 1);
}

CONFORMANCE_TEST("attribute names, types and values count towards the size") {
  ManualClock clock;
  using Strings = typename QueueKind<TestType>::template Of<std::string>;
  auto queue = Make<Strings>(clock, {.max_message_size = 1024});
  const MessageAttributes attributes = {{"name", "value"}};  // 4 + 6 of "String" + 5
  CHECK(Send(queue, std::string(1009, 'x'), {.attributes = attributes}).ok());
  CHECK(ErrorIn(Send(queue, std::string(1010, 'x'), {.attributes = attributes})) == Error::kInvalidParameterValue);
}

CONFORMANCE_TEST("an empty string is not a message") {
  ManualClock clock;
  using Strings = typename QueueKind<TestType>::template Of<std::string>;
  auto queue = Make<Strings>(clock);
  CHECK(ErrorIn(Send(queue, "")) == Error::kMissingParameter);
  CHECK(ErrorIn(Send(queue, "", {.delay = Seconds(1)})) == Error::kMissingParameter);
  CHECK(queue.Counts().total() == 0);
}

CONFORMANCE_TEST("a body of a user's type has the size that its function returns") {
  ManualClock clock;
  using Documents = typename QueueKind<TestType>::template Of<Document>;
  auto queue = Make<Documents>(clock, {.max_message_size = 2000});
  CHECK(Send(queue, Document{2}).ok());
  CHECK(ErrorIn(Send(queue, Document{3})) == Error::kInvalidParameterValue);
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
  REQUIRE(Send(queue, std::vector<std::byte>(777)).ok());
  CHECK(queue.Statistics().sent_message_size == 777);
}

CONFORMANCE_TEST("a body is consumed only if it is sent") {
  ManualClock clock;
  using Strings = typename QueueKind<TestType>::template Of<std::string>;
  auto queue = Make<Strings>(clock, {.max_message_size = 1024});
  std::string body(2000, 'x');
  CHECK_FALSE(Send(queue, std::move(body)).ok());
  CHECK(body.size() == 2000);  // NOLINT(bugprone-use-after-move): this is what is tested
  queue.Close();
  std::string small(10, 'x');
  CHECK(ErrorIn(Send(queue, std::move(small))) == Error::kQueueClosed);
  CHECK(small.size() == 10);  // NOLINT(bugprone-use-after-move)
}

}  // namespace decouple::testing
