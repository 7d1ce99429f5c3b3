// Names a slot with a message.

#ifndef DECOUPLE_INTERNAL_MESSAGE_SLOT_REF_H_
#define DECOUPLE_INTERNAL_MESSAGE_SLOT_REF_H_

namespace decouple::inline v0_1::internal {

template <typename Slot>
struct LaneSegment;
struct MessageSlot;
class LeaseTimes;

using MessageSegment = LaneSegment<MessageSlot>;

// It stays valid while the caller has a reference to the message or has locked the slot, or while the message is queued
// for redelivery.
struct SlotRef {
  MessageSegment* segment = nullptr;
  MessageSlot* slot = nullptr;

  // These three are defined in message_slot.h. The first requires that the message was in flight or delayed at some
  // time, the second allocates memory for the times if there is none yet.
  LeaseTimes& times() const;
  LeaseTimes& TimesToWrite() const;
  // For a thread that only looks at the slot: null if the slot is no longer in use.
  LeaseTimes* FindTimes() const;

  friend bool operator==(const SlotRef&, const SlotRef&) = default;
};

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_MESSAGE_SLOT_REF_H_
