// What tests of consumer groups share.

#ifndef DECOUPLE_TESTS_GROUP_TESTING_H_
#define DECOUPLE_TESTS_GROUP_TESTING_H_

#include <string>
#include <utility>
#include <vector>

#include "decouple/consumer_group.h"
#include "stream_testing.h"

namespace decouple::testing {

inline constexpr absl::Duration kLease = Seconds(10);  // by default

template <typename T>
ConsumerGroup<T> MakeGroup(const Stream<T>& stream, ConsumerGroupOptions options = {}) {
  if (options.name.empty()) options.name = "group";
  auto group = ConsumerGroup<T>::Create(stream, std::move(options));
  INFO(group.status());
  REQUIRE(group.ok());
  return *std::move(group);
}

// From the oldest record on.
template <typename T>
ConsumerGroup<T> MakeGroupOfAll(const Stream<T>& stream) {
  return MakeGroup(stream, {.name = "group", .start = TrimHorizon{}});
}

// A processor that notes what it is given, and makes a checkpoint after each batch.
inline auto NoteIn(std::vector<int>& bodies) {
  return [&bodies](const RecordBatch<int>& batch) {
    for (const auto& record : batch) bodies.push_back(record.body());
  };
}

// The same without checkpoints.
inline auto NoteOnly(std::vector<int>& bodies) {
  return [&bodies](const RecordBatch<int>& batch, Checkpointer&) {
    for (const auto& record : batch) bodies.push_back(record.body());
  };
}

// Notes what a worker tells it.
struct Notes {
  std::vector<std::string> told = {};
  bool ends = true;  // makes its checkpoint at the shard's end
};

class Noting {
 public:
  Noting(Notes& notes, ShardId shard) : notes_(notes), shard_(std::to_string(shard.number())) {}

  void Initialize(ShardId shard) { notes_.told.push_back("initialize " + std::to_string(shard.number())); }
  void ProcessRecords(const RecordBatch<int>& batch) {
    for (const auto& record : batch) notes_.told.push_back("record " + std::to_string(record.body()));
  }
  void LeaseLost() { notes_.told.push_back("lost " + shard_); }
  void ShardEnded(Checkpointer& checkpointer) {
    notes_.told.push_back("ended " + shard_);
    if (notes_.ends) CHECK(checkpointer.Checkpoint().ok());
  }
  void ShutdownRequested(Checkpointer& checkpointer) {
    notes_.told.push_back("shutdown " + shard_);
    CHECK(checkpointer.Checkpoint().ok());
  }

 private:
  Notes& notes_;
  std::string shard_;
};

inline auto NotingIn(Notes& notes) {
  return [&notes](ShardId shard) { return Noting(notes, shard); };
}

// Puts a body into the shard with this explicit part of the hash keys, of so many.
inline PutOptions ToPart(std::size_t part, std::size_t parts) {
  return {.explicit_hash_key = kLargestHashKey / parts * part + 1};
}

}  // namespace decouple::testing

#endif  // DECOUPLE_TESTS_GROUP_TESTING_H_
