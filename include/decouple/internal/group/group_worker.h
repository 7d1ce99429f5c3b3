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
#include <iterator>
#include <list>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "decouple/internal/base/event_count.h"
#include "decouple/internal/base/time_math.h"
#include "decouple/internal/group/group_core.h"
#include "decouple/internal/group/lease_table.h"
#include "decouple/internal/group/processor.h"
#include "decouple/internal/group/shard_reader.h"
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
    InitializeReaders();
    std::size_t processed = 0;
    for (auto reader = readers_.begin(); reader != readers_.end();) {
      RenewAgain();
      const HeldLease lease = reader->lease();
      if (!group_->table().BeginWork(lease, Now())) {  // processing took longer than the lease
        reader = Lose(reader);
        continue;
      }
      const Work work(group_->table(), lease);
      const RecordBatch<T> batch = reader->ProcessNext(group_->config().max_records);
      processed += batch.size();
      group_->local().records.Add(batch.size());
      group_->local().bytes.Add(batch.bytes());
      if (reader->is_done()) {
        group_->table().Release(lease);
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

  // Between two calls of user code in one step: each may take nearly as long as a lease without cost to other shards.
  void RenewAgain() {
    if (Now() > renewed_at_) Renew();
  }

  // The processing of a batch, which ends with this object, also if the processor ends the thread.
  class Work {
   public:
    Work(LeaseTable& table, const HeldLease& lease) : table_(table), lease_(lease) {}
    Work(const Work&) = delete;
    Work& operator=(const Work&) = delete;
    ~Work() { table_.EndWork(lease_); }

   private:
    LeaseTable& table_;
    const HeldLease lease_;
  };

  // Ends the reader of a shard whose lease was lost, and returns the next one.
  typename Readers::iterator Lose(typename Readers::iterator reader) {
    Readers lost;
    const auto next = std::next(reader);
    lost.splice(lost.end(), readers_, reader);
    group_->table().CountLost();
    if (lost.front().processor() != nullptr) lost.front().processor()->LeaseLost();
    return next;
  }

  void DropLost() {
    for (auto reader = readers_.begin(); reader != readers_.end();) {
      reader = group_->table().IsHeld(reader->lease(), Now()) ? std::next(reader) : Lose(reader);
    }
  }

  // Calls no user code until all leases that were taken have their readers.
  void TakeLeases() {
    bool has_gone = false;
    for (const HeldLease& lease : group_->table().Take(worker_, Now())) {
      auto shard = group_->stream().shards().Find(lease.shard);
      if (shard.ok()) {
        readers_.emplace_back(*group_, lease, *std::move(shard));
      } else {  // it was removed with all its records
        group_->table().Release(lease);
        has_gone = true;
      }
    }
    if (has_gone) group_->SyncAgain();  // its children can be taken in the next step
  }

  // Makes the processors of the shards that were taken. A lease whose processor fails is given back: others may have
  // it.
  void InitializeReaders() {
    for (auto reader = readers_.begin(); reader != readers_.end();) {
      const HeldLease lease = reader->lease();
      if (reader->processor() != nullptr) {
        ++reader;
        continue;
      }
      RenewAgain();
      if (!group_->table().BeginWork(lease, Now())) {  // an earlier one took longer than the lease
        reader = Lose(reader);
        continue;
      }
      const Work work(group_->table(), lease);
      if (reader->Initialize(make_processor_).ok()) {
        ++reader;
        continue;
      }
      group_->local().failed_initializations.Add(1);
      reader = readers_.erase(reader);
      group_->table().GiveBack(lease, SaturatingAdd(Now(), ShardReader<T>::kTryAgainAfter));
    }
  }

  void ShutDown() {
    DropLost();
    for (auto& reader : readers_) {
      RenewAgain();
      if (reader.processor() != nullptr) reader.processor()->ShutdownRequested(reader.checkpointer());
    }
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
