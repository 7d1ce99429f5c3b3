// One shard: a log with a range of hash keys, a place in the stream's lineage of shards, and sequence numbers.
//
//   open     takes puts. A put reads closed_ and takes its ticket within one RCU read section
//   closed   gives no ticket any more: Close() sets closed_, and waits for the sections that may not have seen it
//   ended    end_ says how many records the shard has, and children_ where readers go on. Set once, after Close()
//
// A closed shard stays in the stream for the retention period, even if it never had a record: so a reader of its
// parents finds the way to its children.
//
// Lock order: none of the stream's mutexes is taken while the watchers' mutex or the log's is held.

#ifndef DECOUPLE_INTERNAL_STREAM_SHARD_CORE_H_
#define DECOUPLE_INTERNAL_STREAM_SHARD_CORE_H_

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "decouple/clock.h"
#include "decouple/error.h"
#include "decouple/internal/base/access.h"
#include "decouple/internal/base/assert.h"
#include "decouple/internal/base/asymmetric_fence.h"
#include "decouple/internal/base/cache_line.h"
#include "decouple/internal/base/event_count.h"
#include "decouple/internal/base/mutex.h"
#include "decouple/internal/base/rcu.h"
#include "decouple/internal/base/token_bucket.h"
#include "decouple/internal/stream/record_log.h"
#include "decouple/internal/stream/stream_throughput.h"
#include "decouple/iterator_position.h"
#include "decouple/record_batch.h"
#include "decouple/sequence_number.h"
#include "decouple/shard.h"

namespace decouple::inline v0_1::internal {

// How many records and bytes one read may return, the time of the read and the retention period.
struct ReadBounds {
  std::uint64_t records;
  std::uint64_t bytes;
  std::int64_t now;
  std::int64_t retention;
};

// What a shard notifies when it has further records or has ended. HasRecords() may run user code.
class ShardWatcher {
 public:
  virtual ~ShardWatcher() = default;
  virtual void HasRecords() = 0;
};

template <typename T>
class ShardCore : public std::enable_shared_from_this<ShardCore<T>> {
 public:
  using Segment = RecordSegment<T>;

  // The first record's number follows `start`, the shard's starting number.
  ShardCore(ShardId id, std::vector<ShardId> parents, const HashKeyRange& range, std::uint64_t incarnation,
            std::uint64_t start, std::int64_t opened_at)
      : id_(id),
        parents_(std::move(parents)),
        range_(range),
        opened_at_(opened_at),
        base_(Access::Make<SequenceNumber>(start + 1, Access::OriginOf<SequenceNumber>(incarnation, id.number()))) {}
  ShardCore(const ShardCore&) = delete;
  ShardCore& operator=(const ShardCore&) = delete;

  ShardId id() const { return id_; }
  const HashKeyRange& range() const { return range_; }
  RecordLog<T>& log() { return log_; }
  const RecordLog<T>& log() const { return log_; }
  EventCount& tip() { return tip_; }
  WriteThroughput& writes() { return writes_; }
  TokenBucket& read_calls() { return read_calls_; }
  ReadThroughput& reads() { return reads_; }

  SequenceNumber NumberOf(std::uint64_t record) const {
    return Access::Make<SequenceNumber>(base_.value() + record, Access::Origin(base_));
  }
  // The number of the record before; of the first one, the shard's starting number, which no record has: reading after
  // it is reading from the first one.
  SequenceNumber NumberBefore(std::uint64_t record) const { return NumberOf(record - 1); }
  // Whether this shard, of this stream, gave the number, or could have.
  bool IsOwn(SequenceNumber number) const { return Access::Origin(number) == Access::Origin(base_); }
  // The value of the next record's number. Once the shard is closed, a child's numbers begin there or later.
  std::uint64_t next_number() const { return base_.value() + log_.next(); }

  Shard Description() const {
    Shard shard{.id = id_,
                .parents = parents_,
                .hash_key_range = range_,
                .starting_sequence_number = NumberBefore(0),
                .ending_sequence_number = std::nullopt};
    if (IsEnded()) shard.ending_sequence_number = NumberBefore(end());
    return shard;
  }

  // ---- puts ---------------------------------------------------------------------------------------------------------

  // Relaxed: the read section and Close()'s RcuSynchronize() order it. Requires: the caller is in a read section, or
  // holds the mutex of ShardMap.
  bool IsClosed() const { return closed_.load(std::memory_order_relaxed); }

  // Whether a reader waits for the record that the caller has just published: then the caller must Announce() it. The
  // order matters: HasWaiters() has the light fence that is_watched() needs, too.
  bool IsAwaited() const { return tip_.HasWaiters() || is_watched(); }
  // Requires: the caller is in no read section, as watchers may run user code.
  void Announce() {
    tip_.Notify(EventCount::kAll);
    NotifyWatchers();
  }

  // Watchers are notified of records and of the shard's end. A put publishes its record, passes a light fence and loads
  // watching_; Watch() raises it, under the mutex, so that it is never less than the number of watchers that a put may
  // find; passes a heavy fence; and the watcher then looks for records. At least one of them sees the other.
  bool is_watched() const { return watching_.load(std::memory_order_relaxed) != 0; }
  void Watch(std::shared_ptr<ShardWatcher> watcher) ABSL_LOCKS_EXCLUDED(watchers_mutex_) {
    {
      const MutexLock lock(watchers_mutex_);
      watchers_.push_back(std::move(watcher));
      SetWatching();
    }
    HeavyFence();  // before the watcher's first look
  }
  void Unwatch(const ShardWatcher& watcher) ABSL_LOCKS_EXCLUDED(watchers_mutex_) {
    std::shared_ptr<ShardWatcher> removed;  // destroyed after the mutex is released: it has a function of the user's
    const MutexLock lock(watchers_mutex_);
    const auto is_it = [&](const std::shared_ptr<ShardWatcher>& one) { return one.get() == &watcher; };
    const auto found = std::find_if(watchers_.begin(), watchers_.end(), is_it);
    if (found == watchers_.end()) return;
    removed = std::move(*found);
    watchers_.erase(found);
    SetWatching();
  }
  // Requires: the caller is in no read section.
  void NotifyWatchers() ABSL_LOCKS_EXCLUDED(watchers_mutex_) {
    std::vector<std::shared_ptr<ShardWatcher>> all;
    {
      const MutexLock lock(watchers_mutex_);
      all = watchers_;
    }
    for (const auto& watcher : all) watcher->HasRecords();
  }

  // ---- resharding ---------------------------------------------------------------------------------------------------

  // When it returns, no ticket is taken any more. Called once, under the mutex of ShardMap.
  void Close(std::int64_t now) {
    DECOUPLE_ASSERT(!IsClosed());
    closed_at_ = now;
    closed_.store(true, std::memory_order_relaxed);
    RcuSynchronize();
  }
  // Sets the number of records and the children. Called once, after Close() and by the same thread.
  void End(std::vector<Shard> children) {
    DECOUPLE_ASSERT(IsClosed() && !IsEnded());
    children_ = std::move(children);
    end_.store(log_.next(), std::memory_order_release);  // pairs with end(): publishes closed_at_ and children_
    tip_.Notify(EventCount::kAll);
  }

  // ---- extent -------------------------------------------------------------------------------------------------------

  // One past the last record that it will ever have; kUnbounded until it has ended.
  std::uint64_t end() const { return end_.load(std::memory_order_acquire); }
  bool IsEnded() const { return end() != kUnbounded; }
  // Whether it was open at `time`, or at that time or later. Of the moment in which it is closed both are true.
  bool WasOpenAt(std::int64_t time) const { return opened_at_ <= time && WasOpenFrom(time); }
  bool WasOpenFrom(std::int64_t time) const { return !IsEnded() || closed_at_ >= time; }
  // Whether it was closed at `cutoff` or before and has no records left.
  bool IsExpired(std::int64_t cutoff) const { return IsEnded() && closed_at_ <= cutoff && log_.first() == end(); }

  // The record at which a read from `position` begins. kInvalidArgument.
  absl::StatusOr<std::uint64_t> Find(const IteratorPosition& position, std::int64_t now) const {
    if (std::holds_alternative<TrimHorizon>(position)) return log_.first();
    if (std::holds_alternative<Latest>(position)) return log_.next();
    if (const auto* const at = std::get_if<AtSequenceNumber>(&position)) {
      const absl::StatusOr<std::uint64_t> behind = FindBehind(at->sequence_number);
      return behind.ok() ? absl::StatusOr<std::uint64_t>(std::max<std::uint64_t>(*behind, 1) - 1) : behind;
    }
    if (const auto* const after = std::get_if<AfterSequenceNumber>(&position)) {
      return FindBehind(after->sequence_number);
    }
    const absl::Time time = std::get<AtTimestamp>(position).timestamp;
    const std::optional<std::int64_t> nanos = NanosNotAhead(time, now);
    if (!nanos) {
      return MakeError(Error::kInvalidArgument,
                       absl::StrCat("timestamp ", absl::FormatTime(time), "; allowed are times less than ",
                                    absl::FormatDuration(kClockTolerance), " ahead of the clock, ",
                                    absl::FormatTime(absl::FromUnixNanos(now))));
    }
    return log_.FindTime(*nanos);
  }

  // Reads from `position` on, and moves it behind what was read.
  RecordBatch<T> Read(std::uint64_t& position, const ReadBounds& bounds) {
    RecordBatch<T> batch;
    batch.shard_id_ = id_;
    batch.base_ = base_;
    const auto extent = log_.Read(position, bounds.records, bounds.bytes, bounds.now - bounds.retention, batch.runs_);
    batch.size_ = extent.end - extent.begin;
    batch.bytes_ = extent.bytes;
    // Less than a millisecond counts as one: 0 says that there was nothing left.
    if (extent.has_next) {
      batch.millis_behind_latest_ = std::max<std::int64_t>(MillisSince(extent.next_arrival, bounds.now), 1);
    }
    if (!batch.empty()) {
      const RecordRun<T>& last = batch.runs_.back();
      NoteAge(MillisSince(last.segment->arrival(last.end - 1), bounds.now));
    }
    DECOUPLE_ASSERT(position <= extent.end && extent.end <= end());
    position = extent.end;
    if (extent.end == end()) {
      batch.shard_ended_ = true;
      batch.child_shards_ = children_;
    }
    return batch;
  }

  // Whether a read from `position` on would return a record or the shard's end.
  bool HasRecords(std::uint64_t position) const {
    if (position >= end() || log_.first() > position) return true;
    const RcuReadGuard section;
    const Segment* const segment = log_.FindSegment(position);
    return segment != nullptr && segment->IsReady(static_cast<std::uint32_t>(position - segment->first()));
  }

  // Sleeps until HasRecords(position), or until the clock shows `deadline`.
  void AwaitRecords(std::uint64_t position, Clock& clock, std::int64_t deadline) {
    EventCount::Waiter waiter(tip_);
    while (!HasRecords(position) && clock.NowNanos() < deadline) waiter.Sleep(clock, deadline);
  }

  void Trim(std::int64_t cutoff, std::uint64_t max_bytes) { log_.Trim(cutoff, max_bytes, IsEnded()); }

  // The age in milliseconds of the last record of the latest read that returned any, at the time of that read.
  std::int64_t iterator_age() const { return age_.load(std::memory_order_relaxed); }

 private:
  void SetWatching() ABSL_EXCLUSIVE_LOCKS_REQUIRED(watchers_mutex_) {
    watching_.store(static_cast<std::uint32_t>(watchers_.size()), std::memory_order_relaxed);
  }

  static constexpr std::int64_t kMillisecond = 1'000'000;

  // `then` may be after `now`: readers and appenders read the clock before they look at the log.
  static std::int64_t MillisSince(std::int64_t then, std::int64_t now) {
    return now > then ? (now - then) / kMillisecond : 0;
  }

  // Relaxed: it is a statistic. Not written when it does not change, as all readers share its cache line.
  void NoteAge(std::int64_t millis) {
    if (iterator_age() != millis) age_.store(millis, std::memory_order_relaxed);
  }

  // The record behind the one with this number. kInvalidArgument: the shard has not given it.
  absl::StatusOr<std::uint64_t> FindBehind(SequenceNumber number) const {
    const SequenceNumber start = NumberBefore(0);
    const SequenceNumber last = NumberBefore(log_.next());
    if (IsOwn(number) && start <= number && number <= last) return number.value() - start.value();
    const char* whose = "";
    if (!IsOwn(number)) {
      whose = number.stream_incarnation() == 0                            ? ", which is no record's,"
              : number.stream_incarnation() == base_.stream_incarnation() ? ", which another shard gave,"
                                                                          : ", which another stream gave,";
    }
    return MakeError(Error::kInvalidArgument,
                     absl::StrCat("sequence number ", number.ToString(), whose, " for ", id_.ToString(),
                                  "; allowed are ", start.ToString(), " to ", last.ToString()));
  }

  const ShardId id_;
  const std::vector<ShardId> parents_;
  const HashKeyRange range_;
  const std::int64_t opened_at_;
  const SequenceNumber base_;  // of the first record
  std::atomic<bool> closed_{false};
  std::atomic<std::uint32_t> watching_{0};
  std::atomic<std::uint64_t> end_{kUnbounded};
  std::int64_t closed_at_ = 0;   // read only after end() has shown the shard's end, which publishes it
  std::vector<Shard> children_;  // same
  // What every put reads stands above, apart from the log's counters, which every put writes.
  RecordLog<T> log_;
  alignas(kCacheLine) EventCount tip_;
  alignas(kCacheLine) std::atomic<std::int64_t> age_{0};
  WriteThroughput writes_;
  TokenBucket read_calls_;
  ReadThroughput reads_;
  Mutex watchers_mutex_;
  std::vector<std::shared_ptr<ShardWatcher>> watchers_ ABSL_GUARDED_BY(watchers_mutex_);
};

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_STREAM_SHARD_CORE_H_
