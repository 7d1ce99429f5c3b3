// The retired segments of a lane: those that its head has left, in order, until all of their slots are free again.
//
// The search for free ones goes round the list, so a message that stays for long delays only its own segment. Where
// many segments stay for the sake of few messages each, the search reports them, so that those messages may be moved
// (compaction.h).
//
// Threading: used under the lane's structure mutex.

#ifndef DECOUPLE_INTERNAL_LANE_RETIRED_SEGMENTS_H_
#define DECOUPLE_INTERNAL_LANE_RETIRED_SEGMENTS_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "absl/container/inlined_vector.h"
#include "decouple/internal/lane/segment_pool.h"
#include "decouple/internal/lane/slot_state.h"

namespace decouple::inline v0_1::internal {

// A retired segment that is nearly empty, reported while there are many of them.
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
    segment->next_retired = nullptr;
    *end_ = segment;
    end_ = &segment->next_retired;
    ++count_;
  }

  // Removes segments whose slots are all free and calls reclaim(segment) for each, until that returns false. Looks at
  // `most` others at most, and returns those of them that are nearly empty. O(most + removed).
  template <typename Reclaim>
  SparseSegments RemoveFree(std::uint32_t most, Reclaim reclaim) {
    SparseSegments sparse;
    while (most > 0 && first_ != nullptr) {
      Segment** const link = next_look_ != nullptr && *next_look_ != nullptr ? next_look_ : &first_;
      Segment* const segment = *link;
      if (!AreAllFree(*segment)) {
        if (count_ > kCompactAbove && IsNearlyEmpty(*segment)) {
          sparse.push_back({segment->number(), segment->ordinal.load(std::memory_order_relaxed)});
        }
        next_look_ = segment->next_retired == nullptr ? &first_ : &segment->next_retired;
        --most;
        continue;
      }
      *link = segment->next_retired;
      if (end_ == &segment->next_retired) end_ = link;
      next_look_ = link;
      --count_;
      if (!reclaim(segment)) break;
    }
    return sparse;
  }

 private:
  // So many are not worth a compaction: most of their messages will be over soon.
  static constexpr std::uint32_t kCompactAbove = 16;
  static constexpr int kNearlyEmpty = 8;  // at most so many slots in use

  static bool IsNearlyEmpty(const Segment& segment) {
    const std::uint64_t ordinal = segment.ordinal.load(std::memory_order_relaxed);
    int used = 0;
    for (std::uint32_t i = 0; i < kSlotsPerSegment && used <= kNearlyEmpty; ++i) {
      if (!SlotState(segment.slot(i).word.load(std::memory_order_relaxed)).IsFree(ordinal)) ++used;
    }
    return used <= kNearlyEmpty;
  }

  static bool AreAllFree(Segment& segment) {
    constexpr std::uint32_t kAtOnce = 8;  // one branch for so many slots, as each message passes here once
    const SlotState free(Phase::kDone, segment.ordinal.load(std::memory_order_relaxed));
    for (; segment.first_unfinished < kSlotsPerSegment; segment.first_unfinished += kAtOnce) {
      auto* const first = &segment.slot(segment.first_unfinished);
      // Acquire: pairs with the release that freed the slot, so its last user is done before its next one begins.
      const auto difference = [&](std::size_t i) {
        return SlotAt(first, i, segment.stride)->word.load(std::memory_order_acquire) ^ free.bits();
      };
      const auto differences = [&]<std::size_t... i>(std::index_sequence<i...>) { return (difference(i) | ...); };
      if (differences(std::make_index_sequence<kAtOnce>()) != 0) return false;
    }
    return true;
  }

  Segment* first_ = nullptr;
  Segment** end_ = &first_;
  std::uint32_t count_ = 0;
  Segment** next_look_ = nullptr;  // where the search goes on
};

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_LANE_RETIRED_SEGMENTS_H_
