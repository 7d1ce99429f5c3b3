// Where consumer groups keep their progress, so that the next worker of a shard continues where the last one stopped.
//
//   class Database : public decouple::CheckpointStore { … };
//   auto group = decouple::ConsumerGroup<Click>::Create(
//       clicks, {.name = "billing", .checkpoints = std::make_shared<Database>()});
//
// All members may be called from any thread. Save() is called by one thread at a time for each shard of a group.

#ifndef DECOUPLE_CHECKPOINT_STORE_H_
#define DECOUPLE_CHECKPOINT_STORE_H_

#include <map>
#include <string>
#include <variant>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "decouple/internal/base/mutex.h"
#include "decouple/iterator_position.h"
#include "decouple/shard.h"

namespace decouple::inline v0_1 {

// All records of the shard have been processed.
struct ShardEnd {};

// Where a group continues in a shard.
using Checkpoint = std::variant<TrimHorizon, AtTimestamp, AfterSequenceNumber, ShardEnd>;

class CheckpointStore {
 public:
  CheckpointStore() = default;
  CheckpointStore(const CheckpointStore&) = delete;
  CheckpointStore& operator=(const CheckpointStore&) = delete;
  virtual ~CheckpointStore() = default;

  // What the group has saved; empty for a new group.
  virtual absl::StatusOr<std::map<ShardId, Checkpoint>> Load(const std::string& group) = 0;
  // Must not use the group. If it fails, the caller of Checkpointer::Checkpoint() gets the error and the old checkpoint
  // stays in force.
  virtual absl::Status Save(const std::string& group, ShardId shard, const Checkpoint& checkpoint) = 0;
  // Called when a shard has gone with all its records. A failure is harmless.
  virtual absl::Status Forget(const std::string& group, ShardId shard) = 0;
};

// Keeps checkpoints in memory for its own lifetime. Groups may share one, also groups of different streams, if their
// names differ.
class InMemoryCheckpointStore final : public CheckpointStore {
 public:
  absl::StatusOr<std::map<ShardId, Checkpoint>> Load(const std::string& group) override {
    const internal::MutexLock lock(mutex_);
    return checkpoints_[group];
  }
  absl::Status Save(const std::string& group, ShardId shard, const Checkpoint& checkpoint) override {
    const internal::MutexLock lock(mutex_);
    checkpoints_[group].insert_or_assign(shard, checkpoint);
    return absl::OkStatus();
  }
  absl::Status Forget(const std::string& group, ShardId shard) override {
    const internal::MutexLock lock(mutex_);
    checkpoints_[group].erase(shard);
    return absl::OkStatus();
  }

 private:
  internal::Mutex mutex_;
  std::map<std::string, std::map<ShardId, Checkpoint>> checkpoints_ ABSL_GUARDED_BY(mutex_);  // by group
};

}  // namespace decouple::inline v0_1

#endif  // DECOUPLE_CHECKPOINT_STORE_H_
