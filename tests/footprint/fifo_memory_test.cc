// A million message groups: what they take while they have messages, and what is left of it after.

#include <array>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "memory_testing.h"
#include "queue_testing.h"

#if DECOUPLE_MEMORY_IS_MEASURABLE

namespace decouple::testing {

constexpr int kGroups = 1'000'000;
// Kept for the next backlog, of what was 600 MiB: 16 MiB of segments and their metadata, and the strings of these.
constexpr std::int64_t kKeptWarm = 24 * kMebibyte;

void SendIntoEachGroup(FifoQueue<int>& queue) {
  for (int i = 0; i < kGroups; ++i) {
    const std::string name = "a-group-with-a-long-name-" + std::to_string(i);
    if (!queue.Send(i, {.group = name, .deduplication_id = name}).ok()) std::abort();
  }
}

// Receives and deletes all messages. Returns how many there were.
int DeleteAll(FifoQueue<int>& queue) {
  int deleted = 0;
  for (auto received = queue.Receive({.max_messages = 10}); !received->empty();
       received = queue.Receive({.max_messages = 10})) {
    for (auto& delivery : *received) deleted += delivery.Delete().ok() ? 1 : 0;
  }
  return deleted;
}

TEST_CASE("a send with a short id into a group with a short name is remembered in at most a hundred bytes") {
  ManualClock clock;
  auto queue = Make<FifoQueue<int>>(clock);
  constexpr int kSends = 1'000'000;
  const std::int64_t before = HeapBytes();
  for (int i = 0; i < kSends; ++i) {
    if (!queue.Send(i, {.group = "group", .deduplication_id = std::to_string(i)}).ok()) std::abort();
    if (!ReceiveOne(queue).Delete().ok()) std::abort();
  }
  const std::int64_t each = (HeapBytes() - before) / kSends;
  INFO(each << " bytes each");
  CHECK(each <= 100);
}

TEST_CASE("groups without messages, and deduplication ids after five minutes, take no memory") {
  ManualClock clock;
  auto queue = Make<FifoQueue<int>>(clock);
  const std::int64_t before = HeapBytes();
  SendIntoEachGroup(queue);
  CHECK(HeapBytes() - before > 400 * kMebibyte);  // the backlog was there
  CHECK(DeleteAll(queue) == kGroups);
  const std::int64_t with_ids = HeapBytes() - before;
  clock.Advance(Minutes(5) - kOneNanosecond);
  for (int i = 0; i < 50'000; ++i) CHECK(queue.Receive()->empty());
  CHECK(HeapBytes() - before > with_ids - kMebibyte);  // the ids still count

  clock.Advance(kOneNanosecond);
  for (int i = 0; i < 50'000; ++i) CHECK(queue.Receive()->empty());  // each drops some of them
  INFO((HeapBytes() - before) / 1024 << " KiB are left");
  CHECK(HeapBytes() - before <= kKeptWarm);
}

TEST_CASE("groups that expire or are purged leave as little behind") {
  ManualClock clock;
  auto queue = Make<FifoQueue<int>>(clock);
  const std::int64_t before = HeapBytes();
  SECTION("expired") {
    SendIntoEachGroup(queue);
    clock.Advance(Hours(96));
    CHECK(queue.Counts().total() == 0);
  }
  SECTION("purged") {
    SendIntoEachGroup(queue);
    REQUIRE(queue.Purge().ok());
  }
  for (int i = 0; i < 50'000; ++i) CHECK(queue.Receive()->empty());
  INFO((HeapBytes() - before) / 1024 << " KiB are left");
  CHECK(HeapBytes() - before <= kKeptWarm);
}

TEST_CASE("a queue that gets dead letters alone, and is drained, keeps no memory of what went through it") {
  ManualClock clock;
  constexpr int kMessages = 100'000;
  auto dead = Make<FifoQueue<std::array<char, 1000>>>(clock);
  auto live = Make<FifoQueue<std::array<char, 1000>>>(clock, {.redrive = Redrive{.to = dead, .max_receives = 1}});
  std::int64_t before = 0;
  for (int i = 0; i < kMessages; ++i) {
    if (i == kMessages / 10) before = ResidentBytes();
    if (i % 1000 == 0) clock.Advance(Minutes(1));  // deduplication ids go
    if (!live.Send({}, {.group = "group", .deduplication_id = std::to_string(i)}).ok()) std::abort();
    if (!ReceiveOne(live).Release().ok() || !live.Receive()->empty()) std::abort();
    if (!ReceiveOne(dead).Delete().ok()) std::abort();
  }
  CHECK(ResidentBytes() - before <= 16 * kMebibyte);  // of the 90 MiB that went through it meanwhile
}

TEST_CASE("messages of a group behind one in flight do not keep the memory of the many around them that went") {
  ManualClock clock;
  constexpr int kMessages = 200'000;
  auto queue = Make<FifoQueue<std::array<char, 1000>>>(clock, {.visibility_timeout = Hours(1)});
  const std::int64_t before = ResidentBytes();
  const auto send = [&](int i, const char* group) {
    if (!queue.Send({}, {.group = group, .deduplication_id = std::to_string(i)}).ok()) std::abort();
  };
  send(-1, "blocked");
  ReceiveOne(queue);
  for (int i = 0; i < kMessages; ++i) {
    send(i, i % 64 == 7 ? "blocked" : "free");
    if (i % 64 == 7) continue;
    if (!ReceiveOne(queue).Delete().ok()) std::abort();
  }
  CHECK(queue.Counts() == MessageCounts{.ready = kMessages / 64, .in_flight = 1});
  CHECK(ResidentBytes() - before <= 64 * kMebibyte);
}

}  // namespace decouple::testing

#else

TEST_CASE("the memory of a FIFO queue is measured without sanitizers") { SUCCEED(); }

#endif
