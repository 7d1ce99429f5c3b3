// A consumer group: a stream, and the table of the leases of its shards.
//
// Lock order: the mutex is taken before those of LeaseTable and ShardMap.

#ifndef DECOUPLE_INTERNAL_GROUP_GROUP_CORE_H_
#define DECOUPLE_INTERNAL_GROUP_GROUP_CORE_H_

#include <cstddef>
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
#include "decouple/checkpoint_store.h"
#include "decouple/internal/base/mutex.h"
#include "decouple/internal/base/per_thread.h"
#include "decouple/internal/base/single_writer_counter.h"
#include "decouple/internal/group/lease_table.h"
#include "decouple/internal/stream/shard_core.h"
#include "decouple/internal/stream/stream_core.h"
#include "decouple/iterator_position.h"
#include "decouple/shard.h"

namespace decouple::inline v0_1::internal {

struct LocalGroupCounts {
  SingleWriterCounter records;
  SingleWriterCounter bytes;
  SingleWriterCounter failures;
};

template <typename T>
class GroupCore {
 public:
  GroupCore(std::shared_ptr<StreamCore<T>> stream, std::shared_ptr<LeaseTable> table, std::size_t max_records)
      : stream_(std::move(stream)), table_(std::move(table)), max_records_(max_records) {}
  GroupCore(const GroupCore&) = delete;
  GroupCore& operator=(const GroupCore&) = delete;

  // Called once. A group with nothing saved is new and begins at `start`.
  absl::Status Begin(const IteratorPosition& start, const std::map<ShardId, Checkpoint>& saved)
      ABSL_LOCKS_EXCLUDED(mutex_) {
    const MutexLock lock(mutex_);
    synced_ = stream_->shards().changes();
    const std::vector<Shard> shards = stream_->shards().Descriptions();
    for (const Shard& shard : shards) {
      const auto checkpoint = saved.find(shard.id);
      if (checkpoint == saved.end()) continue;
      if (absl::Status status = Check(shard.id, checkpoint->second); !status.ok()) return status;
    }
    const bool is_new = saved.empty();
    table_->SetShards(shards, [&](const Shard& shard) { return is_new ? Beginning(shard.id, start) : TrimHorizon(); });
    table_->Restore(saved);
    return is_new ? table_->SaveAll() : absl::OkStatus();
  }

  // Updates the table if the stream's shards have changed. A new shard is read from its beginning, as it goes on where
  // its parents end.
  void Sync() ABSL_LOCKS_EXCLUDED(mutex_) {
    if (!NeedsSync()) return;
    const MutexLock lock(mutex_);
    synced_ = stream_->shards().changes();
    table_->SetShards(stream_->shards().Descriptions(), [](const Shard&) { return TrimHorizon(); });
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
  std::size_t max_records() const { return max_records_; }
  LocalGroupCounts& local() { return counts_.Local(); }
  const PerThread<LocalGroupCounts>& counts() const { return counts_; }

 private:
  // Fails if a saved checkpoint cannot be one of this stream.
  absl::Status Check(ShardId id, const Checkpoint& checkpoint) const {
    const auto* const after = std::get_if<AfterSequenceNumber>(&checkpoint);
    if (after == nullptr) return absl::OkStatus();
    const auto shard = stream_->shards().Find(id);
    return shard.ok() ? (*shard)->Find(*after, stream_->Now()).status() : absl::OkStatus();
  }

  // A starting position as a checkpoint: LATEST becomes the record that is the last one now.
  Checkpoint Beginning(ShardId id, const IteratorPosition& start) const {
    if (const auto* const at = std::get_if<AtTimestamp>(&start)) return *at;
    if (std::holds_alternative<TrimHorizon>(start)) return TrimHorizon();
    const auto shard = stream_->shards().Find(id);
    const std::uint64_t next = shard.ok() ? (*shard)->log().next() : 0;
    if (next == 0) return TrimHorizon();
    return AfterSequenceNumber{(*shard)->NumberOf(next - 1)};
  }

  const std::shared_ptr<StreamCore<T>> stream_;
  const std::shared_ptr<LeaseTable> table_;
  const std::size_t max_records_;
  PerThread<LocalGroupCounts> counts_;
  mutable Mutex mutex_;
  std::uint64_t synced_ ABSL_GUARDED_BY(mutex_) = 0;  // ShardMap::changes() when the table was updated last
};

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_GROUP_GROUP_CORE_H_
