// Options: their ranges and defaults, and changes while the queue lives.

#include <limits>

#include "queue_testing.h"

namespace decouple::testing {

template <typename Queue>
bool Refuses(QueueOptions options) {
  const auto queue = Queue::Create(std::move(options));
  return ErrorIn(queue) == Error::kInvalidAttributeValue;
}

CONFORMANCE_TEST("the visibility timeout is 0 to 12 hours") {
  CHECK(Refuses<TestType>({.visibility_timeout = -kOneNanosecond}));
  CHECK_FALSE(Refuses<TestType>({.visibility_timeout = absl::ZeroDuration()}));
  CHECK_FALSE(Refuses<TestType>({.visibility_timeout = Seconds(43'200)}));
  CHECK(Refuses<TestType>({.visibility_timeout = Seconds(43'200) + kOneNanosecond}));
}

CONFORMANCE_TEST("the retention is 60 seconds to 14 days") {
  CHECK(Refuses<TestType>({.retention = Seconds(60) - kOneNanosecond}));
  CHECK_FALSE(Refuses<TestType>({.retention = Seconds(60)}));
  CHECK_FALSE(Refuses<TestType>({.retention = Seconds(1'209'600)}));
  CHECK(Refuses<TestType>({.retention = Seconds(1'209'600) + kOneNanosecond}));
}

CONFORMANCE_TEST("the delay is 0 to 15 minutes") {
  CHECK(Refuses<TestType>({.delay = -kOneNanosecond}));
  CHECK_FALSE(Refuses<TestType>({.delay = Seconds(900)}));
  CHECK(Refuses<TestType>({.delay = Seconds(900) + kOneNanosecond}));
}

CONFORMANCE_TEST("the wait of a receive is 0 to 20 seconds") {
  CHECK(Refuses<TestType>({.receive_wait = -kOneNanosecond}));
  CHECK_FALSE(Refuses<TestType>({.receive_wait = Seconds(20)}));
  CHECK(Refuses<TestType>({.receive_wait = Seconds(20) + kOneNanosecond}));
}

CONFORMANCE_TEST("the maximum message size is 1024 to 1048576 bytes") {
  CHECK(Refuses<TestType>({.max_message_size = 1'023}));
  CHECK_FALSE(Refuses<TestType>({.max_message_size = 1'024}));
  CHECK_FALSE(Refuses<TestType>({.max_message_size = 1'048'576}));
  CHECK(Refuses<TestType>({.max_message_size = 1'048'577}));
}

CONFORMANCE_TEST("1 to 120000 messages may be in flight") {
  CHECK(Refuses<TestType>({.max_in_flight = 0}));
  CHECK_FALSE(Refuses<TestType>({.max_in_flight = 1}));
  CHECK_FALSE(Refuses<TestType>({.max_in_flight = 120'000}));
  CHECK(Refuses<TestType>({.max_in_flight = 120'001}));
}

CONFORMANCE_TEST("a capacity is at least 1, and Block waits for more than no time") {
  CHECK(Refuses<TestType>({.capacity = Capacity{.messages = 0}}));
  CHECK(Refuses<TestType>({.capacity = Capacity{.bytes = 0}}));
  CHECK(Refuses<TestType>({.capacity = Capacity{.when_full = Block{absl::ZeroDuration()}}}));
  CHECK_FALSE(Refuses<TestType>({.capacity = Capacity{.messages = 1, .bytes = 1, .when_full = Block{}}}));
}

CONFORMANCE_TEST("the error of an option names what was wrong, its value and what is allowed") {
  const auto queue = TestType::Create({.retention = Seconds(59)});
  const std::string message(queue.status().message());
  CHECK(message == "message retention period of 59s; allowed are 1m to 336h");
}

CONFORMANCE_TEST("unlimited limits allow what the service refuses") {
  CHECK_FALSE(Refuses<TestType>({.visibility_timeout = Hours(1000),
                                 .retention = absl::InfiniteDuration(),
                                 .delay = Hours(5),
                                 .receive_wait = absl::InfiniteDuration(),
                                 .max_message_size = std::numeric_limits<std::size_t>::max(),
                                 .max_in_flight = std::numeric_limits<std::int64_t>::max(),
                                 .limits = Limits::Unlimited()}));
  CHECK(Refuses<TestType>({.visibility_timeout = -kOneNanosecond, .limits = Limits::Unlimited()}));
}

CONFORMANCE_TEST("with an infinite retention and visibility timeout nothing ever comes back or goes") {
  ManualClock clock;
  auto queue = Make<TestType>(clock, {.visibility_timeout = absl::InfiniteDuration(),
                                      .retention = absl::InfiniteDuration(),
                                      .limits = Limits::Unlimited()});
  SendAll(queue, 1, 2);
  ReceiveOne(queue);
  clock.Advance(Hours(24 * 365 * 100));
  CHECK(queue.Counts() == MessageCounts{.ready = 1, .in_flight = 1});
}

CONFORMANCE_TEST("unlimited limits allow more than ten messages in a receive, and a purge after a purge") {
  ManualClock clock;
  auto queue = Make<TestType>(clock, {.limits = Limits::Unlimited()});
  for (int i = 0; i < 1000; ++i) SendAll(queue, i);
  CHECK(queue.Receive({.max_messages = 5000})->size() == 1000);
  CHECK(queue.Purge().ok());
  CHECK(queue.Purge().ok());
}

CONFORMANCE_TEST("a changed visibility timeout counts for later receives") {
  ManualClock clock;
  auto queue = Make<TestType>(clock);
  SendAll(queue, 1, 2);
  ReceiveOne(queue);
  REQUIRE(queue.SetAttributes({.visibility_timeout = Seconds(1)}).ok());
  ReceiveOne(queue);
  clock.Advance(Seconds(1));
  CHECK(queue.Counts() == MessageCounts{.ready = 1, .in_flight = 1});
  clock.Advance(Seconds(29));
  CHECK(queue.Counts().ready == 2);
}

CONFORMANCE_TEST("a changed maximum message size counts for later sends") {
  ManualClock clock;
  using Strings = typename QueueKind<TestType>::template Of<std::string>;
  auto queue = Make<Strings>(clock);
  REQUIRE(Send(queue, std::string(2000, 'x')).ok());
  REQUIRE(queue.SetAttributes({.max_message_size = 1999}).ok());
  CHECK(ErrorIn(Send(queue, std::string(2000, 'x'))) == Error::kInvalidParameterValue);
  CHECK(queue.Counts().ready == 1);
}

CONFORMANCE_TEST("several attributes are changed together or not at all") {
  ManualClock clock;
  auto queue = Make<TestType>(clock);
  const QueueAttributes half_wrong = {.visibility_timeout = Seconds(1), .delay = Hours(1)};
  CHECK(ErrorIn(queue.SetAttributes(half_wrong)) == Error::kInvalidAttributeValue);
  SendAll(queue, 1);
  ReceiveOne(queue);
  clock.Advance(Seconds(30) - kOneNanosecond);
  CHECK(queue.Counts().in_flight == 1);
}

CONFORMANCE_TEST("one seed gives one run, and another seed another") {
  ManualClock clock;
  const auto id_of_first = [&](std::uint64_t seed, const char* name) {
    auto queue = Make<TestType>(clock, {.name = name, .seed = seed});
    return Send(queue, 1)->message_id;
  };
  CHECK(id_of_first(1, "a") == id_of_first(1, "a"));
  CHECK(id_of_first(1, "a") != id_of_first(2, "a"));
  CHECK(id_of_first(1, "a") != id_of_first(1, "b"));
  CHECK(id_of_first(0, "a") != id_of_first(0, "a"));
}

CONFORMANCE_TEST("a queue has the name that it was given") {
  CHECK(TestType::Create({.name = "orders"})->name() == "orders");
  CHECK(TestType().name().empty());
}

}  // namespace decouple::testing
