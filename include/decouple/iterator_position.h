// Where in a shard reading begins.
//
//   auto oldest = stream.Iterate(shard, decouple::TrimHorizon{});
//   auto rest = stream.Iterate(shard, decouple::AfterSequenceNumber{checkpoint});
//
// Names are those of Kinesis's iterator types. Plain values.

#ifndef DECOUPLE_ITERATOR_POSITION_H_
#define DECOUPLE_ITERATOR_POSITION_H_

#include <variant>

#include "absl/time/time.h"
#include "decouple/message.h"

namespace decouple::inline v0_1 {

// From the oldest record that is still there.
struct TrimHorizon {
  friend bool operator==(const TrimHorizon&, const TrimHorizon&) = default;
};
// From the records that are put from now on.
struct Latest {
  friend bool operator==(const Latest&, const Latest&) = default;
};
// From the record with this number; if it has gone, from the oldest that is still there. The number must be one that
// this shard has given, or its starting number.
struct AtSequenceNumber {
  SequenceNumber sequence_number;

  friend bool operator==(const AtSequenceNumber&, const AtSequenceNumber&) = default;
};
// From the record behind this one, whether or not this one is still there. Numbers as for AtSequenceNumber.
struct AfterSequenceNumber {
  SequenceNumber sequence_number;

  friend bool operator==(const AfterSequenceNumber&, const AfterSequenceNumber&) = default;
};
// From the first record that arrived at this time or later. A time less than kClockTolerance ahead of the stream's
// clock (clock.h) is now; one that is further ahead is refused.
struct AtTimestamp {
  absl::Time timestamp;

  friend bool operator==(const AtTimestamp&, const AtTimestamp&) = default;
};

using IteratorPosition = std::variant<TrimHorizon, Latest, AtSequenceNumber, AfterSequenceNumber, AtTimestamp>;

}  // namespace decouple::inline v0_1

#endif  // DECOUPLE_ITERATOR_POSITION_H_
