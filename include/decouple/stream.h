// A stream: a log of records that any number of readers read, each at its own pace and as often as it likes.
//
//   auto clicks = decouple::Stream<Click>::Create({.shards = 4}).value();
//   clicks.Put("user-1", Click{"/"}).IgnoreError();
//
//   auto iterator = clicks.Iterate(clicks.Shards().front().id, decouple::TrimHorizon{});
//   for (const auto& record : iterator->Next(100).value()) Count(record.partition_key(), record.body());
//
// Records with the same partition key are in one shard, in the order in which they were put. This holds also while
// shards are split and merged: a key's later records are in a child of the shard that has its earlier ones. Records are
// immutable, are read without copying them, and go when the retention period ends. For workers that share a stream's
// shards, see consumer_group.h; for consumers that records are pushed to, stream_consumer.h.
//
// T is any type that can be moved and destroyed without throwing. A body is moved once, into the stream, by the thread
// that puts it, and is destroyed on the last thread that needs it. Neither the move nor the destructor may wait for
// other threads that use the stream.
//
// A stream is a handle, as a std::shared_ptr is: copies refer to the same stream, which lives as long as one of them or
// an iterator. All members may be called from any thread. Put takes no lock, except once in some thousand records, and
// allocates only while the stream grows: the memory of records whose retention has ended is used again. Puts to
// different shards write no shared memory. From the moment a thread has taken its record's number until it has moved
// the body in, readers of that shard do not see the records behind it.

#ifndef DECOUPLE_STREAM_H_
#define DECOUPLE_STREAM_H_

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "decouple/error.h"
#include "decouple/hash_key.h"
#include "decouple/internal/base/access.h"
#include "decouple/internal/stream/stream_core.h"
#include "decouple/iterator_position.h"
#include "decouple/record_batch.h"
#include "decouple/shard.h"
#include "decouple/shard_filter.h"
#include "decouple/shard_iterator.h"
#include "decouple/stream_attributes.h"
#include "decouple/stream_options.h"
#include "decouple/stream_statistics.h"

namespace decouple::inline v0_1 {

template <typename T>
class Stream {
 public:
  using Body = T;

  // A stream with one shard and Kinesis's defaults.
  Stream() : core_(std::make_shared<internal::StreamCore<T>>(StreamOptions())) {}

  // kInvalidArgument: an option is out of its range.
  static absl::StatusOr<Stream> Create(const StreamOptions& options) {
    if (absl::Status status = internal::CheckStreamOptions(options); !status.ok()) return status;
    return Stream(std::make_shared<internal::StreamCore<T>>(options));
  }

  // ---- puts ---------------------------------------------------------------------------------------------------------

  // Puts a record. The key has 1 … 256 characters (UTF-8). The body is moved from only on success. O(log shards).
  // kInvalidArgument: a key, a size or an option is out of its range. kProvisionedThroughputExceeded: the capacity mode
  // does not allow it at present. kStreamClosed.
  absl::StatusOr<PutResult> Put(std::string_view partition_key, T&& body, const PutOptions& options = {}) {
    return core_->Put(partition_key, std::move(body), options);
  }
  absl::StatusOr<PutResult> Put(std::string_view partition_key, const T& body,
                                const PutOptions& options = {}) requires std::copy_constructible<T> {
    return core_->Put(partition_key, T(body), options);
  }

  // Puts up to 500 records, together of at most 10 MiB, in order. Fails as a whole without effect (kInvalidArgument:
  // too many, too large together, or a record whose key or size is out of its range), or returns one result per record.
  // The bodies of records that were put are moved from.
  absl::StatusOr<PutBatchResults> PutBatch(std::span<PutBatchEntry<T>> entries) { return core_->PutBatch(entries); }
  // Same as above, for entries in braces: PutBatch({{"user-1", Click{"/"}}, {"user-2", Click{"/cart"}}}).
  template <std::size_t kSize>
  absl::StatusOr<PutBatchResults> PutBatch(PutBatchEntry<T> (&&entries)[kSize]) {
    return PutBatch(std::span<PutBatchEntry<T>>(entries));
  }

  // ---- reads --------------------------------------------------------------------------------------------------------

  // An iterator from a position in a shard on. O(1); for a time O(log records).
  // kResourceNotFound: there is no such shard. kInvalidArgument: this shard, of this stream, has not given the
  // sequence number, or the time is ahead of the clock by kClockTolerance or more.
  absl::StatusOr<ShardIterator<T>> Iterate(ShardId shard_id, const IteratorPosition& position) const {
    auto shard = core_->shards().Find(shard_id);
    if (!shard.ok()) return shard.status();
    const auto begin = (*shard)->Find(position, core_->Now());
    if (!begin.ok()) return begin.status();
    return internal::Access::Make<ShardIterator<T>>(core_, *std::move(shard), *begin);
  }

  // The open shards, and those that were closed within the retention period, in the order in which they were opened.
  // Releases expired records first.
  std::vector<Shard> Shards() const {
    core_->Trim();
    return core_->shards().Descriptions();
  }
  // Same, of the shards that the filter lets through. kInvalidArgument: its time is ahead of the clock by
  // kClockTolerance or more.
  absl::StatusOr<std::vector<Shard>> Shards(const ShardFilter& filter) const {
    core_->Trim();
    return core_->Shards(filter);
  }

  // The shard to which a put of this key, or with this hash key, goes at present; on a closed stream the one to which
  // it went last. O(log shards). kInvalidArgument: the key is out of its range.
  absl::StatusOr<ShardId> ShardOf(std::string_view partition_key) const { return core_->ShardOf(partition_key); }
  ShardId ShardOf(HashKey hash_key) const { return core_->ShardOf(hash_key); }

  // ---- resharding ---------------------------------------------------------------------------------------------------
  // These calls take a mutex for some microseconds per shard, during which puts to these shards wait. As on the
  // service, all three fail with kInvalidArgument in CapacityMode::kOnDemand, where the stream sees to its shards
  // itself.

  // Closes the shard and opens two children that share its range; the upper begins with `new_starting_hash_key`, by
  // default in the middle. kResourceNotFound. kInvalidArgument: the shard is closed, or the key is not inside its range
  // or leaves a child with fewer than two hash keys. kStreamClosed.
  absl::Status SplitShard(ShardId shard_id, std::optional<HashKey> new_starting_hash_key = std::nullopt) {
    return Reshard([&](auto& shards) { return shards.Split(shard_id, new_starting_hash_key, core_->Now()); });
  }

  // Closes both shards and opens one with both ranges. kInvalidArgument: a shard is closed, or the second one's range
  // does not follow that of the first. Other errors as for SplitShard().
  absl::Status MergeShards(ShardId shard_id, ShardId adjacent_shard_id) {
    return Reshard([&](auto& shards) { return shards.Merge(shard_id, adjacent_shard_id, core_->Now()); });
  }

  // Uniform scaling: results in `target_shard_count` open shards with equal ranges; at most double and at least half of
  // the present number. Shards that are opened on the way are closed at once and never have a record.
  // kInvalidArgument: the target is out of this range. kStreamClosed.
  absl::Status UpdateShardCount(std::size_t target_shard_count) {
    return Reshard([&](auto& shards) {
      return shards.Scale(target_shard_count, core_->options().limits.max_scaling_factor, core_->Now());
    });
  }

  // ---- the stream as a whole ----------------------------------------------------------------------------------------

  // 24 … 8 760 h. A change applies at once to records in the stream, too. kInvalidArgument: it is out of this range.
  absl::Status SetRetention(absl::Duration retention) { return core_->SetRetention(retention); }
  absl::Duration retention() const { return absl::Nanoseconds(core_->retention()); }

  // Ours: all later puts fail with kStreamClosed. Readers find the end of each shard, without children.
  void Close() {
    core_->shards().Close(core_->Now());
    core_->NotifyWatchers();
  }
  bool closed() const noexcept { return core_->shards().closed(); }

  // The stream's options, state and limits as they are now. O(registered consumers).
  StreamAttributes attributes() const { return core_->Attributes(); }
  absl::Time created_at() const { return absl::FromUnixNanos(core_->shards().created_at()); }

  // Releases expired records first. O(threads + shards).
  StreamStatistics Statistics() const { return core_->Statistics(); }

  // The names of the registered consumers (stream_consumer.h), in alphabetical order.
  std::vector<std::string> Consumers() const { return core_->Consumers(); }

  const std::string& name() const { return core_->options().name; }

  // Ours: tells this stream from every other, also from those of equal name and options that were created before, in
  // this process or another. It is part of the sequence numbers of the stream's records. 1 … 2^40 - 1; on a manual
  // clock the same in every run of the same program.
  std::uint64_t incarnation() const { return core_->incarnation(); }

  // Whether both are handles of one stream.
  friend bool operator==(const Stream&, const Stream&) = default;

 private:
  friend struct internal::Access;

  explicit Stream(std::shared_ptr<internal::StreamCore<T>> core) : core_(std::move(core)) {}

  template <typename Change>
  absl::Status Reshard(Change change) {
    if (core_->options().capacity_mode == CapacityMode::kOnDemand) {
      return internal::MakeError(Error::kInvalidArgument,
                                 absl::StrCat("the stream \"", name(),
                                              "\" is on demand, and splits and merges its shards itself; allowed are "
                                              "streams of CapacityMode::kUnlimited and kProvisioned"));
    }
    absl::Status status = change(core_->shards());
    if (status.ok()) core_->NotifyWatchers();
    return status;
  }

  std::shared_ptr<internal::StreamCore<T>> core_;
};

}  // namespace decouple::inline v0_1

#endif  // DECOUPLE_STREAM_H_
