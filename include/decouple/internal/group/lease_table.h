// Who of a group's workers has which shard, until when, and how far the group is in it.
//
// A lease is free, or its owner's until its instant of expiry: from that instant on, by the clock alone, it is free
// again. An owner is a worker and the count of how often the lease was taken, so one that lost a lease and took it
// again does not mistake the new one for the old. While a checkpoint is being saved its lease cannot be taken, so two
// owners never save at the same time; and while a batch is being processed it is not taken for balance, so that the
// batch does not come again for that alone.

#ifndef DECOUPLE_INTERNAL_GROUP_LEASE_TABLE_H_
#define DECOUPLE_INTERNAL_GROUP_LEASE_TABLE_H_

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "decouple/checkpoint_store.h"
#include "decouple/error.h"
#include "decouple/internal/base/event_count.h"
#include "decouple/internal/base/time_math.h"
#include "decouple/message.h"
#include "decouple/shard.h"

namespace decouple::internal {

// A lease as its owner knows it.
struct HeldLease {
  ShardId shard;
  std::uint64_t worker = 0;
  std::uint64_t taken = 0;
};

// A line of the table as others see it.
struct LeaseView {
  ShardId shard;
  std::string owner;  // empty: free
  std::int64_t expires_at = 0;
  Checkpoint checkpoint;
};

struct LeaseCounts {
  std::uint64_t taken = 0;
  std::uint64_t stolen = 0;  // of these
  std::uint64_t lost = 0;
};

// All members may be called from any thread.
class LeaseTable {
 public:
  LeaseTable(std::string group, std::int64_t lease_duration, std::shared_ptr<CheckpointStore> store)
      : group_(std::move(group)), duration_(lease_duration), store_(std::move(store)) {}

  const std::string& group() const { return group_; }
  std::int64_t lease_duration() const { return duration_; }
  // Told when a lease becomes free before its time, or a worker leaves or is to leave.
  EventCount& changed() { return changed_; }

  // ---- shards -------------------------------------------------------------------------------------------------------

  // Those that the stream has; new ones begin at `beginning(shard)`.
  template <typename Beginning>
  void SetShards(const std::vector<Shard>& shards, Beginning beginning) {
    std::vector<ShardId> gone;
    {
      const std::lock_guard lock(mutex_);
      std::map<ShardId, Row> lines;
      for (const Shard& shard : shards) {
        const auto found = lines_.find(shard.id);
        if (found != lines_.end()) {
          lines.insert(lines_.extract(found));
        } else {
          lines.emplace(shard.id, Row{.parents = shard.parents, .checkpoint = beginning(shard)});
        }
      }
      for (const auto& [id, line] : lines_) gone.push_back(id);
      lines_ = std::move(lines);
    }
    for (const ShardId id : gone) store_->Forget(group_, id).IgnoreError();
    changed_.Notify(EventCount::kAll);
  }

  // Everything is done with that the stream has.
  bool AllEnded() const {
    const std::lock_guard lock(mutex_);
    return std::all_of(lines_.begin(), lines_.end(), [](const auto& entry) { return IsEnded(entry.second); });
  }

  // ---- workers ------------------------------------------------------------------------------------------------------

  std::uint64_t AddWorker(std::string name) {
    const std::lock_guard lock(mutex_);
    workers_.emplace(++last_worker_, Worker{std::move(name)});
    return last_worker_;
  }

  // Its leases are free at once.
  void RemoveWorker(std::uint64_t worker) {
    {
      const std::lock_guard lock(mutex_);
      for (auto& [id, line] : lines_) {
        if (line.owner == worker) line.owner = kNobody;
      }
      workers_.erase(worker);
    }
    changed_.Notify(EventCount::kAll);
  }

  // The worker is there: all its leases that have not expired are its own for another duration.
  void Renew(std::uint64_t worker, std::int64_t now) {
    const std::lock_guard lock(mutex_);
    const auto self = workers_.find(worker);
    if (self == workers_.end()) return;  // it has been shut down
    self->second.seen_until = SaturatingAdd(now, duration_);
    for (auto& [id, line] : lines_) {
      if (IsOwnedBy(line, worker, now)) line.expires_at = SaturatingAdd(now, duration_);
    }
  }

  // What the worker is to take now: free leases up to its share, else one of the worker that has most, if that has two
  // more than it. Only shards whose parents are done with.
  std::vector<HeldLease> Take(std::uint64_t worker, std::int64_t now) {
    std::vector<HeldLease> taken;
    const std::lock_guard lock(mutex_);
    Counting counting = Count(now);
    std::size_t& local = counting.of_worker[worker];
    for (auto& [id, line] : lines_) {
      if (local >= counting.share) break;
      if (!IsPending(line) || IsOwned(line, now) || line.is_saving) continue;
      taken.push_back(Give(id, line, worker, now));
      ++local;
    }
    if (!taken.empty() || local >= counting.share) return taken;
    const auto most = std::max_element(counting.of_worker.begin(), counting.of_worker.end(),
                                       [](const auto& a, const auto& b) { return a.second < b.second; });
    if (most->second < local + 2) return taken;
    for (auto& [id, line] : lines_) {
      if (!IsPending(line) || !IsOwnedBy(line, most->first, now) || line.is_saving || line.is_worked_on) continue;
      taken.push_back(Give(id, line, worker, now));
      ++counts_.stolen;
      break;
    }
    return taken;
  }

  bool IsHeld(const HeldLease& lease, std::int64_t now) const {
    const std::lock_guard lock(mutex_);
    return FindHeld(lease, now) != nullptr;
  }

  // Around the processing of a batch. False: the lease is not the caller's any more.
  bool BeginWork(const HeldLease& lease, std::int64_t now) {
    const std::lock_guard lock(mutex_);
    Row* const line = FindHeld(lease, now);
    if (line != nullptr) line->is_worked_on = true;
    return line != nullptr;
  }
  void EndWork(const HeldLease& lease) {
    const std::lock_guard lock(mutex_);
    const auto found = lines_.find(lease.shard);
    if (found != lines_.end() && found->second.taken == lease.taken) found->second.is_worked_on = false;
  }

  void CountLost() {
    const std::lock_guard lock(mutex_);
    ++counts_.lost;
  }

  // The owner is done with it for now.
  void Release(const HeldLease& lease) {
    {
      const std::lock_guard lock(mutex_);
      const auto found = lines_.find(lease.shard);
      if (found == lines_.end() || found->second.owner != lease.worker || found->second.taken != lease.taken) return;
      found->second.owner = kNobody;
    }
    changed_.Notify(EventCount::kAll);
  }

  // When there may be something to take that is not there now: the first expiry of somebody else's lease.
  std::int64_t NextExpiry(std::uint64_t worker, std::int64_t now) const {
    const std::lock_guard lock(mutex_);
    std::int64_t next = kForever;
    for (const auto& [id, line] : lines_) {
      if (IsPending(line) && line.owner != worker && IsOwned(line, now)) next = std::min(next, line.expires_at);
    }
    return next;
  }

  // Whether Take() would give something.
  bool HasToTake(std::uint64_t worker, std::int64_t now) const {
    const std::lock_guard lock(mutex_);
    const Counting counting = Count(now);
    const auto local = counting.of_worker.find(worker);
    const std::size_t held = local == counting.of_worker.end() ? 0 : local->second;
    if (held >= counting.share) return false;
    for (const auto& [id, line] : lines_) {
      if (IsPending(line) && !line.is_saving && !IsOwned(line, now)) return true;
    }
    return std::any_of(counting.of_worker.begin(), counting.of_worker.end(),
                       [&](const auto& one) { return one.second >= held + 2; });
  }

  // ---- checkpoints --------------------------------------------------------------------------------------------------

  // Those that were saved before, by the group's earlier lives.
  void Restore(const std::map<ShardId, Checkpoint>& saved) {
    const std::lock_guard lock(mutex_);
    for (const auto& [id, checkpoint] : saved) {
      const auto found = lines_.find(id);
      if (found != lines_.end()) found->second.checkpoint = checkpoint;
    }
  }

  // Where the group begins, so that its later lives begin there, too; or nothing. Before there are workers.
  absl::Status SaveAll() {
    const std::lock_guard lock(mutex_);
    absl::Status status;
    for (const auto& [id, line] : lines_) status.Update(store_->Save(group_, id, line.checkpoint));
    if (status.ok()) return status;
    for (const auto& [id, line] : lines_)
      store_->Forget(group_, id).IgnoreError();  // else it would not be new any more
    return status;
  }

  std::optional<Checkpoint> CheckpointOf(ShardId shard) const {
    const std::lock_guard lock(mutex_);
    const auto found = lines_.find(shard);
    return found == lines_.end() ? std::nullopt : std::optional<Checkpoint>(found->second.checkpoint);
  }

  // kShutdown: the lease is not the caller's any more. kInvalidArgument: it is behind what was saved before.
  absl::Status Save(const HeldLease& lease, const Checkpoint& checkpoint, std::int64_t now) {
    {
      const std::lock_guard lock(mutex_);
      Row* const line = FindHeld(lease, now);
      if (line == nullptr) {
        return MakeError(Error::kShutdown, absl::StrCat("a checkpoint of ", lease.shard.ToString(),
                                                        " by a worker that does not hold its lease any more"));
      }
      if (absl::Status status = CheckOrder(line->checkpoint, checkpoint); !status.ok()) return status;
      line->is_saving = true;
    }
    absl::Status status = store_->Save(group_, lease.shard, checkpoint);
    {
      const std::lock_guard lock(mutex_);
      const auto found = lines_.find(lease.shard);
      if (found == lines_.end()) return status;  // the shard has gone with all its records
      found->second.is_saving = false;
      if (status.ok()) found->second.checkpoint = checkpoint;
    }
    if (std::holds_alternative<ShardEnd>(checkpoint)) changed_.Notify(EventCount::kAll);  // its children can be taken
    return status;
  }

  // ---- for those who watch ------------------------------------------------------------------------------------------

  std::vector<LeaseView> View(std::int64_t now) const {
    const std::lock_guard lock(mutex_);
    std::vector<LeaseView> all;
    for (const auto& [id, line] : lines_) {
      const auto worker = workers_.find(line.owner);
      const bool is_owned = IsOwned(line, now) && worker != workers_.end();
      all.push_back(
          {id, is_owned ? worker->second.name : std::string(), is_owned ? line.expires_at : 0, line.checkpoint});
    }
    return all;
  }

  LeaseCounts counts() const {
    const std::lock_guard lock(mutex_);
    return counts_;
  }

 private:
  static constexpr std::uint64_t kNobody = 0;

  struct Worker {
    std::string name;
    std::int64_t seen_until = 0;  // after that it is taken for dead
  };

  struct Row {
    std::vector<ShardId> parents;
    Checkpoint checkpoint;
    std::uint64_t owner = kNobody;
    std::uint64_t taken = 0;
    std::int64_t expires_at = 0;
    bool is_saving = false;
    bool is_worked_on = false;
  };

  // How many leases each worker has that is there, and how many each should have at most.
  struct Counting {
    std::map<std::uint64_t, std::size_t> of_worker;
    std::size_t share = 0;
  };

  // All below: under the mutex.

  static bool IsEnded(const Row& line) { return std::holds_alternative<ShardEnd>(line.checkpoint); }
  static bool IsOwned(const Row& line, std::int64_t now) { return line.owner != kNobody && now < line.expires_at; }
  static bool IsOwnedBy(const Row& line, std::uint64_t worker, std::int64_t now) {
    return line.owner == worker && IsOwned(line, now);
  }

  // Parents that the stream does not have any more count as done with.
  bool IsPending(const Row& line) const {
    return !IsEnded(line) && std::all_of(line.parents.begin(), line.parents.end(), [this](ShardId parent) {
      const auto found = lines_.find(parent);
      return found == lines_.end() || IsEnded(found->second);
    });
  }

  Counting Count(std::int64_t now) const {
    Counting counting;
    for (const auto& [id, worker] : workers_) {
      if (now < worker.seen_until) counting.of_worker[id] = 0;
    }
    std::size_t to_do = 0;
    for (const auto& [id, line] : lines_) {
      if (!IsPending(line)) continue;
      ++to_do;
      const auto owner = counting.of_worker.find(line.owner);
      if (IsOwned(line, now) && owner != counting.of_worker.end()) ++owner->second;
    }
    const std::size_t workers = std::max<std::size_t>(counting.of_worker.size(), 1);
    counting.share = (to_do + workers - 1) / workers;
    return counting;
  }

  HeldLease Give(ShardId id, Row& line, std::uint64_t worker, std::int64_t now) {
    line.owner = worker;
    line.expires_at = SaturatingAdd(now, duration_);
    line.is_worked_on = false;
    ++line.taken;
    ++counts_.taken;
    return {id, worker, line.taken};
  }

  Row* FindHeld(const HeldLease& lease, std::int64_t now) {
    return const_cast<Row*>(std::as_const(*this).FindHeld(lease, now));
  }
  const Row* FindHeld(const HeldLease& lease, std::int64_t now) const {
    const auto found = lines_.find(lease.shard);
    if (found == lines_.end() || !IsOwnedBy(found->second, lease.worker, now) || found->second.taken != lease.taken) {
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
  mutable std::mutex mutex_;
  // All below: under the mutex.
  std::map<ShardId, Row> lines_;
  std::map<std::uint64_t, Worker> workers_;
  std::uint64_t last_worker_ = kNobody;
  LeaseCounts counts_;
};

}  // namespace decouple::internal

#endif  // DECOUPLE_INTERNAL_GROUP_LEASE_TABLE_H_
