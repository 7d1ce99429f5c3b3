// Granting a visible message to a receive: it is leased, unless it is past its retention or was received too often.

#ifndef DECOUPLE_INTERNAL_QUEUE_RECEIVE_GRANT_H_
#define DECOUPLE_INTERNAL_QUEUE_RECEIVE_GRANT_H_

#include <cstdint>

#include "decouple/internal/base/assert.h"
#include "decouple/internal/message/message_slot.h"
#include "decouple/internal/message/message_state.h"
#include "decouple/internal/message/message_store.h"
#include "decouple/internal/message/slot_ref.h"
#include "decouple/internal/queue/queue_state.h"
#include "decouple/internal/queue/received_messages.h"
#include "decouple/internal/queue/redrive/move_to_dead_letters.h"

namespace decouple::inline v0_1::internal {

// Requires, unless a function says otherwise: the caller has locked the message's slot, and `before` is the word that
// the slot had before. The functions unlock it.
template <typename Kind>
class ReceiveGrant {
 public:
  explicit ReceiveGrant(QueueState& queue) : queue_(queue) {}

  // Leases the message to the receiver, adds it to `received`, and returns true. False: it was past its retention, or
  // received too often, and is gone or hidden.
  bool Grant(LocalQueueState& local, const LeaseRequest& request, SlotRef message, SlotState before,
             ReceivedMessages& received) {
    if (DisposeIfUndeliverable(local, request, message, before)) return false;
    Lease(local, request, message, before, received);
    return true;
  }

  // The first half of Grant(). True: the message was not to be given, and has been removed, moved or hidden, and
  // unlocked. False: nothing has happened.
  bool DisposeIfUndeliverable(LocalQueueState& local, const LeaseRequest& request, SlotRef message, SlotState before) {
    DECOUPLE_ASSERT(IsLocked(*message.slot));
    if (queue_.store.RetentionEnd(*message.slot) <= request.now) {
      RemoveExpired(local, message, before);
    } else if (MoveToDeadLetters<Kind>(queue_).IsReceivedTooOften(message, before) && !request.is_to_move)
        [[unlikely]] {
      local.counts.not_leased.Add(1);
      MoveToDeadLetters<Kind>(queue_).MoveOrHide(local, message, before, request.now);
    } else {
      return false;
    }
    return true;
  }

  // Whether a visible message with this word would be moved instead of given. A FIFO queue may look ahead: there the
  // lock of the message's group will do.
  bool IsReceivedTooOften(SlotRef message, SlotState word) const {
    return MoveToDeadLetters<Kind>(queue_).IsReceivedTooOften(message, word);
  }

  // The second half of Grant().
  void Lease(LocalQueueState& local, const LeaseRequest& request, SlotRef message, SlotState before,
             ReceivedMessages& received) {
    received.push_back({message, messages().Lease(local, message, before, request.now, request.visible_at)});
  }

  // Requires: the caller has locked the slot, or has claimed it in phase kReady.
  void RemoveExpired(LocalQueueState& local, SlotRef message, SlotState before) {
    local.counts.not_leased.Add(1);
    messages().Remove(local, message, before, &LocalQueueCounts::expired);
    queue_.store.ReleaseReference(message);
  }

 private:
  MessageState<typename Kind::Order> messages() const { return MessageState<typename Kind::Order>(queue_.store); }

  QueueState& queue_;
};

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_QUEUE_RECEIVE_GRANT_H_
