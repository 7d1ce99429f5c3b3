// Counts, statistics and purging.

#include <map>
#include <memory>
#include <string>

#include "queue_testing.h"

namespace decouple::testing {

CONFORMANCE_TEST("counts tell ready, in flight and delayed messages") {
  ManualClock clock;
  auto queue = Make<TestType>(clock);
  SendAll(queue, 1, 2, 3);
  REQUIRE(queue.SetAttributes({.delay = Minutes(1)}).ok());
  SendAll(queue, 4);
  ReceiveOne(queue);
  CHECK(queue.Counts() == MessageCounts{.ready = 2, .in_flight = 1, .delayed = 1});
  CHECK(queue.Counts().total() == 4);
}

CONFORMANCE_TEST("a message past its timeout counts as ready before any call has run the timeout") {
  ManualClock clock;
  auto queue = Make<TestType>(clock);
  SendAll(queue, 1);
  ReceiveOne(queue);
  clock.Advance(Seconds(30));
  CHECK(queue.Counts() == MessageCounts{.ready = 1});
}

CONFORMANCE_TEST("a purge removes ready, in flight, returned and delayed messages") {
  ManualClock clock;
  auto queue = Make<TestType>(clock);
  for (int i = 0; i < 300; ++i) SendAll(queue, i);
  auto held = ReceiveOne(queue);
  for (int i = 0; i < 100; ++i) ReceiveOne(queue);
  for (int i = 0; i < 100; ++i) REQUIRE(ReceiveOne(queue).Release().ok());
  REQUIRE(queue.SetAttributes({.delay = Minutes(1)}).ok());
  SendAll(queue, 4);
  REQUIRE(queue.Purge().ok());
  CHECK(queue.Counts() == MessageCounts{});
  CHECK(queue.Statistics().number_of_messages_purged == 301);
  clock.Advance(Minutes(5));
  CHECK(ReceivesNothing(queue));
  CHECK(held.body() == 0);
  CHECK(held.Delete().ok());
  CHECK(queue.Statistics().number_of_messages_deleted == 0);
}

CONFORMANCE_TEST("a purged queue takes and gives messages as before") {
  ManualClock clock;
  auto queue = Make<TestType>(clock);
  for (int i = 0; i < 100; ++i) SendAll(queue, i);
  REQUIRE(ReceiveOne(queue).Release().ok());
  REQUIRE(queue.Purge().ok());
  SendAll(queue, 7);
  CHECK(ReceiveOne(queue).body() == 7);
  CHECK(queue.Counts() == MessageCounts{.in_flight = 1});
}

CONFORMANCE_TEST("a second purge within 60 seconds is refused") {
  ManualClock clock;
  auto queue = Make<TestType>(clock);
  REQUIRE(queue.Purge().ok());
  SendAll(queue, 1);
  clock.Advance(Seconds(60) - kOneNanosecond);
  CHECK(ErrorIn(queue.Purge()) == Error::kPurgeQueueInProgress);
  CHECK(queue.Counts().ready == 1);
  clock.Advance(kOneNanosecond);
  CHECK(queue.Purge().ok());
  CHECK(queue.Counts().ready == 0);
}

CONFORMANCE_TEST("statistics tell what went through, under the service's names") {
  ManualClock clock;
  auto queue = Make<TestType>(clock);
  SendAll(queue, 1, 2, 3, 4);
  REQUIRE(ReceiveOne(queue).Delete().ok());
  ReceiveOne(queue);
  ReceiveOne(queue);
  clock.Advance(Seconds(10));
  std::map<std::string, double> metrics;
  queue.Statistics().ForEach([&](const char* name, double value) { metrics[name] = value; });
  CHECK(metrics.at("NumberOfMessagesSent") == 4);
  CHECK(metrics.at("SentMessageSize") == 16);
  CHECK(metrics.at("NumberOfMessagesReceived") == 3);
  CHECK(metrics.at("NumberOfMessagesDeleted") == 1);
  CHECK(metrics.at("NumberOfEmptyReceives") == 0);
  CHECK(metrics.at("ApproximateNumberOfMessagesVisible") == 1);
  CHECK(metrics.at("ApproximateNumberOfMessagesNotVisible") == 2);
  CHECK(metrics.at("ApproximateNumberOfMessagesDelayed") == 0);
  CHECK(metrics.at("ApproximateAgeOfOldestMessage") == 10);
  CHECK(metrics.at("ApproximateNumberOfBytes") == 12);
}

CONFORMANCE_TEST("empty receives are counted") {
  ManualClock clock;
  auto queue = Make<TestType>(clock);
  CHECK(ReceivesNothing(queue));
  CHECK(ReceivesNothing(queue));
  SendAll(queue, 1);
  ReceiveOne(queue);
  CHECK(queue.Statistics().number_of_empty_receives == 2);
}

CONFORMANCE_TEST("the age of the oldest message is that of the oldest that is still there") {
  ManualClock clock;
  auto queue = Make<TestType>(clock);
  CHECK(queue.Statistics().approximate_age_of_oldest_message == absl::ZeroDuration());
  SendAll(queue, 1);
  clock.Advance(Seconds(5));
  SendAll(queue, 2);
  clock.Advance(Seconds(5));
  CHECK(queue.Statistics().approximate_age_of_oldest_message == Seconds(10));
  auto first = ReceiveOne(queue);
  CHECK(queue.Statistics().approximate_age_of_oldest_message == Seconds(10));  // a message in flight is not gone
  REQUIRE(first.Delete().ok());
  CHECK(queue.Statistics().approximate_age_of_oldest_message == Seconds(5));
}

CONFORMANCE_TEST("every way in which a message leaves is counted, and all together are as many as were sent") {
  ManualClock clock;
  auto queue = Make<TestType>(clock, {.retention = Minutes(1)});
  SendAll(queue, 1, 2, 3);
  REQUIRE(ReceiveOne(queue).Delete().ok());
  clock.Advance(Minutes(1));
  SendAll(queue, 4);
  CHECK(queue.Counts().ready == 1);
  REQUIRE(queue.Purge().ok());
  SendAll(queue, 5);
  const QueueStatistics statistics = queue.Statistics();
  CHECK(statistics.number_of_messages_deleted == 1);
  CHECK(statistics.number_of_messages_expired == 2);
  CHECK(statistics.number_of_messages_purged == 1);
  CHECK(statistics.number_of_messages_sent == 5);
  CHECK(statistics.approximate_number_of_messages_visible == 1);
}

CONFORMANCE_TEST("a body is destroyed once, however its message ends") {
  ManualClock clock;
  using Pointers = typename QueueKind<TestType>::template Of<std::shared_ptr<int>>;
  const auto counted = std::make_shared<int>(1);
  {
    auto queue = Make<Pointers>(clock, {.retention = Minutes(1)});
    const auto send = [&](int n) {
      for (int i = 0; i < n; ++i) REQUIRE(Send(queue, counted).ok());
    };
    send(2);
    CHECK(counted.use_count() == 3);
    REQUIRE(ReceiveOne(queue).Delete().ok());
    CHECK(counted.use_count() == 2);
    clock.Advance(Minutes(1));
    CHECK(queue.Counts().total() == 0);
    CHECK(counted.use_count() == 1);
    send(3);
    ReceiveOne(queue);
    REQUIRE(queue.Purge().ok());
    CHECK(counted.use_count() == 1);
    send(5);
    REQUIRE(ReceiveOne(queue).Release().ok());
    ReceiveOne(queue);
  }
  CHECK(counted.use_count() == 1);  // destroyed with the queue
}

}  // namespace decouple::testing
