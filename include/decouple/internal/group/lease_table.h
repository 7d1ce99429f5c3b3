// A consumer group's leases: which worker reads which shard, until when, and the group's checkpoint of each shard.
//
// Design: a lease is free, or its owner's until its instant of expiry; from that instant on, by the clock alone, it is
// free again. A lease has a counter that grows each time that it is taken, so a worker that lost a lease and took it
// again does not mistake the new one for the old. While a checkpoint is being saved its lease cannot be taken, and a
// second checkpoint of the shard waits, so that two are never saved at the same time. While a batch is being processed
// its lease is not taken for balance, so that the batch is not processed again for that alone.
//
// Lock order: the mutex is taken after GroupCore's and before ShardMap's. The checkpoint store is called without it, as
// it is the user's code: it may fail in any way, also by an exception or by the end of its thread (pthread_exit).

#ifndef DECOUPLE_INTERNAL_GROUP_LEASE_TABLE_H_
#define DECOUPLE_INTERNAL_GROUP_LEASE_TABLE_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "decouple/checkpoint_store.h"
#include "decouple/clock.h"
#include "decouple/error.h"
#include "decouple/internal/base/assert.h"
#include "decouple/internal/base/condition_variable.h"
#include "decouple/internal/base/event_count.h"
#include "decouple/internal/base/mutex.h"
#include "decouple/internal/base/time_math.h"
#include "decouple/internal/group/group_checkpoints.h"
#include "decouple/internal/group/lease.h"
#include "decouple/internal/group/shard_progress.h"
#include "decouple/sequence_number.h"
#include "decouple/shard.h"

namespace decouple::inline v0_1::internal {

// All members may be called from any thread.
class LeaseTable {
 public:
  LeaseTable(GroupIdentity identity, std::int64_t lease_duration, std::shared_ptr<CheckpointStore> store)
      : checkpoints_(std::move(identity), std::move(store)), duration_(lease_duration) {}
  LeaseTable(const LeaseTable&) = delete;
  LeaseTable& operator=(const LeaseTable&) = delete;

  const std::string& group() const { return checkpoints_.group(); }
  std::int64_t lease_duration() const { return duration_; }
  // Notified when a lease can be taken that could not be before, other than by its expiry, and when a worker leaves or
  // is to leave.
  EventCount& changed() { return changed_; }

  // ---- shards -------------------------------------------------------------------------------------------------------

  // Sets the stream's shards, and returns those that it no longer has: their checkpoints are to be forgotten. New ones
  // begin at `beginning(shard)`, which is called under the mutex.
  template <typename Beginning>
  [[nodiscard]] std::vector<ShardId> SetShards(const std::vector<Shard>& shards, Beginning beginning)
      ABSL_LOCKS_EXCLUDED(mutex_) {
    std::vector<ShardId> removed;
    {
      const MutexLock lock(mutex_);
      std::map<ShardId, Row> rows;
      for (const Shard& shard : shards) {
        const auto found = rows_.find(shard.id);
        if (found != rows_.end()) {
          rows.insert(rows_.extract(found));
        } else {
          rows.emplace(shard.id, Row{.parents = shard.parents, .progress = ShardProgress(beginning(shard))});
        }
      }
      for (const auto& [id, row] : rows_) removed.push_back(id);
      rows_ = std::move(rows);
    }
    saved_.NotifyAll();
    changed_.Notify(EventCount::kAll);
    return removed;
  }

  // Requires: the caller holds no mutex.
  void Forget(const std::vector<ShardId>& shards) {
    for (const ShardId id : shards) {
      checkpoints_.Forget(id).IgnoreError();  // it only leaves the store longer
    }
  }

  // Whether every shard has been read to its end.
  bool AllEnded() const ABSL_LOCKS_EXCLUDED(mutex_) {
    const MutexLock lock(mutex_);
    return std::all_of(rows_.begin(), rows_.end(), [](const auto& entry) { return IsEnded(entry.second); });
  }

  // ---- workers ------------------------------------------------------------------------------------------------------

  std::uint64_t AddWorker(std::string name) ABSL_LOCKS_EXCLUDED(mutex_) {
    const MutexLock lock(mutex_);
    workers_.emplace(++last_worker_, Worker{std::move(name)});
    return last_worker_;
  }

  // The worker's leases are free at once.
  void RemoveWorker(std::uint64_t worker) ABSL_LOCKS_EXCLUDED(mutex_) {
    {
      const MutexLock lock(mutex_);
      for (auto& [id, row] : rows_) {
        if (row.owner == worker) row.owner = kNoWorker;
      }
      workers_.erase(worker);
    }
    changed_.Notify(EventCount::kAll);
  }

  // The worker is alive: its leases that have not expired last for another lease duration.
  void Renew(std::uint64_t worker, std::int64_t now) ABSL_LOCKS_EXCLUDED(mutex_) {
    const MutexLock lock(mutex_);
    const auto self = workers_.find(worker);
    if (self == workers_.end()) return;  // it has been shut down
    self->second.seen_until = SaturatingAdd(now, duration_);
    for (auto& [id, row] : rows_) {
      if (IsOwnedBy(row, worker, now)) row.expires_at = SaturatingAdd(now, duration_);
    }
  }

  // Takes leases for the worker: free ones up to its share; if there is none, one of a worker that has at least two
  // more than this one, of the one with most if it can be. Only leases of pending shards are taken.
  std::vector<HeldLease> Take(std::uint64_t worker, std::int64_t now) ABSL_LOCKS_EXCLUDED(mutex_) {
    std::vector<HeldLease> taken;
    const MutexLock lock(mutex_);
    Balance balance = CountLeases(now);
    std::size_t& held = balance.held_by[worker];
    for (auto& [id, row] : rows_) {
      if (held >= balance.share) break;
      if (!IsFree(id, row, worker, now)) continue;
      taken.push_back(Grant(id, row, worker, now));
      ++held;
    }
    if (!taken.empty() || held >= balance.share) return taken;
    std::size_t most = held + 1;
    auto best = rows_.end();
    for (auto entry = rows_.begin(); entry != rows_.end(); ++entry) {
      auto& [id, row] = *entry;
      const std::size_t count = CountToBalance(id, row, worker, now, balance);
      if (count <= most) continue;
      if (row.is_saving || row.is_processing) {
        row.is_wanted = true;
        continue;
      }
      most = count;
      best = entry;
    }
    if (best != rows_.end()) {
      taken.push_back(Grant(best->first, best->second, worker, now));
      ++counts_.stolen;
    }
    return taken;
  }

  bool IsHeld(const HeldLease& lease, std::int64_t now) const ABSL_LOCKS_EXCLUDED(mutex_) {
    const MutexLock lock(mutex_);
    return FindHeld(lease, now) != nullptr;
  }

  // kShutdown: the caller does not hold the lease any more.
  absl::Status CheckHeld(const HeldLease& lease, std::int64_t now) const {
    return IsHeld(lease, now) ? absl::OkStatus() : NotHeld(lease);
  }

  // BeginWork() and EndWork() enclose the processing of a batch. False: the caller does not hold the lease any more.
  bool BeginWork(const HeldLease& lease, std::int64_t now) ABSL_LOCKS_EXCLUDED(mutex_) {
    const MutexLock lock(mutex_);
    Row* const row = FindHeld(lease, now);
    if (row != nullptr) row->is_processing = true;
    return row != nullptr;
  }
  void EndWork(const HeldLease& lease) ABSL_LOCKS_EXCLUDED(mutex_) {
    bool is_wanted = false;
    {
      const MutexLock lock(mutex_);
      Row* const row = FindOwn(lease);
      if (row == nullptr) return;
      row->is_processing = false;
      is_wanted = std::exchange(row->is_wanted, false);
    }
    if (is_wanted) [[unlikely]]
      changed_.Notify(EventCount::kAll);
  }

  void CountLost() ABSL_LOCKS_EXCLUDED(mutex_) {
    const MutexLock lock(mutex_);
    ++counts_.lost;
  }

  // Frees the lease, if the caller still has it.
  void Release(const HeldLease& lease) ABSL_LOCKS_EXCLUDED(mutex_) { GiveBack(lease, 0); }

  // Same, and the worker does not take it again before `until`, so that others may have it meanwhile.
  void GiveBack(const HeldLease& lease, std::int64_t until) ABSL_LOCKS_EXCLUDED(mutex_) {
    {
      const MutexLock lock(mutex_);
      const auto worker = workers_.find(lease.worker);
      if (until != 0 && worker != workers_.end()) worker->second.put_off[lease.shard] = until;
      Row* const row = FindOwn(lease);
      if (row == nullptr) return;
      row->owner = kNoWorker;
    }
    changed_.Notify(EventCount::kAll);
  }

  // The first instant after `now` at which there may be a lease to take, by the clock alone: another worker's expires,
  // or one that this worker gave back may be taken again.
  std::int64_t NextExpiry(std::uint64_t worker, std::int64_t now) const ABSL_LOCKS_EXCLUDED(mutex_) {
    const MutexLock lock(mutex_);
    std::int64_t next = kForever;
    for (const auto& [id, row] : rows_) {
      if (!IsPending(row)) continue;
      if (row.owner != worker && IsOwned(row, now)) next = std::min(next, row.expires_at);
      if (const std::int64_t until = PutOffUntil(id, worker); now < until) next = std::min(next, until);
    }
    return next;
  }

  // Whether Take() may take a lease.
  bool HasToTake(std::uint64_t worker, std::int64_t now) const ABSL_LOCKS_EXCLUDED(mutex_) {
    const MutexLock lock(mutex_);
    const Balance balance = CountLeases(now);
    const auto self = balance.held_by.find(worker);
    const std::size_t held = self == balance.held_by.end() ? 0 : self->second;
    if (held >= balance.share) return false;
    return std::any_of(rows_.begin(), rows_.end(), [&](const auto& entry) {
      mutex_.AssertHeld();
      const auto& [id, row] = entry;
      if (IsFree(id, row, worker, now)) return true;
      return CountToBalance(id, row, worker, now, balance) >= held + 2 && !row.is_saving && !row.is_processing;
    });
  }

  // ---- progress in a shard; all of these do nothing if the caller does not hold the lease any more ------------------

  // The holder starts; `begin` is the first record that its processor can be given.
  void Open(const HeldLease& lease, SequenceNumber begin) ABSL_LOCKS_EXCLUDED(mutex_) {
    const MutexLock lock(mutex_);
    if (Row* const row = FindOwn(lease)) row->progress.Open(begin);
  }

  // The processor is given records up to `last`; then either Settle() or TakeBack() is called.
  void Give(const HeldLease& lease, SequenceNumber last) ABSL_LOCKS_EXCLUDED(mutex_) {
    const MutexLock lock(mutex_);
    Row* const row = FindOwn(lease);
    if (row == nullptr) return;
    row->progress.Give(last);
    row->store_failed = false;
  }
  // Records up to `last` are passed over, and not given to the processor.
  void Skip(const HeldLease& lease, SequenceNumber last) ABSL_LOCKS_EXCLUDED(mutex_) {
    const MutexLock lock(mutex_);
    if (Row* const row = FindOwn(lease)) row->progress.Skip(last);
  }
  void Settle(const HeldLease& lease) ABSL_LOCKS_EXCLUDED(mutex_) {
    const MutexLock lock(mutex_);
    if (Row* const row = FindOwn(lease)) row->progress.Settle();
  }
  void TakeBack(const HeldLease& lease) ABSL_LOCKS_EXCLUDED(mutex_) {
    const MutexLock lock(mutex_);
    if (Row* const row = FindOwn(lease)) row->progress.TakeBack();
  }

  // All records of the shard have been processed; `last` is its ending number.
  void ReachEnd(const HeldLease& lease, SequenceNumber last) ABSL_LOCKS_EXCLUDED(mutex_) {
    const MutexLock lock(mutex_);
    if (Row* const row = FindOwn(lease)) row->progress.ReachEnd(last);
  }

  // Whether the end of the shard has been saved.
  bool IsEnded(ShardId shard) const ABSL_LOCKS_EXCLUDED(mutex_) {
    const MutexLock lock(mutex_);
    const auto found = rows_.find(shard);
    return found != rows_.end() && IsEnded(found->second);
  }

  // Whether the store failed to save a checkpoint since the last Give().
  bool StoreFailed(const HeldLease& lease) const ABSL_LOCKS_EXCLUDED(mutex_) {
    const MutexLock lock(mutex_);
    const Row* const row = FindOwn(lease);
    return row != nullptr && row->store_failed;
  }

  // ---- checkpoints --------------------------------------------------------------------------------------------------

  Checkpoint CheckpointAt(const CheckpointPosition& position) const { return checkpoints_.At(position); }

  // Sets the checkpoints that a group of the same name has saved in the store before.
  void Restore(const std::map<ShardId, Checkpoint>& saved) ABSL_LOCKS_EXCLUDED(mutex_) {
    const MutexLock lock(mutex_);
    for (const auto& [id, checkpoint] : saved) {
      const auto found = rows_.find(id);
      if (found != rows_.end()) found->second.progress = ShardProgress(checkpoint.position);
    }
  }

  // Saves where a new group begins, so that later groups of its name go on from there. If it fails, and the store keeps
  // a part, the next group of this name begins with all records in the other shards. Requires: the group has no workers
  // yet, and the caller holds no mutex.
  absl::Status SaveAll() ABSL_LOCKS_EXCLUDED(mutex_) {
    std::vector<std::pair<ShardId, CheckpointPosition>> beginnings;
    {
      const MutexLock lock(mutex_);
      for (const auto& [id, row] : rows_) beginnings.emplace_back(id, row.progress.checkpoint());
    }
    return checkpoints_.SaveAll(beginnings);
  }

  // The progress in a shard. None: a checkpoint of it is being saved, or the shard has gone.
  std::optional<ShardProgress> ProgressIn(ShardId shard) const ABSL_LOCKS_EXCLUDED(mutex_) {
    const MutexLock lock(mutex_);
    const auto found = rows_.find(shard);
    if (found == rows_.end() || found->second.is_saving) return std::nullopt;
    return found->second.progress;
  }

  // Saves a checkpoint at `number`; without one, at the last record that was processed, or at the shard's end.
  // kShutdown: the caller does not hold the lease any more. kInvalidArgument: ShardProgress::Admit(). Waits for a save
  // of the shard that is under way.
  absl::Status Save(const HeldLease& lease, std::optional<SequenceNumber> number, Clock& clock)
      ABSL_LOCKS_EXCLUDED(mutex_) {
    CheckpointPosition position;
    {
      const MutexLock lock(mutex_);
      Row* row = FindHeld(lease, clock.NowNanos());
      while (row != nullptr && row->is_saving) {
        saved_.Wait(mutex_);
        row = FindHeld(lease, clock.NowNanos());
      }
      if (row == nullptr) return NotHeld(lease);
      absl::StatusOr<std::optional<CheckpointPosition>> admitted = row->progress.Admit(number);
      if (!admitted.ok()) return admitted.status();
      if (!admitted->has_value()) return absl::OkStatus();
      position = **std::move(admitted);
      row->is_saving = true;
    }
    Saving saving(*this, lease.shard, clock);
    absl::Status status = checkpoints_.Save(lease.shard, position);
    if (status.ok()) saving.Succeed(position);
    if (!Contains(lease.shard)) Forget({lease.shard});  // the shard has gone meanwhile, and was forgotten too early
    return status;
  }

  // Notes that a checkpoint at `number` is to come, and returns the position. Errors as those of Save().
  absl::StatusOr<CheckpointPosition> Prepare(const HeldLease& lease, std::optional<SequenceNumber> number,
                                             std::int64_t now) ABSL_LOCKS_EXCLUDED(mutex_) {
    const MutexLock lock(mutex_);
    Row* const row = FindHeld(lease, now);
    if (row == nullptr) return NotHeld(lease);
    absl::StatusOr<std::optional<CheckpointPosition>> admitted = row->progress.Admit(number);
    if (!admitted.ok()) return admitted.status();
    if (!admitted->has_value()) return row->progress.checkpoint();
    row->progress.Prepare(**admitted);
    return **std::move(admitted);
  }

  // ---- statistics ---------------------------------------------------------------------------------------------------

  std::vector<LeaseView> View(std::int64_t now) const ABSL_LOCKS_EXCLUDED(mutex_) {
    const MutexLock lock(mutex_);
    std::vector<LeaseView> all;
    for (const auto& [id, row] : rows_) {
      const auto worker = workers_.find(row.owner);
      const bool is_owned = IsOwned(row, now) && worker != workers_.end();
      all.push_back({id, is_owned ? worker->second.name : std::string(), is_owned ? row.expires_at : 0,
                     CheckpointAt(row.progress.checkpoint())});
    }
    return all;
  }

  LeaseCounts counts() const ABSL_LOCKS_EXCLUDED(mutex_) {
    const MutexLock lock(mutex_);
    return counts_;
  }

 private:
  static constexpr std::uint64_t kNoWorker = 0;

  struct Worker {
    std::string name;
    std::int64_t seen_until = 0;                   // from then on it does not count for the shares
    std::map<ShardId, std::int64_t> put_off = {};  // leases that it does not take before a time
  };

  struct Row {
    std::vector<ShardId> parents;
    ShardProgress progress;
    std::uint64_t owner = kNoWorker;
    std::uint64_t counter = 0;  // how often the lease was taken
    std::int64_t expires_at = 0;
    bool is_saving = false;
    bool is_processing = false;
    bool is_wanted = false;     // a worker waits until neither is so, to take it for balance
    bool store_failed = false;  // since the last Give()
  };

  // How many pending shards' leases each live worker has, and each one's share: how many it should have at most.
  struct Balance {
    std::map<std::uint64_t, std::size_t> held_by;
    std::size_t share = 0;
  };

  // A save of a checkpoint, which ends with this object, however the store returns.
  class Saving {
   public:
    Saving(LeaseTable& table, ShardId shard, Clock& clock) : table_(table), shard_(shard), clock_(clock) {}
    Saving(const Saving&) = delete;
    Saving& operator=(const Saving&) = delete;
    ~Saving() { table_.EndSave(shard_, saved_, clock_); }

    void Succeed(CheckpointPosition position) { saved_ = position; }

   private:
    LeaseTable& table_;
    const ShardId shard_;
    Clock& clock_;
    std::optional<CheckpointPosition> saved_;
  };

  void EndSave(ShardId shard, std::optional<CheckpointPosition> saved, Clock& clock) ABSL_LOCKS_EXCLUDED(mutex_) {
    bool is_awaited = false;  // by workers that may now take a lease
    {
      const MutexLock lock(mutex_);
      const auto found = rows_.find(shard);
      if (found != rows_.end()) {
        Row& row = found->second;
        DECOUPLE_ASSERT(row.is_saving);
        row.is_saving = false;
        if (saved.has_value()) {
          row.progress.Set(*saved);
        } else {
          row.store_failed = true;
        }
        // Also if the lease has expired meanwhile: workers that woke at that instant found it being saved.
        const bool is_wanted = std::exchange(row.is_wanted, false);
        is_awaited = is_wanted || row.progress.is_ended() || !IsOwned(row, clock.NowNanos());
      }
      saved_.NotifyAll();
    }
    if (is_awaited) changed_.Notify(EventCount::kAll);
  }

  bool Contains(ShardId shard) const ABSL_LOCKS_EXCLUDED(mutex_) {
    const MutexLock lock(mutex_);
    return rows_.contains(shard);
  }

  static absl::Status NotHeld(const HeldLease& lease) {
    return MakeError(Error::kShutdown, absl::StrCat("the worker does not hold the lease of ", lease.shard.ToString(),
                                                    " any more; only its holder makes checkpoints and renews it"));
  }

  static bool IsEnded(const Row& row) { return row.progress.is_ended(); }
  static bool IsOwned(const Row& row, std::int64_t now) { return row.owner != kNoWorker && now < row.expires_at; }
  static bool IsOwnedBy(const Row& row, std::uint64_t worker, std::int64_t now) {
    return row.owner == worker && IsOwned(row, now);
  }

  // Whether the shard is to be read: it has not been read to its end, and its parents have been. Parents that the
  // stream does not have any more count as read to their end.
  bool IsPending(const Row& row) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return !IsEnded(row) && std::all_of(row.parents.begin(), row.parents.end(), [this](ShardId parent) {
      mutex_.AssertHeld();
      const auto found = rows_.find(parent);
      return found == rows_.end() || IsEnded(found->second);
    });
  }

  // Whether the worker may take it: nobody has it.
  bool IsFree(ShardId id, const Row& row, std::uint64_t worker, std::int64_t now) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return IsPending(row) && !IsOwned(row, now) && !row.is_saving && now >= PutOffUntil(id, worker);
  }

  // How many leases the worker has from which this one may be taken for balance, unless a batch or checkpoint of it is
  // under way; 0: it may not be.
  std::size_t CountToBalance(ShardId id, const Row& row, std::uint64_t worker, std::int64_t now,
                             const Balance& balance) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (!IsPending(row) || !IsOwned(row, now) || now < PutOffUntil(id, worker)) return 0;
    const auto owner = balance.held_by.find(row.owner);
    return owner == balance.held_by.end() ? 0 : owner->second;
  }

  std::int64_t PutOffUntil(ShardId id, std::uint64_t worker) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    const auto self = workers_.find(worker);
    if (self == workers_.end()) return 0;
    const auto until = self->second.put_off.find(id);
    return until == self->second.put_off.end() ? 0 : until->second;
  }

  Balance CountLeases(std::int64_t now) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    Balance balance;
    for (const auto& [id, worker] : workers_) {
      if (now < worker.seen_until) balance.held_by[id] = 0;
    }
    std::size_t pending = 0;
    for (const auto& [id, row] : rows_) {
      if (!IsPending(row)) continue;
      ++pending;
      const auto owner = balance.held_by.find(row.owner);
      if (IsOwned(row, now) && owner != balance.held_by.end()) ++owner->second;
    }
    const std::size_t workers = std::max<std::size_t>(balance.held_by.size(), 1);
    balance.share = (pending + workers - 1) / workers;
    return balance;
  }

  HeldLease Grant(ShardId id, Row& row, std::uint64_t worker, std::int64_t now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    DECOUPLE_ASSERT(worker != kNoWorker && workers_.contains(worker));
    DECOUPLE_ASSERT(!row.is_saving && IsPending(row));
    row.owner = worker;
    row.expires_at = SaturatingAdd(now, duration_);
    row.is_processing = false;
    row.is_wanted = false;
    row.store_failed = false;
    ++row.counter;
    ++counts_.taken;
    workers_.find(worker)->second.put_off.erase(id);
    return {id, worker, row.counter};
  }

  // Null: the lease is held no longer.
  Row* FindHeld(const HeldLease& lease, std::int64_t now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return const_cast<Row*>(static_cast<const LeaseTable*>(this)->FindHeld(lease, now));
  }
  const Row* FindHeld(const HeldLease& lease, std::int64_t now) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    const auto found = rows_.find(lease.shard);
    DECOUPLE_ASSERT(found == rows_.end() || lease.counter <= found->second.counter);  // it only grows
    if (found == rows_.end() || !IsOwnedBy(found->second, lease.worker, now) ||
        found->second.counter != lease.counter) {
      return nullptr;
    }
    return &found->second;
  }

  // Same, whether or not the lease has expired meanwhile: null if another worker, or the same, has taken it since.
  Row* FindOwn(const HeldLease& lease) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return const_cast<Row*>(static_cast<const LeaseTable*>(this)->FindOwn(lease));
  }
  const Row* FindOwn(const HeldLease& lease) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    const auto found = rows_.find(lease.shard);
    if (found == rows_.end() || found->second.owner != lease.worker || found->second.counter != lease.counter) {
      return nullptr;
    }
    return &found->second;
  }

  GroupCheckpoints checkpoints_;
  const std::int64_t duration_;
  EventCount changed_;
  ConditionVariable saved_;  // a checkpoint has been saved, or could not be
  mutable Mutex mutex_;
  std::map<ShardId, Row> rows_ ABSL_GUARDED_BY(mutex_);
  std::map<std::uint64_t, Worker> workers_ ABSL_GUARDED_BY(mutex_);
  std::uint64_t last_worker_ ABSL_GUARDED_BY(mutex_) = kNoWorker;
  LeaseCounts counts_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_GROUP_LEASE_TABLE_H_
