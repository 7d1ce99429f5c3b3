// What one thread keeps of a lane of tickets (ticket_lane.h): where it sent and received last, and what it has claimed;
// and what it says when it claims.

#ifndef DECOUPLE_INTERNAL_LANE_LANE_CURSOR_H_
#define DECOUPLE_INTERNAL_LANE_LANE_CURSOR_H_

#include <atomic>
#include <bit>
#include <cstdint>
#include <limits>

#include "decouple/internal/lane/earliest_deadline.h"
#include "decouple/internal/lane/segment_pool.h"
#include "decouple/internal/lane/slot_state.h"

namespace decouple::internal {

// No ticket comes just after it.
inline constexpr std::uint64_t kNowhereInLane =
    std::numeric_limits<std::uint64_t>::max() - std::uint64_t{2} * kSlotsPerSegment;

// What one thread remembers of the lane: where it sent and received last, and what it would compute for each ticket
// there. A ticket is there if it comes less than so many after the first: one subtraction and one compare.
template <typename Slot>
struct LaneCursor {
  using Segment = typename SegmentPool<Slot>::Segment;

  // Of half a segment, without its first ticket: there a sender looks around.
  std::uint64_t send_first = kNowhereInLane;
  Slot* send_slots = nullptr;    // that of send_first
  std::uint64_t send_ready = 0;  // the word of a plain message there
  Segment* send_segment = nullptr;
  // Of a segment.
  std::uint64_t receive_first = kNowhereInLane;
  Segment* receive_segment = nullptr;
  std::uint64_t receive_ready = 0;
  // What lies beside its first slot, null if that was not there yet; and its earliest instant.
  typename Slot::ColdFields* receive_cold_fields = nullptr;
  EarliestDeadline* receive_earliest = nullptr;

  SlotState send_word() const { return SlotState(send_ready); }

  // One of the slots is the caller's, or he is in a section.
  void FetchColdFields() {
    receive_cold_fields = receive_segment->FindColdFieldsOf(receive_segment->slots[0]);
    receive_earliest = &receive_segment->earliest();
  }
};

// Consecutive slots of one segment that the head has just been moved past. Only those that were taken are the
// claimant's, and keep the segment in use until the last of them is given another word.
template <typename Slot>
struct ClaimedRun {
  using Segment = typename SegmentPool<Slot>::Segment;

  Segment* segment = nullptr;
  std::uint64_t ordinal = 0;
  std::uint32_t first = 0;
  std::uint32_t size = 0;
  std::uint64_t taken = 0;  // a bit each, from `first` on
  bool ends_round = false;  // of segments: time to retire some
  bool gated = false;       // empty, but only because the gate is closed

  Slot& slot(std::uint32_t i) const { return segment->slots[first + i]; }

  std::uint32_t taken_count() const { return static_cast<std::uint32_t>(std::popcount(taken)); }

  // Calls visit(slot, word) for what was taken, in order.
  template <typename Visit>
  void ForEachTaken(Visit visit) const {
    for (std::uint64_t bits = taken; bits != 0; bits &= bits - 1) {
      Slot& own = slot(static_cast<std::uint32_t>(std::countr_zero(bits)));
      visit(own, SlotState(own.word.load(std::memory_order_relaxed)));  // as Claim() acquired it
    }
  }
};

// A gate for claims that nothing limits.
inline constexpr std::uint64_t kOpenUntil = std::numeric_limits<std::uint64_t>::max();
inline constinit const std::atomic<std::uint64_t> kOpenGate{kOpenUntil};

// For claims that take whatever they may.
struct WantAll {
  template <typename Slot>
  bool operator()(const Slot&, SlotState) const {
    return true;
  }
};

}  // namespace decouple::internal

#endif  // DECOUPLE_INTERNAL_LANE_LANE_CURSOR_H_
