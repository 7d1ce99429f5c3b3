// How long messages are kept, and how long they are held back at first.

#include <memory>

#include "queue_testing.h"

namespace decouple::testing {

CONFORMANCE_TEST("a message is kept for four days by default") {
  ManualClock clock;
  auto queue = Make<TestType>(clock);
  SendAll(queue, 1);
  clock.Advance(Hours(96) - kOneNanosecond);
  CHECK(queue.Counts().ready == 1);
  clock.Advance(kOneNanosecond);
  CHECK(queue.Counts().total() == 0);
  CHECK(ReceivesNothing(queue));
  CHECK(queue.Statistics().number_of_messages_expired == 1);
}

CONFORMANCE_TEST("a message past its retention is not received, even if no call has removed it before") {
  ManualClock clock;
  auto queue = Make<TestType>(clock, {.retention = Minutes(1)});
  SendAll(queue, 1);
  clock.Advance(Seconds(30));
  SendAll(queue, 2);
  clock.Advance(Seconds(30));
  CHECK(ReceiveOne(queue).body() == 2);
  CHECK(ReceivesNothing(queue));
}

CONFORMANCE_TEST("retention removes a message in flight") {
  ManualClock clock;
  auto queue = Make<TestType>(clock, {.visibility_timeout = Hours(1), .retention = Minutes(1)});
  SendAll(queue, 1);
  auto delivery = ReceiveOne(queue);
  clock.Advance(Minutes(1) - kOneNanosecond);
  CHECK(queue.Counts().in_flight == 1);
  clock.Advance(kOneNanosecond);
  CHECK(queue.Counts().total() == 0);
  CHECK(delivery.body() == 1);
  CHECK(delivery.Delete().ok());
  CHECK(ErrorIn(delivery.ChangeVisibility(Seconds(1))) == Error::kInvalidParameterValue);
}

CONFORMANCE_TEST("retention removes a backlog in flight a nanosecond before it would come back") {
  for (const std::size_t at_once : {1U, 10U}) {
    ManualClock clock;
    auto queue = Make<TestType>(clock, {.visibility_timeout = Seconds(30), .retention = Minutes(1)});
    constexpr int kMessages = 300;  // several segments: the first message of each takes the slow path
    for (int i = 0; i < kMessages; ++i) SendAll(queue, i);
    clock.Advance(Seconds(30) + kOneNanosecond);
    CHECK(ReceiveAllBy(queue, at_once) == kMessages);
    clock.Advance(Seconds(30) - 2 * kOneNanosecond);
    CHECK(queue.Counts() == MessageCounts{.in_flight = kMessages});
    clock.Advance(kOneNanosecond);
    CHECK(queue.Counts().total() == 0);
    CHECK(queue.Statistics().number_of_messages_expired == kMessages);
  }
}

CONFORMANCE_TEST("what is kept for ever is received and comes back on a clock that shows a time before 1970, too") {
  for (const std::size_t at_once : {1U, 10U}) {
    ManualClock clock(absl::FromUnixSeconds(-2'000'000'000));
    QueueOptions options;
    options.limits = Limits::Unlimited();
    options.retention = absl::InfiniteDuration();
    auto queue = Make<TestType>(clock, options);
    constexpr int kMessages = 300;
    for (int i = 0; i < kMessages; ++i) SendAll(queue, i);
    for (int round = 0; round < 2; ++round) {
      CHECK(ReceiveAllBy(queue, at_once) == kMessages);
      clock.Advance(Seconds(30));
    }
  }
}

CONFORMANCE_TEST(
    "the visibility of a message past its retention cannot change, even if no call has removed it before") {
  ManualClock clock;
  auto queue = Make<TestType>(clock, {.visibility_timeout = Hours(1), .retention = Minutes(1)});
  SendAll(queue, 1);
  auto delivery = ReceiveOne(queue);
  clock.Advance(Minutes(1));
  CHECK(ErrorIn(delivery.ChangeVisibility(Seconds(1))) == Error::kInvalidParameterValue);
  CHECK(queue.Statistics().number_of_messages_expired == 1);
}

CONFORMANCE_TEST("retention removes a message that has come back") {
  ManualClock clock;
  auto queue = Make<TestType>(clock, {.retention = Minutes(1)});
  SendAll(queue, 1);
  REQUIRE(ReceiveOne(queue).Release().ok());
  clock.Advance(Minutes(1) - kOneNanosecond);
  CHECK(queue.Counts().ready == 1);
  clock.Advance(kOneNanosecond);
  CHECK(queue.Counts().total() == 0);
  CHECK(ReceivesNothing(queue));
}

CONFORMANCE_TEST("retention removes a delayed message") {
  ManualClock clock;
  auto queue = Make<TestType>(clock, {.retention = Minutes(1), .delay = Minutes(15)});
  SendAll(queue, 1);
  clock.Advance(Minutes(1) - kOneNanosecond);
  CHECK(queue.Counts().delayed == 1);
  clock.Advance(kOneNanosecond);
  CHECK(queue.Counts().total() == 0);
}

CONFORMANCE_TEST("retention counts from sending, not from the end of a delay") {
  ManualClock clock;
  auto queue = Make<TestType>(clock, {.retention = Minutes(10), .delay = Minutes(9)});
  SendAll(queue, 1);
  clock.Advance(Minutes(10) - kOneNanosecond);
  CHECK(queue.Counts().ready == 1);
  clock.Advance(kOneNanosecond);
  CHECK(queue.Counts().total() == 0);
}

CONFORMANCE_TEST("a shorter retention applies to what is already there") {
  ManualClock clock;
  auto queue = Make<TestType>(clock, {.visibility_timeout = Hours(12)});
  SendAll(queue, 1, 2, 3);
  const auto in_flight = ReceiveOne(queue);
  REQUIRE(ReceiveOne(queue).Release().ok());
  clock.Advance(Minutes(2));
  SendAll(queue, 4);
  REQUIRE(queue.SetAttributes({.retention = Minutes(2) + kOneNanosecond}).ok());
  CHECK(queue.Counts() == MessageCounts{.ready = 3, .in_flight = 1});
  clock.Advance(kOneNanosecond);
  CHECK(queue.Counts() == MessageCounts{.ready = 1});
  CHECK(ReceiveOne(queue).body() == 4);
}

CONFORMANCE_TEST("a longer retention applies to what is already there") {
  ManualClock clock;
  auto queue = Make<TestType>(clock, {.retention = Minutes(1)});
  SendAll(queue, 1, 2);
  const auto in_flight = ReceiveOne(queue);
  REQUIRE(queue.SetAttributes({.retention = Minutes(5)}).ok());
  clock.Advance(Minutes(5) - kOneNanosecond);
  CHECK(queue.Counts() == MessageCounts{.ready = 2});
  clock.Advance(kOneNanosecond);
  CHECK(queue.Counts().total() == 0);
}

CONFORMANCE_TEST("a longer retention does not bring back what was over, even if no call has removed it before") {
  ManualClock clock;
  auto queue = Make<TestType>(clock, {.visibility_timeout = Hours(1), .retention = Minutes(1)});
  SendAll(queue, 1, 2);
  ReceiveOne(queue);
  clock.Advance(Minutes(1));
  REQUIRE(queue.SetAttributes({.retention = Minutes(5)}).ok());
  CHECK(queue.Counts().total() == 0);
}

CONFORMANCE_TEST("senders alone remove messages that are past their retention") {
  ManualClock clock;
  using Pointers = typename QueueKind<TestType>::template Of<std::shared_ptr<int>>;
  auto queue = Make<Pointers>(clock, {.retention = Minutes(1)});
  const auto counted = std::make_shared<int>(1);
  for (int i = 0; i < 1000; ++i) REQUIRE(Send(queue, counted).ok());
  clock.Advance(Minutes(1));
  CHECK(counted.use_count() == 1 + 1000);
  for (int i = 0; i < 1000; ++i) REQUIRE(Send(queue, counted).ok());
  CHECK(counted.use_count() == 1 + 1000);  // only the new messages
}

CONFORMANCE_TEST("a delayed message becomes visible when its delay is over") {
  ManualClock clock;
  auto queue = Make<TestType>(clock, {.delay = Seconds(5)});
  SendAll(queue, 1);
  CHECK(queue.Counts() == MessageCounts{.delayed = 1});
  clock.Advance(Seconds(5) - kOneNanosecond);
  CHECK(ReceivesNothing(queue));
  clock.Advance(kOneNanosecond);
  CHECK(queue.Counts() == MessageCounts{.ready = 1});
  CHECK(ReceiveOne(queue).receive_count() == 1);
  CHECK(queue.Counts() == MessageCounts{.in_flight = 1});
}

CONFORMANCE_TEST("a delay whose end no call has noticed is over all the same") {
  ManualClock clock;
  auto queue = Make<TestType>(clock, {.delay = Seconds(5)});
  SendAll(queue, 1, 2, 3);
  clock.Advance(Seconds(5));
  CHECK(ReceiveAll(queue).size() == 3);
  CHECK(queue.Counts() == MessageCounts{.in_flight = 3});
}

CONFORMANCE_TEST("a changed delay counts for later messages, and leaves visible ones visible") {
  ManualClock clock;
  auto queue = Make<TestType>(clock, {.delay = Seconds(5)});
  SendAll(queue, 1, 2);
  clock.Advance(Seconds(5));
  REQUIRE(queue.SetAttributes({.delay = Minutes(1)}).ok());  // no call has noticed yet that their delay is over
  CHECK(queue.Counts() == MessageCounts{.ready = 2});
  CHECK(ReceiveOne(queue, {.visibility_timeout = absl::ZeroDuration()}).receive_count() == 1);
  SendAll(queue, 3);
  REQUIRE(queue.SetAttributes({.delay = Seconds(30)}).ok());
  SendAll(queue, 4);
  CHECK(queue.Counts() == MessageCounts{.ready = 2, .delayed = 2});
  clock.Advance(Seconds(30));
  CHECK(ReceiveAll(queue).size() >= 3);
}

}  // namespace decouple::testing
