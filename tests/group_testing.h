// Helpers that the tests of consumer groups share.

#ifndef DECOUPLE_TESTS_GROUP_TESTING_H_
#define DECOUPLE_TESTS_GROUP_TESTING_H_

#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "decouple/consumer_group.h"
#include "stream_testing.h"

namespace decouple::testing {

inline constexpr absl::Duration kLease = Seconds(10);  // the default

template <typename T>
ConsumerGroup<T> MakeGroup(const Stream<T>& stream, ConsumerGroupOptions options = {}) {
  if (options.name.empty()) options.name = "group";
  auto group = ConsumerGroup<T>::Create(stream, std::move(options));
  INFO(group.status());
  REQUIRE(group.ok());
  return *std::move(group);
}

// A group that begins at the oldest record.
template <typename T>
ConsumerGroup<T> MakeGroupOfAll(const Stream<T>& stream) {
  return MakeGroup(stream, {.name = "group", .start = TrimHorizon{}});
}

// The group's checkpoint of its first shard; none if it is not a sequence number.
template <typename T>
std::optional<SequenceNumber> CheckpointIn(const ConsumerGroup<T>& group) {
  const auto leases = group.Leases();
  const auto* const after = std::get_if<AfterSequenceNumber>(&leases[0].checkpoint.position);
  return after == nullptr ? std::nullopt : std::optional(after->sequence_number);
}

// A processor that records the bodies that it is given; there is a checkpoint after each batch.
inline auto RecordIn(std::vector<int>& bodies) {
  return [&bodies](const RecordBatch<int>& batch) {
    for (const auto& record : batch) bodies.push_back(record.body());
  };
}

// Same, but without checkpoints.
inline auto RecordOnly(std::vector<int>& bodies) {
  return [&bodies](const RecordBatch<int>& batch, Checkpointer&) {
    for (const auto& record : batch) bodies.push_back(record.body());
  };
}

// The calls of a worker, recorded by RecordingProcessor.
struct CallLog {
  std::vector<std::string> entries = {};
  bool ends = true;  // ShardEnded() makes the checkpoint
};

class RecordingProcessor {
 public:
  RecordingProcessor(CallLog& calls, ShardId shard) : calls_(calls), shard_(std::to_string(shard.number())) {}

  void Initialize(ShardId shard) { calls_.entries.push_back("initialize " + std::to_string(shard.number())); }
  void ProcessRecords(const RecordBatch<int>& batch) {
    for (const auto& record : batch) calls_.entries.push_back("record " + std::to_string(record.body()));
  }
  void LeaseLost() { calls_.entries.push_back("lost " + shard_); }
  void ShardEnded(Checkpointer& checkpointer) {
    calls_.entries.push_back("ended " + shard_);
    if (calls_.ends) CHECK(checkpointer.Checkpoint().ok());
  }
  void ShutdownRequested(Checkpointer& checkpointer) {
    calls_.entries.push_back("shutdown " + shard_);
    CHECK(checkpointer.Checkpoint().ok());
  }

 private:
  CallLog& calls_;
  std::string shard_;
};

inline auto RecordingIn(CallLog& calls) {
  return [&calls](ShardId shard) { return RecordingProcessor(calls, shard); };
}

// Options of a put into part `part` of `parts` equal parts of the hash keys.
inline PutOptions ToPart(std::size_t part, std::size_t parts) {
  return {.explicit_hash_key = kLargestHashKey / parts * part + 1};
}

}  // namespace decouple::testing

#endif  // DECOUPLE_TESTS_GROUP_TESTING_H_
