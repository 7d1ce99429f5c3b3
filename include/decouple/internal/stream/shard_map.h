// A stream's shards, which of them is whose, and how they are split and merged while others put and read.
//
// Who puts looks a hash key up in an immutable table, within a RcuReadGuard. Resharding closes the parents, which waits
// for those who may have got a ticket from them, opens the children with the next sequence numbers, and replaces the
// table. One who puts meanwhile finds the parent closed and waits for the mutex, then looks again: so every record of a
// key that is put after another one has a greater number, in the same shard or in a child.

#ifndef DECOUPLE_INTERNAL_STREAM_SHARD_MAP_H_
#define DECOUPLE_INTERNAL_STREAM_SHARD_MAP_H_

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "decouple/error.h"
#include "decouple/hash_key.h"
#include "decouple/internal/base/event_count.h"
#include "decouple/internal/base/rcu.h"
#include "decouple/internal/stream/shard_core.h"
#include "decouple/shard.h"

namespace decouple::internal {

template <typename T>
class ShardMap {
 public:
  using Pointer = std::shared_ptr<ShardCore<T>>;

  explicit ShardMap(std::size_t shards) {
    for (std::size_t i = 0; i < shards; ++i) Open(EvenRange(i, shards), {}, 1);
    PublishTable();
  }
  ShardMap(const ShardMap&) = delete;
  ShardMap& operator=(const ShardMap&) = delete;
  ~ShardMap() { delete table_.load(std::memory_order_relaxed); }

  // Within a section, in which the shard stays. It may be closed: then leave the section, AwaitChange(), and ask again.
  ShardCore<T>& Route(HashKey key) const {
    const Table& table = *table_.load(std::memory_order_acquire);  // pairs with PublishTable()
    return *std::prev(std::upper_bound(table.begin(), table.end(), key, [](HashKey of, const Entry& entry) {
              return of < entry.starting;
            }))->shard;
  }

  // Returns when the resharding is done that is under way.
  void AwaitChange() const { const std::lock_guard lock(mutex_); }

  bool closed() const { return closed_.load(std::memory_order_acquire); }

  // kResourceNotFound.
  absl::StatusOr<Pointer> Find(ShardId id) const {
    const std::lock_guard lock(mutex_);
    return FindLocked(id);
  }

  // In the order in which they were opened.
  std::vector<Pointer> All() const {
    const std::lock_guard lock(mutex_);
    std::vector<Pointer> all;
    for (const auto& [id, shard] : shards_) all.push_back(shard);
    return all;
  }

  // The same, as they are at one moment between two reshardings.
  std::vector<Shard> Descriptions() const {
    const std::lock_guard lock(mutex_);
    std::vector<Shard> all;
    for (const auto& [id, shard] : shards_) all.push_back(shard->Description());
    return all;
  }

  // Counts reshardings, and tells those who wait for one.
  std::uint64_t changes() const { return changes_.load(std::memory_order_acquire); }
  EventCount& changed() { return changed_; }

  // Shards go that were closed at `over` or before, and have no records. Returns how many records they had.
  std::uint64_t RemoveGone(std::int64_t over) {
    std::vector<Pointer> gone;
    {
      const std::lock_guard lock(mutex_);
      for (auto entry = shards_.begin(); entry != shards_.end();) {
        if (entry->second->IsGone(over)) {
          gone.push_back(std::move(entry->second));
          entry = shards_.erase(entry);
        } else {
          ++entry;
        }
      }
    }
    if (gone.empty()) return 0;
    RcuSynchronize();  // one who just put the last record may still be about to announce it
    std::uint64_t records = 0;
    for (const Pointer& shard : gone) records += shard->end();
    return records;
  }

  // ---- resharding, at `now` -----------------------------------------------------------------------------------------

  // At `key`, with which the upper child begins; in the middle by default.
  absl::Status Split(ShardId id, std::optional<HashKey> key, std::int64_t now) {
    const std::lock_guard lock(mutex_);
    absl::StatusOr<Pointer> parent = FindOpen(id);
    if (!parent.ok()) return parent.status();
    const HashKeyRange& range = (*parent)->range();
    const HashKey at = key.value_or(range.starting + (range.ending - range.starting) / 2 + 1);
    if (at <= range.starting + 1 || at >= range.ending) {
      return MakeError(Error::kInvalidArgument,
                       absl::StrCat("new starting hash key ", ToString(at), " for ", id.ToString(),
                                    "; allowed are keys inside its range, greater than ", ToString(range.starting + 1),
                                    " and less than ", ToString(range.ending)));
    }
    SplitAt(**parent, at, now);
    PublishTable();
    return absl::OkStatus();
  }

  absl::Status Merge(ShardId first, ShardId second, std::int64_t now) {
    const std::lock_guard lock(mutex_);
    absl::StatusOr<Pointer> a = FindOpen(first);
    if (!a.ok()) return a.status();
    absl::StatusOr<Pointer> b = FindOpen(second);
    if (!b.ok()) return b.status();
    if ((*a)->range().starting > (*b)->range().starting) std::swap(*a, *b);
    if (*a == *b || (*a)->range().ending + 1 != (*b)->range().starting) {
      return MakeError(Error::kInvalidArgument,
                       absl::StrCat("merging ", first.ToString(), " and ", second.ToString(),
                                    "; allowed are two shards whose hash key ranges are adjacent"));
    }
    MergeBoth(**a, **b, now);
    PublishTable();
    return absl::OkStatus();
  }

  // So many shards of equal ranges, at most `factor` times as many as there are, or as few. Splits at the new bounds
  // and merges what lies between them; shards in between, which never have a record, are closed at once.
  absl::Status Scale(std::size_t shards, std::size_t factor, std::int64_t now) {
    const std::lock_guard lock(mutex_);
    if (closed()) return Closed();
    const std::size_t before = open_.size();
    const std::size_t most = factor > std::numeric_limits<std::size_t>::max() / before
                                 ? std::numeric_limits<std::size_t>::max()
                                 : before * factor;
    const std::size_t least = (before + factor - 1) / factor;
    if (shards < std::max<std::size_t>(least, 1) || shards > most) {
      return MakeError(Error::kInvalidArgument,
                       absl::StrCat("scaling from ", before, " shards to ", shards, "; allowed are ",
                                    std::max<std::size_t>(least, 1), " to ", most));
    }
    for (std::size_t i = 0; i < shards; ++i) {
      ShardCore<T>& holder = *OpenAt(EvenRange(i, shards).starting);
      if (holder.range().starting != EvenRange(i, shards).starting) SplitAt(holder, EvenRange(i, shards).starting, now);
    }
    for (std::size_t i = 0; i < shards; ++i) {
      const HashKeyRange range = EvenRange(i, shards);
      for (Pointer shard = OpenAt(range.starting); shard->range().ending != range.ending;
           shard = OpenAt(range.starting)) {
        MergeBoth(*shard, *OpenAt(shard->range().ending + 1), now);
      }
    }
    PublishTable();
    return absl::OkStatus();
  }

  // All shards close, without children.
  void Close(std::int64_t now) {
    {
      const std::lock_guard lock(mutex_);
      if (closed()) return;
      closed_.store(true, std::memory_order_release);
      for (const auto& [starting, shard] : open_) shard->Close(now);
      for (const auto& [starting, shard] : open_) shard->End({});
    }
    NotifyChange();
  }

 private:
  struct Entry {
    HashKey starting;
    ShardCore<T>* shard;
  };
  using Table = std::vector<Entry>;  // by starting key, the first of which is 0

  // The i-th of n equal parts, the last of which has what is left.
  static HashKeyRange EvenRange(std::size_t i, std::size_t n) {
    const HashKey part = n == 1 ? kLargestHashKey : (kLargestHashKey - (n - 1)) / n + 1;  // 2^128 / n
    return {part * i, i + 1 == n ? kLargestHashKey : part * (i + 1) - 1};
  }

  static absl::Status Closed() {
    return MakeError(Error::kStreamClosed, "the stream is closed; its shards stay as they are");
  }

  // All below: under the mutex.

  absl::StatusOr<Pointer> FindLocked(ShardId id) const {
    const auto found = shards_.find(id);
    if (found != shards_.end()) return found->second;
    return MakeError(Error::kResourceNotFound,
                     absl::StrCat(id.ToString(), " is not there; Shards() gives those that are"));
  }

  absl::StatusOr<Pointer> FindOpen(ShardId id) const {
    if (closed()) return Closed();
    absl::StatusOr<Pointer> shard = FindLocked(id);
    if (!shard.ok() || !(*shard)->IsClosed()) return shard;
    return MakeError(Error::kResourceInUse,
                     absl::StrCat(id.ToString(), " has been split or merged already; only open shards can be"));
  }

  const Pointer& OpenAt(HashKey key) const { return std::prev(open_.upper_bound(key))->second; }

  const ShardCore<T>& Open(const HashKeyRange& range, std::vector<ShardId> parents, std::uint64_t base) {
    const ShardId id(opened_++);
    const auto shard = std::make_shared<ShardCore<T>>(id, std::move(parents), range, base);
    shards_.emplace(id, shard);
    open_.insert_or_assign(range.starting, shard);
    return *shard;
  }

  void SplitAt(ShardCore<T>& shard, HashKey key, std::int64_t now) {
    const Pointer parent = shard.shared_from_this();
    parent->Close(now);
    const std::uint64_t base = parent->next_number();
    const HashKeyRange range = parent->range();
    const Shard lower = Open({range.starting, key - 1}, {parent->id()}, base).Description();
    const Shard upper = Open({key, range.ending}, {parent->id()}, base).Description();
    parent->End({lower, upper});
  }

  void MergeBoth(ShardCore<T>& lower, ShardCore<T>& upper, std::int64_t now) {
    const Pointer a = lower.shared_from_this();
    const Pointer b = upper.shared_from_this();
    a->Close(now);
    b->Close(now);
    const std::uint64_t base = std::max(a->next_number(), b->next_number());
    open_.erase(b->range().starting);
    const Shard child = Open({a->range().starting, b->range().ending}, {a->id(), b->id()}, base).Description();
    a->End({child});
    b->End({child});
  }

  // Puts find the open shards from now on.
  void PublishTable() {
    auto table = std::make_unique<Table>();
    for (const auto& [starting, shard] : open_) table->push_back({starting, shard.get()});
    const Table* const old = table_.exchange(table.release(), std::memory_order_acq_rel);
    if (old == nullptr) return;
    RcuSynchronize();
    delete old;
    NotifyChange();
  }

  void NotifyChange() {
    changes_.fetch_add(1, std::memory_order_seq_cst);  // before the look for those who wait
    changed_.Notify(EventCount::kAll);
  }

  std::atomic<const Table*> table_{nullptr};
  std::atomic<bool> closed_{false};
  std::atomic<std::uint64_t> changes_{0};
  EventCount changed_;

  mutable std::mutex mutex_;
  std::map<ShardId, Pointer> shards_;
  std::map<HashKey, Pointer> open_;  // by starting key
  std::uint64_t opened_ = 0;
};

}  // namespace decouple::internal

#endif  // DECOUPLE_INTERNAL_STREAM_SHARD_MAP_H_
