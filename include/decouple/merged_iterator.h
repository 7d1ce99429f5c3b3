// Reads the records of all shards of a stream together, in the order in which they arrived.
//
//   auto all = decouple::MergedIterator<Click>::Create(clicks).value();
//   const auto batch = all.Next(100, {.wait = absl::Seconds(1)});
//   for (const auto& [shard, record] : batch.value()) Handle(shard, record.body());
//
// The order is by approximate_arrival_timestamp(), and within each shard that of the shard; a shard's records come
// after those of all earlier shards that held one of its hash keys, which are its parents, theirs, and so on. What is
// merged is what is there at the time of the read: a record of an earlier time that another thread has not finished
// putting comes later. Shards are read as iterators read them, within the limits of the stream's capacity mode. For
// many readers that share the work, see consumer_group.h.
//
// An iterator does not expire. It must be used by one thread at a time, and not outlive the stream's clock.

#ifndef DECOUPLE_MERGED_ITERATOR_H_
#define DECOUPLE_MERGED_ITERATOR_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <set>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "decouple/error.h"
#include "decouple/internal/base/access.h"
#include "decouple/internal/base/event_count.h"
#include "decouple/internal/base/time_math.h"
#include "decouple/internal/stream/hash_range_set.h"
#include "decouple/internal/stream/shard_core.h"
#include "decouple/internal/stream/stream_core.h"
#include "decouple/iterator_position.h"
#include "decouple/record_batch.h"
#include "decouple/result.h"
#include "decouple/shard.h"
#include "decouple/shard_filter.h"
#include "decouple/shard_iterator.h"
#include "decouple/stream.h"

namespace decouple::inline v0_1 {

template <typename T>
struct MergedRecord {
  ShardId shard_id;
  Record<T> record;  // valid as long as its batch
};

// The records of one read, possibly none. It keeps their memory alive, as a RecordBatch does.
template <typename T>
class MergedBatch {
 public:
  using value_type = MergedRecord<T>;
  using const_iterator = typename std::vector<MergedRecord<T>>::const_iterator;

  const_iterator begin() const { return records_.begin(); }
  const_iterator end() const { return records_.end(); }
  std::size_t size() const { return records_.size(); }
  bool empty() const { return records_.empty(); }
  const MergedRecord<T>& operator[](std::size_t i) const { return records_[i]; }
  const MergedRecord<T>& front() const { return records_.front(); }
  const MergedRecord<T>& back() const { return records_.back(); }

  // Whether these were the last records: the stream is closed, and has been read to its end.
  bool stream_ended() const { return stream_ended_; }

 private:
  template <typename>
  friend class MergedIterator;

  std::vector<RecordBatch<T>> memory_;
  std::vector<MergedRecord<T>> records_;
  bool stream_ended_ = false;
};

template <typename T>
class MergedIterator {
 public:
  // Begins in all shards at a TrimHorizon, Latest or AtTimestamp; on a closed stream there is nothing behind the latest
  // record, nor since a time behind the close. O(shards * log shards), and the cost of Stream::Iterate() for each.
  // kInvalidArgument: the position is a sequence number, or a time that is ahead of the clock.
  static absl::StatusOr<MergedIterator> Create(const Stream<T>& stream,
                                               const IteratorPosition& position = TrimHorizon()) {
    if (std::holds_alternative<AtSequenceNumber>(position) || std::holds_alternative<AfterSequenceNumber>(position)) {
      return internal::MakeError(
          Error::kInvalidArgument,
          "a sequence number as the position of a merged iterator; it is one shard's, so allowed "
          "are TrimHorizon, Latest and AtTimestamp");
    }
    MergedIterator merged(internal::Access::Core(stream));
    ShardFilter filter = FromTrimHorizon();
    if (std::holds_alternative<Latest>(position)) filter = AtLatest();
    if (const auto* const at = std::get_if<AtTimestamp>(&position)) filter = FromTimestamp{at->timestamp};
    for (const Shard& shard : stream.Shards()) merged.passed_.insert(shard.id);
    const auto shards = stream.Shards(filter);
    if (!shards.ok()) return shards.status();
    for (const Shard& shard : *shards) merged.passed_.erase(shard.id);
    if (absl::Status status = merged.OpenNext(position); !status.ok()) return status;
    return merged;
  }
  MergedIterator(MergedIterator&&) noexcept = default;
  MergedIterator& operator=(MergedIterator&&) noexcept = default;

  // Reads the next records, at most `limit` (1 … 10 000) of them; none at the tip of all shards, when the wait is over,
  // or at the end of the stream. O(records * log shards + shards).
  // kInvalidArgument: an argument is out of its range. kProvisionedThroughputExceeded: a shard could not be read, and
  // no record may come before its records; the next call goes on.
  Result<MergedBatch<T>> Next(std::size_t limit = 10'000, const ReadOptions& options = {}) {
    if (absl::Status status = core_->checks().CheckRead(limit, options.wait); !status.ok()) {
      return Result<MergedBatch<T>>(std::move(status));
    }
    const std::int64_t deadline = internal::SaturatingAdd(core_->Now(), absl::ToInt64Nanoseconds(options.wait));
    for (;;) {
      Result<MergedBatch<T>> batch = Merge(limit);
      if (!batch.ok() || !batch->empty() || batch->stream_ended() || core_->Now() >= deadline) return batch;
      AwaitRecords(deadline);
    }
  }

 private:
  using Core = internal::StreamCore<T>;

  // What has been read of a shard and not been returned yet.
  struct Source {
    std::shared_ptr<internal::ShardCore<T>> shard;
    std::uint64_t position = 0;  // behind what was read
    RecordBatch<T> batch = {};
    typename RecordBatch<T>::const_iterator next = batch.begin();
    std::size_t left = 0;    // records of the batch that have not been returned
    bool is_kept = false;    // the batch that is being made has the memory of this one
    bool is_at_tip = false;  // there was nothing more at this read
  };

  explicit MergedIterator(std::shared_ptr<Core> core) : core_(std::move(core)) {}

  // Opens the shards that are to be read next: those of which no earlier shard with one of their hash keys is still to
  // be read. Asks the stream rather than the shards that have ended, whose children may have gone by now.
  absl::Status OpenNext(const IteratorPosition& position) {
    internal::HashRangeSet unread;
    for (const auto& [id, source] : sources_) unread.Add(source.shard->range());
    std::set<ShardId> passed;  // without those that have gone
    for (auto& shard : core_->shards().All()) {
      const ShardId id = shard->id();
      if (passed_.contains(id)) {
        passed.insert(id);
      } else if (!sources_.contains(id)) {
        const bool waits = unread.Overlaps(shard->range());
        unread.Add(shard->range());
        if (waits) continue;
        const auto begin = shard->Find(position, core_->Now());
        if (!begin.ok()) return begin.status();
        sources_.emplace(id, Source{.shard = std::move(shard), .position = *begin});
      }
    }
    passed_ = std::move(passed);
    return absl::OkStatus();
  }

  Result<MergedBatch<T>> Merge(std::size_t limit) {
    for (auto& [id, source] : sources_) source.is_kept = source.is_at_tip = false;
    MergedBatch<T> merged;
    while (merged.size() < limit) {
      if (absl::Status status = Refill(limit); !status.ok()) {
        if (merged.empty()) return Result<MergedBatch<T>>(std::move(status));
        return Result<MergedBatch<T>>(std::move(merged));
      }
      if (!MergeSources(limit, merged)) break;
    }
    merged.stream_ended_ = sources_.empty();
    return Result<MergedBatch<T>>(std::move(merged));
  }

  // Reads on in each shard of which all has been returned, until its tip. At a shard's end goes on in those that
  // follow.
  absl::Status Refill(std::size_t limit) {
    for (auto entry = sources_.begin(); entry != sources_.end();) {
      Source& source = entry->second;
      if (source.left > 0 || source.is_at_tip) {
        ++entry;
        continue;
      }
      if (source.batch.shard_ended()) {
        passed_.insert(entry->first);
        sources_.erase(entry);
        if (absl::Status status = OpenNext(TrimHorizon()); !status.ok()) return status;
        entry = sources_.begin();
        continue;
      }
      Result<RecordBatch<T>> batch = core_->Read(*source.shard, source.position, limit, absl::ZeroDuration());
      if (!batch.ok()) return batch.status();
      source.batch = *std::move(batch);
      source.next = source.batch.begin();
      source.left = source.batch.size();
      source.is_kept = false;
      source.is_at_tip = source.batch.empty() && !source.batch.shard_ended();
    }
    return absl::OkStatus();
  }

  // Returns records until one of the shards has to be read again. False: there are none.
  bool MergeSources(std::size_t limit, MergedBatch<T>& merged) {
    std::map<std::pair<absl::Time, ShardId>, Source*> heads;
    for (auto& [id, source] : sources_) {
      if (source.left > 0) heads.emplace(std::pair(source.next->approximate_arrival_timestamp(), id), &source);
    }
    if (heads.empty()) return false;
    while (merged.size() < limit) {
      auto head = heads.extract(heads.begin());
      Source& source = *head.mapped();
      if (!source.is_kept) merged.memory_.push_back(source.batch);
      source.is_kept = true;
      merged.records_.push_back({source.shard->id(), *source.next});
      ++source.next;
      if (--source.left == 0) return true;
      head.key().first = source.next->approximate_arrival_timestamp();
      heads.insert(std::move(head));
    }
    return true;
  }

  // Sleeps until a shard has records or has ended, or until the clock shows `deadline`.
  void AwaitRecords(std::int64_t deadline) {
    std::list<internal::EventCount::Waiter> waiters;
    for (const auto& [id, source] : sources_) waiters.emplace_back(source.shard->tip());
    const bool has_records = std::any_of(sources_.begin(), sources_.end(), [](const auto& entry) {
      return entry.second.shard->HasRecords(entry.second.position);
    });
    if (!has_records && !waiters.empty()) waiters.front().Sleep(core_->clock(), deadline);
  }

  std::shared_ptr<Core> core_;
  std::map<ShardId, Source> sources_;  // shards that are read; no two of them hold one hash key
  std::set<ShardId> passed_;           // shards that have been read, or end before the position of the beginning
};

}  // namespace decouple::inline v0_1

#endif  // DECOUPLE_MERGED_ITERATOR_H_
