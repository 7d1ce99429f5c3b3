// A worker of a consumer group: what it does in a round, and what it waits for in between.

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

namespace decouple::internal {

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
    for (auto one = shards_.begin(); one != shards_.end();) {
      if (!group_->table().BeginWork(one->lease(), Now())) {  // a processor took too long
        one = Lose(one);
        continue;
      }
      const RecordBatch<T> batch = one->ProcessNext(group_->max_records());
      group_->table().EndWork(one->lease());
      processed += batch.size();
      group_->local().records.Add(batch.size());
      group_->local().bytes.Add(batch.bytes());
      if (one->is_done()) {
        group_->table().Release(one->lease());
        one = shards_.erase(one);
      } else {
        ++one;
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
    for (const auto& one : shards_) next = std::min(next, one.NextDue());
    return std::max(next, now);
  }

  void Run() {
    while (!is_shutdown()) {
      // Whoever has something for us tells one of these; from here on nothing is missed.
      std::list<EventCount::Waiter> waiters;
      waiters.emplace_back(group_->table().changed());
      waiters.emplace_back(group_->stream().shards().changed());
      for (auto& one : shards_) waiters.emplace_back(one.shard().tip());
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
    for (const auto& one : shards_) all.push_back(one.lease().shard);
    std::sort(all.begin(), all.end());
    return all;
  }

  std::int64_t MillisBehind() const {
    std::int64_t most = 0;
    for (const auto& one : shards_) most = std::max(most, one.millis_behind());
    return most;
  }

 private:
  using Processings = std::list<ShardReader<T>>;

  std::int64_t Now() const { return group_->stream().Now(); }

  typename Processings::iterator Lose(typename Processings::iterator one) {
    group_->table().CountLost();
    one->processor().LeaseLost();
    return shards_.erase(one);
  }

  void DropLost() {
    for (auto one = shards_.begin(); one != shards_.end();) {
      one = group_->table().IsHeld(one->lease(), Now()) ? std::next(one) : Lose(one);
    }
  }

  void TakeLeases() {
    for (const HeldLease& lease : group_->table().Take(worker_, Now())) {
      const auto shard = group_->stream().shards().Find(lease.shard);
      if (!shard.ok()) {                                               // gone, with all its records
        group_->table().Save(lease, ShardEnd(), Now()).IgnoreError();  // a failure is tried again by whoever takes it
        group_->table().Release(lease);
        continue;
      }
      shards_.emplace_back(group_->stream(), group_->shared_table(), lease, *shard, PositionIn(**shard),
                           make_processor_);
    }
  }

  std::uint64_t PositionIn(const ShardCore<T>& shard) const {
    const Checkpoint checkpoint = group_->table().CheckpointOf(shard.id()).value_or(TrimHorizon());
    IteratorPosition position = TrimHorizon();
    if (const auto* const at = std::get_if<AtTimestamp>(&checkpoint)) position = *at;
    if (const auto* const after = std::get_if<AfterSequenceNumber>(&checkpoint)) position = *after;
    // Only numbers that the shard has given are saved, and times that have passed.
    return shard.Find(position, Now()).value_or(shard.log().first());
  }

  void ShutDown() {
    DropLost();
    for (auto& one : shards_) one.processor().ShutdownRequested(one.checkpointer());
    shards_.clear();
    group_->table().RemoveWorker(worker_);
    is_shutdown_.store(true, std::memory_order_release);
  }

  const std::shared_ptr<GroupCore<T>> group_;
  const ProcessorFactory<T> make_processor_;
  const std::uint64_t worker_;
  std::int64_t renewed_at_ = 0;
  Processings shards_;
  std::atomic<bool> shutdown_requested_{false};
  std::atomic<bool> is_shutdown_{false};
};

}  // namespace decouple::internal

#endif  // DECOUPLE_INTERNAL_GROUP_GROUP_WORKER_H_
