// A consumer group's leases: which worker reads which shard, until when, and the group's checkpoint of each shard.
//
// Design: a lease is free, or its owner's until its instant of expiry; from that instant on, by the clock alone, it is
// free again. A lease has a counter that grows each time that it is taken, so a worker that lost a lease and took it
// again does not mistake the new one for the old. While a checkpoint is being saved its lease cannot be taken, so that
// two owners do not save at the same time. While a batch is being processed its lease is not taken for balance, so that
// the batch is not processed again for that alone.
//
// Lock order: the mutex is taken after GroupCore's and before ShardMap's. Checkpoints are saved and forgotten without
// it, as a CheckpointStore is the user's code, except when a new group is created: SaveAll().

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
#include "absl/strings/str_cat.h"
#include "decouple/checkpoint_store.h"
#include "decouple/error.h"
#include "decouple/internal/base/assert.h"
#include "decouple/internal/base/event_count.h"
#include "decouple/internal/base/mutex.h"
#include "decouple/internal/base/time_math.h"
#include "decouple/message.h"
#include "decouple/shard.h"

namespace decouple::inline v0_1::internal {

// A lease as its owner knows it. It is held no longer than the row has this owner and this counter.
struct HeldLease {
  ShardId shard;
  std::uint64_t worker = 0;
  std::uint64_t counter = 0;
};

// A row of the table, for users.
struct LeaseView {
  ShardId shard;
  std::string owner;  // empty: free
  std::int64_t expires_at = 0;
  Checkpoint checkpoint;
};

struct LeaseCounts {
  std::uint64_t taken = 0;
  std::uint64_t stolen = 0;  // how many of these were another worker's, taken for balance
  std::uint64_t lost = 0;
};

// All members may be called from any thread.
class LeaseTable {
 public:
  LeaseTable(std::string group, std::int64_t lease_duration, std::shared_ptr<CheckpointStore> store)
      : group_(std::move(group)), duration_(lease_duration), store_(std::move(store)) {}

  const std::string& group() const { return group_; }
  std::int64_t lease_duration() const { return duration_; }
  // Notified when a lease becomes free before it expires, and when a worker leaves or is to leave.
  EventCount& changed() { return changed_; }

  // ---- shards -------------------------------------------------------------------------------------------------------

  // Sets the stream's shards. New ones begin at `beginning(shard)`, which is called under the mutex. The checkpoints of
  // shards that the stream no longer has are forgotten.
  template <typename Beginning>
  void SetShards(const std::vector<Shard>& shards, Beginning beginning) ABSL_LOCKS_EXCLUDED(mutex_) {
    std::vector<ShardId> removed;
    {
      const MutexLock lock(mutex_);
      std::map<ShardId, Row> rows;
      for (const Shard& shard : shards) {
        const auto found = rows_.find(shard.id);
        if (found != rows_.end()) {
          rows.insert(rows_.extract(found));
        } else {
          rows.emplace(shard.id, Row{.parents = shard.parents, .checkpoint = beginning(shard)});
        }
      }
      for (const auto& [id, row] : rows_) removed.push_back(id);
      rows_ = std::move(rows);
    }
    for (const ShardId id : removed) store_->Forget(group_, id).IgnoreError();
    changed_.Notify(EventCount::kAll);
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

  // Takes leases for the worker: free ones up to its share; if there is none, one of the worker that has most, if that
  // has at least two more than this worker. Only leases of pending shards are taken.
  std::vector<HeldLease> Take(std::uint64_t worker, std::int64_t now) ABSL_LOCKS_EXCLUDED(mutex_) {
    std::vector<HeldLease> taken;
    const MutexLock lock(mutex_);
    Balance balance = CountLeases(now);
    std::size_t& held = balance.held_by[worker];
    for (auto& [id, row] : rows_) {
      if (held >= balance.share) break;
      if (!IsPending(row) || IsOwned(row, now) || row.is_saving) continue;
      taken.push_back(Grant(id, row, worker, now));
      ++held;
    }
    if (!taken.empty() || held >= balance.share) return taken;
    const auto most = std::max_element(balance.held_by.begin(), balance.held_by.end(),
                                       [](const auto& a, const auto& b) { return a.second < b.second; });
    if (most->second < held + 2) return taken;
    for (auto& [id, row] : rows_) {
      if (!IsPending(row) || !IsOwnedBy(row, most->first, now) || row.is_saving || row.is_processing) continue;
      taken.push_back(Grant(id, row, worker, now));
      ++counts_.stolen;
      break;
    }
    return taken;
  }

  bool IsHeld(const HeldLease& lease, std::int64_t now) const ABSL_LOCKS_EXCLUDED(mutex_) {
    const MutexLock lock(mutex_);
    return FindHeld(lease, now) != nullptr;
  }

  // BeginWork() and EndWork() enclose the processing of a batch. False: the caller does not hold the lease any more.
  bool BeginWork(const HeldLease& lease, std::int64_t now) ABSL_LOCKS_EXCLUDED(mutex_) {
    const MutexLock lock(mutex_);
    Row* const row = FindHeld(lease, now);
    if (row != nullptr) row->is_processing = true;
    return row != nullptr;
  }
  void EndWork(const HeldLease& lease) ABSL_LOCKS_EXCLUDED(mutex_) {
    const MutexLock lock(mutex_);
    const auto found = rows_.find(lease.shard);
    if (found != rows_.end() && found->second.counter == lease.counter) found->second.is_processing = false;
  }

  void CountLost() ABSL_LOCKS_EXCLUDED(mutex_) {
    const MutexLock lock(mutex_);
    ++counts_.lost;
  }

  // Frees the lease, if the caller still has it.
  void Release(const HeldLease& lease) ABSL_LOCKS_EXCLUDED(mutex_) {
    {
      const MutexLock lock(mutex_);
      const auto found = rows_.find(lease.shard);
      if (found == rows_.end() || found->second.owner != lease.worker || found->second.counter != lease.counter) return;
      found->second.owner = kNoWorker;
    }
    changed_.Notify(EventCount::kAll);
  }

  // The first expiry of another worker's lease: from then on there may be a lease to take, by the clock alone.
  std::int64_t NextExpiry(std::uint64_t worker, std::int64_t now) const ABSL_LOCKS_EXCLUDED(mutex_) {
    const MutexLock lock(mutex_);
    std::int64_t next = kForever;
    for (const auto& [id, row] : rows_) {
      if (IsPending(row) && row.owner != worker && IsOwned(row, now)) next = std::min(next, row.expires_at);
    }
    return next;
  }

  // Whether Take() may take a lease.
  bool HasToTake(std::uint64_t worker, std::int64_t now) const ABSL_LOCKS_EXCLUDED(mutex_) {
    const MutexLock lock(mutex_);
    const Balance balance = CountLeases(now);
    const auto entry = balance.held_by.find(worker);
    const std::size_t held = entry == balance.held_by.end() ? 0 : entry->second;
    if (held >= balance.share) return false;
    for (const auto& [id, row] : rows_) {
      if (IsPending(row) && !row.is_saving && !IsOwned(row, now)) return true;
    }
    return std::any_of(balance.held_by.begin(), balance.held_by.end(),
                       [&](const auto& worker_and_count) { return worker_and_count.second >= held + 2; });
  }

  // ---- checkpoints --------------------------------------------------------------------------------------------------

  // Sets the checkpoints that a group of the same name has saved in the store before.
  void Restore(const std::map<ShardId, Checkpoint>& saved) ABSL_LOCKS_EXCLUDED(mutex_) {
    const MutexLock lock(mutex_);
    for (const auto& [id, checkpoint] : saved) {
      const auto found = rows_.find(id);
      if (found != rows_.end()) found->second.checkpoint = checkpoint;
    }
  }

  // Saves where a new group begins, so that later groups of its name go on from there; all checkpoints or none.
  // Requires: the group has no workers yet.
  absl::Status SaveAll() ABSL_LOCKS_EXCLUDED(mutex_) {
    const MutexLock lock(mutex_);
    absl::Status status;
    for (const auto& [id, row] : rows_) status.Update(store_->Save(group_, id, row.checkpoint));
    if (status.ok()) return status;
    // With a checkpoint in the store the next group of this name would not be new.
    for (const auto& [id, row] : rows_) store_->Forget(group_, id).IgnoreError();
    return status;
  }

  std::optional<Checkpoint> CheckpointOf(ShardId shard) const ABSL_LOCKS_EXCLUDED(mutex_) {
    const MutexLock lock(mutex_);
    const auto found = rows_.find(shard);
    return found == rows_.end() ? std::nullopt : std::optional<Checkpoint>(found->second.checkpoint);
  }

  // kShutdown: the caller does not hold the lease any more. kInvalidArgument: the checkpoint is before the last one.
  absl::Status Save(const HeldLease& lease, const Checkpoint& checkpoint, std::int64_t now)
      ABSL_LOCKS_EXCLUDED(mutex_) {
    {
      const MutexLock lock(mutex_);
      Row* const row = FindHeld(lease, now);
      if (row == nullptr) {
        return MakeError(Error::kShutdown, absl::StrCat("a checkpoint of ", lease.shard.ToString(),
                                                        " by a worker that does not hold its lease any more"));
      }
      if (absl::Status status = CheckOrder(row->checkpoint, checkpoint); !status.ok()) return status;
      row->is_saving = true;
    }
    absl::Status status = store_->Save(group_, lease.shard, checkpoint);
    {
      const MutexLock lock(mutex_);
      const auto found = rows_.find(lease.shard);
      if (found == rows_.end()) return status;  // the shard was removed with all its records
      found->second.is_saving = false;
      if (status.ok()) found->second.checkpoint = checkpoint;
    }
    if (std::holds_alternative<ShardEnd>(checkpoint)) changed_.Notify(EventCount::kAll);  // its children can be taken
    return status;
  }

  // ---- statistics ---------------------------------------------------------------------------------------------------

  std::vector<LeaseView> View(std::int64_t now) const ABSL_LOCKS_EXCLUDED(mutex_) {
    const MutexLock lock(mutex_);
    std::vector<LeaseView> all;
    for (const auto& [id, row] : rows_) {
      const auto worker = workers_.find(row.owner);
      const bool is_owned = IsOwned(row, now) && worker != workers_.end();
      all.push_back(
          {id, is_owned ? worker->second.name : std::string(), is_owned ? row.expires_at : 0, row.checkpoint});
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
    std::int64_t seen_until = 0;  // from then on it does not count for the shares
  };

  struct Row {
    std::vector<ShardId> parents;
    Checkpoint checkpoint;
    std::uint64_t owner = kNoWorker;
    std::uint64_t counter = 0;  // how often the lease was taken
    std::int64_t expires_at = 0;
    bool is_saving = false;
    bool is_processing = false;
  };

  // How many pending shards' leases each live worker has, and each one's share: how many it should have at most.
  struct Balance {
    std::map<std::uint64_t, std::size_t> held_by;
    std::size_t share = 0;
  };

  static bool IsEnded(const Row& row) { return std::holds_alternative<ShardEnd>(row.checkpoint); }
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
    ++row.counter;
    ++counts_.taken;
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

  static absl::Status CheckOrder(const Checkpoint& before, const Checkpoint& after) {
    const auto* const to = std::get_if<AfterSequenceNumber>(&after);
    if (to == nullptr) return absl::OkStatus();
    const auto* const from = std::get_if<AfterSequenceNumber>(&before);
    std::string allowed;
    if (std::holds_alternative<ShardEnd>(before)) allowed = "none, as the shard's end was";
    if (from != nullptr && to->sequence_number < from->sequence_number) {
      allowed = absl::StrCat("numbers from ", from->sequence_number.ToString(), " on, which was");
    }
    if (allowed.empty()) return absl::OkStatus();
    return MakeError(Error::kInvalidArgument, absl::StrCat("a checkpoint at ", to->sequence_number.ToString(),
                                                           "; allowed are ", allowed, " the last one"));
  }

  const std::string group_;
  const std::int64_t duration_;
  const std::shared_ptr<CheckpointStore> store_;
  EventCount changed_;
  mutable Mutex mutex_;
  std::map<ShardId, Row> rows_ ABSL_GUARDED_BY(mutex_);
  std::map<std::uint64_t, Worker> workers_ ABSL_GUARDED_BY(mutex_);
  std::uint64_t last_worker_ ABSL_GUARDED_BY(mutex_) = kNoWorker;
  LeaseCounts counts_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_GROUP_LEASE_TABLE_H_
