// The entries of the redelivery lane: each names one message that is visible again. An entry is a slot without a
// message of its own, so the redelivery lane is a lane as any other.

#ifndef DECOUPLE_INTERNAL_MESSAGE_REDELIVERY_ENTRY_H_
#define DECOUPLE_INTERNAL_MESSAGE_REDELIVERY_ENTRY_H_

#include <atomic>
#include <bit>
#include <cstdint>
#include <new>

#include "decouple/internal/base/assert.h"
#include "decouple/internal/lane/segment_pool.h"
#include "decouple/internal/lane/slot_state.h"
#include "decouple/internal/message/message_slot.h"
#include "decouple/internal/message/slot_ref.h"

namespace decouple::inline v0_1::internal {

// An entry has the message's slot as its content, and the segment in place of the time of sending.
inline constexpr SlotLayout kRedeliveryLayout = {
    .stride = sizeof(MessageSlot) + sizeof(void*), .alignment = alignof(MessageSlot), .has_cold_fields = false};

// Writes the name of a message into the entry of the caller's ticket. One of the two pointers is an atomic, so that
// they are stored one by one: together they would come by way of the stack, and stall on store forwarding (exp. 15).
inline void NameMessage(MessageSlot& entry, SlotRef message) {
  entry.sent_at.store(std::bit_cast<std::int64_t>(message.segment), std::memory_order_relaxed);
  ::new (static_cast<void*>(entry.content())) MessageSlot*(message.slot);
}

// Returns the message that an entry names, and frees the entry. Requires: the caller has claimed it.
inline SlotRef ConsumeEntry(MessageSlot& entry, SlotState word) {
  DECOUPLE_ASSERT(word.phase() == Phase::kReady);
  const SlotRef message{std::bit_cast<MessageSegment*>(entry.sent_at.load(std::memory_order_relaxed)),
                        *std::launder(reinterpret_cast<MessageSlot**>(entry.content()))};
  entry.word.store(SlotState(Phase::kDone, word.generation()).bits(), std::memory_order_release);  // after our reads
  return message;
}

// In the lane of messages a slot in phase kRequeued names a message, too: by its lease times.
inline void NameRequeued(SlotRef requeued, SlotRef message) {
  LeaseTimes& times = requeued.TimesToWrite();
  times.set_visible_at(std::bit_cast<std::int64_t>(message.slot));
  times.set_first_received_at(std::bit_cast<std::int64_t>(message.segment));
}

// Returns the message that a slot in phase kRequeued names, and frees that slot. Requires: the caller has claimed it.
inline SlotRef ConsumeRequeued(SlotRef requeued, SlotState word) {
  DECOUPLE_ASSERT(word.phase() == Phase::kRequeued);
  const SlotRef message{std::bit_cast<MessageSegment*>(requeued.times().first_received_at()),
                        std::bit_cast<MessageSlot*>(requeued.times().visible_at())};
  requeued.slot->word.store(SlotState(Phase::kDone, word.generation()).bits(), std::memory_order_release);
  return message;
}

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_MESSAGE_REDELIVERY_ENTRY_H_
