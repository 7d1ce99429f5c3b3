// The quota of calls of FIFO queues.

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "queue_testing.h"

namespace decouple::testing {

TEST_CASE("a quota of calls refuses the calls beyond it, each kind of call for itself") {
  ManualClock clock;
  auto queue = Make<FifoQueue<int>>(clock, {.max_calls_per_second = QueueOptions::kServiceCallsPerSecond});
  for (int i = 0; i < 300; ++i) REQUIRE(Send(queue, i).ok());
  CHECK(ErrorIn(Send(queue, 300)) == Error::kRequestThrottled);
  auto received = ReceiveAll(queue);
  CHECK(received.size() == 300);
  clock.Advance(absl::Microseconds(3'333));
  CHECK(ErrorIn(Send(queue, 300)) == Error::kRequestThrottled);
  clock.Advance(absl::Microseconds(1));
  CHECK(Send(queue, 300).ok());
  CHECK(ErrorIn(Send(queue, 301)) == Error::kRequestThrottled);
  clock.Advance(Seconds(1));
  int deleted = 0;
  clock.Advance(Seconds(30));
  for (int i = 0; i < 301; ++i) {
    auto one = queue.Receive();
    if (!one.ok()) {
      CHECK(i == 300);
      CHECK(ErrorIn(one) == Error::kRequestThrottled);
      break;
    }
    REQUIRE(one->size() == 1);
    deleted += one->front().Delete().ok() ? 1 : 0;
  }
  CHECK(deleted == 300);
  REQUIRE(queue.SetAttributes({.max_calls_per_second = 0}).ok());
  CHECK(queue.Receive().ok());
}

TEST_CASE("a batch is one call") {
  ManualClock clock;
  auto queue = Make<FifoQueue<int>>(clock, {.max_calls_per_second = 1});
  std::vector<SendBatchEntry<int>> entries;
  for (int i = 0; i < 10; ++i) entries.push_back({std::to_string(i), i});
  REQUIRE(SendBatch(queue, entries).ok());
  CHECK(queue.Counts().ready == 10);
  for (auto& entry : entries) entry.options = {};  // those that were sent were moved from
  CHECK(ErrorIn(SendBatch(queue, entries)) == Error::kRequestThrottled);
  const auto received = queue.Receive({.max_messages = 10});
  std::vector<DeleteBatchEntry> deletes;
  for (const auto& delivery : *received) deletes.push_back({std::to_string(deletes.size()), delivery.receipt()});
  CHECK(queue.DeleteBatch(deletes).ok());
  CHECK(queue.Counts().total() == 0);
}

TEST_CASE("a quota by message group counts the sends of each, and needs deduplication by group") {
  ManualClock clock;
  const QueueOptions by_group = {.fifo_throughput_limit = FifoThroughputLimit::kPerMessageGroupId,
                                 .max_calls_per_second = 2};
  CHECK(ErrorIn(FifoQueue<int>::Create(by_group)) == Error::kInvalidAttributeValue);
  QueueOptions options = by_group;
  options.deduplication_scope = DeduplicationScope::kMessageGroup;
  auto queue = Make<FifoQueue<int>>(clock, options);
  for (const char* group : {"a", "b"}) {
    CHECK(Send(queue, 1, {.group = group}).ok());
    CHECK(Send(queue, 2, {.group = group}).ok());
    CHECK(ErrorIn(Send(queue, 3, {.group = group})) == Error::kRequestThrottled);
  }
  CHECK(ReceiveAll(queue).size() == 4);
  CHECK(ErrorIn(queue.SetAttributes({.deduplication_scope = DeduplicationScope::kQueue})) ==
        Error::kInvalidAttributeValue);
  CHECK(queue
            .SetAttributes({.deduplication_scope = DeduplicationScope::kQueue,
                            .fifo_throughput_limit = FifoThroughputLimit::kPerQueue})
            .ok());
}

TEST_CASE(
    "a quota by message group is never read beside deduplication in the whole queue, though threads change both") {
  ManualClock clock;
  auto queue = Make<FifoQueue<int>>(clock);
  std::atomic<bool> is_over{false};
  std::thread setter([&] {
    for (int i = 0; i < 3'000; ++i) {
      const bool by_group = i % 2 == 0;
      queue
          .SetAttributes(
              {.deduplication_scope = by_group ? DeduplicationScope::kMessageGroup : DeduplicationScope::kQueue,
               .fifo_throughput_limit =
                   by_group ? FifoThroughputLimit::kPerMessageGroupId : FifoThroughputLimit::kPerQueue})
          .IgnoreError();
    }
    is_over = true;
  });
  int wrong = 0;
  while (!is_over) {
    const QueueAttributes read = queue.attributes();
    wrong += (read.deduplication_scope == DeduplicationScope::kMessageGroup) !=
             (read.fifo_throughput_limit == FifoThroughputLimit::kPerMessageGroupId);
  }
  setter.join();
  CHECK(wrong == 0);
}

}  // namespace decouple::testing
