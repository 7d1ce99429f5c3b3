// A consumer group: a stream, and the table of the leases of its shards.
//
// Lock order: the mutex is taken before those of LeaseTable and ShardMap.

#ifndef DECOUPLE_INTERNAL_GROUP_GROUP_CORE_H_
#define DECOUPLE_INTERNAL_GROUP_GROUP_CORE_H_

#include <algorithm>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "decouple/checkpoint_store.h"
#include "decouple/error.h"
#include "decouple/internal/base/assert.h"
#include "decouple/internal/base/call_guard.h"
#include "decouple/internal/base/mutex.h"
#include "decouple/internal/base/per_thread.h"
#include "decouple/internal/base/single_writer_counter.h"
#include "decouple/internal/group/group_config.h"
#include "decouple/internal/group/lease_table.h"
#include "decouple/internal/stream/shard_core.h"
#include "decouple/internal/stream/stream_core.h"
#include "decouple/iterator_position.h"
#include "decouple/shard.h"

namespace decouple::inline v0_1::internal {

struct LocalGroupCounts {
  SingleWriterCounter records;
  SingleWriterCounter bytes;
  SingleWriterCounter failed_batches;
  SingleWriterCounter failed_initializations;
  SingleWriterCounter discarded_records;
  SingleWriterCounter discarded_batches;
};

template <typename T>
class GroupCore {
 public:
  GroupCore(std::shared_ptr<StreamCore<T>> stream, std::shared_ptr<LeaseTable> table, const GroupConfig<T>& config)
      : stream_(std::move(stream)), table_(std::move(table)), config_(config) {}
  GroupCore(const GroupCore&) = delete;
  GroupCore& operator=(const GroupCore&) = delete;

  // Requires: the caller holds no mutex, as it calls the store, which is the user's.
  static absl::StatusOr<std::shared_ptr<GroupCore>> Make(const std::shared_ptr<StreamCore<T>>& stream,
                                                         const std::string& name, const GroupConfig<T>& config,
                                                         std::shared_ptr<CheckpointStore> store) {
    if (store == nullptr) store = std::make_shared<InMemoryCheckpointStore>();
    const GroupIdentity identity{
        .stream_incarnation = stream->incarnation(), .stream = stream->options().name, .group = name};
    std::map<ShardId, Checkpoint> saved;
    absl::Status status = InvokeToStatus([&]() -> absl::Status {
      auto loaded = store->Load(identity.stream, identity.group);
      if (!loaded.ok()) return loaded.status();
      saved = *std::move(loaded);
      return absl::OkStatus();
    });
    if (!status.ok()) return status;
    auto table = std::make_shared<LeaseTable>(identity, config.lease_duration, std::move(store));
    auto group = std::make_shared<GroupCore>(stream, std::move(table), config);
    if (status = group->Begin(config.start, saved); !status.ok()) return status;
    return group;
  }

  // Updates the table if the stream's shards have changed. A new shard is read from its beginning, as it goes on where
  // its parents end.
  void Sync() ABSL_LOCKS_EXCLUDED(mutex_) {
    if (NeedsSync()) SyncAgain();
  }

  // Same, also if only shards have gone.
  void SyncAgain() ABSL_LOCKS_EXCLUDED(mutex_) {
    std::vector<ShardId> removed;
    {
      const MutexLock lock(mutex_);
      synced_ = stream_->shards().changes();
      removed = table_->SetShards(stream_->shards().Descriptions(), [](const Shard&) { return CheckpointPosition(); });
    }
    table_->Forget(removed);  // the store is the user's
  }

  bool NeedsSync() const ABSL_LOCKS_EXCLUDED(mutex_) {
    const MutexLock lock(mutex_);
    return synced_ != stream_->shards().changes();
  }

  // Whether every record has been processed and none can come.
  bool IsFinished() { return stream_->shards().closed() && !NeedsSync() && table_->AllEnded(); }

  StreamCore<T>& stream() { return *stream_; }
  LeaseTable& table() { return *table_; }
  const std::shared_ptr<LeaseTable>& shared_table() { return table_; }
  const GroupConfig<T>& config() const { return config_; }
  Checkpoint CheckpointAt(const CheckpointPosition& position) const { return table_->CheckpointAt(position); }
  LocalGroupCounts& local() { return counts_.Local(); }
  const PerThread<LocalGroupCounts>& counts() const { return counts_; }

 private:
  // Called once. A group with nothing saved is new and begins at `start`.
  absl::Status Begin(const IteratorPosition& start, const std::map<ShardId, Checkpoint>& saved)
      ABSL_LOCKS_EXCLUDED(mutex_) {
    for (const auto& [id, checkpoint] : saved) {
      if (absl::Status status = Check(id, checkpoint); !status.ok()) return status;
    }
    const bool is_new = saved.empty();
    {
      const MutexLock lock(mutex_);
      synced_ = stream_->shards().changes();
      const auto removed = table_->SetShards(stream_->shards().Descriptions(), [&](const Shard& shard) {
        return is_new ? Beginning(shard.id, start) : CheckpointPosition();
      });
      DECOUPLE_ASSERT(removed.empty());
    }
    table_->Restore(saved);
    return is_new ? table_->SaveAll() : absl::OkStatus();
  }

  // Fails if a saved checkpoint cannot be one of this stream: going on from it would skip records.
  absl::Status Check(ShardId id, const Checkpoint& checkpoint) const {
    if (checkpoint.stream_incarnation != stream_->incarnation()) {
      return MakeError(Error::kInvalidArgument,
                       absl::StrCat("the store's checkpoint \"", checkpoint.ToString(), "\" for ", id.ToString(),
                                    ", group \"", table_->group(), "\" and stream \"", stream_->options().name,
                                    "\" is of a former stream; allowed are those of this one, ", stream_->incarnation(),
                                    ": forget the others, or take another name"));
    }
    const auto* const after = std::get_if<AfterSequenceNumber>(&checkpoint.position);
    if (after == nullptr) return absl::OkStatus();
    const auto shard = stream_->shards().Find(id);
    return shard.ok() ? (*shard)->Find(*after, stream_->Now()).status() : absl::OkStatus();
  }

  // A starting position as a checkpoint: LATEST becomes the record that is the last one now, and a time that is a
  // little ahead becomes now.
  CheckpointPosition Beginning(ShardId id, const IteratorPosition& start) const {
    if (const auto* const at = std::get_if<AtTimestamp>(&start)) {
      return AtTimestamp{std::min(at->timestamp, absl::FromUnixNanos(stream_->Now()))};
    }
    if (std::holds_alternative<TrimHorizon>(start)) return TrimHorizon();
    const auto shard = stream_->shards().Find(id);
    const std::uint64_t next = shard.ok() ? (*shard)->log().next() : 0;
    if (next == 0) return TrimHorizon();
    return AfterSequenceNumber{(*shard)->NumberOf(next - 1)};
  }

  const std::shared_ptr<StreamCore<T>> stream_;
  const std::shared_ptr<LeaseTable> table_;
  const GroupConfig<T> config_;
  PerThread<LocalGroupCounts> counts_;
  mutable Mutex mutex_;
  std::uint64_t synced_ ABSL_GUARDED_BY(mutex_) = 0;  // ShardMap::changes() when the table was updated last
};

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_GROUP_GROUP_CORE_H_
