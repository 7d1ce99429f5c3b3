// The slots of one segment that a thread has locked (kBusy). The timeout sweep, a purge and compaction, which go
// through many messages at once, lock the slots of a segment first and then work on all of them.

#ifndef DECOUPLE_INTERNAL_QUEUE_LOCKED_SLOTS_H_
#define DECOUPLE_INTERNAL_QUEUE_LOCKED_SLOTS_H_

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

#include "decouple/internal/lane/segment_pool.h"
#include "decouple/internal/lane/slot_state.h"
#include "decouple/internal/message/message_slot.h"
#include "decouple/internal/message/slot_ref.h"

namespace decouple::inline v0_1::internal {

struct LockedSlots {
  static_assert(kSlotsPerSegment <= 64, "one bit of `slots` a slot");

  MessageSegment* segment = nullptr;
  std::uint64_t slots = 0;                           // one bit for each locked slot
  std::array<SlotState, kSlotsPerSegment> before{};  // the words that the locked slots had before

  // False: the word is no longer `word`. Requires: `segment` stays in use until this returns, by a read section or by a
  // slot that is locked already.
  bool TryLock(std::uint32_t i, SlotState word) {
    if (!internal::TryLock(segment->slot(i), word)) return false;
    slots |= 1ULL << i;
    before[i] = word;
    return true;
  }

  // Calls visit(message, word before) for each locked slot.
  template <typename Visit>
  void ForEach(Visit visit) const {
    for (std::uint64_t bits = slots; bits != 0; bits &= bits - 1) {
      const auto i = static_cast<std::size_t>(std::countr_zero(bits));
      visit(SlotRef{segment, &segment->slot(i)}, before[i]);
    }
  }
};

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_QUEUE_LOCKED_SLOTS_H_
