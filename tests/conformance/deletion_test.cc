// The deletion of a queue: what goes, who wakes, and what is answered afterwards.

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "queue_testing.h"

namespace decouple::testing {

CONFORMANCE_TEST("deleting a queue removes and counts what is there, in whatever state") {
  ManualClock clock;
  auto queue = Make<TestType>(clock);
  for (int i = 0; i < 300; ++i) SendAll(queue, i);
  for (int i = 0; i < 100; ++i) ReceiveOne(queue);
  for (int i = 0; i < 100; ++i) REQUIRE(ReceiveOne(queue).Release().ok());
  REQUIRE(ReceiveOne(queue).Delete().ok());
  REQUIRE(queue.SetAttributes({.delay = Minutes(1)}).ok());
  SendAll(queue, 1, 2);
  const auto held = ReceiveOne(queue);
  REQUIRE(queue.DeleteQueue().ok());
  CHECK(queue.deleted());
  CHECK(queue.closed());
  CHECK(queue.drained());
  CHECK(queue.Counts() == MessageCounts{});
  const QueueStatistics statistics = queue.Statistics();
  CHECK(statistics.number_of_messages_sent == 302);
  CHECK(statistics.number_of_messages_deleted == 1);
  CHECK(statistics.number_of_messages_purged == 301);
  CHECK(statistics.approximate_number_of_bytes == 0);
}

CONFORMANCE_TEST("a deleted queue answers every call with QueueDoesNotExist, on all handles") {
  ManualClock clock;
  auto dead = Make<TestType>(clock, {.name = "dead"});
  auto queue = Make<TestType>(clock, {.redrive = Redrive{.to = dead}, .name = "jobs"});
  auto source = Make<TestType>(clock, {.redrive = Redrive{.to = queue}});
  auto copy = queue;
  SendAll(queue, 1);
  const ReceiptHandle receipt = ReceiveOne(queue).receipt();
  REQUIRE(copy.DeleteQueue().ok());
  constexpr Error kGone = Error::kQueueDoesNotExist;
  CHECK(ErrorIn(Send(queue, 1)) == kGone);
  CHECK(ErrorIn(Send(queue, 1, {.attributes = {{"a", 1}}})) == kGone);
  CHECK(ErrorIn(queue.Receive()) == kGone);
  CHECK(ErrorIn(queue.Receive({.max_messages = 10})) == kGone);
  CHECK(ErrorIn(queue.Receive({.wait = Seconds(20)})) == kGone);
  CHECK(ErrorIn(queue.Delete(receipt)) == kGone);
  CHECK(ErrorIn(queue.ChangeVisibility(receipt, Seconds(1))) == kGone);
  CHECK(ErrorIn(queue.Purge()) == kGone);
  CHECK(ErrorIn(queue.SetAttributes({.delay = Seconds(1)})) == kGone);
  CHECK(ErrorIn(queue.SetAttributes({.max_in_flight = 10})) == kGone);
  CHECK(ErrorIn(queue.StartMessageMoveTask()) == kGone);
  CHECK(ErrorIn(queue.DeleteQueue()) == kGone);
  CHECK(queue.Send(1, QueueKind<TestType>::Complete({})).status().message().find("\"jobs\"") != std::string::npos);
  queue.Close();
  CHECK(ErrorIn(Send(queue, 1)) == kGone);
  CHECK(queue.name() == "jobs");
  CHECK(queue.attributes().visibility_timeout == Seconds(30));
}

CONFORMANCE_TEST("a batch for a deleted queue fails as a whole, whatever its entries") {
  ManualClock clock;
  auto queue = Make<TestType>(clock, {.max_message_size = 1'024});
  SendAll(queue, 1);
  const ReceiptHandle receipt = ReceiveOne(queue).receipt();
  auto by_reference = decouple::Queue<int>::From(QueueReference(queue)).value();
  REQUIRE(queue.DeleteQueue().ok());
  const auto fails = [](const auto& result) { return ErrorIn(result) == Error::kQueueDoesNotExist; };
  std::vector<SendBatchEntry<int>> entries = {{"a", 1, {}}, {"b", 2, {.attributes = {{"a", std::string(1'024, 'x')}}}}};
  CHECK(fails(SendBatch(queue, entries)));
  CHECK(entries[0].body == 1);
  CHECK(fails(by_reference.SendBatch(entries)));
  CHECK(fails(by_reference.SendBatch(std::span(entries).first(0))));
  for (auto* handle : {static_cast<decouple::Queue<int>*>(&queue), &by_reference}) {
    CHECK(fails(handle->DeleteBatch({{"a", receipt}, {"b", ReceiptHandle()}})));
    CHECK(fails(handle->ChangeVisibilityBatch({{"a", receipt, Seconds(1)}, {"b", receipt, Hours(100)}})));
  }
}

TEST_CASE("a batch of bodies without ids for a deleted queue fails as a whole") {
  ManualClock clock;
  auto queue = Make<StandardQueue<std::string>>(clock);
  std::vector<std::string> bodies = {"one", ""};
  SECTION("and some are refused") {}
  SECTION("and all could be sent") { bodies.pop_back(); }
  REQUIRE(queue.DeleteQueue().ok());
  CHECK(ErrorIn(queue.SendBatch(bodies)) == Error::kQueueDoesNotExist);
  CHECK(bodies.front() == "one");
}

CONFORMANCE_TEST("deliveries of a deleted queue stay readable, and cannot delete or hide any more") {
  ManualClock clock;
  using Strings = typename QueueKind<TestType>::template Of<std::string>;
  std::optional<Strings> queue = Make<Strings>(clock);
  SendAll(*queue, "a", "b", "c", "d");
  auto one = ReceiveOne(*queue);
  auto two = queue->Receive({.max_messages = 2}).value();
  auto again = ReceiveOne(*queue);
  REQUIRE(queue->DeleteQueue().ok());
  CHECK(one.body() == "a");
  CHECK(one.receive_count() == 1);
  CHECK(one.visible_at() == clock.Now() + Seconds(30));
  CHECK(ErrorIn(one.Delete()) == Error::kQueueDoesNotExist);
  CHECK(ErrorIn(one.Release()) == Error::kQueueDoesNotExist);
  CHECK(ErrorIn(again.ChangeVisibility(Seconds(1))) == Error::kQueueDoesNotExist);
  CHECK(ErrorIn(two.Delete()) == Error::kQueueDoesNotExist);
  queue.reset();
  CHECK(two.back().body() == "c");
  CHECK(one.body() == "a");
}

CONFORMANCE_TEST("receivers and senders that wait return at once when their queue is deleted") {
  ManualClock clock;
  auto empty = Make<TestType>(clock);
  auto closed = Make<TestType>(clock);
  auto limited = Make<TestType>(clock, {.max_in_flight = 1});
  auto full = Make<TestType>(clock, {.capacity = Capacity{.messages = 1, .when_full = Block{}}});
  SendAll(closed, 1);
  SendAll(limited, 1, 2);
  SendAll(full, 1);
  const auto held = ReceiveOne(closed);
  const auto at_limit = ReceiveOne(limited);
  closed.Close();
  std::vector<std::optional<Error>> errors(4);
  std::vector<std::thread> threads;
  threads.emplace_back([&] { errors[0] = ErrorIn(empty.Receive({.wait = Seconds(20)})); });
  threads.emplace_back([&] { errors[1] = ErrorIn(closed.Receive({.wait = Seconds(20)})); });
  threads.emplace_back([&] { errors[2] = ErrorIn(limited.Receive({.wait = Seconds(20)})); });
  threads.emplace_back([&] { errors[3] = ErrorIn(Send(full, 2)); });
  clock.AwaitSleepers(4);
  for (auto* queue : {&empty, &closed, &limited, &full}) CHECK(queue->DeleteQueue().ok());
  for (auto& thread : threads) thread.join();
  for (const auto& error : errors) CHECK(error == Error::kQueueDoesNotExist);
}

CONFORMANCE_TEST("a message stays where it is when its dead-letter queue was deleted") {
  ManualClock clock;
  auto dead = Make<TestType>(clock, {.name = "dead"});
  auto live = Make<TestType>(clock, {.redrive = Redrive{.to = dead, .max_receives = 1}});
  SendAll(live, 1);
  REQUIRE(ReceiveOne(live).Release().ok());
  REQUIRE(dead.DeleteQueue().ok());
  CHECK(ReceivesNothing(live));
  CHECK(live.Statistics().number_of_messages_failed_to_redrive == 1);
  REQUIRE(live.SetAttributes({.redrive = Redrive{}}).ok());
  clock.Advance(kRedriveRetry);
  CHECK(ReceiveOne(live).body() == 1);
  CHECK(ErrorIn(live.SetAttributes({.redrive = Redrive{.to = dead}})) == Error::kInvalidAttributeValue);
  CHECK(ErrorIn(TestType::Create({.redrive = Redrive{.to = dead}})) == Error::kInvalidAttributeValue);
}

CONFORMANCE_TEST("a deleted queue is no source of its dead-letter queue any more, and does not keep it alive") {
  ManualClock clock;
  using Shared = typename QueueKind<TestType>::template Of<std::shared_ptr<int>>;
  auto dead = std::make_optional(Make<Shared>(clock));
  auto live = Make<Shared>(clock, {.redrive = Redrive{.to = *dead}});
  const auto content = std::make_shared<int>(0);
  REQUIRE(Send(*dead, std::shared_ptr<int>(content)).ok());
  REQUIRE(dead->DeadLetterSources().size() == 1);
  REQUIRE(live.DeleteQueue().ok());
  CHECK(dead->DeadLetterSources().empty());
  CHECK_FALSE(live.redrive().has_value());
  dead.reset();
  CHECK(content.use_count() == 1);  // gone with its messages, though `live` is still there
}

CONFORMANCE_TEST("a move task fails when its source, its destination or a message's source was deleted") {
  ManualClock clock;
  auto dead = Make<TestType>(clock, {.name = "dead"});
  auto other = Make<TestType>(clock, {.name = "other"});
  auto live = Make<TestType>(clock, {.redrive = Redrive{.to = dead, .max_receives = 1}, .name = "live"});
  auto second = Make<TestType>(clock, {.redrive = Redrive{.to = dead}});
  SendAll(live, 1);
  REQUIRE(ReceiveOne(live).Release().ok());
  REQUIRE(ReceivesNothing(live));
  REQUIRE(dead.Counts().ready == 1);
  SECTION("the source") {
    auto task = dead.StartMessageMoveTask().value();
    REQUIRE(dead.DeleteQueue().ok());
    CHECK(task.Step() == MessageMoveStatus::kFailed);
    CHECK(task.failure_reason() == "QueueDoesNotExist: the source queue \"dead\" was deleted");
    CHECK(live.Counts().total() == 0);
  }
  SECTION("the destination") {
    auto task = dead.StartMessageMoveTask({.to = other}).value();
    REQUIRE(other.DeleteQueue().ok());
    CHECK(task.Step() == MessageMoveStatus::kFailed);
    CHECK(task.failure_reason() == "QueueDoesNotExist: the destination queue \"other\" was deleted");
    CHECK(dead.Counts().ready == 1);
    CHECK(ErrorIn(dead.StartMessageMoveTask({.to = other})) == Error::kQueueDoesNotExist);
  }
  SECTION("the queue that the message came from") {
    auto task = dead.StartMessageMoveTask().value();
    REQUIRE(live.DeleteQueue().ok());
    CHECK(task.Step() == MessageMoveStatus::kFailed);
    CHECK(task.failure_reason().find("CouldNotDetermineMessageSource") == 0);
    CHECK(dead.Counts().ready == 1);
  }
}

// Its destruction deletes the queue that it was in.
template <template <typename> typename Queue>
class DeletingBody {
 public:
  explicit DeletingBody(const Queue<DeletingBody>* queue, int* deletions) : queue_(queue), deletions_(deletions) {}
  DeletingBody(DeletingBody&& other) noexcept
      : queue_(std::exchange(other.queue_, nullptr)), deletions_(other.deletions_) {}
  ~DeletingBody() {
    if (queue_ != nullptr && Queue<DeletingBody>(*queue_).DeleteQueue().ok()) ++*deletions_;
  }

 private:
  const Queue<DeletingBody>* queue_;
  int* deletions_;
};

template <template <typename> typename Queue>
void DeleteFromDestructor() {
  ManualClock clock;
  using Body = DeletingBody<Queue>;
  auto queue = Make<Queue<Body>>(clock, {.retention = Minutes(1)});
  int deletions = 0;
  for (int i = 0; i < 100; ++i) REQUIRE(Send(queue, Body(&queue, &deletions)).ok());
  SECTION("in a purge") { CHECK(queue.Purge().ok()); }
  SECTION("in the deletion itself") { CHECK(queue.DeleteQueue().ok()); }
  SECTION("in a receive that finds messages past their retention") {
    clock.Advance(Minutes(1));
    CHECK(ErrorIn(queue.Receive({.max_messages = 10})) == Error::kQueueDoesNotExist);
  }
  SECTION("at the end of a delivery") {
    auto delivery = ReceiveOne(queue);
    CHECK(delivery.Delete().ok());
  }
  CHECK(queue.deleted());
  CHECK(deletions <= 1);
  CHECK(queue.Counts().total() == 0);
  CHECK(queue.drained());
}

TEST_CASE("a queue can be deleted by the destructor of one of its bodies") { DeleteFromDestructor<StandardQueue>(); }
TEST_CASE("a FIFO queue can be deleted by the destructor of one of its bodies") { DeleteFromDestructor<FifoQueue>(); }

CONFORMANCE_TEST("while a queue is deleted each message is received and deleted, or purged, or refused") {
  constexpr int kRounds = 30;
  constexpr int kThreads = 2;  // of each kind
  for (int round = 0; round < kRounds; ++round) {
    TestType queue;
    std::atomic<std::uint64_t> sent = 0;
    std::atomic<std::uint64_t> deleted = 0;
    std::atomic<int> wrong = 0;
    std::vector<std::thread> threads;
    for (int i = 0; i < kThreads; ++i) {
      threads.emplace_back([&] {
        for (int body = 0;; ++body) {
          const auto result = Send(queue, int{body});
          if (!result.ok()) {
            wrong += ErrorIn(result) != Error::kQueueDoesNotExist;
            return;
          }
          ++sent;
        }
      });
      threads.emplace_back([&, at_once = static_cast<std::size_t>(1 + 9 * i)] {
        for (;;) {
          auto received = queue.Receive({.max_messages = at_once, .wait = Seconds(20)});
          if (!received.ok()) {
            wrong += ErrorIn(received) != Error::kQueueDoesNotExist;
            return;
          }
          for (auto& delivery : *received) {
            const absl::Status status = delivery.Delete();
            deleted += status.ok();
            wrong += !status.ok() && ErrorIn(status) != Error::kQueueDoesNotExist;
          }
        }
      });
    }
    threads.emplace_back([&] {
      while (!queue.deleted()) {
        queue.Counts();
        queue.Statistics();
      }
    });
    while (deleted < static_cast<std::uint64_t>(round) * 10) std::this_thread::yield();
    REQUIRE(queue.DeleteQueue().ok());
    for (auto& thread : threads) thread.join();
    REQUIRE(wrong == 0);
    REQUIRE(queue.Counts() == MessageCounts{});
    const QueueStatistics statistics = queue.Statistics();
    REQUIRE(statistics.number_of_messages_sent == sent);
    REQUIRE(statistics.number_of_messages_deleted == deleted);
    REQUIRE(statistics.number_of_messages_purged == sent - deleted);
  }
}

}  // namespace decouple::testing
