// Which of a stream's shards are listed, by place in the list or by time.
//
//   for (const decouple::Shard& shard : clicks.Shards(decouple::AtLatest{}).value()) Start(shard.id);
//
// Names and meanings are those of Kinesis's ShardFilter. A shard is there from the moment in which it is opened; it
// counts as open at the moment in which it is closed, too. Plain values.

#ifndef DECOUPLE_SHARD_FILTER_H_
#define DECOUPLE_SHARD_FILTER_H_

#include <variant>

#include "absl/time/time.h"
#include "decouple/iterator_position.h"
#include "decouple/shard.h"

namespace decouple::inline v0_1 {

// The shards that were opened after this one, whether or not that is still there: the next page of a list.
struct AfterShardId {
  ShardId shard_id;

  friend bool operator==(const AfterShardId&, const AfterShardId&) = default;
};
// The shards that were open when the retention period began, or when the stream was created if that was later, and
// later ones whose parents have gone: readers that begin there, and go on in the children, read everything.
struct AtTrimHorizon {
  friend bool operator==(const AtTrimHorizon&, const AtTrimHorizon&) = default;
};
// All shards that the stream has.
struct FromTrimHorizon {
  friend bool operator==(const FromTrimHorizon&, const FromTrimHorizon&) = default;
};
// The shards that are open now.
struct AtLatest {
  friend bool operator==(const AtLatest&, const AtLatest&) = default;
};
// The shards that were open at this time or have been since.
struct FromTimestamp {
  absl::Time timestamp;

  friend bool operator==(const FromTimestamp&, const FromTimestamp&) = default;
};

// AtTimestamp, which is the position of an iterator, too (iterator_position.h), is to that time what AtTrimHorizon is
// to the beginning of the retention period.
using ShardFilter = std::variant<FromTrimHorizon, AtTrimHorizon, AtLatest, AtTimestamp, FromTimestamp, AfterShardId>;

}  // namespace decouple::inline v0_1

#endif  // DECOUPLE_SHARD_FILTER_H_
