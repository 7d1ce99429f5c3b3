// Finds a shard's segments by their numbers, which are consecutive.
//
// Threading: Find() and Guess() may be called at any time, Find() inside an RCU read section: a segment that has been
// removed is freed only after RcuSynchronize(). Everything else is called by one thread at a time (RecordLog's mutex).

#ifndef DECOUPLE_INTERNAL_STREAM_SEGMENT_DIRECTORY_H_
#define DECOUPLE_INTERNAL_STREAM_SEGMENT_DIRECTORY_H_

#include <cstdint>

#include "decouple/internal/base/assert.h"
#include "decouple/internal/base/growable_ring.h"

namespace decouple::inline v0_1::internal {

template <typename Segment>
class SegmentDirectory {
 public:
  // Null: it has not been added yet, or has been removed. Requires: the caller is in a read section.
  Segment* Find(std::uint64_t number) const {
    Segment* const segment = segments_.At(number);
    return segment != nullptr && IsNumbered(*segment, number) ? segment : nullptr;
  }

  // The address that the segment most likely has. It may be another segment's or freed: for a prefetch only. Requires:
  // a segment has been added.
  const Segment* Guess(std::uint64_t number) const { return segments_.Guess(number); }

  // ---- one thread at a time -----------------------------------------------------------------------------------------

  // Adds the segment that follows the last one, or any while the directory is empty.
  void Add(Segment* segment) {
    DECOUPLE_ASSERT(empty() || segment->number() == end_);
    if (begin_ == end_) begin_ = end_ = segment->number();
    segments_.Put(end_++, segment, begin_, IsNumbered);
  }

  // Removes the first segment. Readers that found it before may still use it, until RcuSynchronize() has returned.
  Segment* RemoveFirst() {
    Segment* const segment = First();
    segments_.Remove(begin_++, segment);
    return segment;
  }

  Segment* First() const { return Get(begin_); }
  // Requires: begin() <= number < end().
  Segment* Get(std::uint64_t number) const {
    DECOUPLE_ASSERT(begin_ <= number && number < end_);
    return segments_.At(number);
  }
  bool empty() const { return begin_ == end_; }
  std::uint64_t begin() const { return begin_; }
  std::uint64_t end() const { return end_; }

 private:
  static bool IsNumbered(const Segment& segment, std::uint64_t number) { return segment.number() == number; }

  GrowableRing<Segment> segments_;
  std::uint64_t begin_ = 0;
  std::uint64_t end_ = 0;
};

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_STREAM_SEGMENT_DIRECTORY_H_
