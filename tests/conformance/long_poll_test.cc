// Waiting for a message. On a manual clock this takes no time.

#include <algorithm>
#include <mutex>
#include <thread>
#include <vector>

#include "queue_testing.h"

namespace decouple::testing {

// A receive in a thread of its own.
template <typename Queue>
class LongPoll {
 public:
  LongPoll(Queue queue, ReceiveOptions options)
      : thread_([this, queue, options]() mutable { result_ = queue.Receive(options); }) {}
  ~LongPoll() {
    if (thread_.joinable()) thread_.join();
  }

  ReceiveResult<typename Queue::Body>& result() {
    if (thread_.joinable()) thread_.join();
    return result_;
  }

 private:
  ReceiveResult<typename Queue::Body> result_;
  std::thread thread_;
};

CONFORMANCE_TEST("a long poll ends empty when its wait is over") {
  ManualClock clock;
  const absl::Time begin = clock.Now();
  const auto advancing = clock.AdvanceWhileAsleep();
  auto queue = Make<TestType>(clock);
  const auto received = queue.Receive({.wait = Seconds(20)});
  CHECK(received.ok());
  CHECK(received->empty());
  CHECK(clock.Now() == begin + Seconds(20));
  CHECK(queue.Statistics().number_of_empty_receives == 1);
}

CONFORMANCE_TEST("the queue's wait counts for receives without one of their own") {
  ManualClock clock;
  const absl::Time begin = clock.Now();
  const auto advancing = clock.AdvanceWhileAsleep();
  auto queue = Make<TestType>(clock, {.receive_wait = Seconds(10)});
  CHECK(queue.Receive({.wait = absl::ZeroDuration()})->empty());  // overrides it
  CHECK(clock.Now() == begin);
  CHECK(queue.Receive()->empty());
  CHECK(clock.Now() == begin + Seconds(10));
}

CONFORMANCE_TEST("a long poll ends with a message that is sent during the poll") {
  ManualClock clock;
  auto queue = Make<TestType>(clock);
  LongPoll poll(queue, {.max_messages = 10, .wait = Seconds(20)});
  clock.AwaitSleepers(1);
  SendAll(queue, 1);
  REQUIRE(poll.result()->size() == 1);
  CHECK(poll.result()->front().body() == 1);
}

CONFORMANCE_TEST("each message that is sent ends one long poll") {
  ManualClock clock;
  auto queue = Make<TestType>(clock);
  LongPoll first(queue, {.wait = Seconds(20)});
  LongPoll second(queue, {.wait = Seconds(20)});
  clock.AwaitSleepers(2);
  SendAll(queue, 1, 2);
  CHECK(first.result()->size() == 1);
  CHECK(second.result()->size() == 1);
  CHECK(first.result()->front().body() + second.result()->front().body() == 3);
}

CONFORMANCE_TEST("a batch ends as many long polls as it has messages") {
  ManualClock clock;
  auto queue = Make<TestType>(clock);
  LongPoll first(queue, {.wait = Seconds(20)});
  LongPoll second(queue, {.wait = Seconds(20)});
  clock.AwaitSleepers(2);
  std::vector<SendBatchEntry<int>> entries = {{"a", 1, {}}, {"b", 2, {}}};
  REQUIRE(SendBatch(queue, entries).ok());
  CHECK(first.result()->size() == 1);
  CHECK(second.result()->size() == 1);
}

CONFORMANCE_TEST("a long poll ends when a visibility timeout ends, at that very nanosecond") {
  ManualClock clock;
  const absl::Time begin = clock.Now();
  const auto advancing = clock.AdvanceWhileAsleep();
  auto queue = Make<TestType>(clock);
  SendAll(queue, 1);
  ReceiveOne(queue, {.visibility_timeout = Seconds(7)});
  CHECK(queue.Receive({.wait = Seconds(20)})->size() == 1);
  CHECK(clock.Now() == begin + Seconds(7));
}

CONFORMANCE_TEST("a long poll ends when a delay ends, also one that began during the poll") {
  ManualClock clock;
  auto queue = Make<TestType>(clock, {.delay = Seconds(5)});
  LongPoll poll(queue, {.wait = Seconds(20)});
  clock.AwaitSleepers(1);
  SendAll(queue, 1);
  clock.AwaitSleepers(1);
  clock.Advance(Seconds(5) - kOneNanosecond);
  clock.AwaitSleepers(1);
  CHECK(queue.Counts().delayed == 1);
  clock.Advance(kOneNanosecond);
  CHECK(poll.result()->size() == 1);
}

CONFORMANCE_TEST("a long poll ends when a message is released") {
  ManualClock clock;
  auto queue = Make<TestType>(clock);
  SendAll(queue, 1);
  auto delivery = ReceiveOne(queue);
  LongPoll poll(queue, {.wait = Seconds(20)});
  clock.AwaitSleepers(1);
  REQUIRE(delivery.Release().ok());
  CHECK(poll.result()->size() == 1);
  CHECK(poll.result()->front().receive_count() == 2);
}

CONFORMANCE_TEST("long polls on a manual clock end in the order of their deadlines") {
  ManualClock clock;
  auto queue = Make<TestType>(clock);
  std::mutex mutex;
  std::vector<int> order;
  std::vector<std::thread> threads;
  for (const int seconds : {3, 1, 2, 5, 4}) {
    threads.emplace_back([&, seconds] {
      const auto nothing = queue.Receive({.wait = Seconds(seconds)});
      const std::lock_guard lock(mutex);
      order.push_back(seconds);
    });
    clock.AwaitSleepers(threads.size());
  }
  for (std::size_t ended = 1; ended <= 5; ++ended) {
    clock.Advance(Seconds(1));
    for (bool noted = false; !noted;) {  // the clock has woken the thread, which is about to note it
      const std::lock_guard lock(mutex);
      noted = order.size() == ended;
    }
  }
  for (auto& thread : threads) thread.join();
  CHECK(order == std::vector{1, 2, 3, 4, 5});
}

CONFORMANCE_TEST("closing wakes blocked receivers at once: closed if drained, empty if not") {
  ManualClock clock;
  auto drained = Make<TestType>(clock);
  auto in_use = Make<TestType>(clock);
  SendAll(in_use, 1);
  const auto delivery = ReceiveOne(in_use);
  LongPoll of_drained(drained, {.wait = Seconds(20)});
  LongPoll of_used(in_use, {.wait = Seconds(20)});
  clock.AwaitSleepers(2);
  drained.Close();
  in_use.Close();
  CHECK(ErrorIn(of_drained.result()) == Error::kQueueClosed);
  CHECK(of_used.result().ok());
  CHECK(of_used.result()->empty());
}

CONFORMANCE_TEST("a receiver of a closed queue can wait for messages in flight, and learns when the queue is drained") {
  ManualClock clock;
  auto queue = Make<TestType>(clock);
  SendAll(queue, 1, 2);
  auto first = ReceiveOne(queue);
  auto second = ReceiveOne(queue);
  queue.Close();
  {
    LongPoll poll(queue, {.wait = Seconds(20)});
    clock.AwaitSleepers(1);
    REQUIRE(first.Release().ok());
    REQUIRE(poll.result()->size() == 1);
    REQUIRE(poll.result()->front().Delete().ok());
  }
  LongPoll poll(queue, {.wait = Seconds(20)});
  clock.AwaitSleepers(1);
  REQUIRE(second.Delete().ok());
  CHECK(ErrorIn(poll.result()) == Error::kQueueClosed);
}

}  // namespace decouple::testing
