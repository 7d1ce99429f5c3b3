// A stream: a log of records that any number of readers read, each at its own pace, as often as they like.
//
//   auto clicks = decouple::Stream<Click>::Create({.shards = 4}).value();
//   clicks.Put("user-1", Click{"/"}).IgnoreError();
//
//   auto iterator = clicks.Iterate(clicks.Shards().front().id, decouple::TrimHorizon{});
//   for (const auto& record : iterator->Next(100).value()) Count(record.partition_key(), record.body());
//
// Records with the same partition key are in one shard, in the order in which they were put, also while shards are
// split and merged: a key's later records are in a child of the shard that has its earlier ones. Records are immutable
// and are read where they are; they go when the retention period ends. Workers that share a stream's shards among
// themselves are in consumer_group.h; consumers that records are pushed to, in stream_consumer.h.
//
// T is any type that can be moved and destroyed without throwing. A body is moved once, into the stream, by the thread
// that puts it, and destroyed by whichever thread is the last to need it: neither may wait for other threads that use
// the stream.
//
// A stream is a handle, as a std::shared_ptr is: copies are the same stream, which lives as long as one of them or an
// iterator. All members may be called from any thread. Put takes no lock, but once in some thousand records, and
// allocates only as the stream grows: what falls out of the retention period gives its memory to what comes. Puts to
// different shards share nothing that is written. While a thread is between its ticket and the end of its body's move,
// readers of that shard do not see what comes behind.

#ifndef DECOUPLE_STREAM_H_
#define DECOUPLE_STREAM_H_

#include <concepts>
#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "decouple/hash_key.h"
#include "decouple/internal/base/access.h"
#include "decouple/internal/stream/stream_core.h"
#include "decouple/iterator_position.h"
#include "decouple/record_batch.h"
#include "decouple/shard.h"
#include "decouple/shard_iterator.h"
#include "decouple/stream_options.h"
#include "decouple/stream_statistics.h"

namespace decouple {

template <typename T>
class Stream {
 public:
  using Body = T;

  // One shard, and Kinesis's defaults.
  Stream() : core_(std::make_shared<internal::StreamCore<T>>(StreamOptions())) {}

  // kInvalidArgument: an option out of its range.
  static absl::StatusOr<Stream> Create(const StreamOptions& options) {
    if (absl::Status status = internal::CheckStreamOptions(options); !status.ok()) return status;
    return Stream(std::make_shared<internal::StreamCore<T>>(options));
  }

  // ---- puts ---------------------------------------------------------------------------------------------------------

  // Puts a record. The key has 1 … 256 characters (UTF-8).
  // kInvalidArgument: a key, a size or an option out of its range. kProvisionedThroughputExceeded: more than the
  // capacity mode allows at present. kStreamClosed. The body is consumed only on success. O(log shards).
  absl::StatusOr<PutResult> Put(std::string_view partition_key, T&& body, const PutOptions& options = {}) noexcept {
    return core_->Put(partition_key, std::move(body), options);
  }
  absl::StatusOr<PutResult> Put(std::string_view partition_key, const T& body,
                                const PutOptions& options = {}) requires std::copy_constructible<T> {
    return core_->Put(partition_key, T(body), options);
  }

  // Puts up to 500 records, together of at most 10 MiB, in their order. Fails as a whole (kInvalidArgument: too many,
  // too large) and does nothing, or gives one result a record; the bodies of those that were put are moved from.
  absl::StatusOr<PutBatchResults> PutBatch(std::span<PutBatchEntry<T>> entries) noexcept {
    return core_->PutBatch(entries);
  }

  // ---- reads --------------------------------------------------------------------------------------------------------

  // kResourceNotFound: no such shard. kInvalidArgument: a sequence number that the shard has not given, or a time that
  // is ahead. O(1); at a time O(log records).
  absl::StatusOr<ShardIterator<T>> Iterate(ShardId shard_id, const IteratorPosition& position) const {
    auto shard = core_->shards().Find(shard_id);
    if (!shard.ok()) return shard.status();
    const auto begin = (*shard)->Find(position, core_->Now());
    if (!begin.ok()) return begin.status();
    return internal::Access::Make<ShardIterator<T>>(core_, *std::move(shard), *begin);
  }

  // All that are open, and those that were closed no longer ago than the retention period; in the order in which they
  // were opened. First lets go of what is over.
  std::vector<Shard> Shards() const {
    core_->Trim();
    return core_->shards().Descriptions();
  }

  // ---- resharding ---------------------------------------------------------------------------------------------------
  // Takes a mutex for some microseconds a shard, during which puts to these shards wait.

  // Closes the shard and opens two that share its range: the upper begins with `new_starting_hash_key`, by default in
  // the middle. kResourceNotFound. kResourceInUse: the shard is closed. kInvalidArgument: the key is not inside the
  // range; both children have two keys at least. kStreamClosed.
  absl::Status SplitShard(ShardId shard_id, std::optional<HashKey> new_starting_hash_key = std::nullopt) {
    return AfterResharding(core_->shards().Split(shard_id, new_starting_hash_key, core_->Now()));
  }

  // Closes both and opens one with both ranges, which must be adjacent. Errors as with SplitShard().
  absl::Status MergeShards(ShardId shard_id, ShardId adjacent_shard_id) {
    return AfterResharding(core_->shards().Merge(shard_id, adjacent_shard_id, core_->Now()));
  }

  // Uniform scaling: so many open shards of equal ranges, at most double and at least half of what there are now.
  // kInvalidArgument: more or fewer. kStreamClosed. Shards that are opened on the way are closed at
  // once, without ever having a record.
  absl::Status UpdateShardCount(std::size_t target_shard_count) {
    return AfterResharding(
        core_->shards().Scale(target_shard_count, core_->options().limits.max_scaling_factor, core_->Now()));
  }

  // ---- the stream as a whole ----------------------------------------------------------------------------------------

  // 24 … 8 760 h. Shorter: what is then over goes at once. Longer: what is there stays longer. kInvalidArgument.
  absl::Status SetRetention(absl::Duration retention) { return core_->SetRetention(retention); }
  absl::Duration retention() const { return absl::Nanoseconds(core_->retention()); }

  // Ours: no more puts from now on, they fail with kStreamClosed; readers find the end of each shard, without children.
  void Close() noexcept {
    core_->shards().Close(core_->Now());
    core_->TellWatchers();
  }
  bool closed() const noexcept { return core_->shards().closed(); }

  // O(threads + shards). First lets go of what is over.
  StreamStatistics Statistics() const { return core_->Statistics(); }

  // The names of those that are registered (stream_consumer.h), in their order.
  std::vector<std::string> Consumers() const { return core_->Consumers(); }

  const std::string& name() const { return core_->options().name; }

  // Whether both are handles of one stream.
  friend bool operator==(const Stream&, const Stream&) = default;

 private:
  friend struct internal::Access;

  explicit Stream(std::shared_ptr<internal::StreamCore<T>> core) : core_(std::move(core)) {}

  absl::Status AfterResharding(absl::Status status) {
    if (status.ok()) core_->TellWatchers();
    return status;
  }

  std::shared_ptr<internal::StreamCore<T>> core_;
};

}  // namespace decouple

#endif  // DECOUPLE_STREAM_H_
