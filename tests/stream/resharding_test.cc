// Splitting, merging and scaling a stream's shards.

#include <string>

#include "stream_testing.h"

namespace decouple::testing {
namespace {

// Checks that the open shards cover all hash keys without gaps and do not overlap.
template <typename T>
void CheckRanges(const Stream<T>& stream) {
  std::map<HashKey, HashKey> ranges;
  for (const Shard& shard : OpenShards(stream)) {
    ranges.emplace(shard.hash_key_range.starting, shard.hash_key_range.ending);
  }
  HashKey next = 0;
  for (const auto& [starting, ending] : ranges) {
    CHECK(starting == next);
    next = ending + 1;
  }
  CHECK(next == 0);  // 2^128
}

TEST_CASE("a split closes the parent and opens two children whose numbers follow the parent's") {
  ManualClock clock;
  auto stream = MakeStream<int>(clock);
  const SequenceNumber last = Put(stream, "a", 1).sequence_number;
  REQUIRE(stream.SplitShard(Number(0)).ok());
  const auto shards = stream.Shards();
  REQUIRE(shards.size() == 3);
  CHECK(shards[0].ending_sequence_number == last);
  CHECK(shards[1].parents == std::vector{Number(0)});
  CHECK(shards[2].parents == std::vector{Number(0)});
  CHECK(shards[1].hash_key_range == HashKeyRange{0, (HashKey(1) << 127) - 1});
  CHECK(shards[2].hash_key_range == HashKeyRange{HashKey(1) << 127, kLargestHashKey});
  CHECK(shards[1].starting_sequence_number > last);
  const PutResult next = Put(stream, "a", 2);
  CHECK(next.shard_id == Number(1));
  CHECK(next.sequence_number > last);
  CHECK(BodiesFrom(stream, Number(0)) == std::vector{1});
  CHECK(BodiesFrom(stream, Number(1)) == std::vector{2});
  CheckRanges(stream);
}

TEST_CASE("a split is at a key inside the range that leaves both children at least two keys") {
  ManualClock clock;
  auto stream = MakeStream<int>(clock);
  CHECK(ErrorIn(stream.SplitShard(Number(0), HashKey(0))) == Error::kInvalidArgument);
  CHECK(ErrorIn(stream.SplitShard(Number(0), HashKey(1))) == Error::kInvalidArgument);
  CHECK(ErrorIn(stream.SplitShard(Number(0), kLargestHashKey)) == Error::kInvalidArgument);
  CHECK(stream.Shards().size() == 1);
  CHECK(stream.SplitShard(Number(0), HashKey(2)).ok());                     // into 0 … 1 and the rest
  CHECK(stream.SplitShard(Number(2), kLargestHashKey - 1).ok());            // into the rest and the last two
  CHECK(ErrorIn(stream.SplitShard(Number(1))) == Error::kInvalidArgument);  // two keys only
  CHECK(ErrorIn(stream.SplitShard(Number(3), HashKey(1))) == Error::kInvalidArgument);
  CheckRanges(stream);
}

TEST_CASE("only an open shard can be split or merged") {
  ManualClock clock;
  auto stream = MakeStream<int>(clock);
  CHECK(ErrorIn(stream.SplitShard(Number(1))) == Error::kResourceNotFound);
  REQUIRE(stream.SplitShard(Number(0)).ok());
  CHECK(ErrorIn(stream.SplitShard(Number(0))) == Error::kInvalidArgument);
  CHECK(ErrorIn(stream.MergeShards(Number(0), Number(1))) == Error::kInvalidArgument);
  CHECK(ErrorIn(stream.MergeShards(Number(1), Number(0))) == Error::kInvalidArgument);
  CHECK(stream.Shards().size() == 3);
  CHECK(ErrorIn(stream.MergeShards(Number(1), Number(9))) == Error::kResourceNotFound);
}

TEST_CASE("a merge closes both parents and opens a child whose numbers follow those of both") {
  ManualClock clock;
  auto stream = MakeStream<int>(clock, {.shards = 2});
  const SequenceNumber low = Put(stream, "low", 1, {.explicit_hash_key = HashKey(0)}).sequence_number;
  Put(stream, "high", 2, {.explicit_hash_key = kLargestHashKey});
  const SequenceNumber high = Put(stream, "high", 3, {.explicit_hash_key = kLargestHashKey}).sequence_number;
  REQUIRE(stream.MergeShards(Number(0), Number(1)).ok());
  const auto open = OpenShards(stream);
  REQUIRE(open.size() == 1);
  CHECK(open[0].hash_key_range == HashKeyRange());
  CHECK(open[0].parents == std::vector{Number(0), Number(1)});
  const PutResult next = Put(stream, "low", 4, {.explicit_hash_key = HashKey(0)});
  CHECK(next.sequence_number > low);
  CHECK(next.sequence_number > high);
  for (const ShardId parent : {Number(0), Number(1)}) {
    auto iterator = Iterate(stream, parent);
    const auto batch = Read(iterator);
    CHECK(batch.shard_ended());
    REQUIRE(batch.child_shards().size() == 1);
    CHECK(batch.child_shards()[0].id == Number(2));
  }
  CHECK(ReadAll(stream) == std::vector{1, 2, 3, 4});
}

TEST_CASE("only shards with adjacent ranges are merged, the lower one first") {
  ManualClock clock;
  auto stream = MakeStream<int>(clock, {.shards = 3});
  CHECK(ErrorIn(stream.MergeShards(Number(1), Number(0))) == Error::kInvalidArgument);
  CHECK(ErrorIn(stream.MergeShards(Number(2), Number(0))) == Error::kInvalidArgument);
  CHECK(ErrorIn(stream.MergeShards(Number(0), Number(2))) == Error::kInvalidArgument);
  CHECK(ErrorIn(stream.MergeShards(Number(0), Number(0))) == Error::kInvalidArgument);
  CHECK(stream.Shards().size() == 3);
  CHECK(stream.MergeShards(Number(1), Number(2)).ok());
}

TEST_CASE("uniform scaling makes shards of equal ranges, at most double and at least half as many") {
  ManualClock clock;
  for (std::size_t from = 1; from <= 6; ++from) {
    for (std::size_t to = 0; to <= 13; ++to) {
      INFO(from << " to " << to);
      auto stream = MakeStream<int>(clock, {.shards = from});
      const bool is_allowed = to <= 2 * from && 2 * to >= from && to > 0;
      const absl::Status status = stream.UpdateShardCount(to);
      CHECK(status.ok() == is_allowed);
      if (!is_allowed) {
        CHECK(ErrorIn(status) == Error::kInvalidArgument);
        CHECK(stream.Shards().size() == from);
        continue;
      }
      std::map<HashKey, HashKeyRange> ranges;
      for (const Shard& shard : OpenShards(stream)) ranges.emplace(shard.hash_key_range.starting, shard.hash_key_range);
      std::vector<HashKeyRange> expected;
      for (const Shard& shard : MakeStream<int>(clock, {.shards = to}).Shards()) {
        expected.push_back(shard.hash_key_range);
      }
      std::vector<HashKeyRange> actual;
      for (const auto& [starting, range] : ranges) actual.push_back(range);
      CHECK(actual == expected);
    }
  }
}

TEST_CASE("scaling makes uneven shards even, and a shard that has a new range already stays open") {
  ManualClock clock;
  auto stream = MakeStream<int>(clock, {.shards = 2});
  REQUIRE(stream.SplitShard(Number(0), HashKey(12'345)).ok());
  REQUIRE(stream.UpdateShardCount(2).ok());
  const auto open = OpenShards(stream);
  REQUIRE(open.size() == 2);
  CHECK(open[0].id == Number(1));
  CHECK(open[1].hash_key_range.ending == (HashKey(1) << 127) - 1);
}

TEST_CASE("ShardOf() names the shard that a put of the key goes to, before and after resharding") {
  ManualClock clock;
  auto stream = MakeStream<int>(clock, {.shards = 3});
  for (int round = 0; round < 3; ++round) {
    for (int i = 0; i < 30; ++i) {
      const std::string key = "key-" + std::to_string(i);
      const auto shard = stream.ShardOf(key);
      REQUIRE(shard.ok());
      CHECK(Put(stream, key, i).shard_id == *shard);
      CHECK(stream.ShardOf(HashKeyOf(key)) == *shard);
    }
    REQUIRE(stream.UpdateShardCount(round == 0 ? 5 : 4).ok());
  }
  CHECK(ErrorIn(stream.ShardOf("")) == Error::kInvalidArgument);
  const ShardId last = *stream.ShardOf("key-1");
  stream.Close();
  CHECK(*stream.ShardOf("key-1") == last);
}

std::vector<std::uint64_t> Numbers(const absl::StatusOr<std::vector<Shard>>& shards) {
  INFO(shards.status());
  REQUIRE(shards.ok());
  std::vector<std::uint64_t> numbers;
  for (const Shard& shard : *shards) numbers.push_back(shard.id.number());
  return numbers;
}

TEST_CASE("shards are listed by the service's filters: at a time, since then, open ones, and after an id") {
  using Expected = std::vector<std::uint64_t>;
  ManualClock clock;
  auto stream = MakeStream<int>(clock, {.shards = 2});
  const absl::Time created = clock.Now();
  clock.Advance(Hours(1));
  const absl::Time split = clock.Now();
  REQUIRE(stream.SplitShard(Number(0)).ok());  // into 2 and 3
  Put(stream, "k", 1);
  clock.Advance(Hours(1));
  const absl::Time merged = clock.Now();
  REQUIRE(stream.MergeShards(Number(3), Number(1)).ok());  // into 4
  CHECK(Numbers(stream.Shards(FromTrimHorizon{})) == Expected{0, 1, 2, 3, 4});
  CHECK(Numbers(stream.Shards(AtTrimHorizon{})) == Expected{0, 1});
  CHECK(Numbers(stream.Shards(AtLatest{})) == Expected{2, 4});
  CHECK(Numbers(stream.Shards(AtTimestamp{absl::InfinitePast()})) == Expected{0, 1});
  CHECK(Numbers(stream.Shards(AtTimestamp{created})) == Expected{0, 1});
  CHECK(Numbers(stream.Shards(AtTimestamp{split - kOneNanosecond})) == Expected{0, 1});
  CHECK(Numbers(stream.Shards(AtTimestamp{split})) == Expected{0, 1, 2, 3});
  CHECK(Numbers(stream.Shards(AtTimestamp{split + kOneNanosecond})) == Expected{1, 2, 3});
  CHECK(Numbers(stream.Shards(FromTimestamp{split + kOneNanosecond})) == Expected{1, 2, 3, 4});
  CHECK(Numbers(stream.Shards(FromTimestamp{merged + kOneNanosecond - kOneNanosecond})) == Expected{1, 2, 3, 4});
  CHECK(Numbers(stream.Shards(AfterShardId{Number(2)})) == Expected{3, 4});
  CHECK(Numbers(stream.Shards(AfterShardId{Number(4)})) == Expected{});
  clock.Advance(Hours(1));
  CHECK(Numbers(stream.Shards(FromTimestamp{merged + kOneNanosecond})) == Expected{2, 4});
  CHECK(Numbers(stream.Shards(AtTimestamp{clock.Now()})) == Expected{2, 4});
  const absl::Time a_little_ahead = clock.Now() + kClockTolerance - kOneNanosecond;
  CHECK(Numbers(stream.Shards(AtTimestamp{a_little_ahead})) == Expected{2, 4});
  CHECK(Numbers(stream.Shards(FromTimestamp{a_little_ahead})) == Numbers(stream.Shards(FromTimestamp{clock.Now()})));
  CHECK(ErrorIn(stream.Shards(AtTimestamp{clock.Now() + kClockTolerance})) == Error::kInvalidArgument);
  CHECK(ErrorIn(stream.Shards(AtTimestamp{clock.Now() + Hours(1)})) == Error::kInvalidArgument);
  CHECK(ErrorIn(stream.Shards(FromTimestamp{clock.Now() + Hours(1)})) == Error::kInvalidArgument);
  clock.AdvanceTo(split + Hours(24));
  CHECK(Numbers(stream.Shards(AtTrimHorizon{})) == Expected{1, 2, 3});
}

TEST_CASE("shards, their filters and positions in them are compared by what they say") {
  ManualClock clock;
  auto stream = MakeStream<int>(clock);
  const std::vector<Shard> before = stream.Shards();
  CHECK(before == stream.Shards());
  REQUIRE(stream.SplitShard(Number(0)).ok());
  CHECK(before[0] != stream.Shards()[0]);  // closed meanwhile
  const ShardFilter filter = AfterShardId{Number(1)};
  CHECK(filter == ShardFilter(AfterShardId{Number(1)}));
  CHECK(filter != ShardFilter(AfterShardId{Number(2)}));
  CHECK(filter != ShardFilter(AtLatest{}));
  CHECK(ShardFilter(FromTimestamp{clock.Now()}) == ShardFilter(FromTimestamp{clock.Now()}));
  CHECK(ShardFilter(AtTimestamp{clock.Now()}) != ShardFilter(FromTimestamp{clock.Now()}));
  const IteratorPosition position = AfterSequenceNumber{before[0].starting_sequence_number};
  CHECK(position == IteratorPosition(AfterSequenceNumber{before[0].starting_sequence_number}));
  CHECK(position != IteratorPosition(AtSequenceNumber{before[0].starting_sequence_number}));
  CHECK(IteratorPosition(TrimHorizon{}) == IteratorPosition(TrimHorizon{}));
  CHECK(IteratorPosition(TrimHorizon{}) != IteratorPosition(Latest{}));
}

TEST_CASE("the shards of a stream on demand are not split or merged by its users") {
  ManualClock clock;
  auto stream = MakeStream<int>(clock, {.shards = 2, .capacity_mode = CapacityMode::kOnDemand});
  CHECK(ErrorIn(stream.SplitShard(Number(0))) == Error::kInvalidArgument);
  CHECK(ErrorIn(stream.MergeShards(Number(0), Number(1))) == Error::kInvalidArgument);
  CHECK(ErrorIn(stream.UpdateShardCount(4)) == Error::kInvalidArgument);
  CHECK(stream.Shards().size() == 2);
}

TEST_CASE("a shard whose parents have gone is listed for readers that begin before it was opened") {
  using Expected = std::vector<std::uint64_t>;
  ManualClock clock;
  auto stream = MakeStream<int>(clock);
  const absl::Time created = clock.Now();
  clock.Advance(Hours(1));
  REQUIRE(stream.SplitShard(Number(0)).ok());  // into 1 and 2
  clock.Advance(Hours(1));
  REQUIRE(stream.SplitShard(Number(1)).ok());  // into 3 and 4
  clock.Advance(Hours(23));
  CHECK(Numbers(stream.Shards()) == Expected{1, 2, 3, 4});
  REQUIRE(stream.SetRetention(Hours(48)).ok());
  CHECK(Numbers(stream.Shards(AtTrimHorizon{})) == Expected{1, 2});
  CHECK(Numbers(stream.Shards(AtTimestamp{created})) == Expected{1, 2});
  CHECK(Numbers(stream.Shards(AtTimestamp{absl::InfinitePast()})) == Expected{1, 2});
}

TEST_CASE("a key's records stay in order through splits, merges and scaling") {
  ManualClock clock;
  auto stream = MakeStream<std::string>(clock, {.shards = 2});
  std::map<std::string, int> put;
  const auto put_some = [&] {
    for (int i = 0; i < 200; ++i) {
      const std::string key = "key-" + std::to_string(i % 17);
      Put(stream, key, key + " " + std::to_string(put[key]++));
    }
  };
  put_some();
  REQUIRE(stream.SplitShard(Number(1)).ok());
  put_some();
  REQUIRE(stream.UpdateShardCount(5).ok());
  put_some();
  REQUIRE(stream.UpdateShardCount(3).ok());
  put_some();
  const auto open = OpenShards(stream);
  REQUIRE(stream.MergeShards(open[0].id, open[1].id).ok());
  put_some();
  std::map<std::string, int> seen;
  for (const std::string& body : ReadAll(stream)) {
    const std::size_t space = body.find(' ');
    CHECK(std::stoi(body.substr(space)) == seen[body.substr(0, space)]++);
  }
  CHECK(seen == put);
}

}  // namespace
}  // namespace decouple::testing
