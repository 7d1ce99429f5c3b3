// How long records are retained, and when shards and iterators follow.

#include <memory>
#include <string>

#include "stream_testing.h"

namespace decouple::testing {
namespace {

TEST_CASE("a record is trimmed when its retention period ends, to the nanosecond") {
  ManualClock clock;
  auto stream = MakeStream<int>(clock);
  Put(stream, "k", 1);
  clock.Advance(Seconds(1));
  Put(stream, "k", 2);
  clock.Advance(Hours(24) - Seconds(1) - kOneNanosecond);
  CHECK(BodiesFrom(stream, Number(0)) == std::vector{1, 2});
  clock.Advance(kOneNanosecond);
  CHECK(BodiesFrom(stream, Number(0)) == std::vector{2});
  clock.Advance(Seconds(1));
  CHECK(BodiesFrom(stream, Number(0)).empty());
  CHECK(stream.Statistics().trimmed_records == 2);
}

TEST_CASE("an iterator passes over trimmed records, wherever it begins") {
  ManualClock clock;
  auto stream = MakeStream<int>(clock);
  auto follower = Iterate(stream, Number(0));
  const SequenceNumber first = Put(stream, "k", 0).sequence_number;
  for (int i = 1; i < 10'000; ++i) Put(stream, "k", i);
  clock.Advance(Hours(12));
  const absl::Time noon = clock.Now();
  for (int i = 10'000; i < 20'000; ++i) Put(stream, "k", i);
  clock.Advance(Hours(12));
  auto fresh = Iterate(stream, Number(0), AtSequenceNumber{first});
  CHECK(Read(fresh, 1).front().body() == 10'000);
  CHECK(BodiesFrom(stream, Number(0), AfterSequenceNumber{first}).front() == 10'000);
  CHECK(BodiesFrom(stream, Number(0), AtTimestamp{noon - Hours(1)}).front() == 10'000);
  CHECK(ErrorIn(follower.Next()) == Error::kExpiredIterator);
}

TEST_CASE("a batch keeps its records, an iterator does not") {
  ManualClock clock;
  auto stream = MakeStream<std::shared_ptr<int>>(clock);
  auto body = std::make_shared<int>(7);
  Put(stream, "k", body);
  auto iterator = Iterate(stream, Number(0));
  {
    const auto batch = Read(iterator);
    stream.Close();
    clock.Advance(Hours(24));
    CHECK(stream.Shards().empty());
    CHECK(*batch.front().body() == 7);
    CHECK(batch.front().partition_key() == "k");
    CHECK(body.use_count() == 2);
    const auto copy = batch;  // NOLINT: keeps the same records
    CHECK(copy.front().body() == body);
  }
  CHECK(body.use_count() == 1);
}

TEST_CASE("a shorter retention period takes effect at once, a longer one for records that are still retained") {
  ManualClock clock;
  auto stream = MakeStream<int>(clock, {.retention = Hours(48)});
  Put(stream, "k", 1);
  clock.Advance(Hours(20));
  Put(stream, "k", 2);
  clock.Advance(Hours(10));
  CHECK(ErrorIn(stream.SetRetention(Hours(23))) == Error::kInvalidArgument);
  CHECK(ErrorIn(stream.SetRetention(Hours(8'761))) == Error::kInvalidArgument);
  CHECK(BodiesFrom(stream, Number(0)) == std::vector{1, 2});
  REQUIRE(stream.SetRetention(Hours(24)).ok());
  CHECK(stream.retention() == Hours(24));
  CHECK(BodiesFrom(stream, Number(0)) == std::vector{2});
  REQUIRE(stream.SetRetention(Hours(100)).ok());
  CHECK(BodiesFrom(stream, Number(0)) == std::vector{2});
  clock.Advance(Hours(90) - kOneNanosecond);
  CHECK(BodiesFrom(stream, Number(0)) == std::vector{2});
  clock.Advance(kOneNanosecond);
  CHECK(BodiesFrom(stream, Number(0)).empty());
}

TEST_CASE("records that expired before a longer retention period was set do not come back") {
  ManualClock clock;
  auto stream = MakeStream<int>(clock);
  Put(stream, "k", 1);
  clock.Advance(Hours(24));
  REQUIRE(stream.SetRetention(Hours(48)).ok());
  CHECK(BodiesFrom(stream, Number(0)).empty());
}

TEST_CASE("a closed shard is removed with its last record") {
  ManualClock clock;
  auto stream = MakeStream<int>(clock);
  Put(stream, "k", 1);
  REQUIRE(stream.SplitShard(Number(0)).ok());
  Put(stream, "k", 2);
  clock.Advance(Hours(24) - kOneNanosecond);
  CHECK(stream.Shards().size() == 3);
  auto iterator = Iterate(stream, Number(0));
  clock.Advance(kOneNanosecond);
  CHECK(stream.Shards().size() == 2);
  CHECK(ErrorIn(stream.Iterate(Number(0), TrimHorizon{})) == Error::kResourceNotFound);
  const auto last = Read(iterator);
  CHECK(last.empty());
  CHECK(last.shard_ended());
  CHECK(last.child_shards().size() == 2);
  CHECK(stream.Statistics().trimmed_records == 2);
}

TEST_CASE("a closed shard stays for the retention period even without records, as it leads to its children") {
  ManualClock clock;
  auto stream = MakeStream<int>(clock);
  REQUIRE(stream.SplitShard(Number(0)).ok());
  clock.Advance(Hours(1));
  REQUIRE(stream.MergeShards(Number(1), Number(2)).ok());
  CHECK(stream.Shards().size() == 4);
  auto iterator = Iterate(stream, Number(1));
  CHECK(Read(iterator).child_shards().front().id == Number(3));
  clock.Advance(Hours(23));
  CHECK(stream.Shards().size() == 3);
  clock.Advance(Hours(1) - kOneNanosecond);
  CHECK(stream.Shards().size() == 3);
  clock.Advance(kOneNanosecond);
  CHECK(stream.Shards().size() == 1);
}

TEST_CASE("a shard retains about as many bytes as its limit, the newest ones") {
  ManualClock clock;
  auto stream = MakeStream<std::string>(clock, {.retained_bytes_per_shard = 1'000'000});
  for (int i = 0; i < 100'000; ++i)
    Put(stream, "k", std::to_string(1'000'000 + i) + std::string(92, 'x'));  // 100 bytes
  stream.Statistics();
  std::size_t bytes = 0;
  std::string first;
  std::string last;
  auto iterator = Iterate(stream, Number(0));
  for (auto batch = Read(iterator); !batch.empty(); batch = Read(iterator)) {
    if (first.empty()) first = batch.front().body().substr(0, 7);
    last = batch.back().body().substr(0, 7);
    bytes += batch.bytes();
  }
  CHECK(last == "1099999");
  CHECK(first == std::to_string(1'100'000 - bytes / 100));  // nothing is missing in between
  CHECK(bytes >= 500'000);
  CHECK(bytes <= 1'500'000);
  CHECK(stream.Statistics().trimmed_records == 100'000 - bytes / 100);
}

}  // namespace
}  // namespace decouple::testing
