// Closing and draining, and queues of bounded capacity.

#include <string>
#include <thread>
#include <vector>

#include "queue_testing.h"

namespace decouple::testing {

CONFORMANCE_TEST("nothing can be sent to a closed queue") {
  ManualClock clock;
  auto queue = Make<TestType>(clock);
  CHECK_FALSE(queue.closed());
  queue.Close();
  CHECK(queue.closed());
  CHECK(ErrorIn(Send(queue, 1)) == Error::kQueueClosed);
  CHECK(ErrorIn(Send(queue, 1, {.attributes = {{"a", "b"}}})) == Error::kQueueClosed);
  CHECK(queue.Counts().total() == 0);
  queue.Close();
  CHECK(queue.closed());
}

CONFORMANCE_TEST("messages in a closed queue can be received and deleted, and then it is drained") {
  ManualClock clock;
  auto queue = Make<TestType>(clock);
  SendAll(queue, 1, 2);
  queue.Close();
  REQUIRE(ReceiveOne(queue).Delete().ok());
  auto last = ReceiveOne(queue);
  CHECK(queue.Receive()->empty());  // empty, but not drained: the last message may come back
  CHECK_FALSE(queue.drained());
  REQUIRE(last.Delete().ok());
  CHECK(queue.drained());
  CHECK(ErrorIn(queue.Receive()) == Error::kQueueClosed);
}

CONFORMANCE_TEST("an open queue is never drained, nor is a receive from it closed") {
  ManualClock clock;
  auto queue = Make<TestType>(clock);
  CHECK_FALSE(queue.drained());
  CHECK(queue.Receive()->empty());
}

CONFORMANCE_TEST("a message of a closed queue comes back when its timeout ends") {
  ManualClock clock;
  auto queue = Make<TestType>(clock);
  SendAll(queue, 1);
  ReceiveOne(queue);
  queue.Close();
  clock.Advance(Seconds(30));
  REQUIRE(ReceiveOne(queue).Delete().ok());
  CHECK(queue.drained());
}

CONFORMANCE_TEST("a closed queue is drained when the retention of the last message ends, or by a purge") {
  ManualClock clock;
  auto by_retention = Make<TestType>(clock);
  auto by_purge = Make<TestType>(clock);
  for (auto* queue : {&by_retention, &by_purge}) {
    SendAll(*queue, 1, 2);
    ReceiveOne(*queue);
    queue->Close();
    CHECK_FALSE(queue->drained());
  }
  REQUIRE(by_purge.Purge().ok());
  CHECK(by_purge.drained());
  clock.Advance(Hours(96));
  CHECK(by_retention.drained());
}

CONFORMANCE_TEST("a full queue refuses a message, and takes it once there is room") {
  ManualClock clock;
  auto queue = Make<TestType>(clock, {.capacity = Capacity{.messages = 2}});
  SendAll(queue, 1, 2);
  CHECK(ErrorIn(Send(queue, 3)) == Error::kQueueFull);
  auto delivery = ReceiveOne(queue);
  CHECK(ErrorIn(Send(queue, 3)) == Error::kQueueFull);  // a message in flight still takes room
  REQUIRE(delivery.Delete().ok());
  CHECK(Send(queue, 3).ok());
  CHECK(ErrorIn(Send(queue, 4)) == Error::kQueueFull);
  CHECK(queue.Counts() == MessageCounts{.ready = 2});
}

CONFORMANCE_TEST("a capacity in bytes counts bodies and attributes") {
  ManualClock clock;
  using Strings = typename QueueKind<TestType>::template Of<std::string>;
  auto queue = Make<Strings>(clock, {.capacity = Capacity{.bytes = 100}});
  REQUIRE(Send(queue, std::string(80, 'x'), {.attributes = {{"name", "value"}}}).ok());  // 15 bytes
  CHECK(ErrorIn(Send(queue, std::string(6, 'x'))) == Error::kQueueFull);
  CHECK(Send(queue, std::string(5, 'x')).ok());
  REQUIRE(ReceiveOne(queue).Delete().ok());
  CHECK(Send(queue, std::string(95, 'x')).ok());
  CHECK(ErrorIn(Send(queue, "x")) == Error::kQueueFull);
}

CONFORMANCE_TEST("a message that no empty queue of the capacity would hold is refused for good") {
  ManualClock clock;
  using Strings = typename QueueKind<TestType>::template Of<std::string>;
  auto queue = Make<Strings>(clock, {.capacity = Capacity{.bytes = 100, .when_full = Block{}}});
  CHECK(ErrorIn(Send(queue, std::string(101, 'x'))) == Error::kInvalidParameterValue);
  CHECK(Send(queue, std::string(100, 'x')).ok());
}

CONFORMANCE_TEST("retention and purging make room") {
  ManualClock clock;
  auto queue = Make<TestType>(clock, {.retention = Minutes(1), .capacity = Capacity{.messages = 2}});
  SendAll(queue, 1, 2);
  ReceiveOne(queue);
  clock.Advance(Minutes(1));
  SendAll(queue, 3, 4);
  CHECK(ErrorIn(Send(queue, 5)) == Error::kQueueFull);
  REQUIRE(queue.Purge().ok());
  SendAll(queue, 6, 7);
  CHECK(ErrorIn(Send(queue, 8)) == Error::kQueueFull);
}

CONFORMANCE_TEST("a capacity can be set, changed and lifted while the queue lives") {
  ManualClock clock;
  auto queue = Make<TestType>(clock);
  SendAll(queue, 1, 2, 3);
  REQUIRE(ReceiveOne(queue).Delete().ok());
  REQUIRE(queue.SetAttributes({.capacity = Capacity{.messages = 3}}).ok());
  SendAll(queue, 4);
  CHECK(ErrorIn(Send(queue, 5)) == Error::kQueueFull);
  REQUIRE(queue.SetAttributes({.capacity = Capacity{.messages = 1}}).ok());  // fewer than there are: none is removed
  CHECK(queue.Counts().ready == 3);
  CHECK(ErrorIn(Send(queue, 5)) == Error::kQueueFull);
  REQUIRE(queue.SetAttributes({.capacity = Capacity{}}).ok());
  for (int i = 0; i < 100; ++i) SendAll(queue, i);
  REQUIRE(queue.SetAttributes({.capacity = Capacity{.messages = 104}}).ok());
  SendAll(queue, 6);
  CHECK(ErrorIn(Send(queue, 7)) == Error::kQueueFull);
}

CONFORMANCE_TEST("a sender that may block waits for room until its time is over") {
  ManualClock clock;
  auto queue = Make<TestType>(clock, {.capacity = Capacity{.messages = 1, .when_full = Block{Seconds(5)}}});
  SendAll(queue, 1);
  const absl::Time begin = clock.Now();
  const auto advancing = clock.AdvanceWhileAsleep();
  CHECK(ErrorIn(Send(queue, 2)) == Error::kQueueFull);
  CHECK(clock.Now() == begin + Seconds(5));
  CHECK(queue.Counts().ready == 1);
}

CONFORMANCE_TEST("a blocked sender goes on when a message is deleted") {
  ManualClock clock;
  auto queue = Make<TestType>(clock, {.capacity = Capacity{.messages = 1, .when_full = Block{}}});
  SendAll(queue, 1);
  absl::Time sent;
  std::thread sender([&] { sent = Send(queue, 2).ok() ? clock.Now() : absl::InfinitePast(); });
  clock.AwaitSleepers(1);
  REQUIRE(ReceiveOne(queue).Delete().ok());
  sender.join();
  CHECK(sent == clock.Now());
  CHECK(ReceiveOne(queue).body() == 2);
}

CONFORMANCE_TEST("receivers get the messages that a batch has sent so far while the rest of it is blocked") {
  ManualClock clock;
  auto queue = Make<TestType>(clock, {.capacity = Capacity{.messages = 2, .when_full = Block{}}});
  std::vector<int> received;
  std::thread receiver([&] {
    while (received.size() < 5) {
      for (auto& delivery : queue.Receive({.wait = Seconds(20)}).value()) {
        received.push_back(delivery.body());
        CHECK(delivery.Delete().ok());
      }
    }
  });
  clock.AwaitSleepers(1);
  std::vector<SendBatchEntry<int>> entries;
  for (int i = 0; i < 5; ++i) entries.push_back({"id-" + std::to_string(i), i, {}});
  const auto results = SendBatch(queue, entries);
  receiver.join();
  REQUIRE(results.ok());
  for (const auto& result : *results) CHECK(result.ok());
  CHECK(received == std::vector{0, 1, 2, 3, 4});
}

CONFORMANCE_TEST("a blocked sender goes on when the retention of a message ends") {
  ManualClock clock;
  auto queue = Make<TestType>(
      clock, {.retention = Minutes(1), .capacity = Capacity{.messages = 1, .when_full = Block{Hours(1)}}});
  SendAll(queue, 1);
  const absl::Time begin = clock.Now();
  const auto advancing = clock.AdvanceWhileAsleep();
  CHECK(Send(queue, 2).ok());
  CHECK(clock.Now() == begin + Minutes(1));
  CHECK(ReceiveOne(queue).body() == 2);
}

CONFORMANCE_TEST("a blocked sender goes on when the capacity grows, and fails when the queue is closed") {
  ManualClock clock;
  auto queue = Make<TestType>(clock, {.capacity = Capacity{.messages = 1, .when_full = Block{}}});
  SendAll(queue, 1);
  std::thread first([&] { CHECK(Send(queue, 2).ok()); });
  clock.AwaitSleepers(1);
  REQUIRE(queue.SetAttributes({.capacity = Capacity{.messages = 2, .when_full = Block{}}}).ok());
  first.join();
  std::thread second([&] { CHECK(ErrorIn(Send(queue, 3)) == Error::kQueueClosed); });
  clock.AwaitSleepers(1);
  queue.Close();
  second.join();
  CHECK(queue.Counts().ready == 2);
}

}  // namespace decouple::testing
