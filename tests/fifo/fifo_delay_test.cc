// The delay of a FIFO queue, which is the same for all of its messages, and its change while messages wait.

#include <atomic>
#include <cstddef>
#include <string>
#include <thread>
#include <vector>

#include "decouple/internal/base/access.h"
#include "decouple/internal/message/moved_messages.h"
#include "fifo_testing.h"

namespace decouple::testing {

TEST_CASE("a delayed message does not hold up those before it in its group, but those behind it") {
  ManualClock clock;
  auto queue = Make<Fifo>(clock);
  auto source = Make<Fifo>(clock, {.redrive = Redrive{.to = queue, .max_receives = 1}});
  SendTo(queue, "a", {1});
  REQUIRE(queue.SetAttributes({.delay = Seconds(10)}).ok());
  SendTo(queue, "a", {2});
  SendTo(source, "a", {3});
  REQUIRE(ReceiveOne(source).Release().ok());
  CHECK(Next(source) == kNone);  // 3 is a dead letter, which has no delay
  CHECK(queue.Counts() == MessageCounts{.ready = 2, .delayed = 1});
  auto one = *queue.Receive({.max_messages = 10});
  CHECK(BodiesOf(one) == std::vector<int>{1});
  REQUIRE(one[0].Delete().ok());
  CHECK(Next(queue) == kNone);
  clock.Advance(Seconds(10) - kOneNanosecond);
  CHECK(Next(queue) == kNone);
  clock.Advance(kOneNanosecond);
  CHECK(Next(queue) == std::vector<int>{2, 3});
}

TEST_CASE("a FIFO queue's shorter delay counts for the messages that wait, from their sending") {
  ManualClock clock;
  auto queue = Make<Fifo>(clock, {.delay = Minutes(10)});
  SendTo(queue, "a", {1});
  clock.Advance(Seconds(5));
  SendTo(queue, "a", {2});
  SendTo(queue, "b", {11});
  REQUIRE(queue.SetAttributes({.delay = Seconds(20)}).ok());
  SendTo(queue, "a", {3});
  CHECK(queue.Counts() == MessageCounts{.delayed = 4});
  clock.Advance(Seconds(15) - kOneNanosecond);
  CHECK(Next(queue) == kNone);
  clock.Advance(kOneNanosecond);  // 20 s after 1 was sent
  CHECK(queue.Counts() == MessageCounts{.ready = 1, .delayed = 3});
  REQUIRE(ReceiveOne(queue).Delete().ok());
  clock.Advance(Seconds(5));
  CHECK(Next(queue) == std::vector<int>{2, 3, 11});
}

TEST_CASE("a FIFO queue's longer delay counts for the messages that wait, and no delay makes them visible") {
  ManualClock clock;
  auto queue = Make<Fifo>(clock, {.delay = Seconds(10)});
  SendTo(queue, "a", {1, 2});
  REQUIRE(queue.SetAttributes({.delay = Seconds(60)}).ok());
  clock.Advance(Seconds(60) - kOneNanosecond);
  CHECK(Next(queue) == kNone);
  CHECK(queue.Counts() == MessageCounts{.delayed = 2});
  REQUIRE(queue.SetAttributes({.delay = Minutes(15)}).ok());
  clock.Advance(kOneNanosecond);
  CHECK(queue.Counts() == MessageCounts{.delayed = 2});
  REQUIRE(queue.SetAttributes({.delay = absl::ZeroDuration()}).ok());
  CHECK(queue.Counts() == MessageCounts{.ready = 2});
  CHECK(Next(queue) == std::vector<int>{1, 2});
  REQUIRE(queue.SetAttributes({.delay = Minutes(15)}).ok());  // what is in flight has no delay any more
  clock.Advance(Seconds(30));
  CHECK(Next(queue) == std::vector<int>{1, 2});
}

TEST_CASE("a receiver that waits gets a message whose delay was taken away") {
  ManualClock clock;
  auto queue = Make<Fifo>(clock, {.delay = Minutes(10)});
  SendTo(queue, "a", {1});
  std::vector<int> got;  // not by ReceiveOne(): two threads must not assert at once
  std::thread poller([&] { got = BodiesOf(*queue.Receive({.wait = Seconds(20)})); });
  clock.AwaitSleepers(1);
  REQUIRE(queue.SetAttributes({.delay = absl::ZeroDuration()}).ok());
  poller.join();
  CHECK(got == std::vector<int>{1});
}

TEST_CASE("a FIFO queue's changed delay does not outlast the retention") {
  ManualClock clock;
  auto queue = Make<Fifo>(clock, {.retention = Minutes(5), .delay = Minutes(4)});
  for (int i = 0; i < 1000; ++i) SendTo(queue, "group-" + std::to_string(i % 7), {i});
  REQUIRE(queue.SetAttributes({.delay = Minutes(10)}).ok());
  clock.Advance(Minutes(5) - kOneNanosecond);
  CHECK(queue.Counts() == MessageCounts{.delayed = 1000});
  clock.Advance(kOneNanosecond);
  CHECK(queue.Counts().total() == 0);
  CHECK(queue.Statistics().number_of_messages_expired == 1000);
}

TEST_CASE("a FIFO queue's changed delay counts for delayed messages that compaction has moved") {
  ManualClock clock;
  auto queue = Make<Fifo>(clock, {.delay = Minutes(15)});
  auto source = Make<Fifo>(clock, {.redrive = Redrive{.to = queue, .max_receives = 1}});
  constexpr int kStragglers = 50;
  std::vector<int> stragglers;
  for (int i = 0; i < kStragglers * 100; ++i) {
    if (i % 100 == 0) {
      SendTo(queue, "delayed", {i});
      stragglers.push_back(i);
      continue;
    }
    SendTo(source, "dead", {i});  // comes as a dead letter, which has no delay
    REQUIRE(ReceiveOne(source).Release().ok());
    REQUIRE(Next(source) == kNone);
    REQUIRE(ReceiveOne(queue).Delete().ok());
  }
  CHECK(queue.Counts() == MessageCounts{.delayed = kStragglers});
  for (int i = 0; i < 3000; ++i) REQUIRE(Next(queue) == kNone);  // polls of an empty queue compact, now and then
  REQUIRE(queue.SetAttributes({.delay = Minutes(1)}).ok());
  clock.Advance(Minutes(1) - kOneNanosecond);
  CHECK(queue.Counts() == MessageCounts{.delayed = kStragglers});
  clock.Advance(kOneNanosecond);
  CHECK(queue.Counts() == MessageCounts{.ready = kStragglers});
  std::vector<int> received;
  std::size_t moved = 0;
  while (queue.Counts().ready > 0) {
    auto delivery = ReceiveOne(queue);
    received.push_back(delivery.body());
    moved += internal::Access::Segment(delivery.receipt()) == internal::MovedMessages::kSegmentNumber ? 1 : 0;
    REQUIRE(delivery.Delete().ok());
  }
  CHECK(received == stragglers);
  CHECK(moved >= 30);  // otherwise this test proves nothing
}

TEST_CASE("no message escapes a change of a FIFO queue's delay, though threads send meanwhile") {
  ManualClock clock;
  auto queue = Make<Fifo>(clock, {.delay = Minutes(10)});
  constexpr int kThreads = 3;
  constexpr int kEach = 500;
  std::atomic<int> running{kThreads};
  std::atomic<int> sent{0};
  std::vector<std::thread> senders;
  for (int t = 0; t < kThreads; ++t) {
    senders.emplace_back([&, t] {
      for (int i = 0; i < kEach; ++i) {
        const std::string id = std::to_string(t * kEach + i);
        const std::string group = "group-" + std::to_string(i % 40);
        sent.fetch_add(queue.Send(i, {.group = group, .deduplication_id = id}).ok() ? 1 : 0);
      }
      running.fetch_sub(1);
    });
  }
  for (int minutes = 1; running.load() > 0; ++minutes) {
    REQUIRE(queue.SetAttributes({.delay = Minutes(minutes % 15 + 1)}).ok());
  }
  for (auto& sender : senders) sender.join();
  REQUIRE(sent.load() == kThreads * kEach);
  REQUIRE(queue.SetAttributes({.delay = Minutes(2)}).ok());
  clock.Advance(Minutes(2) - kOneNanosecond);
  CHECK(queue.Counts() == MessageCounts{.delayed = kThreads * kEach});
  clock.Advance(kOneNanosecond);
  CHECK(queue.Counts() == MessageCounts{.ready = kThreads * kEach});
  int received = 0;
  for (;;) {
    auto some = *queue.Receive({.max_messages = 10});
    if (some.empty()) break;
    received += static_cast<int>(some.size());
    REQUIRE(some.Delete().ok());
  }
  CHECK(received == kThreads * kEach);
}

TEST_CASE("a message has no delay of its own; zero means the queue's") {
  ManualClock clock;
  auto queue = Make<Fifo>(clock, {.delay = Seconds(5)});
  CHECK(ErrorIn(queue.Send(1, {.delay = Seconds(1), .group = "a", .deduplication_id = "1"})) ==
        Error::kInvalidParameterValue);
  REQUIRE(queue.Send(1, {.delay = Seconds(0), .group = "a", .deduplication_id = "1"}).ok());
  CHECK(queue.Counts() == MessageCounts{.delayed = 1});
  clock.Advance(Seconds(5));
  CHECK(Next(queue) == std::vector<int>{1});
}

}  // namespace decouple::testing
