// Where consumer groups keep how far they are, so that who takes a shard over goes on where the last one was.
//
//   class Database : public decouple::CheckpointStore { … };
//   ConsumerGroup<Click>::Create(clicks, {.name = "billing", .checkpoints = std::make_shared<Database>()});
//
// All members may be called from any thread; for one shard of a group Save() is called by one thread at a time.

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

namespace decouple {

// Everything in the shard is done with.
struct ShardEnd {};

// Where a group goes on in a shard.
using Checkpoint = std::variant<TrimHorizon, AtTimestamp, AfterSequenceNumber, ShardEnd>;

class CheckpointStore {
 public:
  CheckpointStore() = default;
  CheckpointStore(const CheckpointStore&) = delete;
  CheckpointStore& operator=(const CheckpointStore&) = delete;
  virtual ~CheckpointStore() = default;

  // What the group has saved; empty for a new one.
  virtual absl::StatusOr<std::map<ShardId, Checkpoint>> Load(const std::string& group) = 0;
  // Must not use the group. If it fails, whoever set the checkpoint gets the error, and the old one stays.
  virtual absl::Status Save(const std::string& group, ShardId shard, const Checkpoint& checkpoint) = 0;
  // The shard has gone with all its records. If it fails, no harm is done.
  virtual absl::Status Forget(const std::string& group, ShardId shard) = 0;
};

// Keeps them as long as it lives; several groups and streams' groups of different names may share one.
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

}  // namespace decouple

#endif  // DECOUPLE_CHECKPOINT_STORE_H_
