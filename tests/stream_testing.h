// Helpers that the tests of streams share.

#ifndef DECOUPLE_TESTS_STREAM_TESTING_H_
#define DECOUPLE_TESTS_STREAM_TESTING_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "catch.h"
#include "decouple/clock.h"
#include "decouple/internal/base/access.h"
#include "decouple/stream.h"
#include "testing.h"

namespace decouple::testing {

template <typename T>
Stream<T> MakeStream(ManualClock& clock, StreamOptions options = {}) {
  options.clock = &clock;
  auto stream = Stream<T>::Create(options);
  INFO(stream.status());
  REQUIRE(stream.ok());
  return *std::move(stream);
}

inline ShardId Number(std::uint64_t number) { return ShardId(number); }

// The number of the same shard that is so many further on, whether the shard has given it or not.
inline SequenceNumber Beyond(SequenceNumber number, std::int64_t by = 1) {
  return internal::Access::Make<SequenceNumber>(number.value() + static_cast<std::uint64_t>(by),
                                                internal::Access::Origin(number));
}

// Puts, and requires that it succeeds.
template <typename T, typename Body>
PutResult Put(Stream<T>& stream, std::string_view key, Body body, const PutOptions& options = {}) {
  auto put = stream.Put(key, T(std::move(body)), options);
  INFO(put.status());
  REQUIRE(put.ok());
  return *put;
}

template <typename T>
ShardIterator<T> Iterate(const Stream<T>& stream, ShardId shard, const IteratorPosition& position = TrimHorizon{}) {
  auto iterator = stream.Iterate(shard, position);
  INFO(iterator.status());
  REQUIRE(iterator.ok());
  return *std::move(iterator);
}

// Reads, and requires that it succeeds.
template <typename T>
RecordBatch<T> Read(ShardIterator<T>& iterator, std::size_t limit = 10'000) {
  auto batch = iterator.Next(limit);
  INFO(batch.status());
  REQUIRE(batch.ok());
  return *std::move(batch);
}

// Reads all that an iterator of any kind has at present, and calls visit(batch) for each batch that is not empty.
template <typename Iterator, typename Visit>
void ForEachBatchLeft(Iterator& iterator, std::size_t limit, Visit visit) {
  for (;;) {
    auto batch = iterator.Next(limit);
    INFO(batch.status());
    REQUIRE(batch.ok());
    if (batch->empty()) return;
    CHECK(batch->size() <= limit);
    visit(*batch);
  }
}

template <typename T>
std::vector<T> Bodies(const RecordBatch<T>& batch) {
  std::vector<T> bodies;
  for (const auto& record : batch) bodies.push_back(record.body());
  return bodies;
}

// The bodies that one read from `position` returns.
template <typename T>
std::vector<T> BodiesFrom(const Stream<T>& stream, ShardId shard, const IteratorPosition& position = TrimHorizon{}) {
  auto iterator = Iterate(stream, shard, position);
  return Bodies(Read(iterator));
}

template <typename T>
std::vector<Shard> OpenShards(const Stream<T>& stream) {
  std::vector<Shard> open;
  for (const Shard& shard : stream.Shards()) {
    if (shard.is_open()) open.push_back(shard);
  }
  return open;
}

// The bodies of all retained records, shard by shard, parents before children: so each key's are in order.
template <typename T>
std::vector<T> ReadAll(const Stream<T>& stream) {
  std::vector<T> all;
  for (const Shard& shard : stream.Shards()) {
    auto iterator = Iterate(stream, shard.id);
    for (auto batch = Read(iterator); !batch.empty(); batch = Read(iterator)) {
      for (const auto& record : batch) all.push_back(record.body());
    }
  }
  return all;
}

// A stream of two shards that got one record, 1 under "k", and was closed an hour later; that was an hour ago.
struct ClosedStream {
  ManualClock clock;
  absl::Time put = clock.Now();
  Stream<int> stream = MakeStream<int>(clock, {.shards = 2});

  ClosedStream() {
    Put(stream, "k", 1);
    clock.Advance(Hours(1));
    stream.Close();
    clock.Advance(Hours(1));
  }
};

}  // namespace decouple::testing

#endif  // DECOUPLE_TESTS_STREAM_TESTING_H_
