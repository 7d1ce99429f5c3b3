// What one thread keeps of a lane (ticket_lane.h): a cursor to where it last sent and received, and the run of slots
// that it has claimed; and the usual arguments of a claim.

#ifndef DECOUPLE_INTERNAL_LANE_LANE_CURSOR_H_
#define DECOUPLE_INTERNAL_LANE_LANE_CURSOR_H_

#include <atomic>
#include <bit>
#include <cstdint>
#include <limits>

#include "decouple/internal/base/assert.h"
#include "decouple/internal/lane/earliest_deadline.h"
#include "decouple/internal/lane/segment_pool.h"
#include "decouple/internal/lane/slot_state.h"

namespace decouple::inline v0_1::internal {

// As the first ticket of a cursor: no ticket is within a segment's length after it.
inline constexpr std::uint64_t kNowhereInLane =
    std::numeric_limits<std::uint64_t>::max() - std::uint64_t{2} * kSlotsPerSegment;

// Where a thread last sent to and received from the lane, with all that it would compute again for each ticket there.
// Whether a ticket is there takes one subtraction and one compare.
template <typename Slot>
struct LaneCursor {
  using Segment = LaneSegment<Slot>;

  // Sending: half a segment, without its first ticket, which takes the slow path (TicketLane::PlaceOfSlow()).
  std::uint64_t send_first = kNowhereInLane;  // its first ticket here
  Slot* send_slots = nullptr;                 // the slot of send_first
  std::uint64_t send_ready = 0;               // the word of a plain message there
  Segment* send_segment = nullptr;
  // Receiving: a segment.
  std::uint64_t receive_first = kNowhereInLane;
  Slot* receive_slots = nullptr;  // the slot of receive_first
  Segment* receive_segment = nullptr;
  std::uint64_t receive_ready = 0;
  // The cold fields of its first slot, null if there was no memory for them yet; and its earliest deadline.
  typename Slot::ColdFields* receive_cold_fields = nullptr;
  EarliestDeadline* receive_earliest = nullptr;

  SlotState send_word() const { return SlotState(send_ready); }

  // Requires: the caller has claimed or locked one of the segment's slots, or is in a read section.
  void FetchColdFields() {
    receive_cold_fields = receive_segment->FindColdFieldsAt(0);
    receive_earliest = &receive_segment->earliest();
  }
};

// Consecutive slots of one segment that the head has been moved past. Only those that were taken belong to the
// claimant; they keep the segment in use until the last of them gets another word.
template <typename Slot>
struct ClaimedRun {
  using Segment = LaneSegment<Slot>;

  Segment* segment = nullptr;
  std::uint64_t ordinal = 0;
  std::uint32_t first = 0;
  std::uint32_t size = 0;
  std::uint64_t taken = 0;  // one bit per slot, from `first` on
  bool ends_round = false;  // the claimant has to call ReclaimRound()
  bool gated = false;       // the run is empty only because of the gate

  static_assert(kSlotsPerSegment <= 64, "one bit of `taken` per slot");

  Slot& slot(std::uint32_t i) const { return segment->slot(first + i); }

  std::uint32_t taken_count() const { return static_cast<std::uint32_t>(std::popcount(taken)); }

  // Calls visit(slot, word) for each slot that was taken, in order.
  template <typename Visit>
  void ForEachTaken(Visit visit) const {
    for (std::uint64_t bits = taken; bits != 0; bits &= bits - 1) {
      Slot& taken_slot = slot(static_cast<std::uint32_t>(std::countr_zero(bits)));
      const SlotState word(taken_slot.word.load(std::memory_order_relaxed));  // relaxed: Claim() has acquired it
      DECOUPLE_ASSERT(word.IsOf(ordinal) && word.IsForClaimant());
      visit(taken_slot, word);
    }
  }
};

// The gate of claims without a limit.
inline constexpr std::uint64_t kOpenUntil = std::numeric_limits<std::uint64_t>::max();
inline constinit const std::atomic<std::uint64_t> kOpenGate{kOpenUntil};

// The `wants` of claims that take every slot they may.
struct WantAll {
  template <typename Slot>
  bool operator()(const Slot&, SlotState) const {
    return true;
  }
};

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_LANE_LANE_CURSOR_H_
