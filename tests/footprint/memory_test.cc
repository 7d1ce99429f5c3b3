// Memory: what a large backlog took goes back to the system, and the steady state takes none from the heap.

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "allocations.h"
#include "memory_testing.h"
#include "queue_testing.h"

#if DECOUPLE_MEMORY_IS_MEASURABLE

namespace decouple::testing {

TEST_CASE("a message takes 19 bytes besides its body while it waits, and 35 while it is in flight") {
  ManualClock clock;
  constexpr std::int64_t kMessages = 10'000'000;  // so many that two megabytes do not matter (huge_page_pool.h)
  auto queue = Make<StandardQueue<std::int64_t>>(clock, {.limits = Limits::Unlimited()});
  const std::int64_t before = ResidentBytes();
  for (std::int64_t i = 0; i < kMessages; ++i) {
    if (!queue.Send(i).ok()) std::abort();
  }
  CHECK(ResidentBytes() - before <= kMessages * (8 + 19));
  for (std::int64_t i = 0; i < kMessages; i += 10) {
    if (queue.Receive({.max_messages = 10})->size() != 10) std::abort();
  }
  CHECK(ResidentBytes() - before <= kMessages * (8 + 35));
}

TEST_CASE("a drained backlog of ten million messages leaves at most 64 MiB behind") {
  ManualClock clock;
  constexpr int kMessages = 10'000'000;
  auto queue = Make<StandardQueue<int>>(clock);
  const std::int64_t before = ResidentBytes();
  for (int i = 0; i < kMessages; ++i) {
    if (!queue.Send(i).ok()) std::abort();
  }
  CHECK(ResidentBytes() - before > 100 * kMebibyte);  // the backlog was there
  int received = 0;
  for (auto deliveries = queue.Receive({.max_messages = 10}); !deliveries->empty();
       deliveries = queue.Receive({.max_messages = 10})) {
    for (auto& delivery : *deliveries) {
      if (delivery.body() != received++) std::abort();
      delivery.Delete().IgnoreError();
    }
  }
  CHECK(received == kMessages);
  CHECK(ResidentBytes() - before <= 64 * kMebibyte);
}

TEST_CASE("a backlog that is received and deleted takes no more memory than it had while it waited") {
  ManualClock clock;
  constexpr int kMessages = 400'000;  // so few that all their memory is kept for the next spike, and none goes back
  auto queue = Make<StandardQueue<int>>(clock);
  for (int i = 0; i < kMessages; ++i) {
    if (!queue.Send(i).ok()) std::abort();
  }
  const std::int64_t waiting = ResidentBytes();
  for (int i = 0; i < kMessages; ++i) {
    auto deliveries = queue.Receive();
    if (deliveries->size() != 1 || !deliveries->front().Delete().ok()) std::abort();
  }
  CHECK(queue.Counts().total() == 0);
  CHECK(ResidentBytes() - waiting <= kMebibyte);  // it would be six, if each kept its 16 bytes of lease times
}

TEST_CASE("a backlog that expires or is purged leaves as little behind") {
  ManualClock clock;
  constexpr int kMessages = 3'000'000;
  auto queue = Make<StandardQueue<int>>(clock);
  const std::int64_t before = ResidentBytes();
  for (int i = 0; i < kMessages; ++i) {
    if (!queue.Send(i).ok()) std::abort();
  }
  clock.Advance(Hours(96));
  CHECK(queue.Counts().total() == 0);
  CHECK(ResidentBytes() - before <= 64 * kMebibyte);
  for (int i = 0; i < kMessages; ++i) {
    if (!queue.Send(i).ok()) std::abort();
  }
  REQUIRE(queue.Purge().ok());
  CHECK(ResidentBytes() - before <= 64 * kMebibyte);
}

TEST_CASE("a few messages that stay do not keep the memory of the many that went") {
  ManualClock clock;
  constexpr int kMessages = 200'000;
  auto queue = Make<StandardQueue<std::array<char, 1000>>>(clock, {.visibility_timeout = Hours(1)});
  const std::int64_t before = ResidentBytes();
  std::vector<ReceiptHandle> stay;
  for (int i = 0; i < kMessages; ++i) {
    if (!queue.Send(std::array<char, 1000>()).ok()) std::abort();
    auto delivery = ReceiveOne(queue);
    if (i % 64 == 7) {
      stay.push_back(delivery.receipt());
    } else {
      delivery.Delete().IgnoreError();
    }
  }
  CHECK(queue.Counts() == MessageCounts{.in_flight = static_cast<std::int64_t>(stay.size())});
  CHECK(ResidentBytes() - before <= 64 * kMebibyte);  // of the 200 MB that went through
  for (const ReceiptHandle& receipt : stay) REQUIRE(queue.Delete(receipt).ok());
  CHECK(queue.Counts().total() == 0);
}

TEST_CASE("in the steady state sending, receiving and deleting take no memory from the heap") {
  ManualClock clock;
  auto queue = Make<StandardQueue<int>>(clock);
  const auto cycle = [&](int messages) {
    for (int i = 0; i < messages; ++i) {
      if (!queue.Send(i).ok()) std::abort();
      if (i % 10 != 9) continue;
      auto deliveries = queue.Receive({.max_messages = 10});
      for (auto& delivery : *deliveries) delivery.Delete().IgnoreError();
    }
  };
  cycle(10'000);
  const std::uint64_t before = Allocations();
  cycle(1'000'000);
  CHECK(Allocations() - before == 0);
}

TEST_CASE("a batch of ten takes no memory from the heap") {
  ManualClock clock;
  auto queue = Make<StandardQueue<int>>(clock);
  std::vector<SendBatchEntry<int>> entries;
  for (const char* id : {"a", "b", "c", "d", "e", "f", "g", "h", "i", "j"}) entries.push_back({id, 1, {}});
  std::vector<DeleteBatchEntry> deletes(10);
  const auto cycle = [&] {
    if (!queue.SendBatch(entries).ok()) std::abort();
    auto deliveries = queue.Receive({.max_messages = 10});
    for (std::size_t i = 0; i < 10; ++i) deletes[i] = {entries[i].id, (*deliveries)[i].receipt()};
    if (!queue.DeleteBatch(deletes).ok()) std::abort();
  };
  for (int i = 0; i < 1000; ++i) cycle();
  const std::uint64_t before = Allocations();
  for (int i = 0; i < 1000; ++i) cycle();
  CHECK(Allocations() - before == 0);
}

TEST_CASE("of ten messages of a FIFO queue, whose groups come and go, at most two take memory from the heap") {
  ManualClock clock;
  auto queue = Make<FifoQueue<int>>(clock);
  constexpr int kMessages = 10'000;
  // Long enough that the sends of the cycle before are forgotten, and their memory is used again.
  const auto cycle = [&](int from) {
    for (int i = from; i < from + kMessages; ++i) {
      if (!queue.Send(i, {.group = std::to_string(i % 500), .deduplication_id = std::to_string(i)}).ok()) std::abort();
      clock.Advance(absl::Milliseconds(31));
      if (!ReceiveOne(queue).Delete().ok()) std::abort();
    }
  };
  for (int i = 0; i < 3; ++i) cycle(i * kMessages);
  const std::uint64_t before = Allocations();
  cycle(3 * kMessages);
  CHECK(Allocations() - before <= kMessages / 5);
}

TEST_CASE("a backlog of a FIFO queue that comes again finds the memory of the one before") {
  ManualClock clock;
  auto queue = Make<FifoQueue<int>>(clock);
  constexpr int kMessages = 40'960;
  int sent = 0;
  const auto round = [&] {
    for (int i = 0; i < kMessages; ++i, ++sent) {
      const SendOptions options = {.group = std::to_string(i % 100), .deduplication_id = std::to_string(sent)};
      if (!queue.Send(sent, options).ok()) std::abort();
    }
    for (auto received = queue.Receive({.max_messages = 10}); !received->empty();
         received = queue.Receive({.max_messages = 10})) {
      if (!received->Delete().ok()) std::abort();
    }
    clock.Advance(Minutes(5));
  };
  for (int i = 0; i < 3; ++i) round();
  const std::uint64_t before = Allocations();
  round();
  INFO(Allocations() - before << " allocations");
  CHECK(Allocations() - before <= kMessages / 100 * 12);  // for the sends that it remembers
}

TEST_CASE("messages that time out and come back take no more memory than their backlog") {
  ManualClock clock;
  auto queue = Make<StandardQueue<int>>(clock);
  for (int i = 0; i < 1000; ++i) REQUIRE(queue.Send(i).ok());
  const auto round = [&] {
    while (!queue.Receive({.max_messages = 10})->empty()) {
    }
    clock.Advance(Seconds(30));
  };
  for (int i = 0; i < 100; ++i) round();
  const std::uint64_t before = Allocations();
  for (int i = 0; i < 100; ++i) round();
  CHECK(Allocations() - before == 0);
}

CONFORMANCE_TEST("an empty queue is small, so that a million of them are no matter") {
  ManualClock clock;
  constexpr int kQueues = 10'000;
  std::vector<TestType> queues;
  queues.reserve(kQueues);
  const std::int64_t before = ResidentBytes();
  for (int i = 0; i < kQueues; ++i) queues.push_back(Make<TestType>(clock));
  const std::int64_t bytes = (ResidentBytes() - before) / kQueues;
  INFO(bytes << " bytes a queue");
  CHECK(bytes <= 4096);
}

}  // namespace decouple::testing

#else

TEST_CASE("the memory of a queue is measured without sanitizers") { SUCCEED(); }

#endif
