// Which of a stream's shards a filter lets through.

#ifndef DECOUPLE_INTERNAL_STREAM_SHARD_LISTING_H_
#define DECOUPLE_INTERNAL_STREAM_SHARD_LISTING_H_

#include <algorithm>
#include <cstdint>
#include <optional>
#include <set>
#include <variant>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "decouple/clock.h"
#include "decouple/error.h"
#include "decouple/internal/base/time_math.h"
#include "decouple/internal/stream/shard_core.h"
#include "decouple/internal/stream/shard_map.h"
#include "decouple/iterator_position.h"
#include "decouple/shard.h"
#include "decouple/shard_filter.h"

namespace decouple::inline v0_1::internal {

// The shards that were open at `time`, and later ones whose parents have gone: a reader that begins there, and goes on
// in the children, reads everything since. O(shards * log shards).
template <typename T>
std::vector<Shard> ShardsToBeginWith(const ShardMap<T>& shards, std::int64_t time) {
  std::set<ShardId> open;
  std::set<ShardId> since;
  std::vector<Shard> listed = shards.Descriptions([&](const ShardCore<T>& shard) {
    if (shard.WasOpenAt(time)) open.insert(shard.id());
    return shard.WasOpenFrom(time) && since.insert(shard.id()).second;
  });
  std::erase_if(listed, [&](const Shard& shard) {
    return !open.contains(shard.id) && std::any_of(shard.parents.begin(), shard.parents.end(),
                                                   [&](ShardId parent) { return since.contains(parent); });
  });
  return listed;
}

// kInvalidArgument: the filter's time is ahead of `now` by kClockTolerance or more.
template <typename T>
absl::StatusOr<std::vector<Shard>> ListShards(const ShardMap<T>& shards, const ShardFilter& filter, std::int64_t now,
                                              std::int64_t retention) {
  const auto find_from = [&](absl::Time time) -> absl::StatusOr<std::int64_t> {
    if (const std::optional<std::int64_t> nanos = NanosNotAhead(time, now)) return *nanos;
    return MakeError(Error::kInvalidArgument,
                     absl::StrCat("a shard filter's timestamp ", absl::FormatTime(time),
                                  "; allowed are times less than ", absl::FormatDuration(kClockTolerance),
                                  " ahead of the clock, ", absl::FormatTime(absl::FromUnixNanos(now))));
  };
  if (const auto* const after = std::get_if<AfterShardId>(&filter)) {
    return shards.Descriptions([&](const ShardCore<T>& shard) { return shard.id() > after->shard_id; });
  }
  if (std::holds_alternative<AtLatest>(filter)) {
    return shards.Descriptions([](const ShardCore<T>& shard) { return !shard.IsEnded(); });
  }
  if (const auto* const from = std::get_if<FromTimestamp>(&filter)) {
    const auto time = find_from(from->timestamp);
    if (!time.ok()) return time.status();
    return shards.Descriptions([&](const ShardCore<T>& shard) { return shard.WasOpenFrom(*time); });
  }
  if (std::holds_alternative<FromTrimHorizon>(filter)) return shards.Descriptions();
  absl::StatusOr<std::int64_t> time = now - retention;
  if (const auto* const at = std::get_if<AtTimestamp>(&filter)) time = find_from(at->timestamp);
  if (!time.ok()) return time.status();
  return ShardsToBeginWith(shards, std::max(*time, shards.created_at()));
}

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_STREAM_SHARD_LISTING_H_
