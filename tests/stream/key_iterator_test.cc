#include "decouple/key_iterator.h"

#include <string>
#include <thread>

#include "stream_testing.h"

namespace decouple::testing {
namespace {

template <typename T>
KeyIterator<T> IterateKey(const Stream<T>& stream, const std::string& key,
                          const IteratorPosition& position = TrimHorizon()) {
  auto iterator = KeyIterator<T>::Create(stream, key, position);
  INFO(iterator.status());
  REQUIRE(iterator.ok());
  return *std::move(iterator);
}

// Everything that the iterator has at present.
template <typename T>
std::vector<T> BodiesLeft(KeyIterator<T>& iterator, std::size_t limit = 10'000) {
  std::vector<T> bodies;
  ForEachBatchLeft(iterator, limit, [&](const RecordBatch<T>& batch) {
    std::size_t bytes = 0;
    for (const auto& record : batch) {
      CHECK(record.partition_key() == iterator.partition_key());
      bodies.push_back(record.body());
      bytes += record.bytes();
    }
    CHECK(batch.bytes() == bytes);
  });
  return bodies;
}

TEST_CASE("a key's records are read in order through splits and merges, and no other key's") {
  ManualClock clock;
  auto stream = MakeStream<int>(clock, {.shards = 2});
  std::map<std::string, std::vector<int>> put;
  int next = 0;
  const auto put_some = [&] {
    for (int i = 0; i < 300; ++i) {
      const std::string key = "key-" + std::to_string(i % 11);
      Put(stream, key, next);
      put[key].push_back(next++);
    }
  };
  put_some();
  REQUIRE(stream.UpdateShardCount(4).ok());
  put_some();
  REQUIRE(stream.UpdateShardCount(3).ok());
  put_some();
  for (const std::size_t limit : std::initializer_list<std::size_t>{1, 7, 10'000}) {
    for (const auto& [key, expected] : put) {
      auto iterator = IterateKey(stream, key);
      CHECK(BodiesLeft(iterator, limit) == expected);
      CHECK(iterator.shard_id() == *stream.ShardOf(key));
    }
  }
  auto follower = IterateKey(stream, "key-1");
  CHECK(BodiesLeft(follower) == put["key-1"]);
  REQUIRE(stream.UpdateShardCount(2).ok());
  put["key-1"].clear();
  put_some();
  CHECK(BodiesLeft(follower) == put["key-1"]);
  CHECK_FALSE(follower.Next()->shard_ended());
  stream.Close();
  CHECK(follower.Next()->shard_ended());
  CHECK(follower.Next()->child_shards().empty());
}

TEST_CASE("a key is read from a time, a sequence number, or the latest record on, in whichever shard that is") {
  ManualClock clock;
  auto stream = MakeStream<int>(clock, {.shards = 2});
  std::vector<PutResult> puts;
  std::vector<absl::Time> times;
  for (int i = 0; i < 6; ++i) {
    Put(stream, "other", -1);
    puts.push_back(Put(stream, "k", i));
    times.push_back(clock.Now());
    clock.Advance(Hours(1));
    if (i == 1) REQUIRE(stream.UpdateShardCount(4).ok());
    if (i == 3) REQUIRE(stream.UpdateShardCount(3).ok());
  }
  auto latest = IterateKey(stream, "k", Latest{});
  for (int i = 0; i < 6; ++i) {
    std::vector<int> from;
    for (int j = i; j < 6; ++j) from.push_back(j);
    auto at = IterateKey(stream, "k", AtSequenceNumber{puts[static_cast<std::size_t>(i)].sequence_number});
    CHECK(BodiesLeft(at) == from);
    auto since = IterateKey(stream, "k", AtTimestamp{times[static_cast<std::size_t>(i)]});
    CHECK(BodiesLeft(since) == from);
    from.erase(from.begin());
    auto after = IterateKey(stream, "k", AfterSequenceNumber{puts[static_cast<std::size_t>(i)].sequence_number});
    CHECK(BodiesLeft(after) == from);
    auto later = IterateKey(stream, "k", AtTimestamp{times[static_cast<std::size_t>(i)] + kOneNanosecond});
    CHECK(BodiesLeft(later) == from);
  }
  CHECK(BodiesLeft(latest).empty());
  Put(stream, "k", 6);
  CHECK(BodiesLeft(latest) == std::vector{6});
}

TEST_CASE("a key's iterator of a closed stream finds nothing behind its end") {
  ClosedStream closed;
  auto& [clock, put, stream] = closed;
  for (const IteratorPosition& position : std::initializer_list<IteratorPosition>{Latest{}, AtTimestamp{clock.Now()}}) {
    auto behind = IterateKey(stream, "k", position);
    const auto batch = behind.Next();
    REQUIRE(batch.ok());
    CHECK(batch->empty());
    CHECK(batch->shard_ended());
  }
  auto since = IterateKey(stream, "k", AtTimestamp{put});
  CHECK(BodiesLeft(since) == std::vector{1});
  clock.Advance(Hours(24));
  CHECK(ErrorIn(KeyIterator<int>::Create(stream, "k")) == Error::kResourceNotFound);
}

TEST_CASE("a key is read from a time on in what is left of the shards since") {
  ManualClock clock;
  auto stream = MakeStream<int>(clock);
  const absl::Time begin = clock.Now();
  Put(stream, "k", 1);
  REQUIRE(stream.UpdateShardCount(2).ok());
  clock.Advance(Hours(12));
  REQUIRE(stream.UpdateShardCount(4).ok());
  Put(stream, "k", 2);
  clock.Advance(Hours(18));
  REQUIRE(stream.Shards().size() == 6);  // the first has gone
  auto since = IterateKey(stream, "k", AtTimestamp{begin});
  CHECK(BodiesLeft(since) == std::vector{2});
}

TEST_CASE("a key iterator refuses a key out of its range, and a sequence number of a shard without the key") {
  ManualClock clock;
  auto stream = MakeStream<int>(clock, {.shards = 2});
  auto other = MakeStream<int>(clock, {.shards = 2});
  CHECK(ErrorIn(KeyIterator<int>::Create(stream, "")) == Error::kInvalidArgument);
  const bool is_low = *stream.ShardOf("k") == Number(0);
  const PutOptions elsewhere{.explicit_hash_key = is_low ? kLargestHashKey : HashKey(0)};
  const SequenceNumber number = Put(stream, "k", 1, elsewhere).sequence_number;
  CHECK(ErrorIn(KeyIterator<int>::Create(stream, "k", AfterSequenceNumber{number})) == Error::kInvalidArgument);
  const SequenceNumber foreign = Put(other, "k", 1).sequence_number;
  CHECK(ErrorIn(KeyIterator<int>::Create(stream, "k", AtSequenceNumber{foreign})) == Error::kInvalidArgument);
  auto by_hash = KeyIterator<int>::Create(stream, "k", AtSequenceNumber{number}, elsewhere.explicit_hash_key);
  REQUIRE(by_hash.ok());
  CHECK(BodiesLeft(*by_hash) == std::vector{1});
}

TEST_CASE("a read of a key waits for a record of the key, and not for others") {
  ManualClock clock;
  auto stream = MakeStream<int>(clock);
  auto iterator = IterateKey(stream, "k", Latest{});
  Result<RecordBatch<int>> batch;
  std::thread reader([&] { batch = iterator.Next(10, {.wait = Seconds(20)}); });
  clock.AwaitSleepers(1);
  Put(stream, "other", 1);
  clock.AwaitSleepers(1);
  Put(stream, "k", 2);
  reader.join();
  REQUIRE(batch.ok());
  CHECK(Bodies(*batch) == std::vector{2});
  std::thread in_vain([&] { batch = iterator.Next(10, {.wait = Seconds(20)}); });
  clock.AwaitSleepers(1);
  clock.Advance(Seconds(20));
  in_vain.join();
  CHECK(batch->empty());
}

}  // namespace
}  // namespace decouple::testing
