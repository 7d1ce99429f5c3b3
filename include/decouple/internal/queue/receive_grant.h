// Granting a visible message to a receive: it is leased, unless it is past its retention or was received too often.

#ifndef DECOUPLE_INTERNAL_QUEUE_RECEIVE_GRANT_H_
#define DECOUPLE_INTERNAL_QUEUE_RECEIVE_GRANT_H_

#include <cstdint>

#include "decouple/internal/base/assert.h"
#include "decouple/internal/message/message_slot.h"
#include "decouple/internal/message/message_store.h"
#include "decouple/internal/queue/redrive/move_to_dead_letters.h"

namespace decouple::inline v0_1::internal {

// What a receive asks for. Times are in nanoseconds by the queue's clock.
struct LeaseRequest {
  std::uint32_t most = 1;
  std::int64_t now = 0;
  std::int64_t visible_at = 0;  // when the messages that the receive returns become visible again
  bool is_to_move = false;      // by a move task, which takes messages however often they were received
};

// Requires, unless a function says otherwise: the caller has locked the message's slot, and `before` is the word that
// the slot had before. The functions unlock it.
template <typename T>
class ReceiveGrant {
 public:
  using Store = MessageStore<T>;
  using Message = typename Store::Message;
  using LocalState = typename Store::LocalState;

  ReceiveGrant(Store& store, MoveToDeadLetters<T>& move_to_dead_letters)
      : store_(store), move_to_dead_letters_(move_to_dead_letters) {}

  // Leases the message to the receiver, calls sink(message, word) with the word that it has by this receive, and
  // returns true. False: it was past its retention, or received too often, and is gone or hidden.
  template <typename Sink>
  bool Grant(LocalState& local, const LeaseRequest& request, Message message, SlotState before, Sink& sink) {
    if (DisposeIfUndeliverable(local, request, message, before)) return false;
    Lease(local, request, message, before, sink);
    return true;
  }

  // The first half of Grant(). True: the message was not to be given, and has been removed, moved or hidden, and
  // unlocked. False: nothing has happened.
  bool DisposeIfUndeliverable(LocalState& local, const LeaseRequest& request, Message message, SlotState before) {
    DECOUPLE_ASSERT(IsLocked(*message.slot));
    if (store_.RetentionEnd(*message.slot) <= request.now) {
      RemoveExpired(local, message, before);
    } else if (move_to_dead_letters_.IsReceivedTooOften(message, before) && !request.is_to_move) [[unlikely]] {
      local.counts.not_leased.Add(1);
      move_to_dead_letters_.MoveOrHide(local, message, before, request.now);
    } else {
      return false;
    }
    return true;
  }

  // Whether a visible message with this word would be moved instead of given. A FIFO queue may look ahead: there the
  // lock of the message's group will do.
  bool IsReceivedTooOften(Message message, SlotState word) const {
    return move_to_dead_letters_.IsReceivedTooOften(message, word);
  }

  // The second half of Grant().
  template <typename Sink>
  void Lease(LocalState& local, const LeaseRequest& request, Message message, SlotState before, Sink& sink) {
    sink(message, store_.Lease(local, message, before, request.now, request.visible_at));
  }

  // Requires: the caller has locked the slot, or has claimed it in phase kReady.
  void RemoveExpired(LocalState& local, Message message, SlotState before) {
    local.counts.not_leased.Add(1);
    store_.Remove(local, message, before, &LocalQueueCounts::expired);
    store_.ReleaseReference(message);
  }

 private:
  Store& store_;
  MoveToDeadLetters<T>& move_to_dead_letters_;
};

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_QUEUE_RECEIVE_GRANT_H_
