// A stream with bodies of type T: the paths of Put and Read, trimming, statistics and the registered consumers.
//
// A put routes its hash key and takes a ticket in one RCU read section, writes the record outside of any, and publishes
// it in a second one. In between the shard and the segment stay: the record is not ready, so the segment is not
// trimmed, and a shard is removed only when it has no records left.

#ifndef DECOUPLE_INTERNAL_STREAM_STREAM_CORE_H_
#define DECOUPLE_INTERNAL_STREAM_STREAM_CORE_H_

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "decouple/clock.h"
#include "decouple/error.h"
#include "decouple/hash_key.h"
#include "decouple/internal/base/assert.h"
#include "decouple/internal/base/mutex.h"
#include "decouple/internal/base/per_thread.h"
#include "decouple/internal/base/rcu.h"
#include "decouple/internal/base/thread_registry.h"
#include "decouple/internal/base/time_math.h"
#include "decouple/internal/message/shared_body.h"
#include "decouple/internal/stream/group_registry.h"
#include "decouple/internal/stream/record_segment.h"
#include "decouple/internal/stream/shard_core.h"
#include "decouple/internal/stream/shard_listing.h"
#include "decouple/internal/stream/shard_map.h"
#include "decouple/internal/stream/stream_checks.h"
#include "decouple/internal/stream/stream_counters.h"
#include "decouple/internal/stream/stream_incarnation.h"
#include "decouple/internal/stream/stream_throughput.h"
#include "decouple/iterator_position.h"
#include "decouple/message.h"
#include "decouple/record_batch.h"
#include "decouple/result.h"
#include "decouple/sequence_number.h"
#include "decouple/shard.h"
#include "decouple/shard_filter.h"
#include "decouple/stream_attributes.h"
#include "decouple/stream_options.h"
#include "decouple/stream_statistics.h"

namespace decouple::inline v0_1::internal {

template <typename T>
class StreamCore {
  static_assert(std::is_nothrow_move_constructible_v<T> && std::is_nothrow_destructible_v<T>,
                "decouple: a record's body must be movable and destructible without throwing; mark both noexcept");

 public:
  using Shard = ShardCore<T>;
  using Segment = RecordSegment<T>;

  explicit StreamCore(const StreamOptions& options)
      : options_(options),
        clock_(options.clock == nullptr ? SystemClock::Instance() : *options.clock),
        clock_or_null_(ClockOrNull(options.clock)),
        retention_(absl::ToInt64Nanoseconds(options.retention)),
        shards_(options.shards, NextIncarnation(clock_or_null_, options.name), Now()),
        on_demand_(options.capacity_mode == CapacityMode::kOnDemand ? std::make_unique<OnDemandThroughput>()
                                                                    : nullptr) {}

  const StreamOptions& options() const { return options_; }
  Clock& clock() const { return clock_; }
  std::int64_t Now() const { return NowNanos(clock_or_null_); }
  const StreamChecks& checks() const { return checks_; }
  ShardMap<T>& shards() { return shards_; }
  std::uint64_t incarnation() const { return shards_.incarnation(); }
  LocalStreamCounts& local() { return counts_.Local(); }
  GroupRegistry& groups() { return groups_; }

  // ---- puts ---------------------------------------------------------------------------------------------------------

  absl::StatusOr<PutResult> Put(std::string_view key, T&& body, const PutOptions& options) {
    LocalStreamCounts& local = counts_.Local();
    absl::StatusOr<PutResult> result = Put(local, key, std::move(body), options, Now());
    if (result.ok()) [[likely]]
      local.put_alone.Add(1);
    return result;
  }

  // Puts each entry by itself, and moves from those that were put; none if one of them is invalid.
  absl::StatusOr<PutBatchResults> PutBatch(std::span<PutBatchEntry<T>> entries) {
    if (absl::Status status = checks_.CheckPutBatch(entries); !status.ok()) return status;
    LocalStreamCounts& local = counts_.Local();
    const std::int64_t now = Now();
    PutBatchResults results;
    std::size_t failed = 0;
    for (auto& entry : entries) {
      const std::uint64_t throttled = local.throttled_puts.value();
      const std::size_t bytes = MessageSize(std::as_const(entry.body)) + entry.partition_key.size();
      results.push_back(PutChecked(local, entry.partition_key, std::move(entry.body), bytes, entry.options, now));
      if (!results.back().ok()) ++failed;
      local.throttled_in_batch.Add(local.throttled_puts.value() - throttled);
    }
    local.put_in_batch.Add(results.size() - failed);
    local.failed_in_batch.Add(failed);
    if (failed < results.size()) local.put_batches.Add(1);
    return results;
  }

  // Puts a body that queues or other streams share. On success it takes over a reference of the caller's.
  absl::StatusOr<PutResult> PutShared(std::string_view key, SharedBody& body) {
    const std::size_t bytes = body.bytes() + key.size();
    if (absl::Status status = checks_.CheckRecord(key, bytes); !status.ok()) [[unlikely]]
      return status;
    const std::int64_t now = Now();
    return Append(counts_.Local(), HashKeyOf(key, options_.partition_hash), std::nullopt, bytes, now,
                  [&](Segment& segment, std::uint32_t at) { segment.WriteShared(at, key, now, &body); });
  }

  // ---- reads --------------------------------------------------------------------------------------------------------

  // Reads from `position` on, and moves it behind what was read. Requires: `limit` and `wait` have been validated.
  Result<RecordBatch<T>> Read(Shard& shard, std::uint64_t& position, std::size_t limit, absl::Duration wait) {
    LocalStreamCounts& local = counts_.Local();
    std::int64_t now = Now();
    if (!TryBeginRead(shard, now)) {
      local.throttled_reads.Add(1);
      return Result<RecordBatch<T>>(
          MakeError(Error::kProvisionedThroughputExceeded,
                    absl::StrCat("a read of ", shard.id().ToString(), "; allowed are ", kShardReadsPerSecond,
                                 " a second from a shard, and ", ReadBytesPerSecond(now), " bytes from ",
                                 options_.capacity_mode == CapacityMode::kOnDemand ? "the stream" : "it")));
    }
    RecordBatch<T> batch = shard.Read(position, BoundsOf(limit, now));
    if (batch.empty() && !batch.shard_ended() && wait > absl::ZeroDuration()) {
      shard.AwaitRecords(position, clock_, SaturatingAdd(now, absl::ToInt64Nanoseconds(wait)));
      now = Now();
      batch = shard.Read(position, BoundsOf(limit, now));
    }
    if (options_.capacity_mode != CapacityMode::kUnlimited) {
      ReadThroughputOf(shard).Take(now, ReadBytesPerSecond(now), static_cast<std::int64_t>(batch.bytes()));
    }
    local.reads.Add(1);
    local.read_records.Add(batch.size());
    local.read_bytes.Add(batch.bytes());
    return Result<RecordBatch<T>>(std::move(batch));
  }

  // What one read of up to `limit` records may return.
  ReadBounds BoundsOf(std::size_t limit, std::int64_t now) const {
    return {.records = limit, .bytes = options_.limits.max_bytes_per_read, .now = now, .retention = retention()};
  }

  // ---- shards -------------------------------------------------------------------------------------------------------

  // The shard to which a put of this key goes now; on a closed stream, went last. kInvalidArgument: the key.
  absl::StatusOr<ShardId> ShardOf(std::string_view key) const {
    if (absl::Status status = checks_.CheckRecord(key, 1); !status.ok()) return status;
    return ShardOf(HashKeyOf(key, options_.partition_hash));
  }
  ShardId ShardOf(HashKey hash) const {
    for (;;) {
      {
        const RcuReadGuard section;
        const Shard& shard = shards_.Route(hash);
        if (!shard.IsClosed() || shards_.closed()) return shard.id();
      }
      shards_.AwaitChange();
    }
  }

  // kInvalidArgument: the filter's time is ahead of the clock by kClockTolerance or more.
  absl::StatusOr<std::vector<decouple::Shard>> Shards(const ShardFilter& filter) const {
    return ListShards(shards_, filter, Now(), retention());
  }

  // ---- the stream as a whole ----------------------------------------------------------------------------------------

  std::int64_t retention() const { return retention_.load(std::memory_order_relaxed); }

  absl::Status SetRetention(absl::Duration retention) {
    if (absl::Status status = CheckStreamRetention(retention, options_.limits); !status.ok()) return status;
    Trim();  // what has expired by the old retention must not come back by the new one
    retention_.store(absl::ToInt64Nanoseconds(retention), std::memory_order_relaxed);  // for calls that begin later
    Trim();
    return absl::OkStatus();
  }

  // Trims all records that have expired, and removes the shards that have expired with them. A stream on demand also
  // merges shards, if its limit has gone down meanwhile. Requires: the caller is in no read section.
  void Trim() {
    const std::int64_t now = Now();
    if (on_demand_ != nullptr && on_demand_->HasNewRate(now)) AdaptShards(now);
    for (const auto& shard : shards_.All()) Trim(*shard, now);
    trimmed_with_shards_.fetch_add(shards_.RemoveExpired(now - retention()), std::memory_order_relaxed);
  }

  // Called after a resharding: watchers of closed shards learn of the end. Requires: the caller is in no read section.
  void NotifyWatchers() {
    for (const auto& shard : shards_.All()) {
      if (shard->is_watched()) shard->NotifyWatchers();
    }
  }

  StreamAttributes Attributes() const {
    StreamAttributes attributes{.name = options_.name,
                                .incarnation = incarnation(),
                                .created_at = absl::FromUnixNanos(shards_.created_at()),
                                .closed = shards_.closed(),
                                .open_shards = shards_.CountOpen(),
                                .registered_consumers = Consumers().size(),
                                .retention = absl::Nanoseconds(retention()),
                                .capacity_mode = options_.capacity_mode,
                                .max_record_size = options_.max_record_size,
                                .retained_bytes_per_shard = options_.retained_bytes_per_shard,
                                .partition_hash = options_.partition_hash};
    if (const std::optional<WriteRate> rate = WriteRateAt(Now(), attributes.open_shards)) {
      attributes.write_bytes_per_second = rate->bytes;
      attributes.write_records_per_second = rate->records;
    }
    return attributes;
  }

  StreamStatistics Statistics() {
    Trim();
    StreamStatistics sums;
    counts_.ForEach([&](const LocalStreamCounts& local) { local.AddTo(sums); });
    sums.trimmed_records = trimmed_with_shards_.load(std::memory_order_relaxed);
    for (const auto& shard : shards_.All()) {
      if (!shard->IsEnded()) ++sums.open_shards;
      sums.trimmed_records += shard->log().first();
      sums.get_records_iterator_age_milliseconds =
          std::max(sums.get_records_iterator_age_milliseconds, shard->iterator_age());
    }
    return sums;
  }

  // ---- consumers with throughput of their own -----------------------------------------------------------------------

  bool has_bounded_throughput() const { return options_.capacity_mode != CapacityMode::kUnlimited; }

  // kResourceInUse, kLimitExceeded.
  absl::Status RegisterConsumer(const std::string& name) ABSL_LOCKS_EXCLUDED(consumers_mutex_) {
    const MutexLock lock(consumers_mutex_);
    if (consumers_.contains(name)) {
      return MakeError(Error::kResourceInUse, absl::StrCat("the consumer \"", name, "\" is registered already"));
    }
    const std::size_t most = options_.limits.max_registered_consumers;
    if (consumers_.size() >= most) {
      return MakeError(Error::kLimitExceeded, absl::StrCat("the consumer \"", name, "\"; allowed are ", most,
                                                           " registered consumers, and there are so many"));
    }
    consumers_.insert(name);
    return absl::OkStatus();
  }
  void DeregisterConsumer(const std::string& name) ABSL_LOCKS_EXCLUDED(consumers_mutex_) {
    const MutexLock lock(consumers_mutex_);
    consumers_.erase(name);
  }
  std::vector<std::string> Consumers() const ABSL_LOCKS_EXCLUDED(consumers_mutex_) {
    const MutexLock lock(consumers_mutex_);
    return {consumers_.begin(), consumers_.end()};
  }

 private:
  absl::StatusOr<PutResult> Put(LocalStreamCounts& local, std::string_view key, T&& body, const PutOptions& options,
                                std::int64_t now) {
    const std::size_t bytes = MessageSize(std::as_const(body)) + key.size();
    if (absl::Status status = checks_.CheckRecord(key, bytes); !status.ok()) [[unlikely]]
      return status;
    return PutChecked(local, key, std::move(body), bytes, options, now);
  }
  [[gnu::always_inline]] absl::StatusOr<PutResult> PutChecked(LocalStreamCounts& local, std::string_view key, T&& body,
                                                              std::size_t bytes, const PutOptions& options,
                                                              std::int64_t now) {
    const HashKey hash =
        options.explicit_hash_key ? *options.explicit_hash_key : HashKeyOf(key, options_.partition_hash);
    return Append(local, hash, options.sequence_number_for_ordering, bytes, now,
                  [&](Segment& segment, std::uint32_t at) { segment.Write(at, key, now, std::move(body)); });
  }

  // Whether a put got a ticket, or why not.
  enum class Reserved { kYes, kShardClosed, kTooMuch, kNumberNotGiven, kNeedsStreamThroughput };

  template <typename Write>
  absl::StatusOr<PutResult> Append(LocalStreamCounts& local, HashKey hash, const std::optional<SequenceNumber>& after,
                                   std::size_t bytes, std::int64_t now, Write write) {
    ThreadRecord& thread = ThreadRegistry::Current();
    bool has_throughput = options_.capacity_mode == CapacityMode::kUnlimited;
    for (;;) {
      Reserved reserved = Reserved::kYes;
      Shard* shard = nullptr;
      Segment* segment = nullptr;
      std::uint64_t record = 0;
      {
        const RcuReadGuard section(thread);
        shard = &shards_.Route(hash);
        if (shard->IsClosed()) [[unlikely]] {
          reserved = Reserved::kShardClosed;
        } else if (after && !IsGiven(*after, *shard)) [[unlikely]] {
          reserved = Reserved::kNumberNotGiven;
        } else {
          if (!has_throughput) [[unlikely]]
            reserved = TakeShardThroughput(*shard, now, bytes);
          if (reserved == Reserved::kYes) [[likely]] {
            record = shard->log().TakeTicket();
            segment = shard->log().FindSegment(record);
          }
        }
      }
      if (reserved == Reserved::kYes) [[likely]] {
        if (segment == nullptr) [[unlikely]]
          return WriteIntoNewSegment(local, thread, *shard, record, bytes, now, write);
        return WriteRecord(local, thread, *shard, *segment, record, bytes, write);
      }
      if (reserved == Reserved::kShardClosed) {
        if (shards_.closed()) {
          return MakeError(Error::kStreamClosed, "the stream is closed; nothing can be put any more");
        }
        shards_.AwaitChange();
        continue;
      }
      if (reserved == Reserved::kNeedsStreamThroughput) {
        has_throughput = TakeStreamThroughput(now, bytes);
        if (has_throughput) continue;
        reserved = Reserved::kTooMuch;
      }
      if (reserved == Reserved::kTooMuch) local.throttled_puts.Add(1);
      return Refusal(reserved, hash, after, bytes);
    }
  }

  // Writes and publishes the record whose ticket the caller has. Outside of the section in which the ticket was taken:
  // the record keeps shard and segment until it is published.
  template <typename Write>
  [[gnu::always_inline]] PutResult WriteRecord(LocalStreamCounts& local, ThreadRecord& thread, Shard& shard,
                                               Segment& segment, std::uint64_t record, std::size_t bytes,
                                               Write& write) {
    DECOUPLE_ASSERT(segment.first() <= record && record < segment.end());
    const PutResult result{shard.id(), shard.NumberOf(record)};
    const auto at = static_cast<std::uint32_t>(record - segment.first());
    write(segment, at);
    Publish(thread, shard, segment, at, static_cast<std::uint32_t>(bytes));
    local.incoming_records.Add(1);
    local.incoming_bytes.Add(bytes);
    return result;
  }
  // Same, for the first record of a segment that is to be made; then trims the shard.
  template <typename Write>
  [[gnu::noinline]] PutResult WriteIntoNewSegment(LocalStreamCounts& local, ThreadRecord& thread, Shard& shard,
                                                  std::uint64_t record, std::size_t bytes, std::int64_t now,
                                                  Write& write) {
    Segment& segment = *shard.log().MakeSegment(record);
    const std::shared_ptr<Shard> to_trim = shard.shared_from_this();
    const PutResult result = WriteRecord(local, thread, shard, segment, record, bytes, write);
    Trim(*to_trim, now);
    return result;
  }

  [[gnu::always_inline]] void Publish(ThreadRecord& thread, Shard& shard, Segment& segment, std::uint32_t at,
                                      std::uint32_t bytes) {
    std::shared_ptr<Shard> awaited;
    {
      const RcuReadGuard section(thread);  // keeps the shard, as a published record may be read and trimmed at once
      segment.Publish(at, bytes);
      if (!shard.IsAwaited()) [[likely]]
        return;
      awaited = shard.shared_from_this();
    }
    awaited->Announce();
  }

  absl::Status Refusal(Reserved reserved, HashKey hash, const std::optional<SequenceNumber>& after,
                       std::size_t bytes) const {
    if (reserved == Reserved::kNumberNotGiven) {
      return MakeError(Error::kInvalidArgument,
                       absl::StrCat("sequence number for ordering ", after->ToString(), " for hash key ",
                                    ToString(hash), "; allowed are numbers that this stream has given"));
    }
    return MakeError(
        Error::kProvisionedThroughputExceeded,
        absl::StrCat("a record of ", bytes, " bytes for hash key ", ToString(hash),
                     options_.capacity_mode == CapacityMode::kOnDemand
                         ? "; what the stream takes in a second at present is used up"
                         : "; the 1048576 bytes or 1000 records that a shard takes in a second are used up"));
  }

  // Whether the stream has given the number. One of another shard than `shard` counts as given: a program may pass the
  // last number of all its puts, whatever their keys.
  bool IsGiven(SequenceNumber number, const Shard& shard) const {
    if (shard.IsOwn(number)) return number.value() < shard.next_number();
    return number.stream_incarnation() == incarnation();
  }

  // Whether there is throughput for the put. kNeedsStreamThroughput: that is the whole stream's, which is taken outside
  // of a section, as it has a mutex. Requires: the mode is not kUnlimited.
  [[gnu::noinline]] Reserved TakeShardThroughput(Shard& shard, std::int64_t now, std::size_t bytes) {
    if (options_.capacity_mode == CapacityMode::kOnDemand) return Reserved::kNeedsStreamThroughput;
    const bool is_taken = shard.writes().TryTake(now, kShardWriteRate, static_cast<std::int64_t>(bytes));
    return is_taken ? Reserved::kYes : Reserved::kTooMuch;
  }
  // Requires: the mode is kOnDemand, and the caller is in no read section.
  [[gnu::noinline]] bool TakeStreamThroughput(std::int64_t now, std::size_t bytes) {
    const bool is_taken = on_demand_->TryTake(now, static_cast<std::int64_t>(bytes));
    if (on_demand_->has_new_rate()) AdaptShards(now);
    return is_taken;
  }

  // Splits or merges the shards of a stream on demand after its rate has changed. One thread does it for all.
  void AdaptShards(std::int64_t now) {
    const std::optional<WriteRate> rate = on_demand_->TakeNewRate();
    if (!rate.has_value()) return;
    const std::size_t shards = ShardsFor(*rate, options_.shards);
    if (shards == shards_.CountOpen()) return;
    if (shards_.ScaleTo(shards, now).ok()) NotifyWatchers();  // fails if the stream has been closed
  }

  // What all shards together take in a second; none: any amount.
  std::optional<WriteRate> WriteRateAt(std::int64_t now, std::size_t open_shards) const {
    if (options_.capacity_mode == CapacityMode::kUnlimited) return std::nullopt;
    if (options_.capacity_mode == CapacityMode::kOnDemand) return on_demand_->Rate(now);
    const auto shards = static_cast<std::int64_t>(open_shards);
    return WriteRate{shards * kShardWriteRate.bytes, shards * kShardWriteRate.records};
  }

  ReadThroughput& ReadThroughputOf(Shard& shard) {
    return options_.capacity_mode == CapacityMode::kOnDemand ? on_demand_reads_ : shard.reads();
  }
  std::int64_t ReadBytesPerSecond(std::int64_t now) {
    return options_.capacity_mode == CapacityMode::kOnDemand ? 2 * on_demand_->Rate(now).bytes
                                                             : kShardReadBytesPerSecond;
  }
  bool TryBeginRead(Shard& shard, std::int64_t now) {
    if (options_.capacity_mode == CapacityMode::kUnlimited) return true;
    return ReadThroughputOf(shard).IsReady(now) && shard.read_calls().TryTake(now, kShardReadsPerSecond);
  }

  void Trim(Shard& shard, std::int64_t now) {
    const std::size_t most = options_.retained_bytes_per_shard;
    shard.Trim(now - retention(), most == std::numeric_limits<std::size_t>::max() ? kUnbounded : most);
  }

  const StreamOptions options_;
  const StreamChecks checks_{options_};
  Clock& clock_;
  Clock* const clock_or_null_;
  std::atomic<std::int64_t> retention_;
  ShardMap<T> shards_;
  PerThread<LocalStreamCounts> counts_;
  const std::unique_ptr<OnDemandThroughput> on_demand_;  // null in the other modes
  ReadThroughput on_demand_reads_;
  std::atomic<std::uint64_t> trimmed_with_shards_{0};
  mutable Mutex consumers_mutex_;
  std::set<std::string> consumers_ ABSL_GUARDED_BY(consumers_mutex_);  // names
  GroupRegistry groups_;
};

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_STREAM_STREAM_CORE_H_
