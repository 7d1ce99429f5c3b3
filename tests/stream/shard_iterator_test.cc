#include "decouple/shard_iterator.h"

#include <string>
#include <thread>

#include "absl/time/clock.h"
#include "stream_testing.h"

namespace decouple::testing {
namespace {

TEST_CASE("TRIM_HORIZON begins with the oldest record, LATEST with the next") {
  Stream<int> stream;
  Put(stream, "k", 1);
  auto oldest = Iterate(stream, Number(0), TrimHorizon{});
  auto latest = Iterate(stream, Number(0), Latest{});
  CHECK(Read(latest).empty());
  Put(stream, "k", 2);
  CHECK(Bodies(Read(oldest)) == std::vector{1, 2});
  CHECK(Bodies(Read(latest)) == std::vector{2});
}

TEST_CASE("AT_SEQUENCE_NUMBER begins with that record, AFTER_SEQUENCE_NUMBER with the next one") {
  Stream<int> stream;
  Put(stream, "k", 1);
  const SequenceNumber second = Put(stream, "k", 2).sequence_number;
  const SequenceNumber third = Put(stream, "k", 3).sequence_number;
  CHECK(BodiesFrom(stream, Number(0), AtSequenceNumber{second}) == std::vector{2, 3});
  CHECK(BodiesFrom(stream, Number(0), AfterSequenceNumber{second}) == std::vector{3});
  CHECK(BodiesFrom(stream, Number(0), AfterSequenceNumber{third}).empty());
}

TEST_CASE("a sequence number that the shard has not given is refused") {
  ManualClock clock;
  auto stream = MakeStream<int>(clock);
  const auto error = [&](SequenceNumber number) {
    const auto at = stream.Iterate(Number(0), AtSequenceNumber{number});
    const auto after = stream.Iterate(Number(0), AfterSequenceNumber{number});
    CHECK(ErrorIn(at) == ErrorIn(after));
    return ErrorIn(at);
  };
  const SequenceNumber starting = stream.Shards().front().starting_sequence_number;
  CHECK(error(starting) == std::nullopt);
  CHECK(error(Beyond(starting)) == Error::kInvalidArgument);
  const SequenceNumber given = Put(stream, "k", 1).sequence_number;
  CHECK(error(given) == std::nullopt);
  CHECK(error(Beyond(given)) == Error::kInvalidArgument);
  CHECK(error(Beyond(starting, -1)) == Error::kInvalidArgument);
  CHECK(error(SequenceNumber(given.value())) == Error::kInvalidArgument);
  CHECK(ErrorIn(stream.Iterate(Number(1), TrimHorizon{})) == Error::kResourceNotFound);
}

TEST_CASE("a sequence number of another shard or stream is refused, also one that this shard has given to a record") {
  ManualClock clock;
  const StreamOptions options{.shards = 2};
  auto stream = MakeStream<int>(clock, options);
  auto other = MakeStream<int>(clock, options);
  const auto put_low = [](Stream<int>& into) { return Put(into, "k", 1, {.explicit_hash_key = HashKey(0)}); };
  const SequenceNumber own = put_low(stream).sequence_number;
  const SequenceNumber foreign = put_low(other).sequence_number;
  const SequenceNumber neighbour = Put(stream, "k", 1, {.explicit_hash_key = kLargestHashKey}).sequence_number;
  CHECK(own.value() == foreign.value());
  CHECK(own.value() == neighbour.value());
  for (const SequenceNumber number : {foreign, neighbour}) {
    CHECK(ErrorIn(stream.Iterate(Number(0), AtSequenceNumber{number})) == Error::kInvalidArgument);
    CHECK(ErrorIn(stream.Iterate(Number(0), AfterSequenceNumber{number})) == Error::kInvalidArgument);
  }
  REQUIRE(stream.SplitShard(Number(0)).ok());
  put_low(stream);
  CHECK(ErrorIn(stream.Iterate(Number(2), AfterSequenceNumber{own})) == Error::kInvalidArgument);  // its parent's
  CHECK(stream.Iterate(Number(0), AfterSequenceNumber{SequenceNumber::Parse(own.ToString()).value()}).ok());
}

TEST_CASE("a read at or after a shard's starting number begins with its first record, also while there is none") {
  ManualClock clock;
  auto stream = MakeStream<int>(clock);
  REQUIRE(stream.SplitShard(Number(0)).ok());
  for (const ShardId shard : {Number(1), Number(2)}) {
    const SequenceNumber starting = stream.Shards()[shard.number()].starting_sequence_number;
    auto at = Iterate(stream, shard, AtSequenceNumber{starting});
    auto after = Iterate(stream, shard, AfterSequenceNumber{starting});
    CHECK(Read(at).empty());
    CHECK(Read(after).empty());
    const PutOptions there{.explicit_hash_key = stream.Shards()[shard.number()].hash_key_range.starting};
    CHECK(Put(stream, "k", 1, there).sequence_number > starting);
    CHECK(Bodies(Read(at)) == std::vector{1});
    CHECK(Bodies(Read(after)) == std::vector{1});
    CHECK(BodiesFrom(stream, shard, AtSequenceNumber{starting}) == std::vector{1});
    CHECK(BodiesFrom(stream, shard, AfterSequenceNumber{starting}) == std::vector{1});
  }
}

TEST_CASE("a read after the ending number of a closed shard finds its end, also if it never had a record") {
  ManualClock clock;
  auto stream = MakeStream<int>(clock, {.shards = 2});
  Put(stream, "k", 1, {.explicit_hash_key = HashKey(0)});
  REQUIRE(stream.MergeShards(Number(0), Number(1)).ok());
  const auto shards = stream.Shards();
  CHECK(shards[0].ending_sequence_number > shards[0].starting_sequence_number);
  CHECK(shards[1].ending_sequence_number == shards[1].starting_sequence_number);
  for (const ShardId shard : {Number(0), Number(1)}) {
    auto iterator = Iterate(stream, shard, AfterSequenceNumber{*shards[shard.number()].ending_sequence_number});
    const auto batch = Read(iterator);
    CHECK(batch.empty());
    CHECK(batch.shard_ended());
    CHECK(batch.child_shards().size() == 1);
  }
}

TEST_CASE("AT_TIMESTAMP begins with the first record that arrived then or later") {
  ManualClock clock;
  auto stream = MakeStream<int>(clock);
  const absl::Time begin = clock.Now();
  for (int i = 0; i < 20'000; ++i) {  // several segments
    Put(stream, "k", i);
    clock.Advance(Seconds(2));
  }
  const auto first_from = [&](absl::Duration since) {
    auto iterator = Iterate(stream, Number(0), AtTimestamp{begin + since});
    const auto batch = Read(iterator, 1);
    return batch.empty() ? -1 : batch.front().body();
  };
  for (const int i : {0, 1, 63, 64, 65, 191, 192, 4'095, 4'096, 10'000, 19'999}) {
    INFO(i);
    CHECK(first_from(Seconds(2) * i) == i);
    CHECK(first_from(Seconds(2) * i - kOneNanosecond) == i);
    CHECK(first_from(Seconds(2) * i + kOneNanosecond) == (i == 19'999 ? -1 : i + 1));
  }
  CHECK(first_from(-Hours(1'000)) == 0);
  CHECK(BodiesFrom(stream, Number(0), AtTimestamp{absl::InfinitePast()}).front() == 0);
  CHECK(first_from(clock.Now() - begin) == -1);
}

TEST_CASE("a time that is a little ahead is now, and one that is further ahead is refused") {
  ManualClock clock;
  auto stream = MakeStream<int>(clock);
  Put(stream, "k", 1);
  clock.Advance(kOneNanosecond);
  for (const absl::Duration ahead : {kOneNanosecond, kClockTolerance - kOneNanosecond}) {
    INFO(absl::FormatDuration(ahead));
    auto iterator = Iterate(stream, Number(0), AtTimestamp{clock.Now() + ahead});
    Put(stream, "k", 2);
    CHECK(Read(iterator, 1).front().body() == 2);
  }
  const auto error = [&](absl::Duration ahead) {
    return ErrorIn(stream.Iterate(Number(0), AtTimestamp{clock.Now() + ahead}));
  };
  CHECK(error(kClockTolerance) == Error::kInvalidArgument);
  CHECK(error(absl::InfiniteDuration()) == Error::kInvalidArgument);
}

TEST_CASE("the machine's time is not ahead for a stream on the system clock") {
  auto stream = Stream<int>::Create({}).value();
  for (int i = 0; i < 10'000; ++i) {
    if (!stream.Iterate(stream.Shards()[0].id, AtTimestamp{absl::Now()}).ok()) FAIL("refused at attempt " << i);
  }
}

TEST_CASE("AT_TIMESTAMP begins with the first of the records that arrived at one instant") {
  ManualClock clock;
  auto stream = MakeStream<int>(clock);
  Put(stream, "k", 1);
  clock.Advance(Seconds(1));
  for (int i = 2; i < 300; ++i) Put(stream, "k", i);
  CHECK(BodiesFrom(stream, Number(0), AtTimestamp{clock.Now()}).size() == 298);
}

TEST_CASE("an iterator expires when it has not been used for five minutes") {
  ManualClock clock;
  auto stream = MakeStream<int>(clock);
  Put(stream, "k", 1);
  auto iterator = Iterate(stream, Number(0));
  auto unused = iterator;
  clock.Advance(Minutes(5) - kOneNanosecond);
  CHECK(Read(iterator).size() == 1);
  clock.Advance(kOneNanosecond);
  CHECK(Read(iterator).empty());  // used a nanosecond ago
  CHECK(ErrorIn(unused.Next()) == Error::kExpiredIterator);
  CHECK(ErrorIn(unused.Next()) == Error::kExpiredIterator);
  clock.Advance(Minutes(5));
  CHECK(ErrorIn(iterator.Next()) == Error::kExpiredIterator);
}

TEST_CASE("a read returns 1 to 10 000 records") {
  Stream<int> stream;
  for (int i = 0; i < 10'001; ++i) Put(stream, "k", i);
  auto iterator = Iterate(stream, Number(0));
  CHECK(ErrorIn(iterator.Next(0)) == Error::kInvalidArgument);
  CHECK(ErrorIn(iterator.Next(10'001)) == Error::kInvalidArgument);
  CHECK(Bodies(Read(iterator, 1)) == std::vector{0});
  const auto most = Read(iterator, 10'000);
  CHECK(most.size() == 10'000);
  CHECK(most[0].body() == 1);
  CHECK(most[5'000].body() == 5'001);
  CHECK(most.back().body() == 10'000);
  CHECK(Read(iterator).empty());
}

TEST_CASE("a read returns at most 10 MiB, but at least one record") {
  ManualClock clock;
  auto stream = MakeStream<std::string>(clock);
  for (int i = 0; i < 11; ++i) Put(stream, "k", std::string(1'048'575, 'x'));
  auto iterator = Iterate(stream, Number(0));
  CHECK(Read(iterator).size() == 10);
  CHECK(Read(iterator).size() == 1);
  Limits limits = Limits::Service();
  limits.max_bytes_per_read = 10;
  auto tight = MakeStream<std::string>(clock, {.limits = limits});
  for (int i = 0; i < 3; ++i) Put(tight, "k", std::string(100, 'x'));
  for (int i = 0; i < 6; ++i) Put(tight, "k", "1234");
  auto one_by_one = Iterate(tight, Number(0));
  std::vector<std::size_t> sizes;
  for (int i = 0; i < 7; ++i) sizes.push_back(Read(one_by_one).size());
  CHECK(sizes == std::vector<std::size_t>{1, 1, 1, 2, 2, 2, 0});
}

TEST_CASE("a batch says how long the next record has been in the shard") {
  ManualClock clock;
  auto stream = MakeStream<int>(clock);
  Put(stream, "k", 1);
  clock.Advance(Seconds(1));
  Put(stream, "k", 2);
  clock.Advance(absl::Milliseconds(250));
  auto iterator = Iterate(stream, Number(0));
  CHECK(Read(iterator, 1).millis_behind_latest() == 250);
  CHECK(Read(iterator, 1).millis_behind_latest() == 0);
  CHECK(Read(iterator, 1).millis_behind_latest() == 0);
  Put(stream, "k", 3);
  Put(stream, "k", 4);
  CHECK(Read(iterator, 1).millis_behind_latest() == 1);  // one is left, if only for less than a millisecond
  CHECK(Read(iterator, 1).millis_behind_latest() == 0);
}

TEST_CASE("a read at the tip waits for a record, at most as long as asked") {
  ManualClock clock;
  auto stream = MakeStream<int>(clock);
  auto iterator = Iterate(stream, Number(0), Latest{});
  Result<RecordBatch<int>> batch;
  SECTION("a record comes") {
    std::thread reader([&] { batch = iterator.Next(10, {.wait = Seconds(20)}); });
    clock.AwaitSleepers(1);
    clock.Advance(Seconds(19));
    Put(stream, "k", 7);
    reader.join();
    CHECK(Bodies(*batch) == std::vector{7});
  }
  SECTION("none comes") {
    const absl::Time begin = clock.Now();
    const auto advancing = clock.AdvanceWhileAsleep();
    batch = iterator.Next(10, {.wait = Seconds(20)});
    CHECK(batch->empty());
    CHECK(clock.Now() == begin + Seconds(20));
  }
  SECTION("the shard ends") {
    std::thread reader([&] { batch = iterator.Next(10, {.wait = Seconds(20)}); });
    clock.AwaitSleepers(1);
    CHECK(stream.SplitShard(Number(0)).ok());
    reader.join();
    CHECK(batch->empty());
    CHECK(batch->shard_ended());
  }
  SECTION("a wait counts as a use") {
    const auto advancing = clock.AdvanceWhileAsleep();
    CHECK(iterator.Next(10, {.wait = Minutes(10)}).ok());
    CHECK(iterator.Next().ok());
  }
  CHECK(ErrorIn(iterator.Next(1, {.wait = -kOneNanosecond})) == Error::kInvalidArgument);
}

TEST_CASE("at the end of a closed shard there are no more records but the children's") {
  ManualClock clock;
  auto stream = MakeStream<int>(clock);
  Put(stream, "k", 1);
  Put(stream, "k", 2);
  REQUIRE(stream.SplitShard(Number(0)).ok());
  auto iterator = Iterate(stream, Number(0));
  const auto first = Read(iterator, 1);
  CHECK_FALSE(first.shard_ended());
  CHECK(first.child_shards().empty());
  const auto last = Read(iterator, 1);
  CHECK(last.shard_ended());
  REQUIRE(last.child_shards().size() == 2);
  CHECK(last.child_shards()[0].id == Number(1));
  CHECK(last.child_shards()[1].id == Number(2));
  CHECK(last.child_shards()[1].parents == std::vector{Number(0)});
  CHECK(Read(iterator).shard_ended());
  CHECK(Read(iterator).empty());
}

}  // namespace
}  // namespace decouple::testing
