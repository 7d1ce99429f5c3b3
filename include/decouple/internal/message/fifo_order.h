// The order of a FIFO queue: all messages belong to groups (message_groups.h), and only the first one of a group is
// queued in the redelivery lane while it is visible. Requirements as in standard_order.h.

#ifndef DECOUPLE_INTERNAL_MESSAGE_FIFO_ORDER_H_
#define DECOUPLE_INTERNAL_MESSAGE_FIFO_ORDER_H_

#include <cstdint>

#include "decouple/internal/lane/slot_state.h"
#include "decouple/internal/message/message_content.h"
#include "decouple/internal/message/message_metadata.h"
#include "decouple/internal/message/message_slot.h"
#include "decouple/internal/message/message_store.h"
#include "decouple/internal/message/slot_ref.h"

namespace decouple::inline v0_1::internal {

class FifoOrder {
 public:
  explicit FifoOrder(MessageStore& store) : store_(store) {}

  // Unlocks a message that becomes visible, and queues it if it is the first of its group.
  void UnlockVisible(LocalQueueState& local, SlotRef message, SlotState before) {
    if (store_.groups().UnlockVisible(MetadataAt(message), before.With(Phase::kVisibleAgain))) {
      store_.Requeue(local, message);
    }
  }

  // Unlocks a message that is as it was before. It may have become the first of its group meanwhile.
  void Restore(LocalQueueState& local, SlotRef message, SlotState before) {
    if (before.phase() != Phase::kVisibleAgain) {
      Unlock(*message.slot, before);
    } else if (store_.groups().UnlockVisible(MetadataAt(message), before)) {
      store_.Requeue(local, message);
      store_.visible().Notify(1);
    }
  }

  // A message in flight stays in its group, and so does one that is hidden.
  void NoteLeased(SlotRef, SlotState, std::int64_t) {}
  void NoteUnleased(SlotRef, SlotState) {}
  bool Withdraw(SlotRef, SlotState) { return false; }

  // The message has ended, and leaves its group. The caller has a reference to it.
  void NoteRemoved(LocalQueueState& local, SlotRef message, SlotState) {
    if (const auto next = store_.groups().Remove(MetadataAt(message))) {
      store_.Requeue(local, *next);
      store_.visible().Notify(1);
    }
  }

  // One that is visible, but not queued, waits behind another of its group.
  static bool MayRelocate(Phase phase) {
    return phase == Phase::kInFlight || phase == Phase::kDelayed || phase == Phase::kVisibleAgain;
  }

  static void BeginRelocation(SlotRef, SlotState, MessageMetadata&) {}
  // Other threads of the group read the metadata, so they move under its mutex.
  void FinishRelocation(LocalQueueState& local, SlotRef from, SlotRef to, SlotState word) {
    if (store_.groups().Relocate(MetadataAt(from), MetadataAt(to), to, word)) {
      store_.Requeue(local, to);
      store_.visible().Notify(1);
    }
  }

 private:
  MessageStore& store_;
};

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_MESSAGE_FIFO_ORDER_H_
