#include "decouple/stream.h"

#include <array>
#include <cstddef>
#include <limits>
#include <memory>
#include <string>

#include "stream_testing.h"

namespace decouple::testing {
namespace {

TEST_CASE("records are read in the order in which they were put, with their keys, numbers, times and sizes") {
  ManualClock clock;
  auto stream = MakeStream<std::string>(clock);
  const PutResult first = Put(stream, "user-1", "a");
  clock.Advance(Seconds(1));
  const PutResult second = Put(stream, "user-2", "b");
  CHECK(first.sequence_number < second.sequence_number);
  auto iterator = Iterate(stream, Number(0));
  const auto batch = Read(iterator);
  REQUIRE(Bodies(batch) == std::vector<std::string>{"a", "b"});
  CHECK(batch[0].partition_key() == "user-1");
  CHECK(batch[0].sequence_number() == first.sequence_number);
  CHECK(batch[0].approximate_arrival_timestamp() == clock.Now() - Seconds(1));
  CHECK(batch[0].bytes() == 7);
  CHECK(batch.front().body() == "a");
  CHECK(batch.back().body() == "b");
  CHECK(batch.bytes() == 14);
  CHECK(batch.shard_id() == Number(0));
  CHECK_FALSE(batch.shard_ended());
}

// Says how large it is.
struct ClaimedSize {
  std::size_t bytes;

  friend std::size_t DecoupleMessageSize(const ClaimedSize& body) { return body.bytes; }
};

TEST_CASE("a record has fewer than 2^32 bytes with its key, whatever the limits say") {
  ManualClock clock;
  constexpr std::size_t kTooLarge = std::size_t{1} << 32;
  Limits limits = Limits::Unlimited();
  limits.largest_max_record_size = std::numeric_limits<std::size_t>::max();
  CHECK(ErrorIn(Stream<ClaimedSize>::Create({.max_record_size = kTooLarge, .limits = limits})) ==
        Error::kInvalidArgument);
  auto stream = MakeStream<ClaimedSize>(clock, {.max_record_size = kTooLarge - 1, .limits = limits});
  CHECK(ErrorIn(stream.Put("k", ClaimedSize{kTooLarge - 1})) == Error::kInvalidArgument);
  Put(stream, "k", ClaimedSize{kTooLarge - 2});
  auto iterator = Iterate(stream, Number(0));
  const auto batch = Read(iterator);
  REQUIRE(batch.size() == 1);
  CHECK(batch[0].bytes() == kTooLarge - 1);
}

TEST_CASE("reading removes nothing: every reader sees every record") {
  Stream<int> stream;
  Put(stream, "k", 1);
  Put(stream, "k", 2);
  CHECK(BodiesFrom(stream, Number(0)) == std::vector{1, 2});
  CHECK(BodiesFrom(stream, Number(0)) == std::vector{1, 2});
}

TEST_CASE("a new stream's shards share all hash keys evenly") {
  ManualClock clock;
  auto stream = MakeStream<int>(clock, {.shards = 3});
  const auto shards = stream.Shards();
  REQUIRE(shards.size() == 3);
  CHECK(shards[0].id.ToString() == "shardId-000000000000");
  CHECK(ToString(shards[0].hash_key_range.starting) == "0");
  CHECK(ToString(shards[0].hash_key_range.ending) == "113427455640312821154458202477256070484");
  CHECK(ToString(shards[1].hash_key_range.starting) == "113427455640312821154458202477256070485");
  CHECK(ToString(shards[1].hash_key_range.ending) == "226854911280625642308916404954512140969");
  CHECK(ToString(shards[2].hash_key_range.starting) == "226854911280625642308916404954512140970");
  CHECK(shards[2].hash_key_range.ending == kLargestHashKey);
  for (const Shard& shard : shards) {
    CHECK(shard.is_open());
    CHECK(shard.parents.empty());
  }
}

TEST_CASE("an explicit hash key overrides that of the partition key") {
  ManualClock clock;
  auto stream = MakeStream<int>(clock, {.shards = 2});
  const HashKey half = HashKey(1) << 127;
  CHECK(Put(stream, "k", 1, {.explicit_hash_key = HashKey(0)}).shard_id == Number(0));
  CHECK(Put(stream, "k", 1, {.explicit_hash_key = half - 1}).shard_id == Number(0));
  CHECK(Put(stream, "k", 1, {.explicit_hash_key = half}).shard_id == Number(1));
  CHECK(Put(stream, "k", 1, {.explicit_hash_key = kLargestHashKey}).shard_id == Number(1));
}

TEST_CASE("a partition key has 1 to 256 characters, whatever their length in bytes") {
  Stream<int> stream;
  std::string umlauts;
  for (int i = 0; i < 256; ++i) umlauts += "ü";
  Put(stream, std::string(256, 'x'), 1);
  Put(stream, umlauts, 2);
  CHECK(ErrorIn(stream.Put("", 3)) == Error::kInvalidArgument);
  CHECK(ErrorIn(stream.Put(std::string(257, 'x'), 3)) == Error::kInvalidArgument);
  CHECK(ErrorIn(stream.Put(umlauts + "x", 3)) == Error::kInvalidArgument);
  CHECK(BodiesFrom(stream, Number(0)) == std::vector{1, 2});
}

TEST_CASE("a record has at most 1 MiB with its key, or as much as the stream allows up to 10 MiB") {
  ManualClock clock;
  auto stream = MakeStream<std::string>(clock);
  Put(stream, "key", std::string(1'048'576 - 3, 'x'));
  CHECK(ErrorIn(stream.Put("key", std::string(1'048'576 - 2, 'x'))) == Error::kInvalidArgument);
  auto larger = MakeStream<std::string>(clock, {.max_record_size = 10'485'760});
  Put(larger, "key", std::string(10'485'760 - 3, 'x'));
  CHECK(ErrorIn(larger.Put("key", std::string(10'485'760 - 2, 'x'))) == Error::kInvalidArgument);
  CHECK(ErrorIn(Stream<int>::Create({.max_record_size = 10'485'761})) == Error::kInvalidArgument);
  CHECK(ErrorIn(Stream<int>::Create({.max_record_size = 0})) == Error::kInvalidArgument);
}

TEST_CASE("a record may have an empty body, and a refused body stays with the caller") {
  Stream<std::string> stream;
  Put(stream, "k", "");
  std::string body = "a body that is too long for a small string";
  CHECK_FALSE(stream.Put("", std::move(body)).ok());
  CHECK(body == "a body that is too long for a small string");  // NOLINT: it was not moved
}

TEST_CASE("bodies need not be copyable") {
  Stream<std::unique_ptr<int>> stream;
  REQUIRE(stream.Put("k", std::make_unique<int>(7)).ok());
  auto iterator = Iterate(stream, Number(0));
  CHECK(*Read(iterator).front().body() == 7);
}

TEST_CASE("a later put has a greater sequence number; a number for ordering that was never issued is refused") {
  Stream<int> stream;
  const PutResult first = Put(stream, "k", 1);
  const PutResult second = Put(stream, "k", 2, {.sequence_number_for_ordering = first.sequence_number});
  CHECK(second.sequence_number > first.sequence_number);
  const SequenceNumber ahead = Beyond(second.sequence_number);
  CHECK(ErrorIn(stream.Put("k", 3, {.sequence_number_for_ordering = ahead})) == Error::kInvalidArgument);
  Put(stream, "k", 3, {.sequence_number_for_ordering = second.sequence_number});
  CHECK(BodiesFrom(stream, Number(0)) == std::vector{1, 2, 3});
}

TEST_CASE("a batch to put is written as a list in braces") {
  Stream<std::string> stream;
  REQUIRE(stream.PutBatch({{"a", "1"}, {"a", "2"}}).ok());
  CHECK(BodiesFrom(stream, Number(0)) == std::vector<std::string>{"1", "2"});
}

TEST_CASE("a number for ordering may be another shard's, as of the last put of any key, but not another stream's") {
  ManualClock clock;
  auto stream = MakeStream<int>(clock, {.shards = 4});
  std::optional<SequenceNumber> last;
  std::set<ShardId> shards;
  for (int i = 0; i < 20; ++i) {
    const PutResult put = Put(stream, "key-" + std::to_string(i), i, {.sequence_number_for_ordering = last});
    last = put.sequence_number;
    shards.insert(put.shard_id);
  }
  CHECK(shards.size() == 4);
  auto other = MakeStream<int>(clock, {.shards = 4});
  const SequenceNumber foreign = Put(other, "key-1", 1).sequence_number;
  CHECK(ErrorIn(stream.Put("key-1", 1, {.sequence_number_for_ordering = foreign})) == Error::kInvalidArgument);
  CHECK(ErrorIn(stream.Put("key-1", 1, {.sequence_number_for_ordering = SequenceNumber(1)})) ==
        Error::kInvalidArgument);
}

TEST_CASE("two streams are of different incarnations, which their records' numbers show") {
  ManualClock clock;
  const StreamOptions options{.name = "clicks"};
  auto one = MakeStream<int>(clock, options);
  auto two = MakeStream<int>(clock, options);
  CHECK(one.incarnation() != two.incarnation());
  CHECK(one.incarnation() != Stream<int>().incarnation());
  const PutResult put = Put(two, "k", 1);
  CHECK(put.sequence_number.stream_incarnation() == two.incarnation());
  CHECK(put.sequence_number.shard_number() == put.shard_id.number());
  auto iterator = Iterate(two, put.shard_id);
  CHECK(Read(iterator).back().sequence_number() == put.sequence_number);
  std::set<std::uint64_t> all;
  for (int i = 0; i < 1'000; ++i) all.insert(Stream<int>().incarnation());
  CHECK(all.size() == 1'000);
  CHECK(*all.rbegin() < internal::kIncarnations);
}

TEST_CASE("a batch is put in its order, each record with a result of its own") {
  Stream<std::string> stream;
  const PutOptions ahead{.sequence_number_for_ordering = SequenceNumber(1)};
  std::array entries = {PutBatchEntry<std::string>{"a", "1"}, PutBatchEntry<std::string>{"a", "refused", ahead},
                        PutBatchEntry<std::string>{"a", "2"}};
  const auto results = stream.PutBatch(entries);
  REQUIRE(results.ok());
  REQUIRE(results->size() == 3);
  CHECK((*results)[0].ok());
  CHECK(ErrorIn((*results)[1]) == Error::kInvalidArgument);
  CHECK((*results)[2]->sequence_number > (*results)[0]->sequence_number);
  CHECK(entries[1].body == "refused");
  CHECK(BodiesFrom(stream, Number(0)) == std::vector<std::string>{"1", "2"});
}

TEST_CASE("a batch with an invalid record is refused whole, and keeps its bodies") {
  ManualClock clock;
  auto stream = MakeStream<std::string>(clock, {.max_record_size = 100});
  const std::vector<PutBatchEntry<std::string>> invalid = {
      {"", "x"}, {std::string(257, 'k'), "x"}, {"k", std::string(100, 'x')}};
  for (const auto& one : invalid) {
    std::vector<PutBatchEntry<std::string>> entries = {{"k", "first"}, one, {"k", "last"}};
    const auto results = stream.PutBatch(entries);
    CHECK(ErrorIn(results) == Error::kInvalidArgument);
    CHECK(results.status().message().find("record 1 of the batch") != absl::string_view::npos);
    CHECK(entries[0].body == "first");
    CHECK(entries[1].body == one.body);
  }
  CHECK(ReadAll(stream).empty());
  CHECK(stream.Statistics().incoming_records == 0);
}

TEST_CASE("a stream's attributes show its options, its state and its limits") {
  ManualClock clock;
  const absl::Time created = clock.Now();
  auto stream = MakeStream<int>(clock, {.shards = 3,
                                        .retention = Hours(30),
                                        .max_record_size = 1'000,
                                        .capacity_mode = CapacityMode::kProvisioned,
                                        .partition_hash = PartitionHash::kFast,
                                        .name = "clicks"});
  clock.Advance(Hours(1));
  REQUIRE(stream.SetRetention(Hours(48)).ok());
  REQUIRE(stream.SplitShard(Number(0)).ok());
  StreamAttributes now = stream.attributes();
  CHECK(now.name == "clicks");
  CHECK(now.incarnation == stream.incarnation());
  CHECK(now.created_at == created);
  CHECK(stream.created_at() == created);
  CHECK_FALSE(now.closed);
  CHECK(now.open_shards == 4);
  CHECK(now.registered_consumers == 0);
  CHECK(now.retention == Hours(48));
  CHECK(now.capacity_mode == CapacityMode::kProvisioned);
  CHECK(now.write_bytes_per_second == 4 * 1'048'576);
  CHECK(now.write_records_per_second == 4'000);
  CHECK(now.max_record_size == 1'000);
  CHECK(now.partition_hash == PartitionHash::kFast);
  CHECK(now == stream.attributes());
  stream.Close();
  CHECK(now != stream.attributes());
  now = stream.attributes();
  CHECK(now.closed);
  CHECK(now.open_shards == 0);
  CHECK_FALSE(MakeStream<int>(clock).attributes().write_bytes_per_second.has_value());
}

TEST_CASE("a batch has 1 to 500 records, and at most 10 MiB") {
  Stream<std::string> stream;
  std::vector<PutBatchEntry<std::string>> entries(501, {"k", "x"});
  CHECK(ErrorIn(stream.PutBatch(entries)) == Error::kInvalidArgument);
  CHECK(ErrorIn(stream.PutBatch({})) == Error::kInvalidArgument);
  CHECK(ReadAll(stream).empty());
  entries.pop_back();
  CHECK(stream.PutBatch(entries).ok());
  CHECK(ReadAll(stream).size() == 500);

  std::vector<PutBatchEntry<std::string>> large(10, {"k", std::string(1'048'575, 'x')});
  CHECK(stream.PutBatch(large).ok());
  large.assign(10, {"k", std::string(1'048'575, 'x')});
  large.push_back({"k", ""});
  CHECK(ErrorIn(stream.PutBatch(large)) == Error::kInvalidArgument);
}

TEST_CASE("closing ends every shard, and what was put can still be read") {
  ManualClock clock;
  auto stream = MakeStream<int>(clock, {.shards = 2});
  Put(stream, "k", 1);
  auto iterator = Iterate(stream, Number(1));
  stream.Close();
  stream.Close();
  CHECK(stream.closed());
  CHECK(ErrorIn(stream.Put("k", 2)) == Error::kStreamClosed);
  CHECK(ErrorIn(stream.SplitShard(Number(0))) == Error::kStreamClosed);
  CHECK(ErrorIn(stream.UpdateShardCount(1)) == Error::kStreamClosed);
  CHECK(ReadAll(stream) == std::vector{1});
  while (!Read(iterator).shard_ended()) {
  }
  CHECK(Read(iterator).child_shards().empty());
}

TEST_CASE("copies of a handle refer to one stream, which an iterator keeps alive") {
  auto stream = std::make_unique<Stream<int>>();
  Stream<int> copy = *stream;
  CHECK(copy == *stream);
  CHECK_FALSE(copy == Stream<int>());
  Put(copy, "k", 1);
  auto iterator = Iterate(*stream, Number(0));
  stream.reset();
  copy = Stream<int>();
  CHECK(Bodies(Read(iterator)) == std::vector{1});
}

TEST_CASE("options out of their ranges are refused") {
  const auto error = [](StreamOptions options) { return ErrorIn(Stream<int>::Create(options)); };
  CHECK(error({.shards = 0}) == Error::kInvalidArgument);
  CHECK(error({.retained_bytes_per_shard = 0}) == Error::kInvalidArgument);
  CHECK(error({.retention = Hours(24)}) == std::nullopt);
  CHECK(error({.retention = Hours(24) - kOneNanosecond}) == Error::kInvalidArgument);
  CHECK(error({.retention = Hours(8'760)}) == std::nullopt);
  CHECK(error({.retention = Hours(8'760) + kOneNanosecond}) == Error::kInvalidArgument);
  CHECK(error({.retention = absl::ZeroDuration(), .limits = Limits::Unlimited()}) == std::nullopt);
}

TEST_CASE("ShardId::Parse() reads what ToString() writes, and nothing else") {
  CHECK(*ShardId::Parse("shardId-000000000042") == Number(42));
  CHECK(*ShardId::Parse(Number(1'234'567'890'123).ToString()) == Number(1'234'567'890'123));
  for (const char* malformed : {"", "42", "shardId-42", "shardId-00000000004x", "shardid-000000000042"}) {
    INFO(malformed);
    CHECK(ErrorIn(ShardId::Parse(malformed)) == Error::kInvalidArgument);
  }
}

TEST_CASE("statistics count what was put and read, under the service's names") {
  ManualClock clock;
  auto stream = MakeStream<std::string>(clock, {.shards = 2});
  Put(stream, "a", "12345");
  const PutOptions not_given{.sequence_number_for_ordering = SequenceNumber(1)};
  std::array entries = {PutBatchEntry<std::string>{"a", "1"}, PutBatchEntry<std::string>{"a", "refused", not_given}};
  CHECK(stream.PutBatch(entries).ok());
  clock.Advance(Seconds(3));
  auto iterator = Iterate(stream, Number(0));
  Read(iterator);
  Read(iterator);
  const StreamStatistics statistics = stream.Statistics();
  CHECK(statistics.incoming_records == 2);
  CHECK(statistics.incoming_bytes == 8);
  CHECK(statistics.put_record_success == 1);
  CHECK(statistics.put_records_success == 1);
  CHECK(statistics.put_records_total_records == 2);
  CHECK(statistics.put_records_successful_records == 1);
  CHECK(statistics.put_records_failed_records == 1);
  CHECK(statistics.get_records_success == 2);
  CHECK(statistics.get_records_records == 2);
  CHECK(statistics.get_records_bytes == 8);
  CHECK(statistics.get_records_iterator_age_milliseconds == 3'000);
  CHECK(statistics.open_shards == 2);
  std::map<std::string, double> named;
  statistics.ForEach([&](std::string_view name, double value) { named.emplace(name, value); });
  CHECK(named.at("IncomingRecords") == 2);
  CHECK(named.at("GetRecords.IteratorAgeMilliseconds") == 3'000);
  CHECK(named.at("PutRecords.SuccessfulRecords") == 1);
}

}  // namespace
}  // namespace decouple::testing
