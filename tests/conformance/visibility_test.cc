// Changing the visibility of a message in flight.

#include "queue_testing.h"

namespace decouple::testing {

CONFORMANCE_TEST("a backlog that was received comes back as a whole, whether it was received one by one or by tens") {
  for (const std::size_t at_once : {1U, 10U}) {
    ManualClock clock;
    auto queue = Make<TestType>(clock);
    constexpr int kMessages = 300;  // several segments: the first message of each takes the slow path
    for (int i = 0; i < kMessages; ++i) SendAll(queue, i);
    CHECK(ReceiveAllBy(queue, at_once) == kMessages);
    clock.Advance(Seconds(30) - kOneNanosecond);
    CHECK(ReceiveAllBy(queue, at_once) == 0);
    CHECK(queue.Counts() == MessageCounts{.in_flight = kMessages});
    clock.Advance(kOneNanosecond);
    CHECK(queue.Counts() == MessageCounts{.ready = kMessages});
    CHECK(ReceiveAllBy(queue, at_once) == kMessages);
  }
}

CONFORMANCE_TEST("a changed visibility timeout counts from now") {
  ManualClock clock;
  auto queue = Make<TestType>(clock);
  SendAll(queue, 1);
  auto delivery = ReceiveOne(queue);
  clock.Advance(Seconds(20));
  REQUIRE(delivery.ChangeVisibility(Seconds(30)).ok());
  clock.Advance(Seconds(30) - kOneNanosecond);
  CHECK(queue.Counts() == MessageCounts{.in_flight = 1});
  clock.Advance(kOneNanosecond);
  CHECK(queue.Counts() == MessageCounts{.ready = 1});
}

CONFORMANCE_TEST("a visibility timeout can be shortened") {
  ManualClock clock;
  auto queue = Make<TestType>(clock);
  SendAll(queue, 1);
  auto delivery = ReceiveOne(queue);
  REQUIRE(queue.ChangeVisibility(delivery.receipt(), Seconds(1)).ok());
  clock.Advance(Seconds(1) - kOneNanosecond);
  CHECK(ReceivesNothing(queue));
  clock.Advance(kOneNanosecond);
  CHECK(ReceiveOne(queue).receive_count() == 2);
}

CONFORMANCE_TEST("a released message can be received at once") {
  ManualClock clock;
  auto queue = Make<TestType>(clock);
  SendAll(queue, 1);
  REQUIRE(ReceiveOne(queue).Release().ok());
  CHECK(queue.Counts() == MessageCounts{.ready = 1});
  CHECK(ReceiveOne(queue).receive_count() == 2);
}

CONFORMANCE_TEST("a changed visibility timeout is 0 to 12 hours") {
  ManualClock clock;
  auto queue = Make<TestType>(clock);
  SendAll(queue, 1);
  auto delivery = ReceiveOne(queue);
  for (const absl::Duration timeout : {-kOneNanosecond, Hours(12) + kOneNanosecond, absl::InfiniteDuration()}) {
    CHECK(ErrorIn(delivery.ChangeVisibility(timeout)) == Error::kInvalidParameterValue);
    CHECK(ErrorIn(queue.ChangeVisibility(delivery.receipt(), timeout)) == Error::kInvalidParameterValue);
  }
  CHECK(delivery.ChangeVisibility(Hours(12)).ok());
  CHECK(delivery.ChangeVisibility(absl::ZeroDuration()).ok());
}

CONFORMANCE_TEST("a message stays in flight at most 12 hours from its first receive") {
  ManualClock clock;
  auto queue = Make<TestType>(clock);
  SendAll(queue, 1);
  ReceiveOne(queue);
  clock.Advance(Seconds(30));
  auto again = ReceiveOne(queue);  // the second receive does not restart the time
  clock.Advance(Seconds(10));
  const absl::Duration left = Hours(12) - Seconds(40);
  CHECK(ErrorIn(again.ChangeVisibility(left + kOneNanosecond)) == Error::kInvalidParameterValue);
  clock.Advance(Seconds(20) - kOneNanosecond);
  CHECK(queue.Counts().in_flight == 1);  // a refused change changes nothing
  CHECK(again.ChangeVisibility(left - Seconds(20)).ok());
  clock.Advance(left - Seconds(20));
  CHECK(queue.Counts().ready == 1);
}

CONFORMANCE_TEST("a message can be released however long ago its first receive was") {
  ManualClock clock;
  auto queue = Make<TestType>(clock);
  SendAll(queue, 1);
  ReceiveOne(queue);
  clock.Advance(Hours(13));
  auto again = ReceiveOne(queue);
  CHECK(ErrorIn(again.ChangeVisibility(Seconds(1))) == Error::kInvalidParameterValue);
  CHECK(again.Release().ok());
  CHECK(queue.Counts().ready == 1);
}

CONFORMANCE_TEST("the visibility of a message that is gone cannot change") {
  ManualClock clock;
  auto queue = Make<TestType>(clock);
  SendAll(queue, 1);
  auto delivery = ReceiveOne(queue);
  REQUIRE(delivery.Delete().ok());
  CHECK(ErrorIn(delivery.ChangeVisibility(Seconds(1))) == Error::kInvalidParameterValue);
  CHECK(ErrorIn(queue.ChangeVisibility(delivery.receipt(), Seconds(1))) == Error::kInvalidParameterValue);
}

CONFORMANCE_TEST("a receipt from before the last receive cannot change visibility") {
  ManualClock clock;
  auto queue = Make<TestType>(clock);
  SendAll(queue, 1);
  auto old = ReceiveOne(queue);
  clock.Advance(Seconds(30));
  const auto again = ReceiveOne(queue);
  CHECK(ErrorIn(old.ChangeVisibility(absl::ZeroDuration())) == Error::kMessageNotInflight);
  CHECK(ErrorIn(queue.ChangeVisibility(old.receipt(), Hours(1))) == Error::kMessageNotInflight);
  clock.Advance(Seconds(30) - kOneNanosecond);
  CHECK(queue.Counts().in_flight == 1);
  clock.Advance(kOneNanosecond);
  CHECK(queue.Counts().ready == 1);
}

CONFORMANCE_TEST("a visibility timeout can be extended again and again") {
  ManualClock clock;
  auto queue = Make<TestType>(clock);
  SendAll(queue, 1);
  auto delivery = ReceiveOne(queue);
  for (int i = 0; i < 1000; ++i) {
    clock.Advance(Seconds(29));
    REQUIRE(delivery.ChangeVisibility(Seconds(30)).ok());
    REQUIRE(ReceivesNothing(queue));
  }
  CHECK(delivery.Delete().ok());
  CHECK(queue.Counts().total() == 0);
}

CONFORMANCE_TEST("many timeouts in the wrong order all end at their time") {
  ManualClock clock;
  auto queue = Make<TestType>(clock);
  constexpr int kMessages = 1000;
  for (int i = 0; i < kMessages; ++i) SendAll(queue, i);
  for (int i = 0; i < kMessages; ++i) {
    REQUIRE(ReceiveOne(queue, {.visibility_timeout = Seconds(kMessages - i)}).body() == i);
  }
  for (int returned = 1; returned <= kMessages; ++returned) {
    clock.Advance(Seconds(1) - kOneNanosecond);
    REQUIRE(queue.Counts().ready == 0);
    clock.Advance(kOneNanosecond);
    REQUIRE(queue.Counts().ready == 1);
    REQUIRE(ReceiveOne(queue, {.visibility_timeout = Hours(2)}).body() == kMessages - returned);
  }
}

}  // namespace decouple::testing
