// Finds the segments of a lane by their ordinals.
//
// Threading. Add() and Remove() are called under the lane's structure mutex. Find() may be called by any thread, inside
// a read section or under that mutex.

#ifndef DECOUPLE_INTERNAL_LANE_SEGMENT_INDEX_H_
#define DECOUPLE_INTERNAL_LANE_SEGMENT_INDEX_H_

#include <atomic>
#include <cstdint>

#include "decouple/internal/base/growable_ring.h"

namespace decouple::inline v0_1::internal {

template <typename Segment>
class SegmentIndex {
 public:
  // Null if there is no segment of that ordinal, not yet or no more.
  Segment* Find(std::uint64_t ordinal) const {
    Segment* const segment = segments_.At(ordinal);
    return segment != nullptr && Carries(*segment, ordinal) ? segment : nullptr;
  }

  // Requires: `segment` carries `ordinal`. The segments from `first` on can still be found afterwards.
  void Add(std::uint64_t ordinal, Segment* segment, std::uint64_t first) {
    segments_.Put(ordinal, segment, first, Carries);
  }

  // Removes the segment unless another one has taken its entry.
  void Remove(std::uint64_t ordinal, const Segment* segment) { segments_.Remove(ordinal, segment); }

 private:
  // Acquire: pairs with the release that gave the segment its ordinal (LaneSegments::Install()), so the segment is
  // ready for use.
  static bool Carries(const Segment& segment, std::uint64_t ordinal) {
    return segment.ordinal.load(std::memory_order_acquire) == ordinal;
  }

  GrowableRing<Segment> segments_;
};

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_LANE_SEGMENT_INDEX_H_
