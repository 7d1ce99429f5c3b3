// What streams allocate and copy, and that all of it is freed.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "allocations.h"
#include "memory_testing.h"
#include "stream_testing.h"

namespace decouple::testing {
namespace {

// Counts its copies and the live objects.
struct Counted {
  Counted() { ++alive; }
  Counted(const Counted&) {
    ++copies;
    ++alive;
  }
  Counted(Counted&&) noexcept { ++alive; }
  Counted& operator=(const Counted&) = delete;
  ~Counted() { --alive; }

  static inline int copies = 0;
  static inline int alive = 0;
};

TEST_CASE("bodies are never copied, and each lives until no reader can reach it") {
  ManualClock clock;
  {
    auto stream = MakeStream<Counted>(clock);
    for (int i = 0; i < 10'000; ++i) Put(stream, "k", Counted());
    CHECK(Counted::alive == 10'000);
    for (int reader = 0; reader < 3; ++reader) {
      auto iterator = Iterate(stream, Number(0));
      for (auto batch = Read(iterator, 999); !batch.empty(); batch = Read(iterator, 999)) {
      }
    }
    CHECK(Counted::alive == 10'000);
    REQUIRE(stream.SplitShard(Number(0)).ok());
    for (int i = 0; i < 100; ++i) Put(stream, "k", Counted());
    clock.Advance(Hours(24));
    stream.Statistics();
    CHECK(Counted::alive <= 100);  // their segment has room for more and stays
    CHECK(stream.Statistics().trimmed_records == 10'100);
  }
  CHECK(Counted::alive == 0);
  CHECK(Counted::copies == 0);
}

}  // namespace
}  // namespace decouple::testing

#if DECOUPLE_MEMORY_IS_MEASURABLE

namespace decouple::testing {
namespace {

TEST_CASE("in the steady state neither puts nor reads allocate, also with long keys") {
  ManualClock clock;
  auto stream = MakeStream<std::uint64_t>(clock, {.retention = Seconds(850), .limits = Limits::Unlimited()});
  std::vector<std::string> keys;
  for (int i = 0; i < 1'000; ++i)
    keys.push_back("a-rather-long-partition-key-of-some-tenant-" + std::to_string(1'000 + i));
  auto iterator = Iterate(stream, Number(0));
  std::uint64_t sum = 0;
  const auto run = [&](std::uint64_t records) {
    for (std::uint64_t i = 0; i < records; ++i) {
      if (!stream.Put(keys[i % keys.size()], i).ok()) std::abort();
      clock.Advance(absl::Milliseconds(50));  // some 17 000 records are retained
      if (i % 100 != 0) continue;
      const auto batch = iterator.Next();
      for (const auto& record : *batch) sum += record.body();
    }
  };
  run(100'000);
  const std::uint64_t before = Allocations();
  run(100'000);
  // Trimming allocates a list each time that it removes a segment.
  CHECK(Allocations() - before <= 100'000 / 4'096 * 2 + 2);
  CHECK(sum > 0);
}

TEST_CASE("a stream frees its records' memory when their retention period has ended") {
  ManualClock clock;
  auto stream = MakeStream<std::string>(clock, {.shards = 4});
  Put(stream, "k", "x");
  const std::int64_t before = ResidentBytes();
  for (int i = 0; i < 1'000'000; ++i) Put(stream, "key-" + std::to_string(i % 100), std::string(100, 'x'));
  CHECK(ResidentBytes() - before > 100 * kMebibyte);
  clock.Advance(Hours(24));
  stream.Statistics();
  malloc_trim(0);
  CHECK(ResidentBytes() - before < 16 * kMebibyte);
}

TEST_CASE("an unused iterator keeps no memory") {
  ManualClock clock;
  auto stream = MakeStream<std::string>(clock);
  auto iterator = Iterate(stream, Number(0));
  for (int i = 0; i < 10'000; ++i) Put(stream, "k", std::string(1'000, 'x'));
  Read(iterator, 1);
  const std::int64_t before = HeapBytes();
  clock.Advance(Hours(24));
  stream.Statistics();
  CHECK(before - HeapBytes() > 7 * kMebibyte);  // the last segment has room for more and stays
}

TEST_CASE("a record takes some fifty bytes in addition to its body and a long key, an empty stream two kilobytes") {
  const std::int64_t empty = HeapBytes();
  std::vector<std::unique_ptr<Stream<std::uint64_t>>> streams;
  for (int i = 0; i < 100; ++i) streams.push_back(std::make_unique<Stream<std::uint64_t>>());
  CHECK((HeapBytes() - empty) / 100 < 2'200);

  auto& stream = *streams.front();
  const std::int64_t before = ResidentBytes();
  for (std::uint64_t i = 0; i < 1'000'000; ++i) Put(stream, "truck-7", i);
  CHECK((ResidentBytes() - before) / 1'000'000 < 8 + 50);
}

}  // namespace
}  // namespace decouple::testing

#endif
