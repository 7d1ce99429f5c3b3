// The segments of a lane that its head has left, in order, until all of their slots are free again.
//
// Looking for those goes on in turns, so that one message that stays long hides none behind it. Where many have to stay
// for the sake of few messages, they are told of, so that these may be moved (compaction.h).
//
// Threading: all under the lane's structure mutex.

#ifndef DECOUPLE_INTERNAL_LANE_RETIRED_SEGMENTS_H_
#define DECOUPLE_INTERNAL_LANE_RETIRED_SEGMENTS_H_

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <utility>

#include "absl/container/inlined_vector.h"
#include "decouple/internal/lane/segment_pool.h"
#include "decouple/internal/lane/slot_state.h"

namespace decouple::internal {

// A passed segment that is nearly empty, while there are many.
struct SparseSegment {
  std::uint32_t number = 0;
  std::uint64_t ordinal = 0;
};
using SparseSegments = absl::InlinedVector<SparseSegment, 4>;

template <typename Segment>
class RetiredSegments {
 public:
  RetiredSegments() = default;
  RetiredSegments(const RetiredSegments&) = delete;
  RetiredSegments& operator=(const RetiredSegments&) = delete;

  void Add(Segment* segment) {
    segment->next_passed = nullptr;
    *end_ = segment;
    end_ = &segment->next_passed;
    ++count_;
  }

  // Takes out those whose slots are all free and calls retire(segment) for each, until that returns false. Looks at
  // most at `most` that are not, and tells of those of these that are nearly empty. O(most + taken out).
  template <typename Retire>
  SparseSegments RemoveFree(std::uint32_t most, Retire retire) {
    SparseSegments sparse;
    while (most > 0 && first_ != nullptr) {
      Segment** const link = next_look_ != nullptr && *next_look_ != nullptr ? next_look_ : &first_;
      Segment* const segment = *link;
      if (!AreAllFree(*segment)) {
        if (count_ > kCompactAbove && IsNearlyEmpty(*segment)) {
          sparse.push_back({segment->number(), segment->ordinal.load(std::memory_order_relaxed)});
        }
        next_look_ = segment->next_passed == nullptr ? &first_ : &segment->next_passed;
        --most;
        continue;
      }
      *link = segment->next_passed;
      if (end_ == &segment->next_passed) end_ = link;
      next_look_ = link;
      --count_;
      if (!retire(segment)) break;
    }
    return sparse;
  }

 private:
  // So many are no matter: most messages in them will be over soon.
  static constexpr std::uint32_t kCompactAbove = 16;
  static constexpr int kNearlyEmpty = 8;  // slots in use

  static bool IsNearlyEmpty(const Segment& segment) {
    const std::uint64_t ordinal = segment.ordinal.load(std::memory_order_relaxed);
    return std::count_if(std::begin(segment.slots), std::end(segment.slots), [&](const auto& slot) {
             return !SlotState(slot.word.load(std::memory_order_relaxed)).IsFree(ordinal);
           }) <= kNearlyEmpty;
  }

  static bool AreAllFree(Segment& segment) {
    constexpr std::uint32_t kAtOnce = 8;  // as every message is looked at here: one branch for so many
    const SlotState free(Phase::kDone, segment.ordinal.load(std::memory_order_relaxed));
    for (; segment.first_unfinished < kSlotsPerSegment; segment.first_unfinished += kAtOnce) {
      const auto* const slots = segment.slots + segment.first_unfinished;
      // Acquire: pairs with the store that freed the slot. What its last user did there is over before the next begins.
      const auto difference = [&](std::size_t i) {
        return slots[i].word.load(std::memory_order_acquire) ^ free.bits();
      };
      const auto differences = [&]<std::size_t... i>(std::index_sequence<i...>) { return (difference(i) | ...); };
      if (differences(std::make_index_sequence<kAtOnce>()) != 0) return false;
    }
    return true;
  }

  Segment* first_ = nullptr;
  Segment** end_ = &first_;
  std::uint32_t count_ = 0;
  Segment** next_look_ = nullptr;  // where looking goes on
};

}  // namespace decouple::internal

#endif  // DECOUPLE_INTERNAL_LANE_RETIRED_SEGMENTS_H_
