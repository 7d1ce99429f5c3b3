// Reads the records of one partition key, in the order in which they were put, through all the shards that they are in.
//
//   auto visits = decouple::KeyIterator<Click>::Create(clicks, "user-1").value();
//   for (;;) {
//     const auto batch = visits.Next(100, {.wait = absl::Seconds(1)});
//     for (const auto& record : batch.value()) Handle(record.body());
//   }
//
// A key's records are in one shard at a time; when that is split or merged, in the child that has the key's hash. The
// iterator goes on from shard to shard. It reads each shard as a ShardIterator does, with its cost and its limits, and
// leaves out the records of other keys.
//
// A copy reads on independently. An iterator must be used by one thread at a time, and not outlive the stream's clock.

#ifndef DECOUPLE_KEY_ITERATOR_H_
#define DECOUPLE_KEY_ITERATOR_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "decouple/clock.h"
#include "decouple/error.h"
#include "decouple/hash_key.h"
#include "decouple/internal/base/access.h"
#include "decouple/internal/stream/record_log.h"
#include "decouple/iterator_position.h"
#include "decouple/record_batch.h"
#include "decouple/result.h"
#include "decouple/sequence_number.h"
#include "decouple/shard.h"
#include "decouple/shard_filter.h"
#include "decouple/shard_iterator.h"
#include "decouple/stream.h"

namespace decouple::inline v0_1 {

template <typename T>
class KeyIterator {
 public:
  // Begins at the position in the shard that the key was in there. `explicit_hash_key` is that of the key's puts, if
  // they had one. O(shards), and the cost of Stream::Iterate().
  // kInvalidArgument: the key is out of its range, the stream has not given the sequence number, or to a shard that
  // does not hold the key, or the time is ahead (AtTimestamp). kResourceNotFound: the shard has gone.
  static absl::StatusOr<KeyIterator> Create(const Stream<T>& stream, std::string partition_key,
                                            const IteratorPosition& position = TrimHorizon(),
                                            std::optional<HashKey> explicit_hash_key = std::nullopt) {
    const auto& core = *internal::Access::Core(stream);
    if (absl::Status status = core.checks().CheckRecord(partition_key, 1); !status.ok()) return status;
    const HashKey hash =
        explicit_hash_key ? *explicit_hash_key : HashKeyOf(partition_key, core.options().partition_hash);
    auto begin = Begin(stream, hash, position);
    if (!begin.ok()) return begin.status();
    return KeyIterator(stream, std::move(partition_key), hash, *std::move(begin));
  }

  // Reads on until there are records of the key, at most `limit` (1 … 10 000) of them, or the newest record has been
  // passed and the wait is over. The batch is of one shard, shard_id(). shard_ended(): the stream is closed, and there
  // are no further records. O(records that are passed). Errors as for ShardIterator::Next(); after
  // kProvisionedThroughputExceeded the next call goes on where this one was.
  Result<RecordBatch<T>> Next(std::size_t limit = 10'000, const ReadOptions& options = {}) {
    Clock& clock = internal::Access::Core(stream_)->clock();
    const absl::Time deadline = clock.Now() + options.wait;
    ReadOptions rest = options;
    for (;;) {
      Result<RecordBatch<T>> batch = iterator_.Next(limit, rest);
      if (!batch.ok()) return batch;
      const bool is_at_tip = batch->empty() && !batch->shard_ended();
      LeaveOutOtherKeys(*batch);
      if (batch->shard_ended()) {
        std::optional<ShardIterator<T>> next = Continue();
        if (!next.has_value()) return batch;
        iterator_ = *std::move(next);
        batch->shard_ended_ = false;
        batch->child_shards_.clear();
      }
      if (!batch->empty() || is_at_tip) return batch;
      rest.wait = std::max(deadline - clock.Now(), absl::ZeroDuration());
    }
  }

  const std::string& partition_key() const { return partition_key_; }
  // The shard that is read next.
  ShardId shard_id() const { return iterator_.shard_id(); }

 private:
  KeyIterator(const Stream<T>& stream, std::string partition_key, HashKey hash, ShardIterator<T> iterator)
      : stream_(stream), partition_key_(std::move(partition_key)), hash_(hash), iterator_(std::move(iterator)) {}

  static absl::StatusOr<ShardIterator<T>> Begin(const Stream<T>& stream, HashKey hash,
                                                const IteratorPosition& position) {
    if (std::holds_alternative<Latest>(position)) return stream.Iterate(stream.ShardOf(hash), position);
    if (const auto* const at = std::get_if<AtSequenceNumber>(&position)) {
      return BeginIn(stream, hash, at->sequence_number, position);
    }
    if (const auto* const after = std::get_if<AfterSequenceNumber>(&position)) {
      return BeginIn(stream, hash, after->sequence_number, position);
    }
    ShardFilter filter = FromTrimHorizon();
    if (const auto* const at = std::get_if<AtTimestamp>(&position)) filter = FromTimestamp{at->timestamp};
    const auto shards = stream.Shards(filter);
    if (!shards.ok()) return shards.status();
    if (auto first = FirstOf(stream, *shards, hash, position)) return *std::move(first);
    // The stream was closed: behind the last record, if it is still known where that was.
    auto last = stream.Iterate(stream.ShardOf(hash), position);
    if (last.ok()) return last;
    return internal::MakeError(Error::kResourceNotFound,
                               absl::StrCat("the stream was closed, and the shards that held hash key ", ToString(hash),
                                            " have gone; there is nothing to read any more"));
  }

  static absl::StatusOr<ShardIterator<T>> BeginIn(const Stream<T>& stream, HashKey hash, SequenceNumber number,
                                                  const IteratorPosition& position) {
    const ShardId id(number.shard_number());
    absl::StatusOr<ShardIterator<T>> iterator = stream.Iterate(id, position);
    if (!iterator.ok()) return iterator;
    for (const Shard& shard : stream.Shards()) {
      if (shard.id == id && !shard.hash_key_range.Contains(hash)) {
        return internal::MakeError(
            Error::kInvalidArgument,
            absl::StrCat("sequence number ", number.ToString(), " of ", id.ToString(),
                         "; allowed are numbers of the shards that hold hash key ", ToString(hash)));
      }
    }
    return iterator;
  }

  void LeaveOutOtherKeys(RecordBatch<T>& batch) const {
    internal::RecordRuns<T> kept;
    batch.size_ = 0;
    batch.bytes_ = 0;
    for (const auto& run : batch.runs_) {
      bool extends = false;
      for (std::uint32_t at = run.begin; at < run.end; ++at) {
        const bool is_kept = run.segment->key(at) == partition_key_;
        if (is_kept) {
          ++batch.size_;
          batch.bytes_ += run.segment->bytes(at);
          if (extends) {
            ++kept.back().end;
          } else {
            kept.push_back({run.segment, at, at + 1});
          }
        }
        extends = is_kept;
      }
    }
    batch.runs_ = std::move(kept);
  }

  // An iterator of the first of these shards that holds the key and has not gone since they were listed.
  static std::optional<ShardIterator<T>> FirstOf(const Stream<T>& stream, const std::vector<Shard>& shards,
                                                 HashKey hash, const IteratorPosition& position) {
    for (const Shard& shard : shards) {
      if (!shard.hash_key_range.Contains(hash)) continue;
      if (auto iterator = stream.Iterate(shard.id, position); iterator.ok()) return *std::move(iterator);
    }
    return std::nullopt;
  }

  // An iterator of the shard that follows; none if there is none. Children that have expired are passed over.
  std::optional<ShardIterator<T>> Continue() const {
    const auto later = stream_.Shards(AfterShardId{iterator_.shard_id()});
    if (!later.ok()) return std::nullopt;
    return FirstOf(stream_, *later, hash_, TrimHorizon());
  }

  Stream<T> stream_;
  std::string partition_key_;
  HashKey hash_;
  ShardIterator<T> iterator_;
};

}  // namespace decouple::inline v0_1

#endif  // DECOUPLE_KEY_ITERATOR_H_
