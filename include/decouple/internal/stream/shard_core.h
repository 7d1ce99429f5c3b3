// One shard: a log with a place in the stream, and in time.
//
//   open     puts go in. Who puts looks at closed_ and takes a ticket within one RcuReadGuard
//   closed   no ticket is given any more: Close() sets closed_, and waits for the sections that may not have seen it
//   ended    end_ says how many records there are, and children_ where to go on. Set once, after closed
//
// A closed shard stays in the stream for the retention period, even if it never had a record: so who reads its parents
// finds the way to its children.

#ifndef DECOUPLE_INTERNAL_STREAM_SHARD_CORE_H_
#define DECOUPLE_INTERNAL_STREAM_SHARD_CORE_H_

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <limits>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "decouple/clock.h"
#include "decouple/error.h"
#include "decouple/internal/base/asymmetric_fence.h"
#include "decouple/internal/base/cache_line.h"
#include "decouple/internal/base/event_count.h"
#include "decouple/internal/base/rcu.h"
#include "decouple/internal/base/token_bucket.h"
#include "decouple/internal/stream/record_log.h"
#include "decouple/internal/stream/stream_throughput.h"
#include "decouple/iterator_position.h"
#include "decouple/record_batch.h"
#include "decouple/shard.h"

namespace decouple::internal {

// How much of a shard one read may give, and when.
struct ReadBounds {
  std::uint64_t records;
  std::uint64_t bytes;
  std::int64_t now;
  std::int64_t retention;
};

// One who is told that a shard has records, or has ended, since the last time.
class ShardWatcher {
 public:
  virtual ~ShardWatcher() = default;
  virtual void HasRecords() = 0;
};

template <typename T>
class ShardCore : public std::enable_shared_from_this<ShardCore<T>> {
 public:
  using Segment = RecordSegment<T>;

  // `base` is the sequence number of the first record.
  ShardCore(ShardId id, std::vector<ShardId> parents, const HashKeyRange& range, std::uint64_t base)
      : id_(id), parents_(std::move(parents)), range_(range), base_(base) {}
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

  SequenceNumber NumberOf(std::uint64_t record) const { return SequenceNumber(base_ + record); }
  // That of the next record, and in the end that of the first record of a child.
  std::uint64_t next_number() const { return base_ + log_.next(); }

  Shard Description() const {
    Shard shard{.id = id_,
                .parents = parents_,
                .hash_key_range = range_,
                .starting_sequence_number = SequenceNumber(base_),
                .ending_sequence_number = std::nullopt};
    if (IsEnded()) shard.ending_sequence_number = SequenceNumber(base_ + end() - 1);
    return shard;
  }

  // ---- puts ---------------------------------------------------------------------------------------------------------

  // Within a section. Relaxed: the section and the RcuSynchronize() of Close() order it.
  bool IsClosed() const { return closed_.load(std::memory_order_relaxed); }

  // Whether anybody waits for a record that has just been published: then Announce() it.
  bool IsAwaited() const { return tip_.HasWaiters() || is_watched(); }  // in this order: the first has the fence
  // Not within a section: what those do who are told may be the user's code.
  void Announce() {
    tip_.Notify(EventCount::kAll);
    TellWatchers();
  }

  // Those who want to be told of records and of the shard's end. A record that is put while somebody is added is seen
  // by their first look, or its put sees them: one has passed a light fence in between, the other a heavy one.
  bool is_watched() const { return watching_.load(std::memory_order_relaxed) != 0; }
  void Watch(std::shared_ptr<ShardWatcher> watcher) {
    {
      const std::lock_guard lock(watchers_mutex_);
      watchers_.push_back(std::move(watcher));
    }
    watching_.fetch_add(1, std::memory_order_relaxed);
    HeavyFence();  // before their look
  }
  void Unwatch(const ShardWatcher& watcher) {
    const std::lock_guard lock(watchers_mutex_);
    const auto is_it = [&](const std::shared_ptr<ShardWatcher>& one) { return one.get() == &watcher; };
    const auto found = std::find_if(watchers_.begin(), watchers_.end(), is_it);
    if (found == watchers_.end()) return;
    watchers_.erase(found);
    watching_.fetch_sub(1, std::memory_order_relaxed);  // too high for a moment only costs a look
  }
  // Not within a section, either.
  void TellWatchers() {
    std::vector<std::shared_ptr<ShardWatcher>> all;
    {
      const std::lock_guard lock(watchers_mutex_);
      all = watchers_;
    }
    for (const auto& one : all) one->HasRecords();
  }

  // ---- resharding ---------------------------------------------------------------------------------------------------

  // Afterwards no ticket is taken any more. By one thread.
  void Close(std::int64_t now) {
    closed_at_ = now;
    closed_.store(true, std::memory_order_relaxed);
    RcuSynchronize();
  }
  // The closed shard's records are all that it will ever have. Once.
  void End(std::vector<Shard> children) {
    children_ = std::move(children);
    end_.store(log_.next(), std::memory_order_release);  // pairs with end(): publishes the children
    tip_.Notify(EventCount::kAll);
  }

  // ---- reading ------------------------------------------------------------------------------------------------------

  std::uint64_t end() const { return end_.load(std::memory_order_acquire); }
  bool IsEnded() const { return end() != kUnbounded; }
  // It was closed at `over` or before, and every record has gone.
  bool IsGone(std::int64_t over) const { return IsEnded() && closed_at_ <= over && log_.first() == end(); }

  // The record at which reading begins.
  absl::StatusOr<std::uint64_t> Find(const IteratorPosition& position, std::int64_t now) const {
    if (std::holds_alternative<TrimHorizon>(position)) return log_.first();
    if (std::holds_alternative<Latest>(position)) return log_.next();
    if (const auto* const at = std::get_if<AtSequenceNumber>(&position)) return FindNumber(at->sequence_number);
    if (const auto* const after = std::get_if<AfterSequenceNumber>(&position)) {
      const absl::StatusOr<std::uint64_t> record = FindNumber(after->sequence_number);
      return record.ok() ? absl::StatusOr<std::uint64_t>(*record + 1) : record;
    }
    const absl::Time time = std::get<AtTimestamp>(position).timestamp;
    if (time > absl::FromUnixNanos(now)) {
      return MakeError(Error::kInvalidArgument, absl::StrCat("timestamp ", absl::FormatTime(time),
                                                             "; allowed are times that are not ahead of the clock, ",
                                                             absl::FormatTime(absl::FromUnixNanos(now))));
    }
    return log_.FindTime(time == absl::InfinitePast() ? std::numeric_limits<std::int64_t>::min()
                                                      : absl::ToUnixNanos(time));
  }

  // What is there from `position` on, which moves behind it.
  RecordBatch<T> Read(std::uint64_t& position, const ReadBounds& bounds) {
    RecordBatch<T> batch;
    batch.shard_id_ = id_;
    batch.base_ = base_;
    const auto reading = log_.Read(position, bounds.records, bounds.bytes, bounds.now - bounds.retention, batch.runs_);
    batch.size_ = reading.end - reading.begin;
    batch.bytes_ = reading.bytes;
    if (reading.has_next) batch.millis_behind_latest_ = MillisSince(reading.next_arrival, bounds.now);
    if (!batch.empty()) {
      const RecordRun<T>& last = batch.runs_.back();
      NoteAge(MillisSince(last.segment->arrival(last.end - 1), bounds.now));
    }
    position = reading.end;
    if (reading.end == end()) {
      batch.shard_ended_ = true;
      batch.child_shards_ = children_;
    }
    return batch;
  }

  // Whether a read from `position` on would give a record or the shard's end.
  bool HasRecords(std::uint64_t position) const {
    if (position >= end() || log_.first() > position) return true;
    const RcuReadGuard section;
    const Segment* const segment = log_.FindSegment(position);
    return segment != nullptr && segment->IsReady(static_cast<std::uint32_t>(position - segment->first()));
  }

  // Sleeps until there is news, or the clock shows `deadline`.
  void AwaitNews(std::uint64_t position, Clock& clock, std::int64_t deadline) {
    EventCount::Waiter waiter(tip_);
    while (!HasRecords(position) && clock.NowNanos() < deadline) waiter.Sleep(clock, deadline);
  }

  void Trim(std::int64_t over, std::uint64_t most_bytes) { log_.Trim(over, most_bytes, IsEnded()); }

  // Of the latest read that gave a record: how old its last one was, in milliseconds.
  std::int64_t iterator_age() const { return age_.load(std::memory_order_relaxed); }

 private:
  static constexpr std::int64_t kMillisecond = 1'000'000;

  // Clocks are read before tickets are taken, so a record may seem to come from ahead.
  static std::int64_t MillisSince(std::int64_t then, std::int64_t now) {
    return now > then ? (now - then) / kMillisecond : 0;
  }

  // Relaxed: a figure for those who watch. Not written when nothing changes, as it is read and written by all readers.
  void NoteAge(std::int64_t millis) {
    if (iterator_age() != millis) age_.store(millis, std::memory_order_relaxed);
  }

  absl::StatusOr<std::uint64_t> FindNumber(SequenceNumber number) const {
    if (number.value() >= base_ && number.value() < next_number()) return number.value() - base_;
    return MakeError(Error::kInvalidArgument,
                     absl::StrCat("sequence number ", number.ToString(), " for ", id_.ToString(),
                                  log_.next() == 0 ? std::string(", which has had no record yet")
                                                   : absl::StrCat("; allowed are ", NumberOf(0).ToString(), " to ",
                                                                  NumberOf(log_.next() - 1).ToString())));
  }

  const ShardId id_;
  const std::vector<ShardId> parents_;
  const HashKeyRange range_;
  const std::uint64_t base_;
  std::atomic<bool> closed_{false};
  std::atomic<std::uint32_t> watching_{0};
  std::atomic<std::uint64_t> end_{kUnbounded};
  std::int64_t closed_at_ = 0;  // these two are published by end_
  std::vector<Shard> children_;
  // Apart from the log's counters, which every put writes.
  RecordLog<T> log_;
  alignas(kCacheLine) EventCount tip_;
  alignas(kCacheLine) std::atomic<std::int64_t> age_{0};
  WriteThroughput writes_;
  TokenBucket read_calls_;
  ReadThroughput reads_;
  std::mutex watchers_mutex_;
  std::vector<std::shared_ptr<ShardWatcher>> watchers_;  // under the mutex
};

}  // namespace decouple::internal

#endif  // DECOUPLE_INTERNAL_STREAM_SHARD_CORE_H_
