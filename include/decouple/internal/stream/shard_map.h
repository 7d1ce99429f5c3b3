// A stream's shards: which of them each hash key belongs to, and how they are split and merged while other threads put
// and read.
//
// Design: a put looks its hash key up in an immutable table, in an RCU read section. Resharding closes the parents,
// which waits for puts that may have got a ticket from them, opens the children with the next sequence numbers, and
// replaces the table. A put that finds its shard closed meanwhile waits for the mutex, then looks its key up again.
//
// Invariants:
//   (1) The open shards' ranges cover all hash keys without gaps and do not overlap, and so do those of every table.
//   (2) Of two records of a key, the one that was put later has the greater sequence number, in the same shard or in a
//       child.
//
// Lock order: the mutexes of GroupCore and LeaseTable are taken before this one, those of event counts after it.

#ifndef DECOUPLE_INTERNAL_STREAM_SHARD_MAP_H_
#define DECOUPLE_INTERNAL_STREAM_SHARD_MAP_H_

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "decouple/error.h"
#include "decouple/hash_key.h"
#include "decouple/internal/base/assert.h"
#include "decouple/internal/base/event_count.h"
#include "decouple/internal/base/mutex.h"
#include "decouple/internal/base/rcu.h"
#include "decouple/internal/stream/shard_core.h"
#include "decouple/shard.h"

namespace decouple::inline v0_1::internal {

template <typename T>
class ShardMap {
 public:
  using Pointer = std::shared_ptr<ShardCore<T>>;

  ShardMap(std::size_t shards, std::uint64_t incarnation, std::int64_t now)
      : incarnation_(incarnation), created_at_(now) {
    for (std::size_t i = 0; i < shards; ++i) Open(EvenRange(i, shards), {}, 1, now);
    PublishTable();
  }
  ShardMap(const ShardMap&) = delete;
  ShardMap& operator=(const ShardMap&) = delete;
  ~ShardMap() { delete table_.load(std::memory_order_relaxed); }

  // Returns the shard that takes records with this key; it stays until the section ends. It may be closed: the caller
  // then leaves the section, calls AwaitChange(), and routes again. Requires: the caller is in a read section.
  ShardCore<T>& Route(HashKey key) const {
    const Table& table = *table_.load(std::memory_order_acquire);  // pairs with PublishTable()
    ShardCore<T>& shard =
        *std::prev(std::upper_bound(table.begin(), table.end(), key, [](HashKey of, const Entry& entry) {
           return of < entry.starting;
         }))->shard;
    DECOUPLE_ASSERT(shard.range().Contains(key));
    return shard;
  }

  // Returns when a resharding that is under way at the call has been done.
  void AwaitChange() const ABSL_LOCKS_EXCLUDED(mutex_) { const MutexLock lock(mutex_); }

  std::uint64_t incarnation() const { return incarnation_; }
  std::int64_t created_at() const { return created_at_; }
  bool closed() const { return closed_.load(std::memory_order_acquire); }

  // kResourceNotFound.
  absl::StatusOr<Pointer> Find(ShardId id) const ABSL_LOCKS_EXCLUDED(mutex_) {
    const MutexLock lock(mutex_);
    return FindLocked(id);
  }

  // All shards, open and closed ones, in the order in which they were opened.
  std::vector<Pointer> All() const ABSL_LOCKS_EXCLUDED(mutex_) {
    const MutexLock lock(mutex_);
    std::vector<Pointer> all;
    for (const auto& [id, shard] : shards_) all.push_back(shard);
    return all;
  }

  // Same, as they are at one moment between two reshardings.
  std::vector<Shard> Descriptions() const {
    return Descriptions([](const ShardCore<T>&) { return true; });
  }
  // Only those for which `is_listed(shard)` is true.
  template <typename Predicate>
  std::vector<Shard> Descriptions(Predicate is_listed) const ABSL_LOCKS_EXCLUDED(mutex_) {
    const MutexLock lock(mutex_);
    std::vector<Shard> all;
    for (const auto& [id, shard] : shards_) {
      if (is_listed(*shard)) all.push_back(shard->Description());
    }
    return all;
  }

  std::size_t CountOpen() const ABSL_LOCKS_EXCLUDED(mutex_) {
    const MutexLock lock(mutex_);
    return closed() ? 0 : open_.size();
  }

  // How many reshardings there have been, and the event count on which threads wait for the next one.
  std::uint64_t changes() const { return changes_.load(std::memory_order_acquire); }
  EventCount& changed() { return changed_; }

  // Removes shards that were closed at `cutoff` or before and have no records left. Returns how many they had.
  // Requires: the caller is in no read section.
  std::uint64_t RemoveExpired(std::int64_t cutoff) ABSL_LOCKS_EXCLUDED(mutex_) {
    std::vector<Pointer> removed;
    {
      const MutexLock lock(mutex_);
      for (auto entry = shards_.begin(); entry != shards_.end();) {
        if (entry->second->IsExpired(cutoff)) {
          removed.push_back(std::move(entry->second));
          entry = shards_.erase(entry);
        } else {
          ++entry;
        }
      }
    }
    if (removed.empty()) return 0;
    RcuSynchronize();  // the thread that put the last record may be about to announce it
    std::uint64_t records = 0;
    for (const Pointer& shard : removed) records += shard->end();
    return records;
  }

  // ---- resharding, at `now` -----------------------------------------------------------------------------------------

  // Splits at `key`, with which the upper child begins; in the middle by default.
  absl::Status Split(ShardId id, std::optional<HashKey> key, std::int64_t now) ABSL_LOCKS_EXCLUDED(mutex_) {
    const MutexLock lock(mutex_);
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

  // `first` is the one with the lower keys.
  absl::Status Merge(ShardId first, ShardId second, std::int64_t now) ABSL_LOCKS_EXCLUDED(mutex_) {
    const MutexLock lock(mutex_);
    absl::StatusOr<Pointer> a = FindOpen(first);
    if (!a.ok()) return a.status();
    absl::StatusOr<Pointer> b = FindOpen(second);
    if (!b.ok()) return b.status();
    if ((*a)->range().ending == kLargestHashKey || (*a)->range().ending + 1 != (*b)->range().starting) {
      return MakeError(
          Error::kInvalidArgument,
          absl::StrCat("merging ", first.ToString(), " and ", second.ToString(),
                       "; allowed are two shards of adjacent hash keys, the one with the lower ones first"));
    }
    MergeBoth(**a, **b, now);
    PublishTable();
    return absl::OkStatus();
  }

  // Makes `shards` open shards of equal ranges. Their number grows or shrinks at most by `factor`.
  absl::Status Scale(std::size_t shards, std::size_t factor, std::int64_t now) ABSL_LOCKS_EXCLUDED(mutex_) {
    const MutexLock lock(mutex_);
    if (closed()) return Closed();
    const std::size_t before = open_.size();
    const std::size_t max_shards = factor > std::numeric_limits<std::size_t>::max() / before
                                       ? std::numeric_limits<std::size_t>::max()
                                       : before * factor;
    const std::size_t min_shards = (before + factor - 1) / factor;
    if (shards < std::max<std::size_t>(min_shards, 1) || shards > max_shards) {
      return MakeError(Error::kInvalidArgument,
                       absl::StrCat("scaling from ", before, " shards to ", shards, "; allowed are ",
                                    std::max<std::size_t>(min_shards, 1), " to ", max_shards));
    }
    ScaleLocked(shards, now);
    return absl::OkStatus();
  }
  // Same, however many there are now.
  absl::Status ScaleTo(std::size_t shards, std::int64_t now) ABSL_LOCKS_EXCLUDED(mutex_) {
    const MutexLock lock(mutex_);
    if (closed()) return Closed();
    ScaleLocked(shards, now);
    return absl::OkStatus();
  }

  // Closes all shards, without children.
  void Close(std::int64_t now) ABSL_LOCKS_EXCLUDED(mutex_) {
    {
      const MutexLock lock(mutex_);
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
  using Table = std::vector<Entry>;  // sorted by starting key, the first of which is 0

  // The i-th of n equal parts of all hash keys; the last one has the remainder, too.
  static HashKeyRange EvenRange(std::size_t i, std::size_t n) {
    const HashKey part = n == 1 ? kLargestHashKey : (kLargestHashKey - (n - 1)) / n + 1;  // 2^128 / n
    return {part * i, i + 1 == n ? kLargestHashKey : part * (i + 1) - 1};
  }

  static absl::Status Closed() {
    return MakeError(Error::kStreamClosed, "the stream is closed; its shards stay as they are");
  }

  absl::StatusOr<Pointer> FindLocked(ShardId id) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    const auto found = shards_.find(id);
    if (found != shards_.end()) return found->second;
    return MakeError(Error::kResourceNotFound,
                     absl::StrCat(id.ToString(), " is not there; Shards() gives those that are"));
  }

  absl::StatusOr<Pointer> FindOpen(ShardId id) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (closed()) return Closed();
    absl::StatusOr<Pointer> shard = FindLocked(id);
    if (!shard.ok() || !(*shard)->IsClosed()) return shard;
    return MakeError(Error::kInvalidArgument,
                     absl::StrCat(id.ToString(), " has been split or merged already; only open shards can be"));
  }

  const Pointer& OpenAt(HashKey key) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return std::prev(open_.upper_bound(key))->second;
  }

  const ShardCore<T>& Open(const HashKeyRange& range, std::vector<ShardId> parents, std::uint64_t start,
                           std::int64_t now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    const ShardId id(opened_++);
    const auto shard = std::make_shared<ShardCore<T>>(id, std::move(parents), range, incarnation_, start, now);
    shards_.emplace(id, shard);
    open_.insert_or_assign(range.starting, shard);
    return *shard;
  }

  void SplitAt(ShardCore<T>& shard, HashKey key, std::int64_t now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    DECOUPLE_ASSERT(shard.range().starting < key && key <= shard.range().ending);
    const Pointer parent = shard.shared_from_this();
    parent->Close(now);
    const std::uint64_t start = parent->next_number();
    const HashKeyRange range = parent->range();
    const Shard lower = Open({range.starting, key - 1}, {parent->id()}, start, now).Description();
    const Shard upper = Open({key, range.ending}, {parent->id()}, start, now).Description();
    parent->End({lower, upper});
  }

  void MergeBoth(ShardCore<T>& lower, ShardCore<T>& upper, std::int64_t now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    DECOUPLE_ASSERT(lower.range().ending + 1 == upper.range().starting);
    const Pointer a = lower.shared_from_this();
    const Pointer b = upper.shared_from_this();
    a->Close(now);
    b->Close(now);
    const std::uint64_t start = std::max(a->next_number(), b->next_number());
    open_.erase(b->range().starting);
    const Shard child = Open({a->range().starting, b->range().ending}, {a->id(), b->id()}, start, now).Description();
    a->End({child});
    b->End({child});
  }

  // Splits at the new bounds, then merges what lies between them; intermediate shards, which never have a record, are
  // closed at once.
  void ScaleLocked(std::size_t shards, std::int64_t now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
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
  }

  // Replaces the table by one of the shards that are open now.
  void PublishTable() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    DECOUPLE_ASSERT(CoversAllKeys());
    auto table = std::make_unique<Table>();
    for (const auto& [starting, shard] : open_) table->push_back({starting, shard.get()});
    const Table* const old = table_.exchange(table.release(), std::memory_order_acq_rel);  // pairs with Route()
    if (old == nullptr) return;
    RcuSynchronize();
    delete old;
    NotifyChange();
  }

  // Invariant (1).
  bool CoversAllKeys() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    HashKey next = 0;
    for (const auto& [starting, shard] : open_) {
      if (starting != next || shard->range().starting != starting || shard->IsClosed()) return false;
      next = shard->range().ending + 1;
    }
    return next == 0 && !open_.empty();  // 2^128
  }

  void NotifyChange() {
    changes_.fetch_add(1, std::memory_order_seq_cst);  // before Notify() looks for waiters
    changed_.Notify(EventCount::kAll);
  }

  const std::uint64_t incarnation_;
  const std::int64_t created_at_;
  std::atomic<const Table*> table_{nullptr};
  std::atomic<bool> closed_{false};
  std::atomic<std::uint64_t> changes_{0};
  EventCount changed_;

  mutable Mutex mutex_;
  std::map<ShardId, Pointer> shards_ ABSL_GUARDED_BY(mutex_);
  std::map<HashKey, Pointer> open_ ABSL_GUARDED_BY(mutex_);  // by starting key
  std::uint64_t opened_ ABSL_GUARDED_BY(mutex_) = 0;         // how many were ever opened: the next shard's id
};

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_STREAM_SHARD_MAP_H_
