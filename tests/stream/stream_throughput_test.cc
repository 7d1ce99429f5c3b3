// How much may be put to a stream and read from it in a second, in each capacity mode.

#include <string>

#include "stream_testing.h"

namespace decouple::testing {
namespace {

constexpr std::size_t kMebibyte = 1'048'576;

// The body of a record of `bytes`, including one of the key.
std::string BodyOf(std::size_t bytes) { return std::string(bytes - 1, 'x'); }

TEST_CASE("a stream of unlimited capacity refuses nothing") {
  ManualClock clock;
  auto stream = MakeStream<std::string>(clock);
  for (int i = 0; i < 2'000; ++i) Put(stream, "k", BodyOf(2'000));
  auto iterator = Iterate(stream, Number(0));
  for (int i = 0; i < 100; ++i) CHECK(iterator.Next().ok());
}

TEST_CASE("a provisioned shard takes 1 000 records a second") {
  ManualClock clock;
  auto stream = MakeStream<std::string>(clock, {.capacity_mode = CapacityMode::kProvisioned});
  for (int i = 0; i < 1'000; ++i) Put(stream, "k", "x");
  CHECK(ErrorIn(stream.Put("k", "x")) == Error::kProvisionedThroughputExceeded);
  clock.Advance(absl::Milliseconds(1) - kOneNanosecond);
  CHECK(ErrorIn(stream.Put("k", "x")) == Error::kProvisionedThroughputExceeded);
  clock.Advance(kOneNanosecond);
  Put(stream, "k", "x");
  CHECK(ErrorIn(stream.Put("k", "x")) == Error::kProvisionedThroughputExceeded);
  CHECK(stream.Statistics().write_provisioned_throughput_exceeded == 3);
  CHECK(ReadAll(stream).size() == 1'001);
}

TEST_CASE("each provisioned shard takes 1 MiB a second") {
  ManualClock clock;
  auto stream = MakeStream<std::string>(clock, {.shards = 2, .capacity_mode = CapacityMode::kProvisioned});
  const PutOptions low{.explicit_hash_key = HashKey(0)};
  const PutOptions high{.explicit_hash_key = kLargestHashKey};
  for (int i = 0; i < 4; ++i) Put(stream, "k", BodyOf(kMebibyte / 4), low);
  CHECK(ErrorIn(stream.Put("k", BodyOf(1'024), low)) == Error::kProvisionedThroughputExceeded);
  Put(stream, "k", BodyOf(kMebibyte), high);
  clock.Advance(absl::Milliseconds(500));
  CHECK(ErrorIn(stream.Put("k", BodyOf(kMebibyte / 2 + 1'024), low)) == Error::kProvisionedThroughputExceeded);
  Put(stream, "k", BodyOf(kMebibyte / 2), low);
  clock.Advance(Seconds(1));
  Put(stream, "k", BodyOf(kMebibyte), low);
}

TEST_CASE("a put that is refused for its bytes does not count as a record") {
  ManualClock clock;
  auto stream = MakeStream<std::string>(clock, {.capacity_mode = CapacityMode::kProvisioned});
  Put(stream, "k", BodyOf(kMebibyte - 999));
  for (int i = 0; i < 500; ++i) CHECK_FALSE(stream.Put("k", BodyOf(2'000)).ok());
  for (int i = 0; i < 999; ++i) Put(stream, "k", "");
  CHECK_FALSE(stream.Put("k", "").ok());
}

TEST_CASE("a record larger than a second's limit is taken when a whole second is unused, and must be paid back") {
  ManualClock clock;
  auto stream =
      MakeStream<std::string>(clock, {.max_record_size = 10 * kMebibyte, .capacity_mode = CapacityMode::kProvisioned});
  Put(stream, "k", BodyOf(4 * kMebibyte));
  clock.Advance(Seconds(3));
  CHECK(ErrorIn(stream.Put("k", BodyOf(1'024))) == Error::kProvisionedThroughputExceeded);
  clock.Advance(absl::Milliseconds(1));
  Put(stream, "k", BodyOf(1'024));
  CHECK(ErrorIn(stream.Put("k", BodyOf(4 * kMebibyte))) == Error::kProvisionedThroughputExceeded);
}

TEST_CASE("a batch has a result for each record") {
  ManualClock clock;
  auto stream = MakeStream<std::string>(clock, {.capacity_mode = CapacityMode::kProvisioned});
  std::vector<PutBatchEntry<std::string>> entries(4, {"k", BodyOf(kMebibyte / 3)});
  entries.push_back({"k", BodyOf(10)});
  const auto results = stream.PutBatch(entries);
  REQUIRE(results.ok());
  for (std::size_t i = 0; i < 3; ++i) CHECK((*results)[i].ok());
  CHECK(ErrorIn((*results)[3]) == Error::kProvisionedThroughputExceeded);
  CHECK(entries[3].body.size() == kMebibyte / 3 - 1);
  const StreamStatistics statistics = stream.Statistics();
  CHECK(statistics.put_records_throttled_records + statistics.put_records_successful_records == 5);
  CHECK(statistics.put_records_throttled_records >= 1);
}

TEST_CASE("a provisioned shard allows 5 reads a second, all its readers together") {
  ManualClock clock;
  auto stream = MakeStream<std::string>(clock, {.shards = 2, .capacity_mode = CapacityMode::kProvisioned});
  auto one = Iterate(stream, Number(0));
  auto two = Iterate(stream, Number(0));
  auto other = Iterate(stream, Number(1));
  for (int i = 0; i < 3; ++i) Read(one);
  for (int i = 0; i < 2; ++i) Read(two);
  CHECK(ErrorIn(one.Next()) == Error::kProvisionedThroughputExceeded);
  CHECK(ErrorIn(two.Next()) == Error::kProvisionedThroughputExceeded);
  Read(other);
  clock.Advance(absl::Milliseconds(200) - kOneNanosecond);
  CHECK_FALSE(one.Next().ok());
  clock.Advance(kOneNanosecond);
  Read(one);
  CHECK_FALSE(two.Next().ok());
  CHECK(stream.Statistics().read_provisioned_throughput_exceeded == 4);
}

TEST_CASE("after a read of 10 MiB a provisioned shard gives nothing for 5 seconds") {
  ManualClock clock;
  auto stream = MakeStream<std::string>(clock, {.capacity_mode = CapacityMode::kProvisioned});
  for (int i = 0; i < 11; ++i) {
    Put(stream, "k", BodyOf(kMebibyte));
    clock.Advance(Seconds(1));
  }
  auto iterator = Iterate(stream, Number(0));
  CHECK(Read(iterator).size() == 10);
  clock.Advance(Seconds(5) - kOneNanosecond);
  CHECK(ErrorIn(iterator.Next()) == Error::kProvisionedThroughputExceeded);
  clock.Advance(kOneNanosecond);
  CHECK(Read(iterator).size() == 1);  // no record was skipped
}

TEST_CASE("an on-demand stream takes 4 MiB and 4 000 records a second at first, whatever their shards") {
  ManualClock clock;
  auto stream = MakeStream<std::string>(clock, {.shards = 2, .capacity_mode = CapacityMode::kOnDemand});
  for (int i = 0; i < 4; ++i) Put(stream, "k", BodyOf(kMebibyte));
  CHECK(ErrorIn(stream.Put("k", BodyOf(1'024))) == Error::kProvisionedThroughputExceeded);
  clock.Advance(Seconds(1));
  for (int i = 0; i < 4'000; ++i) Put(stream, std::to_string(i), "x");
  CHECK(ErrorIn(stream.Put("k", "x")) == Error::kProvisionedThroughputExceeded);
}

TEST_CASE("a thread that comes late with a time of the minute before does not end a minute again") {
  internal::OnDemandThroughput throughput;
  constexpr std::int64_t kMinute = 60'000'000'000;
  constexpr std::int64_t kTen = 10 * std::int64_t{kMebibyte};
  CHECK(throughput.TryTake(10 * kMinute, 60 * kTen));  // a full bucket gives any number
  CHECK(throughput.Rate(11 * kMinute).bytes == 2 * kTen);
  CHECK(throughput.TryTake(20 * kMinute, 600 * kTen));
  CHECK(throughput.Rate(20 * kMinute - 1).bytes == 2 * kTen);  // minute 20 has not ended
  CHECK(throughput.Rate(21 * kMinute).bytes == 20 * kTen);
}

// How many records of one mebibyte the stream takes at once.
std::size_t MebibytesAtOnce(Stream<std::string>& stream) {
  std::size_t taken = 0;
  while (stream.Put("k", BodyOf(kMebibyte)).ok()) ++taken;
  return taken;
}

TEST_CASE("an on-demand stream takes double the rate of its busiest minute of the last 30 days") {
  ManualClock clock;
  auto stream =
      MakeStream<std::string>(clock, {.retained_bytes_per_shard = 1, .capacity_mode = CapacityMode::kOnDemand});
  const auto next_minute = [&] {
    clock.AdvanceTo(absl::FromUnixSeconds((absl::ToUnixSeconds(clock.Now()) / 60 + 1) * 60));
  };
  next_minute();
  const absl::Time busy = clock.Now();
  for (int i = 0; i < 60; ++i) {
    CHECK(MebibytesAtOnce(stream) == 4);
    clock.Advance(Seconds(1));
  }
  CHECK(MebibytesAtOnce(stream) == 8);  // the minute has just ended
  for (int i = 0; i < 59; ++i) {
    clock.Advance(Seconds(1));
    CHECK(MebibytesAtOnce(stream) == 8);
  }
  clock.Advance(Seconds(1));
  CHECK(MebibytesAtOnce(stream) == 16);
  // A day counts for 30 days, itself included.
  const std::int64_t day = absl::ToUnixSeconds(busy) / 86'400;
  clock.AdvanceTo(absl::FromUnixSeconds((day + 30) * 86'400) - Seconds(1));
  CHECK(MebibytesAtOnce(stream) == 16);
  clock.Advance(Seconds(1));
  CHECK(MebibytesAtOnce(stream) == 4);
}

TEST_CASE("an on-demand stream splits and merges its shards as its limit moves, and keeps each key's order") {
  ManualClock clock;
  auto stream = MakeStream<std::string>(clock, {.shards = 4, .capacity_mode = CapacityMode::kOnDemand});
  clock.AdvanceTo(absl::FromUnixSeconds((absl::ToUnixSeconds(clock.Now()) / 60 + 1) * 60));
  const absl::Time begin = clock.Now();
  int put = 0;
  const auto fill_a_minute = [&] {
    for (int i = 0; i < 60; ++i) {
      while (stream.Put("key-" + std::to_string(put % 7), std::to_string(put)).ok()) ++put;
      clock.Advance(Seconds(1));
    }
  };
  CHECK(OpenShards(stream).size() == 4);
  fill_a_minute();
  CHECK(OpenShards(stream).size() == 8);
  CHECK(stream.attributes().write_records_per_second == 8'000);
  // The put that finds the minute ended splits the shards.
  fill_a_minute();
  Put(stream, "k", "x");
  CHECK(stream.attributes().open_shards == 16);
  for (const Shard& shard : OpenShards(stream)) {
    CHECK(shard.hash_key_range.ending - shard.hash_key_range.starting == kLargestHashKey / 16);
  }
  std::map<int, int> last;
  std::size_t read = 0;
  bool is_in_order = true;
  for (const Shard& shard : stream.Shards()) {
    auto iterator = Iterate(stream, shard.id);
    for (auto batch = Read(iterator); !batch.empty(); batch = Read(iterator)) {
      for (const auto& record : batch) {
        if (record.body() == "x") continue;
        const int number = std::stoi(record.body());
        is_in_order = is_in_order && last[number % 7] <= number;
        last[number % 7] = number;
        ++read;
      }
      clock.Advance(Seconds(10));
    }
    clock.Advance(Seconds(10));
  }
  CHECK(is_in_order);
  CHECK(read == static_cast<std::size_t>(put));
  clock.AdvanceTo(begin + Hours(24) * 31);
  CHECK(OpenShards(stream).size() == 4);
}

}  // namespace
}  // namespace decouple::testing
