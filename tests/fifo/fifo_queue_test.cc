// What FIFO queues do that standard queues do not: the order of groups, and receipts that expire.

#include <string>
#include <vector>

#include "fifo_testing.h"

namespace decouple::testing {

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
