// What only a standard queue does: order, late receipts, errors at the limit in flight, and going to the back.

#include "decouple/standard_queue.h"

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "queue_testing.h"

namespace decouple::testing {

using Queue = StandardQueue<int>;

TEST_CASE("deleting with a receipt from before the last receive succeeds and does nothing") {
  ManualClock clock;
  auto queue = Make<StandardQueue<int>>(clock);
  SendAll(queue, 1);
  auto old = ReceiveOne(queue);
  clock.Advance(Seconds(30));
  const auto again = ReceiveOne(queue);
  CHECK(queue.Delete(old.receipt()).ok());
  CHECK(old.Delete().ok());
  CHECK(queue.Counts() == MessageCounts{.in_flight = 1});
}

TEST_CASE("a standard queue refuses what only a FIFO queue understands") {
  ManualClock clock;
  auto queue = Make<StandardQueue<int>>(clock);
  CHECK(ErrorIn(queue.Send(1, {.deduplication_id = "1"})) == Error::kInvalidParameterValue);
  CHECK(ErrorIn(queue.Receive({.attempt_id = "1"})) == Error::kInvalidParameterValue);
  CHECK(ErrorIn(queue.SetAttributes({.content_based_deduplication = false})) == Error::kInvalidAttributeValue);
  CHECK(ErrorIn(queue.SetAttributes({.deduplication_scope = DeduplicationScope::kQueue})) ==
        Error::kInvalidAttributeValue);
  CHECK(ErrorIn(queue.SetAttributes({.max_calls_per_second = 300})) == Error::kInvalidAttributeValue);
  CHECK(ErrorIn(StandardQueue<int>::Create({.fifo_throughput_limit = FifoThroughputLimit::kPerQueue})) ==
        Error::kInvalidAttributeValue);
  CHECK(queue.Counts().total() == 0);
}

TEST_CASE("a batch of bodies is written as a list in braces") {
  ManualClock clock;
  auto numbers = Make<StandardQueue<int>>(clock);
  REQUIRE(numbers.SendBatch({1, 2, 3}).ok());
  CHECK(ReceiveAll(numbers) == std::vector{1, 2, 3});
  auto texts = Make<StandardQueue<std::string>>(clock);
  REQUIRE(texts.SendBatch({"a", "b"}).ok());                      // bodies
  REQUIRE(texts.SendBatch({{"id-1", "c"}, {"id-2", "d"}}).ok());  // entries
  REQUIRE(texts.SendBatch({std::string("e"), std::string("f")}).ok());
  CHECK(ReceiveAll(texts) == std::vector<std::string>{"a", "b", "c", "d", "e", "f"});
  auto only_moved = Make<StandardQueue<std::unique_ptr<int>>>(clock);
  REQUIRE(only_moved.SendBatch({std::make_unique<int>(1), std::make_unique<int>(2)}).ok());
  CHECK(only_moved.Counts().ready == 2);
}

TEST_CASE("bodies without options go as one batch, each with a result of its own") {
  ManualClock clock;
  auto queue = Make<StandardQueue<std::string>>(clock, {.max_message_size = 1'024});
  std::vector<std::string> bodies = {"a", "", std::string(1'025, 'x'), "b"};
  const auto results = queue.SendBatch(bodies);
  REQUIRE(results.ok());
  REQUIRE(results->size() == 4);
  CHECK_FALSE(results->all_ok());
  CHECK((*results)[0].ok());
  CHECK(ErrorIn((*results)[1]) == Error::kMissingParameter);
  CHECK(ErrorIn((*results)[2]) == Error::kInvalidParameterValue);
  CHECK((*results)[3].ok());
  CHECK(bodies[2].size() == 1'025);  // not consumed
  const auto received = queue.Receive({.max_messages = 10});
  REQUIRE(received->size() == 2);
  CHECK((*received)[0].body() == "a");
  CHECK((*received)[0].id() == (*results)[0]->message_id);
  CHECK((*received)[1].id() == (*results)[3]->message_id);
}

TEST_CASE("a batch of bodies gives each message its id, wherever the batch lies") {
  ManualClock clock;
  auto queue = Make<Queue>(clock);
  for (int first = 0; first < 700; first += 7) {
    std::vector<int> bodies;
    for (int i = 0; i < 7; ++i) bodies.push_back(first + i);
    const auto sent = queue.SendBatch(bodies);
    REQUIRE(sent->all_ok());
    auto received = queue.Receive({.max_messages = 10});
    REQUIRE(received->size() == 7);
    for (std::size_t i = 0; i < 7; ++i) {
      REQUIRE((*received)[i].body() == bodies[i]);
      REQUIRE((*received)[i].id() == (*sent)[i]->message_id);
    }
    REQUIRE(received->Delete().ok());
  }
  CHECK(queue.Counts().total() == 0);
}

TEST_CASE("a batch of bodies fails as a whole when it is empty, too many or too large, and does nothing") {
  ManualClock clock;
  auto queue = Make<StandardQueue<std::string>>(clock);
  std::vector<std::string> none;
  CHECK(ErrorIn(queue.SendBatch(none)) == Error::kEmptyBatchRequest);
  std::vector<std::string> eleven(11, "x");
  CHECK(ErrorIn(queue.SendBatch(eleven)) == Error::kTooManyEntriesInBatchRequest);
  const std::size_t most = Limits().max_batch_bytes;
  std::vector<std::string> two = {std::string(most / 2, 'x'), std::string(most - most / 2 + 1, 'x')};
  CHECK(ErrorIn(queue.SendBatch(two)) == Error::kBatchRequestTooLong);
  CHECK(queue.Counts().total() == 0);
  two[1].pop_back();
  CHECK(queue.SendBatch(two).ok());
  CHECK(queue.Counts() == MessageCounts{.ready = 2});
}

TEST_CASE("a batch of bodies is delayed, refused and bounded as single messages are") {
  ManualClock clock;
  auto queue = Make<Queue>(clock, {.delay = Seconds(5), .capacity = Capacity{.messages = 3}});
  std::vector<int> bodies = {1, 2};
  REQUIRE(queue.SendBatch(bodies).ok());
  CHECK(queue.Counts() == MessageCounts{.delayed = 2});
  const auto beyond = queue.SendBatch(bodies);
  CHECK((*beyond)[0].ok());
  CHECK(ErrorIn((*beyond)[1]) == Error::kQueueFull);
  clock.Advance(Seconds(5));
  CHECK(queue.Counts() == MessageCounts{.ready = 3});
  queue.Close();
  const auto closed = queue.SendBatch(bodies);
  CHECK(ErrorIn((*closed)[0]) == Error::kQueueClosed);
}

TEST_CASE("messages are received in the order of sending") {
  ManualClock clock;
  auto queue = Make<Queue>(clock);
  std::vector<int> sent;
  for (int i = 0; i < 1000; ++i) {
    SendAll(queue, i);
    sent.push_back(i);
  }
  CHECK(ReceiveAll(queue) == sent);
}

TEST_CASE("a message whose visibility timeout ends is received again") {
  ManualClock clock;
  auto queue = Make<Queue>(clock);
  SendAll(queue, 1, 2, 3);
  ReceiveOne(queue);
  clock.Advance(Seconds(30));
  CHECK(ReceiveAll(queue).size() == 3);
}

TEST_CASE("a receipt whose timeout ended still deletes while nobody received since") {
  ManualClock clock;
  auto queue = Make<Queue>(clock);
  SendAll(queue, 1, 2);
  const ReceiptHandle unnoticed = ReceiveOne(queue).receipt();
  auto noticed = ReceiveOne(queue);
  clock.Advance(Seconds(31));
  CHECK(queue.Delete(unnoticed).ok());
  CHECK(queue.Counts() == MessageCounts{.ready = 1});
  CHECK(noticed.Delete().ok());
  CHECK(queue.Counts() == MessageCounts{});
  CHECK(ReceivesNothing(queue));
}

TEST_CASE("a receipt whose timeout ended hides the message again while nobody received since") {
  ManualClock clock;
  auto queue = Make<Queue>(clock);
  SendAll(queue, 1);
  auto delivery = ReceiveOne(queue);
  clock.Advance(Seconds(31));
  REQUIRE(queue.Counts().ready == 1);
  REQUIRE(delivery.ChangeVisibility(Seconds(10)).ok());
  CHECK(queue.Counts() == MessageCounts{.in_flight = 1});
  clock.Advance(Seconds(10) - kOneNanosecond);
  CHECK(ReceivesNothing(queue));
  clock.Advance(kOneNanosecond);
  CHECK(ReceiveOne(queue).receive_count() == 2);
}

TEST_CASE("a message hidden again and again after its timeout is never received twice at a time") {
  ManualClock clock;
  auto queue = Make<Queue>(clock);
  SendAll(queue, 1);
  auto delivery = ReceiveOne(queue);
  for (int i = 0; i < 200; ++i) {
    clock.Advance(Seconds(10));
    REQUIRE(delivery.ChangeVisibility(absl::ZeroDuration()).ok());
    REQUIRE(delivery.ChangeVisibility(Seconds(20)).ok());
    REQUIRE(ReceivesNothing(queue));
    REQUIRE(queue.Counts() == MessageCounts{.in_flight = 1});
  }
  clock.Advance(Seconds(20));
  CHECK(ReceiveAll(queue).size() == 1);
}

TEST_CASE("releasing what is visible already changes nothing") {
  ManualClock clock;
  auto queue = Make<Queue>(clock);
  SendAll(queue, 1);
  auto delivery = ReceiveOne(queue);
  CHECK(delivery.Release().ok());
  CHECK(delivery.Release().ok());
  CHECK(queue.Counts() == MessageCounts{.ready = 1});
  CHECK(ReceiveAll(queue).size() == 1);
}

TEST_CASE("a message's own delay overrides the queue's, 0 included") {
  ManualClock clock;
  auto queue = Make<Queue>(clock, {.delay = Seconds(10)});
  REQUIRE(queue.Send(1, {.delay = Seconds(3)}).ok());
  REQUIRE(queue.Send(2, {.delay = absl::ZeroDuration()}).ok());
  REQUIRE(queue.Send(3, {}).ok());
  CHECK(ReceiveAll(queue) == std::vector{2});
  clock.Advance(Seconds(3) - kOneNanosecond);
  CHECK(ReceivesNothing(queue));
  clock.Advance(kOneNanosecond);
  CHECK(ReceiveAll(queue) == std::vector{1});
  clock.Advance(Seconds(7) - kOneNanosecond);
  CHECK(ReceivesNothing(queue));
  clock.Advance(kOneNanosecond);
  CHECK(ReceiveAll(queue) == std::vector{3});
}

TEST_CASE("a message's own delay is 0 to 15 minutes") {
  ManualClock clock;
  auto queue = Make<Queue>(clock);
  CHECK(ErrorIn(queue.Send(1, {.delay = -kOneNanosecond})) == Error::kInvalidParameterValue);
  CHECK(ErrorIn(queue.Send(1, {.delay = Minutes(15) + kOneNanosecond})) == Error::kInvalidParameterValue);
  CHECK(queue.Counts().total() == 0);
  CHECK(queue.Send(1, {.delay = Minutes(15)}).ok());
}

TEST_CASE("over the limit in flight a short poll fails") {
  ManualClock clock;
  auto queue = Make<Queue>(clock, {.max_in_flight = 3});
  SendAll(queue, 1, 2, 3, 4, 5);
  auto received = queue.Receive({.max_messages = 10});
  REQUIRE(received->size() == 3);  // as many as there is room for
  CHECK(ErrorIn(queue.Receive()) == Error::kOverLimit);
  CHECK(queue.Counts() == MessageCounts{.ready = 2, .in_flight = 3});
  REQUIRE((*received)[1].Delete().ok());
  CHECK(ReceiveOne(queue).body() == 4);
  CHECK(ErrorIn(queue.Receive()) == Error::kOverLimit);
  REQUIRE((*received)[0].Release().ok());
  CHECK(ReceiveOne(queue).body() == 1);
  CHECK(ErrorIn(queue.Receive()) == Error::kOverLimit);
}

TEST_CASE("the limit in flight is 120000 by default") {
  ManualClock clock;
  auto queue = Make<Queue>(clock);
  for (int i = 0; i < 120'010; ++i) SendAll(queue, i);
  for (int i = 0; i < 12'000; ++i) REQUIRE(queue.Receive({.max_messages = 10})->size() == 10);
  CHECK(ErrorIn(queue.Receive({.max_messages = 10})) == Error::kOverLimit);
  CHECK(queue.Counts() == MessageCounts{.ready = 10, .in_flight = 120'000});
  clock.Advance(Seconds(30));
  CHECK(queue.Receive({.max_messages = 10})->size() == 10);
}

TEST_CASE("an empty queue is empty, not over its limit") {
  ManualClock clock;
  auto queue = Make<Queue>(clock, {.max_in_flight = 1});
  SendAll(queue, 1);
  const auto delivery = ReceiveOne(queue);
  CHECK(ReceivesNothing(queue));
}

TEST_CASE("over the limit in flight a long poll returns nothing") {
  ManualClock clock;
  auto queue = Make<Queue>(clock, {.max_in_flight = 1});
  SendAll(queue, 1, 2);
  const auto delivery = ReceiveOne(queue);
  std::thread poll([&] {
    const auto received = queue.Receive({.wait = Seconds(20)});
    CHECK(received.ok());
    CHECK(received->empty());
  });
  clock.AwaitSleepers(1);
  clock.Advance(Seconds(20));
  poll.join();
}

TEST_CASE("a long poll over the limit goes on when there is room") {
  ManualClock clock;
  auto queue = Make<Queue>(clock, {.max_in_flight = 1});
  SendAll(queue, 1, 2);
  auto delivery = ReceiveOne(queue);
  std::thread poll([&] { CHECK(queue.Receive({.wait = Seconds(20)})->size() == 1); });
  clock.AwaitSleepers(1);
  REQUIRE(delivery.Delete().ok());
  poll.join();
}

TEST_CASE("the limit in flight can change while the queue lives") {
  ManualClock clock;
  auto queue = Make<Queue>(clock, {.max_in_flight = 1});
  SendAll(queue, 1, 2, 3, 4);
  ReceiveOne(queue);
  REQUIRE(queue.SetAttributes({.max_in_flight = 3}).ok());
  CHECK(queue.Receive({.max_messages = 10})->size() == 2);
  REQUIRE(queue.SetAttributes({.max_in_flight = 2}).ok());
  CHECK(ErrorIn(queue.Receive()) == Error::kOverLimit);
}

TEST_CASE("a message received three times goes to the back of the queue") {
  ManualClock clock;
  auto queue = Make<Queue>(clock);
  SendAll(queue, 1, 2);
  for (int receive = 1; receive <= 3; ++receive) {
    auto delivery = ReceiveOne(queue);
    REQUIRE(delivery.body() == 1);  // twice it has come back to the front
    REQUIRE(delivery.receive_count() == static_cast<std::uint32_t>(receive));
    REQUIRE(delivery.Release().ok());
  }
  SendAll(queue, 3);
  CHECK(ReceiveAll(queue) == std::vector{2, 1, 3});
}

TEST_CASE("a message at the back can be deleted, hidden and expire like any other") {
  ManualClock clock;
  auto queue = Make<Queue>(clock, {.retention = Minutes(1)});
  const auto to_the_back = [&](int body) {
    SendAll(queue, body);
    for (int i = 0; i < 2; ++i) REQUIRE(ReceiveOne(queue).Release().ok());
    auto delivery = ReceiveOne(queue);
    REQUIRE(delivery.Release().ok());
    return delivery;
  };
  CHECK(to_the_back(1).Delete().ok());
  CHECK(ReceivesNothing(queue));
  auto hidden = to_the_back(2);
  REQUIRE(hidden.ChangeVisibility(Seconds(30)).ok());
  CHECK(ReceivesNothing(queue));
  CHECK(queue.Counts() == MessageCounts{.in_flight = 1});
  REQUIRE(hidden.Delete().ok());
  to_the_back(3);
  CHECK(queue.Counts() == MessageCounts{.ready = 1});
  clock.Advance(Minutes(1));
  CHECK(queue.Counts() == MessageCounts{});
  CHECK(ReceivesNothing(queue));
}

TEST_CASE("the age of the oldest message skips what was received three times") {
  ManualClock clock;
  auto queue = Make<Queue>(clock);
  SendAll(queue, 1);
  clock.Advance(Seconds(5));
  SendAll(queue, 2);
  for (int i = 0; i < 2; ++i) REQUIRE(ReceiveOne(queue).Release().ok());
  CHECK(queue.Statistics().approximate_age_of_oldest_message == Seconds(5));
  ReceiveOne(queue);
  CHECK(queue.Statistics().approximate_age_of_oldest_message == absl::ZeroDuration());
}

TEST_CASE("many leases that end at once all come back") {
  ManualClock clock;
  auto queue = Make<Queue>(clock, {.limits = Limits::Unlimited()});
  constexpr int kMessages = 200'000;
  for (int i = 0; i < kMessages; ++i) SendAll(queue, i);
  REQUIRE(queue.Receive({.max_messages = kMessages})->size() == kMessages);
  clock.Advance(Seconds(30));
  REQUIRE(ReceiveOne(queue).receive_count() == 2);
  REQUIRE(ReceiveOne(queue).Release().ok());
  int received = 0;
  for (; !ReceivesNothing(queue); ++received) {
  }
  CHECK(received == kMessages - 1);
}

TEST_CASE("a changed delay of a standard queue counts for later messages only") {
  ManualClock clock;
  auto queue = Make<StandardQueue<int>>(clock, {.delay = Minutes(1)});
  SendAll(queue, 1);
  REQUIRE(queue.SetAttributes({.delay = absl::ZeroDuration()}).ok());
  SendAll(queue, 2);
  CHECK(queue.Counts() == MessageCounts{.ready = 1, .delayed = 1});
  auto second = ReceiveOne(queue);
  CHECK(second.body() == 2);
  REQUIRE(second.Delete().ok());
  REQUIRE(queue.SetAttributes({.delay = Minutes(15)}).ok());
  clock.Advance(Minutes(1) - kOneNanosecond);
  CHECK(ReceivesNothing(queue));
  clock.Advance(kOneNanosecond);
  CHECK(ReceiveOne(queue).body() == 1);
}

TEST_CASE("a delayed message of a standard queue does not hold up those sent after it") {
  ManualClock clock;
  auto queue = Make<StandardQueue<int>>(clock, {.delay = Seconds(10)});
  SendAll(queue, 1);
  clock.Advance(Seconds(1));
  REQUIRE(queue.SetAttributes({.delay = absl::ZeroDuration()}).ok());
  SendAll(queue, 2);
  CHECK(ReceiveAll(queue) == std::vector{2});
  clock.Advance(Seconds(9));
  CHECK(ReceiveAll(queue) == std::vector{1});
}

}  // namespace decouple::testing
