// Dead letters: messages that were received too often, and the queues that take them.

#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include "queue_testing.h"

namespace decouple::testing {

// A queue and its dead-letter queue.
template <typename Queue>
struct Pair {
  explicit Pair(int max_receives, QueueOptions dead_letter_options = {})
      : dead(Make<Queue>(clock, Named("dead", std::move(dead_letter_options)))),
        live(Make<Queue>(clock, Named("live", {.redrive = Redrive{.to = dead, .max_receives = max_receives}}))) {}

  static QueueOptions Named(const char* name, QueueOptions options) {
    options.name = name;
    return options;
  }

  ManualClock clock;
  Queue dead;
  Queue live;
};

template <typename Queue>
void ReceiveAndRelease(Queue& queue, int times) {
  for (int i = 0; i < times; ++i) REQUIRE(ReceiveOne(queue).Release().ok());
}

CONFORMANCE_TEST("a message is received as often as allowed, and then moved instead, in that same call") {
  Pair<TestType> queues(3);
  SendAll(queues.live, 7);
  for (std::uint32_t receive = 1; receive <= 3; ++receive) {
    CHECK(ReceiveOne(queues.live).receive_count() == receive);
    queues.clock.Advance(Seconds(30));
  }
  CHECK(queues.live.Counts().ready == 1);  // it moves when a receive meets it, not by itself
  CHECK(queues.dead.Counts().total() == 0);
  CHECK(ReceivesNothing(queues.live));
  CHECK(queues.live.Counts().total() == 0);
  CHECK(queues.dead.Counts() == MessageCounts{.ready = 1});
  CHECK(ReceiveOne(queues.dead).body() == 7);
}

CONFORMANCE_TEST("a receive that moves a message goes on to the next") {
  Pair<TestType> queues(1);
  SendAll(queues.live, 1, 2, 3);
  ReceiveAndRelease(queues.live, 1);
  CHECK(ReceiveAll(queues.live) == std::vector<int>{2, 3});
  CHECK(ReceiveAll(queues.dead) == std::vector<int>{1});
}

CONFORMANCE_TEST("a dead letter keeps its id, body, attributes and group, and says where it comes from") {
  Pair<TestType> queues(1);
  const auto sent = Send(queues.live, 5, {.attributes = {{"store", "oslo"}}, .group = "g"});
  {
    auto first = ReceiveOne(queues.live);
    CHECK(first.dead_letter_source().empty());
    REQUIRE(first.Release().ok());
  }
  CHECK(ReceivesNothing(queues.live));
  const auto dead = ReceiveOne(queues.dead);
  CHECK(dead.id() == sent->message_id);
  CHECK(dead.body() == 5);
  CHECK(dead.attributes() == MessageAttributes{{"store", "oslo"}});
  CHECK(dead.group() == "g");
  CHECK(dead.receive_count() == 2);  // once in each queue
  CHECK(dead.dead_letter_source() == "live");
}

CONFORMANCE_TEST("a dead letter's receive count goes on, and the time of its first receive stays") {
  Pair<TestType> queues(3);
  queues.clock.Advance(Seconds(5));
  SendAll(queues.live, 1);
  const absl::Time first = queues.clock.Now();
  for (int i = 0; i < 3; ++i) {
    CHECK(ReceiveOne(queues.live).first_received_at() == first);
    queues.clock.Advance(Seconds(30));
  }
  CHECK(ReceivesNothing(queues.live));
  queues.clock.Advance(Hours(1));
  for (std::uint32_t receive = 4; receive <= 6; ++receive) {
    const auto letter = ReceiveOne(queues.dead);
    CHECK(letter.receive_count() == receive);
    CHECK(letter.first_received_at() == first);
    queues.clock.Advance(Seconds(30));
  }
  SendAll(queues.dead, 2);  // a message that is sent there begins from nothing
  const auto received = *queues.dead.Receive({.max_messages = 10});
  REQUIRE(received.size() == 2);
  for (const auto& delivery : received) {
    CHECK(delivery.receive_count() == (delivery.body() == 1 ? 7 : 1));
    CHECK(delivery.first_received_at() == (delivery.body() == 1 ? first : queues.clock.Now()));
  }
}

CONFORMANCE_TEST("a redrive policy of a dead-letter queue counts on from the receives in its sources") {
  ManualClock clock;
  auto last = Make<TestType>(clock, {.name = "last"});
  auto middle = Make<TestType>(clock, {.redrive = Redrive{.to = last, .max_receives = 5}, .name = "middle"});
  auto first = Make<TestType>(clock, {.redrive = Redrive{.to = middle, .max_receives = 3}, .name = "first"});
  SendAll(first, 9);
  const absl::Time first_receive = clock.Now();
  ReceiveAndRelease(first, 3);
  CHECK(ReceivesNothing(first));
  clock.Advance(Minutes(1));
  ReceiveAndRelease(middle, 1);
  CHECK(ReceiveOne(middle).receive_count() == 5);
  clock.Advance(Seconds(30));
  CHECK(ReceivesNothing(middle));
  const auto dead = ReceiveOne(last);
  CHECK(dead.receive_count() == 6);
  CHECK(dead.first_received_at() == first_receive);
}

CONFORMANCE_TEST("a dead letter whose receives are as many as its dead-letter queue allows goes on at once") {
  ManualClock clock;
  auto last = Make<TestType>(clock, {.name = "last"});
  auto middle = Make<TestType>(clock, {.redrive = Redrive{.to = last, .max_receives = 2}, .name = "middle"});
  auto first = Make<TestType>(clock, {.redrive = Redrive{.to = middle, .max_receives = 2}, .name = "first"});
  SendAll(first, 9);
  ReceiveAndRelease(first, 2);
  CHECK(ReceivesNothing(first));
  SendAll(middle, 1);
  CHECK(ReceiveAll(middle) == std::vector<int>{1});
  const auto dead = ReceiveOne(last);
  CHECK(dead.body() == 9);
  CHECK(dead.receive_count() == 3);
  CHECK(dead.dead_letter_source() == "middle");
}

CONFORMANCE_TEST("receipts of a dead letter name the receives of its dead-letter queue") {
  Pair<TestType> queues(2);
  SendAll(queues.live, 1);
  ReceiveAndRelease(queues.live, 2);
  CHECK(ReceivesNothing(queues.live));
  queues.clock.Advance(Hours(13));
  auto letter = ReceiveOne(queues.dead);
  // The 12 hours of a visibility timeout count from the first receive from this queue.
  CHECK(letter.ChangeVisibility(Hours(12)).ok());
  CHECK(queues.dead.ChangeVisibility(letter.receipt(), Minutes(5)).ok());
  queues.clock.Advance(Minutes(5));
  auto again = ReceiveOne(queues.dead);
  CHECK(again.receive_count() == 4);
  CHECK(ErrorIn(letter.ChangeVisibility(Minutes(1))) == Error::kMessageNotInflight);
  CHECK(queues.dead.Counts() == MessageCounts{.in_flight = 1});
  CHECK(again.Delete().ok());
  CHECK(queues.dead.Counts().total() == 0);
}

CONFORMANCE_TEST("a body that an old delivery still shows is shared with the dead-letter queue, not copied") {
  using Queue = typename QueueKind<TestType>::template Of<std::unique_ptr<std::string>>;
  Pair<Queue> queues(1);
  REQUIRE(Send(queues.live, std::make_unique<std::string>("shown")).ok());
  auto old = std::make_optional(ReceiveOne(queues.live));
  const std::string* const text = old->body().get();
  queues.clock.Advance(Seconds(30));
  CHECK(ReceivesNothing(queues.live));
  {
    const auto dead = ReceiveOne(queues.dead, {.visibility_timeout = Seconds(0)});
    CHECK(dead.body().get() == text);
    CHECK(old->body().get() == text);
    old.reset();
    CHECK(*dead.body() == "shown");
  }
  CHECK(queues.live.Counts().total() == 0);
  auto again = ReceiveOne(queues.dead);
  CHECK(*again.body() == "shown");
  CHECK(again.Delete().ok());
  CHECK(queues.dead.Statistics().approximate_number_of_bytes == 0);
}

CONFORMANCE_TEST("a shared body outlives the queue that it was sent to") {
  using Queue = typename QueueKind<TestType>::template Of<std::string>;
  ManualClock clock;
  auto dead = Make<Queue>(clock);
  {
    auto live = Make<Queue>(clock, {.redrive = Redrive{.to = dead, .max_receives = 1}});
    SendAll(live, std::string(100, 'x'));
    const auto old = ReceiveOne(live);
    clock.Advance(Seconds(30));
    CHECK(ReceivesNothing(live));
  }
  const auto letter = ReceiveOne(dead);
  CHECK(letter.body() == std::string(100, 'x'));
}

CONFORMANCE_TEST("a message that its dead-letter queue has no room for stays, is counted, and is tried again") {
  Pair<TestType> queues(1, {.capacity = Capacity{.messages = 1, .when_full = Block{Seconds(10)}}});
  SendAll(queues.dead, 0);
  SendAll(queues.live, 1);
  ReceiveAndRelease(queues.live, 1);
  CHECK(ReceivesNothing(queues.live));  // a receive does not wait for room
  CHECK(queues.live.Counts() == MessageCounts{.in_flight = 1});
  CHECK(queues.live.Statistics().number_of_messages_failed_to_redrive == 1);
  REQUIRE(ReceiveOne(queues.dead).Delete().ok());

  queues.clock.Advance(kRedriveRetry - kOneNanosecond);
  CHECK(ReceivesNothing(queues.live));
  CHECK(queues.dead.Counts().total() == 0);
  queues.clock.Advance(kOneNanosecond);
  CHECK(ReceivesNothing(queues.live));
  CHECK(queues.live.Counts().total() == 0);
  CHECK(ReceiveOne(queues.dead).body() == 1);
  CHECK(queues.live.Statistics().number_of_messages_failed_to_redrive == 1);
}

CONFORMANCE_TEST("a message that is tried again gets the room of messages past their retention") {
  Pair<TestType> queues(1, {.retention = Minutes(1), .capacity = Capacity{.messages = 1}});
  SendAll(queues.dead, 0);
  ReceiveOne(queues.dead);
  SendAll(queues.live, 1);
  ReceiveAndRelease(queues.live, 1);
  queues.clock.Advance(Seconds(59));
  CHECK(ReceivesNothing(queues.live));
  CHECK(queues.live.Counts().total() == 1);
  queues.clock.Advance(kRedriveRetry);
  CHECK(ReceivesNothing(queues.live));  // finds the dead-letter queue full of messages past their retention
  queues.clock.Advance(kRedriveRetry);
  CHECK(ReceivesNothing(queues.live));
  CHECK(queues.live.Counts().total() == 0);
}

CONFORMANCE_TEST("a message stays when its dead-letter queue is closed") {
  Pair<TestType> queues(1);
  SendAll(queues.live, 1);
  ReceiveAndRelease(queues.live, 1);
  queues.dead.Close();
  for (int i = 1; i <= 3; ++i) {
    CHECK(ReceivesNothing(queues.live));
    CHECK(queues.live.Counts().total() == 1);
    CHECK(queues.live.Statistics().number_of_messages_failed_to_redrive == static_cast<std::uint64_t>(i));
    queues.clock.Advance(kRedriveRetry);
  }
  REQUIRE(queues.live.SetAttributes({.redrive = Redrive{}}).ok());
  CHECK(ReceiveOne(queues.live).receive_count() == 2);  // it was not received in between
}

CONFORMANCE_TEST("a body stays readable and whole when its message could not be moved") {
  using Queue = typename QueueKind<TestType>::template Of<std::string>;
  Pair<Queue> queues(1);
  SendAll(queues.live, std::string(50, 'a'));
  const auto held = ReceiveOne(queues.live);
  queues.clock.Advance(Seconds(30));
  queues.dead.Close();
  CHECK(ReceivesNothing(queues.live));
  CHECK(held.body() == std::string(50, 'a'));
  REQUIRE(queues.live.SetAttributes({.redrive = Redrive{}}).ok());
  queues.clock.Advance(kRedriveRetry);
  CHECK(ReceiveOne(queues.live).body() == std::string(50, 'a'));
}

CONFORMANCE_TEST("the handle of a dead-letter queue may go: its sources keep the queue, and give a handle of it") {
  ManualClock clock;
  std::optional<TestType> dead = Make<TestType>(clock);
  auto live = Make<TestType>(clock, {.redrive = Redrive{.to = *dead, .max_receives = 1}});
  dead.reset();
  SendAll(live, 1);
  ReceiveAndRelease(live, 1);
  CHECK(ReceivesNothing(live));
  auto found = Queue<int>::From(live.redrive()->to);
  REQUIRE(found.has_value());
  CHECK(ReceiveOne(*found).body() == 1);
}

CONFORMANCE_TEST("dead-letter queues may have dead-letter queues") {
  ManualClock clock;
  auto last = Make<TestType>(clock, {.name = "last"});
  auto middle = Make<TestType>(clock, {.redrive = Redrive{.to = last, .max_receives = 2}, .name = "middle"});
  auto first = Make<TestType>(clock, {.redrive = Redrive{.to = middle, .max_receives = 1}, .name = "first"});
  const auto sent = Send(first, 9);
  ReceiveAndRelease(first, 1);
  CHECK(ReceivesNothing(first));
  ReceiveAndRelease(middle, 1);  // its second receive
  CHECK(ReceivesNothing(middle));
  const auto dead = ReceiveOne(last);
  CHECK(dead.id() == sent->message_id);
  CHECK(dead.dead_letter_source() == "middle");
}

CONFORMANCE_TEST("a queue is never its own dead-letter queue, not even by way of others") {
  ManualClock clock;
  auto a = Make<TestType>(clock);
  auto b = Make<TestType>(clock, {.redrive = Redrive{.to = a}});
  auto c = Make<TestType>(clock, {.redrive = Redrive{.to = b}});
  CHECK(ErrorIn(a.SetAttributes({.redrive = Redrive{.to = a}})) == Error::kInvalidAttributeValue);
  CHECK(ErrorIn(a.SetAttributes({.redrive = Redrive{.to = c}})) == Error::kInvalidAttributeValue);
  CHECK_FALSE(a.redrive().has_value());
  REQUIRE(c.SetAttributes({.redrive = Redrive{}}).ok());
  CHECK(a.SetAttributes({.redrive = Redrive{.to = c}}).ok());
}

CONFORMANCE_TEST("a message may be received 1 to 1 000 times") {
  ManualClock clock;
  auto dead = Make<TestType>(clock);
  auto live = Make<TestType>(clock);
  for (const int receives : {-1, 0, 1001}) {
    CHECK(ErrorIn(live.SetAttributes({.redrive = Redrive{.to = dead, .max_receives = receives}})) ==
          Error::kInvalidAttributeValue);
  }
  CHECK_FALSE(live.redrive().has_value());
  CHECK(live.SetAttributes({.redrive = Redrive{.to = dead, .max_receives = 1000}}).ok());
  CHECK(live.SetAttributes({.redrive = Redrive{.to = dead, .max_receives = 1}}).ok());
  CHECK(live.redrive()->max_receives == 1);
}

CONFORMANCE_TEST("a redrive policy with a maximum of receives, but without a queue, is refused") {
  Pair<TestType> queues(3);
  CHECK(ErrorIn(TestType::Create({.redrive = Redrive{.max_receives = 42}})) == Error::kInvalidAttributeValue);
  for (const int receives : {42, 9, 11, 0, -1}) {
    CHECK(ErrorIn(queues.live.SetAttributes({.redrive = Redrive{.max_receives = receives}})) ==
          Error::kInvalidAttributeValue);
    CHECK(queues.live.redrive()->to == QueueReference(queues.dead));
    CHECK(queues.live.redrive()->max_receives == 3);
  }
  CHECK(queues.live.SetAttributes({.redrive = Redrive{}}).ok());
  CHECK_FALSE(queues.live.redrive().has_value());
}

CONFORMANCE_TEST("a reference to no queue has an empty name") {
  CHECK(QueueReference().name().empty());
  CHECK(QueueReference(TestType::Create({.name = "orders"}).value()).name() == "orders");
  CHECK_FALSE(Queue<int>::From(QueueReference()).has_value());
}

CONFORMANCE_TEST("a dead-letter queue is of the same kind and has the same bodies") {
  ManualClock clock;
  auto live = Make<TestType>(clock);
  auto strings = Make<typename QueueKind<TestType>::template Of<std::string>>(clock);
  CHECK(ErrorIn(live.SetAttributes({.redrive = Redrive{.to = strings}})) == Error::kInvalidAttributeValue);
  StandardQueue<int> standard;
  FifoQueue<int> fifo;
  const bool is_standard = std::is_same_v<TestType, StandardQueue<int>>;
  CHECK(live.SetAttributes({.redrive = Redrive{.to = standard}}).ok() == is_standard);
  CHECK(live.SetAttributes({.redrive = Redrive{.to = fifo}}).ok() == !is_standard);
}

CONFORMANCE_TEST("a queue is created with all of its options or not at all") {
  ManualClock clock;
  TestType dead;
  QueueOptions options{.redrive = Redrive{.to = dead, .max_receives = 0}, .clock = &clock};
  CHECK(ErrorIn(TestType::Create(options)) == Error::kInvalidAttributeValue);
  CHECK(dead.DeadLetterSources().empty());
}

CONFORMANCE_TEST("attributes change together or not at all, a dead-letter queue among them") {
  ManualClock clock;
  TestType dead;
  auto queue = Make<TestType>(clock);
  CHECK(ErrorIn(queue.SetAttributes({.visibility_timeout = Seconds(1), .redrive = Redrive{.to = queue}})) ==
        Error::kInvalidAttributeValue);
  CHECK(ErrorIn(queue.SetAttributes({.visibility_timeout = Seconds(-1), .redrive = Redrive{.to = dead}})) ==
        Error::kInvalidAttributeValue);
  CHECK_FALSE(queue.redrive().has_value());
  SendAll(queue, 1);
  ReceiveOne(queue);
  clock.Advance(Seconds(30) - kOneNanosecond);
  CHECK(queue.Counts().in_flight == 1);
}

CONFORMANCE_TEST("the sources of a dead-letter queue can be listed") {
  ManualClock clock;
  auto dead = Make<TestType>(clock);
  const Redrive redrive{.to = dead};
  auto a = Make<TestType>(clock, {.redrive = redrive});
  CHECK(dead.DeadLetterSources() == std::vector<Queue<int>>{a});
  {
    auto b = Make<TestType>(clock, {.redrive = redrive});
    CHECK(dead.DeadLetterSources() == std::vector<Queue<int>>{a, b});
  }
  CHECK(dead.DeadLetterSources() == std::vector<Queue<int>>{a});
  REQUIRE(a.SetAttributes({.redrive = Redrive{.to = dead, .max_receives = 2}}).ok());
  CHECK(dead.DeadLetterSources().size() == 1);
  REQUIRE(a.SetAttributes({.redrive = Redrive{}}).ok());
  CHECK(dead.DeadLetterSources().empty());
}

CONFORMANCE_TEST("a dead-letter queue can deny all sources, or allow up to ten") {
  ManualClock clock;
  auto a = Make<TestType>(clock);
  auto b = Make<TestType>(clock);
  auto denies = Make<TestType>(clock, {.redrive_allow = DenyAllSources{}});
  auto allows_a = Make<TestType>(clock, {.redrive_allow = AllowSources{{a}}});
  CHECK(ErrorIn(a.SetAttributes({.redrive = Redrive{.to = denies}})) == Error::kInvalidAttributeValue);
  CHECK(a.SetAttributes({.redrive = Redrive{.to = allows_a}}).ok());
  CHECK(ErrorIn(b.SetAttributes({.redrive = Redrive{.to = allows_a}})) == Error::kInvalidAttributeValue);
  REQUIRE(allows_a.SetAttributes({.redrive_allow = AllowAllSources{}}).ok());
  CHECK(b.SetAttributes({.redrive = Redrive{.to = allows_a}}).ok());

  const auto allow = [&](std::size_t n) {
    return denies.SetAttributes({.redrive_allow = AllowSources{std::vector<QueueReference>(n, a)}});
  };
  CHECK(ErrorIn(allow(0)) == Error::kInvalidAttributeValue);
  CHECK(allow(10).ok());
  CHECK(ErrorIn(allow(11)) == Error::kInvalidAttributeValue);
  CHECK(ErrorIn(denies.SetAttributes({.redrive_allow = AllowSources{{QueueReference()}}})) ==
        Error::kInvalidAttributeValue);
}

CONFORMANCE_TEST("a source that is allowed no more keeps its messages") {
  Pair<TestType> queues(1);
  SendAll(queues.live, 1);
  ReceiveAndRelease(queues.live, 1);
  REQUIRE(queues.dead.SetAttributes({.redrive_allow = DenyAllSources{}}).ok());
  CHECK(ReceivesNothing(queues.live));
  CHECK(queues.live.Counts().total() == 1);
  CHECK(queues.dead.Counts().total() == 0);
}

CONFORMANCE_TEST("how often a message may be received can change while it waits") {
  Pair<TestType> queues(5);
  SendAll(queues.live, 1);
  ReceiveAndRelease(queues.live, 2);
  REQUIRE(queues.live.SetAttributes({.redrive = Redrive{.to = queues.dead, .max_receives = 2}}).ok());
  CHECK(ReceivesNothing(queues.live));
  CHECK(queues.dead.Counts().ready == 1);
}

CONFORMANCE_TEST("dead letters are counted where they leave and where they come, and are no sends") {
  Pair<TestType> queues(1);
  SendAll(queues.live, 1, 2);
  ReceiveAndRelease(queues.live, 2);
  CHECK(ReceivesNothing(queues.live));
  const QueueStatistics live = queues.live.Statistics();
  CHECK(live.number_of_messages_sent == 2);
  CHECK(live.number_of_messages_redriven == 2);
  CHECK(live.number_of_messages_deleted == 0);
  CHECK(live.approximate_number_of_bytes == 0);
  const QueueStatistics dead = queues.dead.Statistics();
  CHECK(dead.number_of_messages_sent == 0);
  CHECK(dead.sent_message_size == 0);
  CHECK(dead.number_of_messages_taken_over == 2);
  CHECK(dead.approximate_number_of_messages_visible == 2);
  CHECK(dead.approximate_number_of_bytes == 8);
}

CONFORMANCE_TEST("a purge removes dead letters, and a closed queue with dead letters is not drained") {
  Pair<TestType> queues(1);
  SendAll(queues.live, 1);
  ReceiveAndRelease(queues.live, 1);
  CHECK(ReceivesNothing(queues.live));
  queues.live.Close();
  CHECK(queues.live.drained());
  queues.dead.Close();
  CHECK_FALSE(queues.dead.drained());
  REQUIRE(queues.dead.Purge().ok());
  CHECK(queues.dead.drained());
}

CONFORMANCE_TEST("a long poll of a dead-letter queue ends when a dead letter comes") {
  Pair<TestType> queues(1);
  SendAll(queues.live, 1);
  ReceiveAndRelease(queues.live, 1);
  int got = 0;
  std::thread poller([&] { got = ReceiveOne(queues.dead, {.wait = Seconds(20)}).body(); });
  queues.clock.AwaitSleepers(1);
  CHECK(ReceivesNothing(queues.live));
  poller.join();
  CHECK(got == 1);
}

}  // namespace decouple::testing
