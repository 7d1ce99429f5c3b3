#include "decouple/merged_iterator.h"

#include <map>
#include <random>
#include <string>
#include <thread>

#include "seed.h"
#include "stream_testing.h"

namespace decouple::testing {
namespace {

template <typename T>
MergedIterator<T> IterateAll(const Stream<T>& stream, const IteratorPosition& position = TrimHorizon()) {
  auto iterator = MergedIterator<T>::Create(stream, position);
  INFO(iterator.status());
  REQUIRE(iterator.ok());
  return *std::move(iterator);
}

// Everything that the iterator has at present.
template <typename T>
std::vector<T> BodiesLeft(MergedIterator<T>& iterator, std::size_t limit = 10'000) {
  std::vector<T> bodies;
  ForEachBatchLeft(iterator, limit, [&](const MergedBatch<T>& batch) {
    for (const auto& [shard, record] : batch) {
      CHECK(record.sequence_number().shard_number() == shard.number());
      bodies.push_back(record.body());
    }
  });
  return bodies;
}

TEST_CASE("the records of all shards are read in the order of arrival, through splits and merges") {
  ManualClock clock;
  auto stream = MakeStream<int>(clock, {.shards = 3});
  std::vector<int> expected;
  std::vector<absl::Time> times;
  const auto put_some = [&] {
    for (int i = 0; i < 200; ++i) {
      times.push_back(clock.Now());
      const int next = static_cast<int>(expected.size());
      Put(stream, "key-" + std::to_string(next % 17), next);
      expected.push_back(next);
      clock.Advance(absl::Milliseconds(1));
    }
  };
  auto latest = IterateAll(stream, Latest{});
  put_some();
  REQUIRE(stream.UpdateShardCount(6).ok());
  put_some();
  REQUIRE(stream.UpdateShardCount(3).ok());
  put_some();
  for (const std::size_t limit : std::initializer_list<std::size_t>{1, 50, 10'000}) {
    auto all = IterateAll(stream);
    CHECK(BodiesLeft(all, limit) == expected);
  }
  CHECK(BodiesLeft(latest) == expected);
  for (const std::size_t from : std::initializer_list<std::size_t>{0, 1, 199, 200, 201, 399, 400, 599}) {
    INFO(from);
    auto since = IterateAll(stream, AtTimestamp{times[from]});
    CHECK(BodiesLeft(since) == std::vector<int>(expected.begin() + static_cast<std::ptrdiff_t>(from), expected.end()));
  }
  put_some();
  CHECK(BodiesLeft(latest) == std::vector<int>(expected.begin() + 600, expected.end()));
  CHECK_FALSE(latest.Next()->stream_ended());
  stream.Close();
  CHECK(latest.Next()->stream_ended());
}

TEST_CASE("a merged iterator begins in what is left of the shards since a time") {
  ManualClock clock;
  auto stream = MakeStream<int>(clock);
  const absl::Time begin = clock.Now();
  Put(stream, "k", 1);
  clock.Advance(Hours(1));
  REQUIRE(stream.SplitShard(Number(0)).ok());
  clock.Advance(Minutes(30));
  Put(stream, "k", 2);
  clock.Advance(Hours(23) + Minutes(30));
  REQUIRE(stream.Shards().size() == 2);  // the shard of that time has gone
  for (const absl::Time time : {begin, absl::InfinitePast()}) {
    auto since = IterateAll(stream, AtTimestamp{time});
    CHECK(BodiesLeft(since) == std::vector{2});
  }
}

TEST_CASE("a merged iterator of a closed stream finds nothing behind its end") {
  ClosedStream closed;
  auto& [clock, put, stream] = closed;
  for (const IteratorPosition& position : std::initializer_list<IteratorPosition>{Latest{}, AtTimestamp{clock.Now()}}) {
    auto behind = IterateAll(stream, position);
    const auto batch = behind.Next();
    REQUIRE(batch.ok());
    CHECK(batch->empty());
    CHECK(batch->stream_ended());
  }
  auto since = IterateAll(stream, AtTimestamp{put});
  CHECK(BodiesLeft(since) == std::vector{1});
}

TEST_CASE("a merged iterator goes on behind shards that have gone unread") {
  ManualClock clock;
  auto stream = MakeStream<int>(clock);
  Put(stream, "k", 1);
  auto all = IterateAll(stream);
  REQUIRE(stream.UpdateShardCount(2).ok());
  Put(stream, "k", 2);
  clock.Advance(Hours(23));
  REQUIRE(stream.UpdateShardCount(4).ok());
  Put(stream, "k", 3);
  clock.Advance(Hours(23));
  REQUIRE(stream.Shards().size() == 6);  // the first has gone
  clock.Advance(Hours(1) - kOneNanosecond);
  CHECK(stream.Shards().size() == 6);
  auto from_two = IterateAll(stream);
  clock.Advance(kOneNanosecond);
  CHECK(stream.Shards().size() == 4);
  CHECK_FALSE(all.Next()->stream_ended());
  Put(stream, "k", 4);
  CHECK(BodiesLeft(all) == std::vector{4});
  CHECK(BodiesLeft(from_two) == std::vector{4});
}

TEST_CASE("a merged iterator returns each record once and those of a key in order, whatever is split and merged") {
  ForEachSeed(300, [](std::uint64_t seed) {
    std::mt19937_64 random(seed);
    const auto below = [&](std::size_t n) { return static_cast<std::size_t>(random() % n); };
    ManualClock clock;
    auto stream = MakeStream<int>(clock, {.shards = 1 + below(3)});
    std::map<std::string, int> last_returned;
    std::map<int, std::string> key_of;  // of records that have not been returned
    std::map<int, absl::Time> put_at;
    auto all = IterateAll(stream);
    const auto read = [&](std::size_t limit) {
      auto batch = all.Next(limit);
      REQUIRE(batch.ok());
      for (const auto& [shard, record] : *batch) {
        REQUIRE(key_of.at(record.body()) == record.partition_key());
        key_of.erase(record.body());
        auto [last, is_first] = last_returned.emplace(record.partition_key(), -1);
        REQUIRE(last->second < record.body());
        last->second = record.body();
      }
      return batch->size();
    };
    for (int step = 0; step < 150; ++step) {
      const std::vector<Shard> open = OpenShards(stream);
      switch (below(8)) {
        case 0:
          stream.SplitShard(open[below(open.size())].id).IgnoreError();
          break;
        case 1:
          stream.MergeShards(open[below(open.size())].id, open[below(open.size())].id).IgnoreError();
          break;
        case 2:
          clock.Advance(below(4) == 0 ? Hours(12) : Minutes(1));
          break;
        case 3:
          read(1 + below(5));
          break;
        default:
          const std::string key = "key-" + std::to_string(below(20));
          Put(stream, key, step);
          key_of.emplace(step, key);
          put_at.emplace(step, clock.Now());
      }
    }
    stream.Close();
    while (read(1 + below(20)) > 0) continue;
    CHECK(all.Next()->stream_ended());
    for (const auto& [body, key] : key_of) CHECK(put_at.at(body) <= clock.Now() - Hours(24));  // it expired unread
  });
}

TEST_CASE("a merged iterator reads a shard after all earlier ones with its keys, also those that are not open yet") {
  ManualClock clock;
  auto stream = MakeStream<int>(clock, {.shards = 2});
  const PutOptions lower{.explicit_hash_key = HashKey(0)};
  const PutOptions upper{.explicit_hash_key = kLargestHashKey};
  int next = 0;
  const auto put = [&](const PutOptions& where) {
    Put(stream, "k", next++, where);
    clock.Advance(absl::Milliseconds(1));
  };
  put(upper);
  put(lower);
  REQUIRE(stream.MergeShards(Number(0), Number(1)).ok());  // into 2
  put(upper);
  REQUIRE(stream.SplitShard(Number(2)).ok());  // into 3 and 4
  put(upper);
  put(lower);
  // Shard 1 ends with the first record, while shard 0 is still read: 2 waits for it, and 4 for 2.
  for (const std::size_t limit : std::initializer_list<std::size_t>{1, 2, 10'000}) {
    auto all = IterateAll(stream);
    CHECK(BodiesLeft(all, limit) == std::vector{0, 1, 2, 3, 4});
  }
}

TEST_CASE("a merged iterator does not begin at a sequence number") {
  ManualClock clock;
  auto stream = MakeStream<int>(clock);
  const SequenceNumber number = Put(stream, "k", 1).sequence_number;
  CHECK(ErrorIn(MergedIterator<int>::Create(stream, AtSequenceNumber{number})) == Error::kInvalidArgument);
  CHECK(ErrorIn(MergedIterator<int>::Create(stream, AfterSequenceNumber{number})) == Error::kInvalidArgument);
  CHECK(ErrorIn(MergedIterator<int>::Create(stream, AtTimestamp{clock.Now() + Hours(1)})) == Error::kInvalidArgument);
}

TEST_CASE("a shard that may not be read at present delays a merged read, and no record comes out of order") {
  ManualClock clock;
  auto stream = MakeStream<int>(clock, {.shards = 2, .capacity_mode = CapacityMode::kProvisioned});
  for (int i = 0; i < 10; ++i) {
    Put(stream, "k", i, {.explicit_hash_key = i % 2 == 0 ? HashKey(0) : kLargestHashKey});
    clock.Advance(absl::Milliseconds(1));
  }
  auto greedy = Iterate(stream, Number(0));
  for (int i = 0; i < 5; ++i) Read(greedy, 1);
  auto all = IterateAll(stream);
  CHECK(ErrorIn(all.Next()) == Error::kProvisionedThroughputExceeded);
  clock.Advance(Seconds(1));
  CHECK(BodiesLeft(all) == std::vector{0, 1, 2, 3, 4, 5, 6, 7, 8, 9});
}

TEST_CASE("a merged read at the tip waits for a record in any shard") {
  ManualClock clock;
  auto stream = MakeStream<int>(clock, {.shards = 3});
  auto all = IterateAll(stream);
  Result<MergedBatch<int>> batch;
  for (const HashKey key : {HashKey(0), kLargestHashKey}) {
    std::thread reader([&] { batch = all.Next(10, {.wait = Seconds(20)}); });
    clock.AwaitSleepers(1);
    Put(stream, "k", 7, {.explicit_hash_key = key});
    reader.join();
    REQUIRE(batch.ok());
    REQUIRE(batch->size() == 1);
    CHECK(batch->front().record.body() == 7);
  }
  std::thread in_vain([&] { batch = all.Next(10, {.wait = Seconds(20)}); });
  clock.AwaitSleepers(1);
  clock.Advance(Seconds(20));
  in_vain.join();
  CHECK(batch->empty());
}

}  // namespace
}  // namespace decouple::testing
