// What FIFO queues do that standard queues do not: the order of groups, and receipts that expire.

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "decouple/internal/base/access.h"
#include "decouple/internal/message/moved_messages.h"
#include "queue_testing.h"

namespace decouple::testing {

using Fifo = FifoQueue<int>;

// Sends the bodies in this order into one group; the body is the deduplication id, too.
void SendTo(Fifo& queue, const std::string& group, const std::vector<int>& bodies) {
  for (const int body : bodies) {
    REQUIRE(queue.Send(body, {.group = group, .deduplication_id = std::to_string(body)}).ok());
  }
}

std::vector<int> BodiesOf(const Deliveries<int>& deliveries) {
  std::vector<int> bodies;
  for (const auto& delivery : deliveries) bodies.push_back(delivery.body());
  return bodies;
}

// The messages of one receive, which stay in flight.
std::vector<int> Next(Fifo& queue, std::size_t most = 10) { return BodiesOf(*queue.Receive({.max_messages = most})); }

const std::vector<int> kNone;

TEST_CASE("a message of a FIFO queue must have a group") {
  ManualClock clock;
  auto queue = Make<Fifo>(clock);
  CHECK(ErrorIn(queue.Send(1, {.deduplication_id = "1"})) == Error::kMissingParameter);
  CHECK(ErrorIn(queue.Send(1, {.group = "a b", .deduplication_id = "1"})) == Error::kInvalidParameterValue);
  CHECK(ErrorIn(queue.Send(1, {.group = std::string(129, 'g'), .deduplication_id = "1"})) ==
        Error::kInvalidParameterValue);
  CHECK(queue.Send(1, {.group = std::string(128, '!'), .deduplication_id = "1"}).ok());
}

TEST_CASE("messages of a group are received in the order of sending") {
  ManualClock clock;
  auto queue = Make<Fifo>(clock);
  SendTo(queue, "a", {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12});
  auto first = *queue.Receive({.max_messages = 10});
  CHECK(BodiesOf(first) == std::vector<int>{1, 2, 3, 4, 5, 6, 7, 8, 9, 10});
  for (auto& delivery : first) REQUIRE(delivery.Delete().ok());
  CHECK(Next(queue) == std::vector<int>{11, 12});
}

TEST_CASE("while one message of a group is in flight no later one is received") {
  ManualClock clock;
  auto queue = Make<Fifo>(clock);
  SendTo(queue, "a", {1, 2});
  auto one = ReceiveOne(queue);
  CHECK(Next(queue) == kNone);
  REQUIRE(one.Delete().ok());
  CHECK(Next(queue) == std::vector<int>{2});
}

TEST_CASE("a send to a group of which a message is in flight makes nothing of it receivable") {
  ManualClock clock;
  auto queue = Make<Fifo>(clock);
  SendTo(queue, "a", {1});
  const auto one = ReceiveOne(queue);
  SendTo(queue, "a", {2});
  CHECK(Next(queue) == kNone);
}

TEST_CASE("while some of the messages received from a group are in flight, the rest of it is not received") {
  ManualClock clock;
  auto queue = Make<Fifo>(clock);
  SendTo(queue, "a", {1, 2, 3, 4});
  auto three = *queue.Receive({.max_messages = 3});
  REQUIRE(three[0].Delete().ok());
  CHECK(Next(queue) == kNone);
  REQUIRE(three[2].Delete().ok());
  CHECK(Next(queue) == kNone);
  REQUIRE(three[1].Delete().ok());
  CHECK(Next(queue) == std::vector<int>{4});
}

TEST_CASE("when the first is extended and the others time out, none is received until the first is visible") {
  ManualClock clock;
  auto queue = Make<Fifo>(clock);
  SendTo(queue, "a", {1, 2, 3});
  auto three = *queue.Receive({.max_messages = 10});
  REQUIRE(three[0].ChangeVisibility(Seconds(60)).ok());
  clock.Advance(Seconds(30));
  CHECK(queue.Counts() == MessageCounts{.ready = 2, .in_flight = 1});
  CHECK(Next(queue) == kNone);
  clock.Advance(Seconds(30) - kOneNanosecond);
  CHECK(Next(queue) == kNone);
  clock.Advance(kOneNanosecond);
  CHECK(Next(queue) == std::vector<int>{1, 2, 3});
}

TEST_CASE("a receive from a group ends before its first message that is invisible") {
  ManualClock clock;
  auto queue = Make<Fifo>(clock);
  SendTo(queue, "a", {1, 2, 3});
  auto three = *queue.Receive({.max_messages = 10});
  REQUIRE(three[0].Release().ok());
  REQUIRE(three[2].Release().ok());
  CHECK(Next(queue) == std::vector<int>{1});
  REQUIRE(three[1].Release().ok());
  CHECK(Next(queue) == kNone);  // the first is in flight again
}

TEST_CASE("a released message is the first of its group again") {
  ManualClock clock;
  auto queue = Make<Fifo>(clock);
  SendTo(queue, "a", {1, 2, 3});
  REQUIRE(ReceiveOne(queue).Release().ok());
  CHECK(Next(queue) == std::vector<int>{1, 2, 3});
}

TEST_CASE("a message received three times still keeps its place") {
  ManualClock clock;
  auto queue = Make<Fifo>(clock);
  SendTo(queue, "a", {1, 2});
  for (int i = 0; i < 5; ++i) REQUIRE(ReceiveOne(queue).Release().ok());
  CHECK(Next(queue) == std::vector<int>{1, 2});
}

TEST_CASE("a receive takes all it can of the first group, then of the next") {
  ManualClock clock;
  auto queue = Make<Fifo>(clock);
  SendTo(queue, "a", {1});
  SendTo(queue, "b", {11});
  SendTo(queue, "a", {2, 3});
  SendTo(queue, "c", {21});
  SendTo(queue, "b", {12});
  CHECK(Next(queue, 4) == std::vector<int>{1, 2, 3, 11});
  CHECK(Next(queue) == std::vector<int>{21});  // b has one in flight
}

TEST_CASE("a group that was served goes to the back of the queue, so that none starves") {
  ManualClock clock;
  auto queue = Make<Fifo>(clock);
  SendTo(queue, "a", {1, 2, 3});
  SendTo(queue, "b", {11, 12});
  SendTo(queue, "c", {21});
  std::vector<int> order;
  for (int i = 0; i < 6; ++i) {
    auto one = ReceiveOne(queue);
    order.push_back(one.body());
    REQUIRE(one.Delete().ok());
  }
  CHECK(order == std::vector<int>{1, 11, 21, 2, 12, 3});
}

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
  int got = 0;
  std::thread poller([&] { got = ReceiveOne(queue, {.wait = Seconds(20)}).body(); });
  clock.AwaitSleepers(1);
  REQUIRE(queue.SetAttributes({.delay = absl::ZeroDuration()}).ok());
  poller.join();
  CHECK(got == 1);
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
    moved += internal::Access::Segment(delivery.receipt()) == internal::MovedMessages<int>::kSegmentNumber ? 1 : 0;
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

TEST_CASE("the first of a group whose retention ends makes way for the next") {
  ManualClock clock;
  auto queue = Make<Fifo>(clock, {.retention = Minutes(1)});
  SendTo(queue, "a", {1});
  clock.Advance(Seconds(50));
  const auto one = ReceiveOne(queue);
  SendTo(queue, "a", {2});
  CHECK(Next(queue) == kNone);
  clock.Advance(Seconds(10));
  CHECK(Next(queue) == std::vector<int>{2});
}

TEST_CASE("a receipt whose visibility timeout has ended can neither delete nor hide its message") {
  ManualClock clock;
  auto queue = Make<Fifo>(clock);
  SendTo(queue, "a", {1});
  auto one = ReceiveOne(queue);
  clock.Advance(Seconds(30) - kOneNanosecond);
  REQUIRE(one.ChangeVisibility(Seconds(30)).ok());
  clock.Advance(Seconds(30));
  SECTION("not noticed by any call") {}
  SECTION("noticed") { CHECK(queue.Counts().ready == 1); }
  for (const absl::Status& status : {one.Delete(), queue.Delete(one.receipt())}) {
    CHECK(ErrorOf(status) == Error::kInvalidParameterValue);
    CHECK(std::string(status.message()).find("The receipt handle has expired") != std::string::npos);
  }
  CHECK(ErrorOf(one.ChangeVisibility(Seconds(30))) == Error::kMessageNotInflight);
  CHECK(ErrorOf(queue.ChangeVisibility(one.receipt(), Seconds(0))) == Error::kMessageNotInflight);
  CHECK(queue.Counts() == MessageCounts{.ready = 1});

  auto again = ReceiveOne(queue);
  CHECK(ErrorOf(one.Delete()) == Error::kInvalidParameterValue);
  CHECK(ErrorOf(one.ChangeVisibility(Seconds(1))) == Error::kMessageNotInflight);
  REQUIRE(again.Delete().ok());
  CHECK(one.Delete().ok());  // a deleted message stays deleted
}

TEST_CASE("over the limit of messages in flight a receive returns nothing, and no error") {
  ManualClock clock;
  auto queue = Make<Fifo>(clock, {.max_in_flight = 3});
  SendTo(queue, "a", {1, 2});
  SendTo(queue, "b", {11, 12});
  auto three = *queue.Receive({.max_messages = 10});
  CHECK(BodiesOf(three) == std::vector<int>{1, 2, 11});
  CHECK(Next(queue) == kNone);
  REQUIRE(three[2].Delete().ok());
  CHECK(Next(queue) == std::vector<int>{12});
}

TEST_CASE("over the limit of messages in flight receives of one message return nothing, either, until one is deleted") {
  ManualClock clock;
  auto queue = Make<Fifo>(clock, {.max_in_flight = 3});
  for (int i = 0; i < 5; ++i) SendTo(queue, std::to_string(i), {i});
  std::vector<Delivery<int>> held;
  for (int i = 0; i < 3; ++i) held.push_back(ReceiveOne(queue));
  CHECK(queue.Receive()->empty());
  REQUIRE(held[0].Delete().ok());
  CHECK(ReceiveOne(queue).body() == 3);
  CHECK(queue.Receive()->empty());
  CHECK(queue.Receive({.max_messages = 2})->empty());
  CHECK(queue.Counts() == MessageCounts{.ready = 1, .in_flight = 3});
}

TEST_CASE("messages in flight whose timeout has ended make room for whole runs of a group") {
  ManualClock clock;
  constexpr int kLimit = 20;
  auto queue = Make<Fifo>(clock, {.max_in_flight = kLimit});
  int next = 100;
  for (int i = 0; i < kLimit; ++i) {  // far from each other, so that the sweep takes many steps
    SendTo(queue, "held-" + std::to_string(i), {next++});
    const auto held = ReceiveOne(queue);
    for (int j = 0; i + 1 < kLimit && j < 63; ++j) {
      SendTo(queue, "filler", {next++});
      REQUIRE(ReceiveOne(queue).Delete().ok());
    }
  }
  CHECK(queue.Counts().in_flight == kLimit);
  SendTo(queue, "a", {1, 2, 3, 4, 5, 6, 7, 8, 9, 10});
  CHECK(Next(queue) == kNone);
  clock.Advance(Seconds(30));
  CHECK(Next(queue) == std::vector<int>{1, 2, 3, 4, 5, 6, 7, 8, 9, 10});
}

TEST_CASE("sequence numbers grow strictly, and print as 20 digits") {
  ManualClock clock;
  auto queue = Make<Fifo>(clock);
  SequenceNumber last;
  for (int i = 0; i < 200; ++i) {
    const auto sent = queue.Send(i, {.group = std::to_string(i % 3), .deduplication_id = std::to_string(i)});
    REQUIRE(sent.ok());
    REQUIRE(sent->sequence_number > last);
    last = *sent->sequence_number;
    CHECK(last.ToString().size() == 20);
  }
  auto first = ReceiveOne(queue);
  CHECK(first.sequence_number().has_value());
  CHECK(first.group() == "0");
  CHECK(first.deduplication_id() == "0");
  CHECK_FALSE(Make<StandardQueue<int>>(clock).Send(1)->sequence_number.has_value());
}

TEST_CASE("the order of a group is kept into its dead-letter queue, whose retention starts anew") {
  ManualClock clock;
  auto dead = Make<Fifo>(clock, {.retention = Minutes(1)});
  auto live = Make<Fifo>(clock, {.redrive = Redrive{.to = dead, .max_receives = 1}});
  SendTo(live, "a", {1, 2, 3});
  SendTo(live, "b", {11});
  CHECK(Next(live) == std::vector<int>{1, 2, 3, 11});
  clock.Advance(Minutes(2));
  SendTo(live, "a", {4});
  CHECK(Next(live) == std::vector<int>{4});  // in the same call in which the ones before it went
  auto letters = *dead.Receive({.max_messages = 10});
  CHECK(BodiesOf(letters) == std::vector<int>{1, 2, 3, 11});
  CHECK(letters.front().sent_at() == clock.Now());
}

TEST_CASE("a FIFO dead letter's deduplication id is its message id, so it can be sent to its source again under that") {
  ManualClock clock;
  auto last = Make<Fifo>(clock);
  auto dead = Make<Fifo>(clock, {.redrive = Redrive{.to = last, .max_receives = 2}});
  auto live = Make<Fifo>(clock, {.redrive = Redrive{.to = dead, .max_receives = 1}});
  const auto sent = live.Send(1, {.group = "a", .deduplication_id = "mine"});
  REQUIRE(ReceiveOne(live).Release().ok());
  CHECK(Next(live) == kNone);
  const std::string id = sent->message_id.ToString();
  {
    auto letter = ReceiveOne(dead);
    CHECK(letter.id() == sent->message_id);
    CHECK(letter.deduplication_id() == id);
    CHECK(letter.group() == "a");
    REQUIRE(letter.Release().ok());
  }
  CHECK(Next(dead) == kNone);
  auto letter = ReceiveOne(last);  // a second dead-letter queue changes neither
  CHECK(letter.id() == sent->message_id);
  CHECK(letter.deduplication_id() == id);
  const std::string again(letter.deduplication_id());
  const auto resent = live.Send(letter.body(), {.group = std::string(letter.group()), .deduplication_id = again});
  CHECK(resent->message_id != sent->message_id);
  CHECK(Next(live) == std::vector<int>{1});
  CHECK(live.Send(1, {.group = "a", .deduplication_id = "mine"})->message_id == sent->message_id);
}

TEST_CASE("a dead letter that a task moves back keeps the id by which it was a dead letter as its deduplication id") {
  ManualClock clock;
  auto dead = Make<Fifo>(clock);
  auto live = Make<Fifo>(clock, {.redrive = Redrive{.to = dead, .max_receives = 1}});
  const auto sent = live.Send(1, {.group = "a", .deduplication_id = "mine"});
  REQUIRE(ReceiveOne(live).Release().ok());
  CHECK(Next(live) == kNone);
  REQUIRE(dead.StartMessageMoveTask()->Run() == MessageMoveStatus::kCompleted);
  {
    auto moved = ReceiveOne(live);
    CHECK(moved.id() != sent->message_id);
    CHECK(moved.deduplication_id() == sent->message_id.ToString());
    CHECK(moved.receive_count() == 1);
    REQUIRE(moved.Release().ok());
  }
  CHECK(Next(live) == kNone);
  const auto letter = ReceiveOne(dead);
  CHECK(letter.deduplication_id() == letter.id().ToString());
}

TEST_CASE("a group waits for a first message that its dead-letter queue does not take") {
  ManualClock clock;
  auto dead = Make<Fifo>(clock, {.capacity = Capacity{.messages = 1}});
  auto live = Make<Fifo>(clock, {.redrive = Redrive{.to = dead, .max_receives = 1}});
  SendTo(dead, "x", {0});
  SendTo(live, "a", {1});
  REQUIRE(ReceiveOne(live).Release().ok());
  SendTo(live, "a", {2});
  CHECK(Next(live) == kNone);
  REQUIRE(ReceiveOne(dead).Delete().ok());
  clock.Advance(kRedriveRetry);
  CHECK(Next(live) == std::vector<int>{2});
  CHECK(Next(dead) == std::vector<int>{1});
}

TEST_CASE("a dead letter is taken over though its deduplication id was used in the dead-letter queue") {
  ManualClock clock;
  auto dead = Make<Fifo>(clock);
  auto live = Make<Fifo>(clock, {.redrive = Redrive{.to = dead, .max_receives = 1}});
  SendTo(dead, "a", {1});
  SendTo(live, "a", {1});
  REQUIRE(ReceiveOne(live).Release().ok());
  CHECK(Next(live) == kNone);
  CHECK(Next(dead) == std::vector<int>{1, 1});
}

TEST_CASE("a purge of a FIFO queue removes whole groups") {
  ManualClock clock;
  auto queue = Make<Fifo>(clock);
  SendTo(queue, "a", {1, 2, 3});
  SendTo(queue, "b", {11, 12});
  ReceiveOne(queue);
  REQUIRE(queue.Purge().ok());
  CHECK(queue.Counts().total() == 0);
  CHECK(Next(queue) == kNone);
  SendTo(queue, "a", {4});
  SendTo(queue, "b", {13});
  CHECK(Next(queue) == std::vector<int>{4, 13});
}

TEST_CASE("deleting the messages of one receive fails after their timeout, and deletes none of them") {
  ManualClock clock;
  auto queue = Make<FifoQueue<int>>(clock);
  SendAll(queue, 1, 2);
  auto late = queue.Receive({.max_messages = 2});
  REQUIRE(late->size() == 2);
  clock.Advance(Seconds(30));
  CHECK(ErrorIn(late->Delete()) == Error::kInvalidParameterValue);
  CHECK(queue.Counts() == MessageCounts{.ready = 2});
}

TEST_CASE("deleting the messages of one receive is one call of the quota") {
  ManualClock clock;
  auto queue = Make<FifoQueue<int>>(clock, {.max_calls_per_second = 2});
  SendAll(queue, 1, 2);
  auto received = queue.Receive({.max_messages = 2});
  REQUIRE(received->size() == 2);
  CHECK(received->Delete().ok());
  CHECK(received->Delete().ok());  // deleting what is gone succeeds
  CHECK(ErrorIn(received->Delete()) == Error::kRequestThrottled);
}

}  // namespace decouple::testing
