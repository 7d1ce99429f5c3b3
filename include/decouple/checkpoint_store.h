// Where consumer groups keep their progress, so that the next worker of a shard continues where the last one stopped.
//
//   class Database : public decouple::CheckpointStore { … };
//   auto group = decouple::ConsumerGroup<Click>::Create(
//       clicks, {.name = "billing", .checkpoints = std::make_shared<Database>()});
//
// A store keeps one checkpoint for each CheckpointKey: that is, for each shard, of each group, of each stream. As text
// a checkpoint is what Checkpoint::ToString() gives; Checkpoint::Parse() reads it. A checkpoint says which stream it is
// of: a store may outlive its streams, and a group does not begin with checkpoints of a former stream of the same name,
// which would skip records of the new one.
//
// All members of a store may be called from any thread. Save() is called by one thread at a time for each key. A store
// may fail by its status or by an exception: either becomes the error of the call that needed the store.

#ifndef DECOUPLE_CHECKPOINT_STORE_H_
#define DECOUPLE_CHECKPOINT_STORE_H_

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <tuple>
#include <variant>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "decouple/error.h"
#include "decouple/internal/base/mutex.h"
#include "decouple/iterator_position.h"
#include "decouple/sequence_number.h"
#include "decouple/shard.h"

namespace decouple::inline v0_1 {

// All records of the shard have been processed.
struct ShardEnd {};

using CheckpointPosition = std::variant<TrimHorizon, AtTimestamp, AfterSequenceNumber, ShardEnd>;

// Where a group continues in a shard.
struct Checkpoint {
  // The stream whose shard it is: Stream<T>::incarnation().
  std::uint64_t stream_incarnation = 0;
  CheckpointPosition position = {};

  // "1234:TRIM_HORIZON", "1234:AT_TIMESTAMP:2026-01-31T12:00:00.25+00:00", "1234:SHARD_END", or "1234:" and the
  // sequence number: the incarnation, then the position. KCL has the same words.
  std::string ToString() const {
    const std::string stream = absl::StrCat(stream_incarnation, ":");
    if (std::holds_alternative<TrimHorizon>(position)) return stream + kTrimHorizon;
    if (std::holds_alternative<ShardEnd>(position)) return stream + kShardEnd;
    if (const auto* const at = std::get_if<AtTimestamp>(&position)) {
      return absl::StrCat(stream, kAtTimestamp,
                          absl::FormatTime(absl::RFC3339_full, at->timestamp, absl::UTCTimeZone()));
    }
    return stream + std::get<AfterSequenceNumber>(position).sequence_number.ToString();
  }

  // kInvalidArgument: `text` is not what ToString() returned.
  static absl::StatusOr<Checkpoint> Parse(std::string_view text) {
    Checkpoint checkpoint;
    const std::size_t colon = text.find(':');
    if (colon != std::string_view::npos && ParseNumber(text.substr(0, colon), checkpoint.stream_incarnation) &&
        ParsePosition(text.substr(colon + 1), checkpoint.position) && checkpoint.ToString() == text) {
      return checkpoint;
    }
    return internal::MakeError(
        Error::kInvalidArgument,
        absl::StrCat("checkpoint \"", std::string(text),
                     "\"; allowed is what Checkpoint::ToString() gives, which reads like \"1234:SHARD_END\""));
  }

 private:
  static constexpr char kTrimHorizon[] = "TRIM_HORIZON";
  static constexpr char kShardEnd[] = "SHARD_END";
  static constexpr char kAtTimestamp[] = "AT_TIMESTAMP:";

  static bool ParseNumber(std::string_view text, std::uint64_t& number) {
    return absl::SimpleAtoi({text.data(), text.size()}, &number);
  }

  static bool ParsePosition(std::string_view text, CheckpointPosition& position) {
    if (text == kTrimHorizon) {
      position = TrimHorizon();
    } else if (text == kShardEnd) {
      position = ShardEnd();
    } else if (text.starts_with(kAtTimestamp)) {
      const std::string time(text.substr(std::string_view(kAtTimestamp).size()));
      AtTimestamp at;
      if (!absl::ParseTime(absl::RFC3339_full, time, &at.timestamp, nullptr)) return false;
      position = at;
    } else {
      const absl::StatusOr<SequenceNumber> number = SequenceNumber::Parse(text);
      if (!number.ok()) return false;
      position = AfterSequenceNumber{*number};
    }
    return true;
  }
};

// What a store keeps a checkpoint for.
struct CheckpointKey {
  std::string stream = {};  // its name, which may be empty
  std::string group = {};   // its name
  ShardId shard = ShardId();

  friend bool operator==(const CheckpointKey&, const CheckpointKey&) = default;
  // Not operator<=>, which libc++'s strings came to late.
  friend bool operator<(const CheckpointKey& a, const CheckpointKey& b) {
    return std::tie(a.stream, a.group, a.shard) < std::tie(b.stream, b.group, b.shard);
  }
};

class CheckpointStore {
 public:
  CheckpointStore() = default;
  CheckpointStore(const CheckpointStore&) = delete;
  CheckpointStore& operator=(const CheckpointStore&) = delete;
  virtual ~CheckpointStore() = default;

  // What has been saved for the group's shards; empty for a new group.
  virtual absl::StatusOr<std::map<ShardId, Checkpoint>> Load(const std::string& stream, const std::string& group) = 0;
  // Must not use the group. If it fails, the caller of Checkpointer::Checkpoint() gets the error and the old checkpoint
  // stays in force.
  virtual absl::Status Save(const CheckpointKey& key, const Checkpoint& checkpoint) = 0;
  // Called when a shard has gone with all its records. A failure is harmless.
  virtual absl::Status Forget(const CheckpointKey& key) = 0;
};

// Keeps checkpoints in memory for its own lifetime. Any groups may share one.
class InMemoryCheckpointStore final : public CheckpointStore {
 public:
  absl::StatusOr<std::map<ShardId, Checkpoint>> Load(const std::string& stream, const std::string& group) override {
    const internal::MutexLock lock(mutex_);
    std::map<ShardId, Checkpoint> saved;
    for (auto entry = checkpoints_.lower_bound({.stream = stream, .group = group});
         entry != checkpoints_.end() && entry->first.stream == stream && entry->first.group == group; ++entry) {
      saved.emplace(entry->first.shard, entry->second);
    }
    return saved;
  }
  absl::Status Save(const CheckpointKey& key, const Checkpoint& checkpoint) override {
    const internal::MutexLock lock(mutex_);
    checkpoints_.insert_or_assign(key, checkpoint);
    return absl::OkStatus();
  }
  absl::Status Forget(const CheckpointKey& key) override {
    const internal::MutexLock lock(mutex_);
    checkpoints_.erase(key);
    return absl::OkStatus();
  }

 private:
  internal::Mutex mutex_;
  std::map<CheckpointKey, Checkpoint> checkpoints_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace decouple::inline v0_1

#endif  // DECOUPLE_CHECKPOINT_STORE_H_
