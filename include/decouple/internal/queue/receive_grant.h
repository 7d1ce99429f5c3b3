// What a receive does with a visible message that it has found and owns.

#ifndef DECOUPLE_INTERNAL_QUEUE_RECEIVE_GRANT_H_
#define DECOUPLE_INTERNAL_QUEUE_RECEIVE_GRANT_H_

#include <cstdint>

#include "decouple/internal/message/message_store.h"
#include "decouple/internal/queue/redrive/move_to_dead_letters.h"

namespace decouple::internal {

// What a receive asks for.
struct LeaseRequest {
  std::uint32_t most = 1;
  std::int64_t now = 0;
  std::int64_t visible_at = 0;  // when what it gets becomes visible again
};

template <typename T>
class ReceiveGrant {
 public:
  using Store = MessageStore<T>;
  using Message = typename Store::Message;
  using LocalState = typename Store::LocalState;

  ReceiveGrant(Store& store, MoveToDeadLetters<T>& redriving) : store_(store), redriving_(redriving) {}

  // Gives the message to the receiver: then sink(message, word) is called, with the word that it has by this receive,
  // and this returns true. Else it was past its retention, or received too often, and is gone or hidden.
  template <typename Sink>
  bool Grant(LocalState& local, const LeaseRequest& request, Message message, SlotState before, Sink& sink) {
    if (IsOver(local, request.now, message, before)) return false;
    Lease(local, request, message, before, sink);
    return true;
  }

  // The first half of Grant(): whether the message is not to be given. Then it is no more the caller's.
  bool IsOver(LocalState& local, std::int64_t now, Message message, SlotState before) {
    if (store_.RetentionEnd(*message.slot) <= now) {
      RemoveExpired(local, message, before);
    } else if (redriving_.IsDue(before)) [[unlikely]] {
      local.counts.not_leased.Add(1);
      redriving_.Redrive(local, message, before, now);
    } else {
      return false;
    }
    return true;
  }

  // Of a look ahead at a message that is visible: whether it would be moved instead of given.
  bool IsReceivedTooOften(SlotState word) const { return redriving_.IsDue(word); }

  // The second half of Grant().
  template <typename Sink>
  void Lease(LocalState& local, const LeaseRequest& request, Message message, SlotState before, Sink& sink) {
    sink(message, store_.Lease(local, message, before, request.now, request.visible_at));
  }

  // Of a slot that the caller owns, or is the only one to take from kReady.
  void RemoveExpired(LocalState& local, Message message, SlotState before) {
    local.counts.not_leased.Add(1);
    store_.Remove(local, message, before, &LocalQueueCounts::expired);
    store_.ReleaseReference(message);
  }

 private:
  Store& store_;
  MoveToDeadLetters<T>& redriving_;
};

}  // namespace decouple::internal

#endif  // DECOUPLE_INTERNAL_QUEUE_RECEIVE_GRANT_H_
