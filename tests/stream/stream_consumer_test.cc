#include "decouple/stream_consumer.h"

#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "decouple/fifo_queue.h"
#include "decouple/internal/stream/push_subscription.h"
#include "decouple/internal/stream/push_target.h"
#include "decouple/standard_queue.h"
#include "stream_testing.h"
#include "without_address_of.h"

namespace decouple::testing {
namespace {

template <typename T>
StreamConsumer<T> Register(const Stream<T>& stream, const std::string& name = "consumer") {
  auto consumer = StreamConsumer<T>::Register(stream, name);
  INFO(consumer.status());
  REQUIRE(consumer.ok());
  return *std::move(consumer);
}

// Subscribes, and requires that it succeeds.
template <typename T, typename Target>
ShardSubscription<T> Subscribe(StreamConsumer<T>& consumer, const IteratorPosition& position, Target target,
                               const SubscribeToShardOptions& options = {}, ShardId shard = Number(0)) {
  auto subscription = consumer.SubscribeToShard(shard, position, std::move(target), options);
  INFO(subscription.status());
  REQUIRE(subscription.ok());
  return *std::move(subscription);
}

// What was pushed to a function, and what the function returns.
struct Taken {
  std::vector<int> bodies = {};
  bool ended = false;
  absl::Status answer = absl::OkStatus();

  auto Function() {
    return [this](const RecordBatch<int>& batch) {
      if (!answer.ok()) return answer;
      for (const auto& record : batch) bodies.push_back(record.body());
      ended = batch.shard_ended();
      return answer;
    };
  }
};

// Runs each task at once, in the thread that posts it.
const Executor kAtOnce = [](const std::function<void()>& task) { task(); };

TEST_CASE("a consumer's executor gets records as they are put, in order") {
  ManualClock clock;
  auto stream = MakeStream<int>(clock);
  Put(stream, "k", 1);
  auto consumer = Register(stream);
  Taken taken;
  const auto subscription = Subscribe(consumer, TrimHorizon{}, taken.Function(), {.executor = kAtOnce});
  CHECK(taken.bodies == std::vector{1});
  Put(stream, "k", 2);
  Put(stream, "k", 3);
  CHECK(taken.bodies == std::vector{1, 2, 3});
}

TEST_CASE("a task that waits in the executor pushes every record put until it runs, once") {
  ManualClock clock;
  auto stream = MakeStream<int>(clock);
  std::vector<std::function<void()>> tasks;
  auto consumer = Register(stream);
  Taken taken;
  const auto subscription =
      Subscribe(consumer, Latest{}, taken.Function(),
                {.executor = [&](std::function<void()> task) { tasks.push_back(std::move(task)); }});
  for (int i = 0; i < 3; ++i) Put(stream, "k", i);
  REQUIRE(tasks.size() == 1);
  tasks[0]();
  CHECK(taken.bodies == std::vector{0, 1, 2});
  Put(stream, "k", 3);
  REQUIRE(tasks.size() == 2);
  tasks[1]();
  CHECK(taken.bodies == std::vector{0, 1, 2, 3});
}

TEST_CASE("a consumer's executor that loses a task is offered another with the next record, or by Deliver") {
  ManualClock clock;
  auto stream = MakeStream<int>(clock);
  std::vector<std::function<void()>> tasks;
  const bool throws = GENERATE(false, true);
  int losing = 1;
  auto consumer = Register(stream);
  Taken taken;
  auto subscription = Subscribe(consumer, Latest{}, taken.Function(), {.executor = [&](std::function<void()> task) {
                                  if (losing == 0) return tasks.push_back(std::move(task));
                                  --losing;
                                  if (throws) ThrowIfPossible("the pool is full");
                                }});
  Put(stream, "k", 1);
  CHECK(tasks.empty());
  CHECK(subscription.NextDelivery() == clock.Now() + Seconds(1));
  Put(stream, "k", 2);
  REQUIRE(tasks.size() == 1);
  CHECK(subscription.NextDelivery() == absl::InfiniteFuture());
  tasks[0]();
  CHECK(taken.bodies == std::vector{1, 2});
  Put(stream, "k", 3);
  REQUIRE(tasks.size() == 2);
  tasks.clear();  // dropped late
  CHECK(subscription.Deliver() == 0);
  REQUIRE(tasks.size() == 1);
  tasks[0]();
  CHECK(taken.bodies == std::vector{1, 2, 3});
}

TEST_CASE("a function may destroy the subscription that pushes to it") {
  ManualClock clock;
  auto stream = MakeStream<int>(clock);
  auto consumer = Register(stream);
  std::optional<ShardSubscription<int>> subscription;
  int pushed = 0;
  subscription = Subscribe(consumer, Latest{}, [&, alive = std::make_shared<int>(1)](const RecordBatch<int>& batch) {
    subscription.reset();
    pushed += static_cast<int>(batch.size()) * *alive;
  });
  Put(stream, "k", 1);
  auto& handle = *subscription;
  CHECK(handle.Deliver() == 1);
  CHECK(pushed == 1);
}

TEST_CASE("a record's body may have no operator&") {
  ManualClock clock;
  auto stream = MakeStream<WithoutAddressOf>(clock);
  auto queue = StandardQueue<WithoutAddressOf>::Create({.clock = &clock}).value();
  auto consumer = Register(stream);
  int pushed = 0;
  auto to_function = Subscribe(consumer, Latest{}, [&](const RecordBatch<WithoutAddressOf>& batch) {
    for (const auto& record : batch) pushed = record.body().number;
  });
  auto feeder = Register(stream, "feeder");
  auto to_queue = feeder.SubscribeToShard(Number(0), Latest{}, queue);
  Put(stream, "k", WithoutAddressOf(7));
  CHECK(to_function.Deliver() == 1);
  CHECK(to_queue->Deliver() == 1);
  CHECK(pushed == 7);
  CHECK(queue.Receive()->front().body().number == 7);
}

TEST_CASE("without an executor records are pushed by the thread that delivers") {
  ManualClock clock;
  auto stream = MakeStream<int>(clock);
  auto consumer = Register(stream);
  Taken taken;
  auto subscription = Subscribe(consumer, Latest{}, taken.Function());
  CHECK(subscription.NextDelivery() == absl::InfiniteFuture());
  Put(stream, "k", 1);
  Put(stream, "k", 2);
  CHECK(taken.bodies.empty());
  CHECK(subscription.NextDelivery() <= clock.Now());
  CHECK(subscription.Deliver() == 2);
  CHECK(subscription.Deliver() == 0);
  CHECK(taken.bodies == std::vector{1, 2});
}

TEST_CASE("a subscription ends after five minutes; the next one continues from the last sequence number") {
  ManualClock clock;
  auto stream = MakeStream<int>(clock);
  auto consumer = Register(stream);
  Taken taken;
  auto subscription = Subscribe(consumer, TrimHorizon{}, taken.Function(), {.executor = kAtOnce});
  clock.Advance(Minutes(5) - kOneNanosecond);
  Put(stream, "k", 1);
  CHECK(subscription.active());
  clock.Advance(kOneNanosecond);
  CHECK_FALSE(subscription.active());
  Put(stream, "k", 2);
  CHECK(taken.bodies == std::vector{1});
  const auto next = Subscribe(consumer, AfterSequenceNumber{*subscription.continuation_sequence_number()},
                              taken.Function(), {.executor = kAtOnce});
  CHECK(taken.bodies == std::vector{1, 2});
}

TEST_CASE("a subscription that was pushed nothing has a number to continue from, too, and misses nothing") {
  ManualClock clock;
  auto stream = MakeStream<int>(clock);
  auto consumer = Register(stream);
  for (int round = 0; round < 2; ++round) {  // an empty shard, then one that has had a record
    Taken before;
    auto subscription = Subscribe(consumer, Latest{}, before.Function(), {.executor = kAtOnce});
    clock.Advance(Minutes(5));
    CHECK_FALSE(subscription.active());
    Put(stream, "k", round);  // while there is no subscription
    Taken after;
    const auto number = subscription.continuation_sequence_number();
    REQUIRE(number.has_value());
    const auto next = Subscribe(consumer, AfterSequenceNumber{*number}, after.Function(), {.executor = kAtOnce});
    CHECK(before.bodies.empty());
    CHECK(after.bodies == std::vector{round});
    clock.Advance(Seconds(5));
  }
}

TEST_CASE("a consumer has one subscription of a shard, which can be taken over after 5 seconds") {
  ManualClock clock;
  auto stream = MakeStream<int>(clock);
  auto consumer = Register(stream);
  Taken first;
  Taken second;
  auto subscription = Subscribe(consumer, Latest{}, first.Function(), {.executor = kAtOnce});
  clock.Advance(Seconds(5) - kOneNanosecond);
  CHECK(ErrorIn(consumer.SubscribeToShard(Number(0), Latest{}, second.Function())) == Error::kResourceInUse);
  clock.Advance(kOneNanosecond);
  const auto next = Subscribe(consumer, Latest{}, second.Function(), {.executor = kAtOnce});
  CHECK_FALSE(subscription.active());
  Put(stream, "k", 1);
  CHECK(first.bodies.empty());
  CHECK(second.bodies == std::vector{1});
  auto other = Register(stream, "another");
  CHECK(other.SubscribeToShard(Number(0), Latest{}, first.Function()).ok());
}

TEST_CASE("a subscription ends with its handle, and with the last handle of its consumer") {
  ManualClock clock;
  auto stream = MakeStream<int>(clock);
  Taken taken;
  auto consumer = std::make_unique<StreamConsumer<int>>(Register(stream));
  { const auto subscription = Subscribe(*consumer, Latest{}, taken.Function(), {.executor = kAtOnce}); }
  Put(stream, "k", 1);
  auto subscription = Subscribe(*consumer, Latest{}, taken.Function(), {.executor = kAtOnce});
  Put(stream, "k", 2);
  consumer.reset();
  CHECK_FALSE(subscription.active());
  Put(stream, "k", 3);
  CHECK(taken.bodies == std::vector{2});
}

TEST_CASE("at the shard's end the last batch says so, and the subscription ends") {
  ManualClock clock;
  auto stream = MakeStream<int>(clock);
  auto consumer = Register(stream);
  Taken taken;
  auto subscription = Subscribe(consumer, TrimHorizon{}, taken.Function(), {.executor = kAtOnce});
  Put(stream, "k", 1);
  CHECK_FALSE(taken.ended);
  REQUIRE(stream.SplitShard(Number(0)).ok());
  CHECK(taken.ended);
  CHECK_FALSE(subscription.active());
}

TEST_CASE("a batch that the function fails is pushed again after a second") {
  ManualClock clock;
  auto stream = MakeStream<int>(clock);
  auto consumer = Register(stream);
  Taken taken;
  taken.answer = absl::UnavailableError("not now");
  auto subscription = Subscribe(consumer, TrimHorizon{}, taken.Function());
  Put(stream, "k", 1);
  CHECK(subscription.Deliver() == 0);
  taken.answer = absl::OkStatus();
  CHECK(subscription.NextDelivery() == clock.Now() + Seconds(1));
  clock.Advance(Seconds(1) - kOneNanosecond);
  CHECK(subscription.Deliver() == 0);
  clock.Advance(kOneNanosecond);
  CHECK(subscription.Deliver() == 1);
  CHECK(taken.bodies == std::vector{1});
}

TEST_CASE("the end of a shard that the function fails is pushed again, too") {
  ManualClock clock;
  auto stream = MakeStream<int>(clock);
  auto consumer = Register(stream);
  Taken taken;
  taken.answer = absl::UnavailableError("not now");
  auto subscription = Subscribe(consumer, TrimHorizon{}, taken.Function());
  stream.Close();
  subscription.Deliver();
  CHECK(subscription.active());
  taken.answer = absl::OkStatus();
  clock.Advance(Seconds(1));
  subscription.Deliver();
  CHECK(taken.ended);
  CHECK_FALSE(subscription.active());
}

TEST_CASE("each consumer has 2 MiB a second of each shard, in addition to what readers get") {
  ManualClock clock;
  auto stream = MakeStream<std::string>(clock, {.capacity_mode = CapacityMode::kProvisioned});
  for (int i = 0; i < 5; ++i) {
    Put(stream, "k", std::string(1'048'575, 'x'));
    clock.Advance(Seconds(1));
  }
  auto iterator = Iterate(stream, Number(0));
  Read(iterator);  // the shard's own throughput is used up for 2.5 seconds
  auto one = Register(stream, "one");
  auto two = Register(stream, "two");
  std::size_t of_one = 0;
  std::size_t of_two = 0;
  auto first = Subscribe(one, TrimHorizon{}, [&](const RecordBatch<std::string>& batch) { of_one += batch.size(); });
  auto second = Subscribe(two, TrimHorizon{}, [&](const RecordBatch<std::string>& batch) { of_two += batch.size(); });
  CHECK(first.Deliver() == 2);
  CHECK(second.Deliver() == 2);
  CHECK(first.NextDelivery() == clock.Now() + Seconds(1));
  clock.Advance(Seconds(1) - kOneNanosecond);
  CHECK(first.Deliver() == 0);
  clock.Advance(kOneNanosecond);
  CHECK(first.Deliver() == 2);
  clock.Advance(Seconds(1));
  CHECK(first.Deliver() == 1);
  CHECK(of_one == 5);
  CHECK(of_two == 2);
}

TEST_CASE("a stream has up to 20 consumers, of different names") {
  ManualClock clock;
  auto stream = MakeStream<int>(clock);
  std::vector<StreamConsumer<int>> consumers;
  for (int i = 0; i < 20; ++i) consumers.push_back(Register(stream, "consumer-" + std::to_string(10 + i)));
  CHECK(ErrorIn(StreamConsumer<int>::Register(stream, "one-more")) == Error::kLimitExceeded);
  CHECK(ErrorIn(StreamConsumer<int>::Register(stream, "consumer-10")) == Error::kResourceInUse);
  CHECK(stream.Consumers().size() == 20);
  consumers.pop_back();
  CHECK(stream.Consumers().size() == 19);
  CHECK(StreamConsumer<int>::Register(stream, "one-more").ok());
  for (const std::string& name : {std::string(), std::string(129, 'x'), std::string("a b"), std::string("a/b")}) {
    CHECK(ErrorIn(StreamConsumer<int>::Register(stream, name)) == Error::kInvalidArgument);
  }
}

TEST_CASE("a subscription can begin at every position at which an iterator can") {
  ManualClock clock;
  auto stream = MakeStream<int>(clock);
  auto consumer = Register(stream);
  Taken taken;
  CHECK(ErrorIn(consumer.SubscribeToShard(Number(1), Latest{}, taken.Function())) == Error::kResourceNotFound);
  CHECK(ErrorIn(consumer.SubscribeToShard(Number(0), AtSequenceNumber{SequenceNumber(9)}, taken.Function())) ==
        Error::kInvalidArgument);
}

TEST_CASE("a shard feeds a standard queue, whose messages share the records' bodies") {
  ManualClock clock;
  auto stream = MakeStream<std::unique_ptr<int>>(clock);
  auto queue = StandardQueue<std::unique_ptr<int>>::Create({.clock = &clock}).value();
  REQUIRE(stream.Put("k", std::make_unique<int>(7)).ok());
  auto iterator = Iterate(stream, Number(0));
  const std::unique_ptr<int>* const body = &Read(iterator).front().body();
  auto consumer = Register(stream);
  const auto subscription = Subscribe(consumer, TrimHorizon{}, queue, {.executor = kAtOnce});
  auto received = queue.Receive();
  REQUIRE(received->size() == 1);
  CHECK(&received->front().body() == body);
  stream.Close();
  clock.Advance(Hours(24));
  CHECK(stream.Shards().empty());
  CHECK(*received->front().body() == 7);  // the message outlives the record
  CHECK(received->front().attributes().empty());
  CHECK(received->front().publication() == nullptr);
}

TEST_CASE("in a FIFO queue the partition key is the message group, and each record is enqueued once") {
  ManualClock clock;
  auto stream = MakeStream<int>(clock);
  auto queue = FifoQueue<int>::Create({.clock = &clock}).value();
  const SequenceNumber first = Put(stream, "truck-1", 1).sequence_number;
  Put(stream, "a key that is no group", 2);
  Put(stream, std::string(200, 'x'), 3);
  auto one = Register(stream, "one");
  auto two = Register(stream, "two");
  CHECK(Subscribe(one, TrimHorizon{}, queue).Deliver() == 3);
  CHECK(Subscribe(two, TrimHorizon{}, queue).Deliver() == 3);  // duplicates
  const auto received = queue.Receive({.max_messages = 10});
  REQUIRE(received->size() == 3);
  CHECK((*received)[0].group() == "truck-1");
  CHECK((*received)[0].deduplication_id() == "shardId-000000000000:" + first.ToString());
  CHECK((*received)[1].group() == ToString(HashKeyOf("a key that is no group")));
  CHECK((*received)[2].body() == 3);
}

TEST_CASE("records that the queue does not take stay in the stream and are pushed again, in order") {
  ManualClock clock;
  auto stream = MakeStream<int>(clock);
  auto queue = StandardQueue<int>::Create({.capacity = Capacity{.messages = 2}, .clock = &clock}).value();
  for (int i = 0; i < 5; ++i) Put(stream, "k", i);
  auto consumer = Register(stream);
  auto subscription = Subscribe(consumer, TrimHorizon{}, queue);
  CHECK(subscription.Deliver() == 2);
  CHECK(stream.Statistics().subscribe_to_shard_event_success == 0);
  CHECK(stream.Statistics().subscribe_to_shard_event_records == 2);
  CHECK(stream.Statistics().subscribe_to_shard_event_bytes == 10);
  std::vector<int> bodies;
  for (int round = 0; round < 3; ++round) {
    auto received = queue.Receive({.max_messages = 10});
    for (auto& delivery : *received) {
      bodies.push_back(delivery.body());
      CHECK(delivery.Delete().ok());
    }
    clock.Advance(Seconds(1));
    subscription.Deliver();
  }
  CHECK(bodies == std::vector{0, 1, 2, 3, 4});
}

TEST_CASE("a queue whose policy names its senders is not fed by a stream") {
  ManualClock clock;
  auto stream = MakeStream<int>(clock);
  auto queue = StandardQueue<int>::Create({.senders = AllowSenders{}, .clock = &clock}).value();
  auto consumer = Register(stream);
  CHECK(ErrorIn(consumer.SubscribeToShard(Number(0), Latest{}, queue)) == Error::kAccessDenied);
}

TEMPLATE_TEST_CASE("a subscription ends as its queue is closed or deleted, and another queue gets what that did not",
                   "", StandardQueue<int>, FifoQueue<int>) {
  ManualClock clock;
  auto stream = MakeStream<int>(clock);
  auto consumer = Register(stream);
  auto queue = TestType::Create({.clock = &clock}).value();
  auto subscription = Subscribe(consumer, TrimHorizon{}, queue);
  Put(stream, "k", 1);
  CHECK(subscription.Deliver() == 1);
  const bool is_deleted = GENERATE(false, true);
  if (is_deleted) {
    REQUIRE(queue.DeleteQueue().ok());
  } else {
    queue.Close();
  }
  CHECK(subscription.active());
  Put(stream, "k", 2);
  CHECK(subscription.Deliver() == 0);
  CHECK_FALSE(subscription.active());
  CHECK(subscription.NextDelivery() == absl::InfiniteFuture());
  auto next = TestType::Create({.clock = &clock}).value();
  auto goes_on = Subscribe(consumer, AfterSequenceNumber{*subscription.continuation_sequence_number()}, next);
  CHECK(goes_on.Deliver() == 1);
  CHECK(next.Receive()->front().body() == 2);
}

TEST_CASE("a stream is not subscribed to for a queue that has been deleted") {
  ManualClock clock;
  auto stream = MakeStream<int>(clock);
  auto consumer = Register(stream);
  StandardQueue<int> queue;
  REQUIRE(queue.DeleteQueue().ok());
  CHECK(ErrorIn(consumer.SubscribeToShard(Number(0), TrimHorizon{}, queue)) == Error::kQueueDoesNotExist);
}

TEST_CASE("a subscription that a later one ends before it has begun is not left among the shard's watchers") {
  ManualClock clock;
  auto stream = MakeStream<int>(clock);
  const auto core = internal::Access::Core(stream);
  const auto shard = core->shards().Find(Number(0)).value();
  const auto push = [&] {
    const auto ignore = [](const RecordBatch<int>&) {};
    return std::make_shared<internal::PushSubscription<int>>(
        core, shard, 0, std::make_unique<internal::FunctionTarget<int, decltype(ignore)>>(ignore), Executor());
  };
  const auto begun = push();
  begun->Begin();
  CHECK(shard->is_watched());
  begun->End();
  CHECK_FALSE(shard->is_watched());
  const auto ended = push();
  ended->End();
  ended->Begin();
  CHECK_FALSE(shard->is_watched());
}

TEST_CASE("statistics count what is pushed") {
  ManualClock clock;
  auto stream = MakeStream<int>(clock);
  auto consumer = Register(stream);
  Taken taken;
  auto subscription = Subscribe(consumer, Latest{}, taken.Function());
  Put(stream, "k", 1);
  Put(stream, "k", 2);
  subscription.Deliver();
  const StreamStatistics statistics = stream.Statistics();
  CHECK(statistics.subscribe_to_shard_success == 1);
  CHECK(statistics.subscribe_to_shard_event_success == 1);
  CHECK(statistics.subscribe_to_shard_event_records == 2);
  CHECK(statistics.subscribe_to_shard_event_bytes == 10);
}

}  // namespace
}  // namespace decouple::testing
