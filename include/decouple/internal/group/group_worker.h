// A worker of a consumer group: what it does in a step, and what it waits for between steps.
//
// Threading: used by one thread at a time, except RequestShutdown() and is_shutdown(), which any thread may call. The
// thread may call Renew() from within a processor.

#ifndef DECOUPLE_INTERNAL_GROUP_GROUP_WORKER_H_
#define DECOUPLE_INTERNAL_GROUP_GROUP_WORKER_H_

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "decouple/checkpoint_store.h"
#include "decouple/internal/base/event_count.h"
#include "decouple/internal/base/time_math.h"
#include "decouple/internal/group/group_core.h"
#include "decouple/internal/group/lease_table.h"
#include "decouple/internal/group/processor.h"
#include "decouple/internal/group/shard_reader.h"
#include "decouple/iterator_position.h"
#include "decouple/record_batch.h"
#include "decouple/shard.h"

namespace decouple::inline v0_1::internal {

template <typename T>
class GroupWorker {
 public:
  GroupWorker(std::shared_ptr<GroupCore<T>> group, std::string name, ProcessorFactory<T> make_processor)
      : group_(std::move(group)),
        make_processor_(std::move(make_processor)),
        worker_(group_->table().AddWorker(std::move(name))) {}
  GroupWorker(const GroupWorker&) = delete;
  GroupWorker& operator=(const GroupWorker&) = delete;
  ~GroupWorker() {
    if (!is_shutdown()) group_->table().RemoveWorker(worker_);
  }

  // One round over all of its shards. Returns how many records were processed.
  std::size_t Step() {
    if (is_shutdown()) return 0;
    if (shutdown_requested_.load(std::memory_order_acquire)) {
      ShutDown();
      return 0;
    }
    group_->Sync();
    Renew();
    DropLost();
    TakeLeases();
    std::size_t processed = 0;
    for (auto reader = readers_.begin(); reader != readers_.end();) {
      if (!group_->table().BeginWork(reader->lease(), Now())) {  // processing took longer than the lease
        reader = Lose(reader);
        continue;
      }
      const RecordBatch<T> batch = reader->ProcessNext(group_->max_records());
      group_->table().EndWork(reader->lease());
      processed += batch.size();
      group_->local().records.Add(batch.size());
      group_->local().bytes.Add(batch.bytes());
      if (reader->is_done()) {
        group_->table().Release(reader->lease());
        reader = readers_.erase(reader);
      } else {
        ++reader;
      }
    }
    return processed;
  }

  void Renew() {
    renewed_at_ = Now();
    group_->table().Renew(worker_, renewed_at_);
  }

  std::int64_t NextDue() const {
    if (is_shutdown()) return kForever;
    const std::int64_t now = Now();
    LeaseTable& table = group_->table();
    if (shutdown_requested_.load(std::memory_order_acquire) || group_->NeedsSync() || table.HasToTake(worker_, now)) {
      return now;
    }
    std::int64_t next =
        std::min(SaturatingAdd(renewed_at_, table.lease_duration() / 3), table.NextExpiry(worker_, now));
    for (const auto& reader : readers_) next = std::min(next, reader.NextDue());
    return std::max(next, now);
  }

  void Run() {
    while (!is_shutdown()) {
      // Everything that the worker waits for notifies one of these; from here on no notification is missed.
      std::list<EventCount::Waiter> waiters;
      waiters.emplace_back(group_->table().changed());
      waiters.emplace_back(group_->stream().shards().changed());
      for (auto& reader : readers_) waiters.emplace_back(reader.shard().tip());
      if (group_->IsFinished()) return;
      if (const std::int64_t due = NextDue(); due > Now()) {
        waiters.front().Sleep(group_->stream().clock(), due);
      }
      waiters.clear();
      Step();
    }
  }

  void RequestShutdown() {
    shutdown_requested_.store(true, std::memory_order_release);
    group_->table().changed().Notify(EventCount::kAll);
  }
  bool is_shutdown() const { return is_shutdown_.load(std::memory_order_acquire); }

  std::vector<ShardId> Shards() const {
    std::vector<ShardId> all;
    for (const auto& reader : readers_) all.push_back(reader.lease().shard);
    std::sort(all.begin(), all.end());
    return all;
  }

  std::int64_t MillisBehind() const {
    std::int64_t most = 0;
    for (const auto& reader : readers_) most = std::max(most, reader.millis_behind());
    return most;
  }

 private:
  using Readers = std::list<ShardReader<T>>;

  std::int64_t Now() const { return group_->stream().Now(); }

  // Ends the reader of a shard whose lease was lost, and returns the next one.
  typename Readers::iterator Lose(typename Readers::iterator reader) {
    group_->table().CountLost();
    reader->processor().LeaseLost();
    return readers_.erase(reader);
  }

  void DropLost() {
    for (auto reader = readers_.begin(); reader != readers_.end();) {
      reader = group_->table().IsHeld(reader->lease(), Now()) ? std::next(reader) : Lose(reader);
    }
  }

  void TakeLeases() {
    for (const HeldLease& lease : group_->table().Take(worker_, Now())) {
      const auto shard = group_->stream().shards().Find(lease.shard);
      if (!shard.ok()) {  // it was removed with all its records
        // If saving fails, the next worker that takes the lease tries again.
        group_->table().Save(lease, ShardEnd(), Now()).IgnoreError();
        group_->table().Release(lease);
        continue;
      }
      readers_.emplace_back(group_->stream(), group_->shared_table(), lease, *shard, PositionIn(**shard),
                            make_processor_);
    }
  }

  std::uint64_t PositionIn(const ShardCore<T>& shard) const {
    const Checkpoint checkpoint = group_->table().CheckpointOf(shard.id()).value_or(TrimHorizon());
    IteratorPosition position = TrimHorizon();
    if (const auto* const at = std::get_if<AtTimestamp>(&checkpoint)) position = *at;
    if (const auto* const after = std::get_if<AfterSequenceNumber>(&checkpoint)) position = *after;
    // Finding it does not fail: only sequence numbers of the shard's records are saved, and times that have passed.
    return shard.Find(position, Now()).value_or(shard.log().first());
  }

  void ShutDown() {
    DropLost();
    for (auto& reader : readers_) reader.processor().ShutdownRequested(reader.checkpointer());
    readers_.clear();
    group_->table().RemoveWorker(worker_);
    is_shutdown_.store(true, std::memory_order_release);
  }

  const std::shared_ptr<GroupCore<T>> group_;
  const ProcessorFactory<T> make_processor_;
  const std::uint64_t worker_;
  std::int64_t renewed_at_ = 0;
  Readers readers_;
  std::atomic<bool> shutdown_requested_{false};
  std::atomic<bool> is_shutdown_{false};
};

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_GROUP_GROUP_WORKER_H_
