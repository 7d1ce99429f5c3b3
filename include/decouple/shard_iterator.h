// A position in a shard, from which records are read in order.
//
//   auto iterator = stream.Iterate(shard_id, decouple::TrimHorizon{}).value();
//   for (;;) {
//     auto batch = iterator.Next(100, {.wait = absl::Seconds(1)});
//     if (!batch.ok()) …                                        // kExpiredIterator: not used for five minutes
//     for (const auto& record : *batch) Handle(record.body());
//     if (batch->shard_ended()) break;                          // continue in batch->child_shards()
//   }
//
// Any number of iterators read the same records. No iterator delays another, and an unused one keeps no memory but the
// shard's own. Reading takes no lock, except now and then when an iterator meets expired records.
//
// A copy reads on independently. An iterator must be used by one thread at a time. It keeps the stream's memory alive,
// and must not outlive the stream's clock.

#ifndef DECOUPLE_SHARD_ITERATOR_H_
#define DECOUPLE_SHARD_ITERATOR_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "decouple/error.h"
#include "decouple/internal/base/access.h"
#include "decouple/internal/base/time_math.h"
#include "decouple/internal/stream/shard_core.h"
#include "decouple/internal/stream/stream_core.h"
#include "decouple/record_batch.h"
#include "decouple/result.h"
#include "decouple/shard.h"

namespace decouple::inline v0_1 {

struct ReadOptions {
  // Ours: how long to wait for a record when there is none; at least 0.
  absl::Duration wait = absl::ZeroDuration();
};

template <typename T>
class ShardIterator {
 public:
  // Reads the next records: at most `limit` (1 … 10 000) and 10 MiB of them; possibly none, at the tip or at the
  // shard's end. Skips records whose retention has ended meanwhile. O(records / 4 096).
  // kExpiredIterator: the last use was five minutes ago or more; the iterator stays expired.
  // kProvisionedThroughputExceeded: the iterator did not advance. kInvalidArgument: an argument is out of its range.
  Result<RecordBatch<T>> Next(std::size_t limit = 10'000, const ReadOptions& options = {}) {
    if (absl::Status status = core_->checks().CheckRead(limit, options.wait); !status.ok()) {
      return Result<RecordBatch<T>>(std::move(status));
    }
    const absl::Duration lifetime = core_->options().limits.iterator_lifetime;
    if (core_->Now() >= internal::SaturatingAdd(used_at_, absl::ToInt64Nanoseconds(lifetime))) {
      return Result<RecordBatch<T>>(internal::MakeError(
          Error::kExpiredIterator,
          absl::StrCat("an iterator that was last used at ", absl::FormatTime(absl::FromUnixNanos(used_at_)),
                       "; allowed is a use every ", absl::FormatDuration(lifetime))));
    }
    Result<RecordBatch<T>> batch = core_->Read(*shard_, position_, limit, options.wait);
    used_at_ = core_->Now();
    return batch;
  }

  ShardId shard_id() const { return shard_->id(); }

 private:
  friend struct internal::Access;

  ShardIterator(std::shared_ptr<internal::StreamCore<T>> core, std::shared_ptr<internal::ShardCore<T>> shard,
                std::uint64_t position)
      : core_(std::move(core)), shard_(std::move(shard)), position_(position), used_at_(core_->Now()) {}

  std::shared_ptr<internal::StreamCore<T>> core_;
  std::shared_ptr<internal::ShardCore<T>> shard_;
  std::uint64_t position_;
  std::int64_t used_at_;
};

}  // namespace decouple::inline v0_1

#endif  // DECOUPLE_SHARD_ITERATOR_H_
