// Where in a shard reading begins.
//
//   stream.Iterate(shard, decouple::TrimHorizon{});
//   stream.Iterate(shard, decouple::AfterSequenceNumber{checkpoint});
//
// Names are those of Kinesis's iterator types. Plain values.

#ifndef DECOUPLE_ITERATOR_POSITION_H_
#define DECOUPLE_ITERATOR_POSITION_H_

#include <variant>

#include "absl/time/time.h"
#include "decouple/message.h"

namespace decouple {

// The oldest record that is there.
struct TrimHorizon {};
// What is put from now on.
struct Latest {};
// The record of this number; if it has gone, the oldest that is there.
struct AtSequenceNumber {
  SequenceNumber sequence_number;
};
// The record after this one, whether or not that is still there.
struct AfterSequenceNumber {
  SequenceNumber sequence_number;
};
// The first record that arrived at this time or later. Must not be ahead of the clock.
struct AtTimestamp {
  absl::Time timestamp;
};

using IteratorPosition = std::variant<TrimHorizon, Latest, AtSequenceNumber, AfterSequenceNumber, AtTimestamp>;

}  // namespace decouple

#endif  // DECOUPLE_ITERATOR_POSITION_H_
