// What a receive does with a visible message that it has found and owns.

#ifndef DECOUPLE_INTERNAL_HANDOVER_H_
#define DECOUPLE_INTERNAL_HANDOVER_H_

#include <cstdint>

#include "decouple/internal/message_store.h"
#include "decouple/internal/redriving.h"

namespace decouple::internal {

// What a receive asks for.
struct LeaseRequest {
  std::uint32_t most = 1;
  std::int64_t now = 0;
  std::int64_t visible_at = 0;  // when what it gets becomes visible again
};

template <typename T>
class Handover {
 public:
  using Store = MessageStore<T>;
  using Message = typename Store::Message;
  using Mine = typename Store::Mine;

  Handover(Store& store, Redriving<T>& redriving) : store_(store), redriving_(redriving) {}

  // Gives the message to the receiver: then sink(message, word) is called, with the word that it has by this receive,
  // and this returns true. Else it was past its retention, or received too often, and is gone or hidden.
  template <typename Sink>
  bool Give(Mine& mine, const LeaseRequest& request, Message message, SlotWord before, Sink& sink) {
    if (IsOver(mine, request.now, message, before)) return false;
    Lease(mine, request, message, before, sink);
    return true;
  }

  // The first half of Give(): whether the message is not to be given. Then it is no more the caller's.
  bool IsOver(Mine& mine, std::int64_t now, Message message, SlotWord before) {
    if (store_.RetentionEnd(*message.slot) <= now) {
      RemoveExpired(mine, message, before);
    } else if (redriving_.IsDue(before)) [[unlikely]] {
      mine.counts.not_leased.Add(1);
      redriving_.Redrive(mine, message, before, now);
    } else {
      return false;
    }
    return true;
  }

  // Of a look ahead at a message that is visible: whether it would be moved instead of given.
  bool IsReceivedTooOften(SlotWord word) const { return redriving_.IsDue(word); }

  // The second half of Give().
  template <typename Sink>
  void Lease(Mine& mine, const LeaseRequest& request, Message message, SlotWord before, Sink& sink) {
    sink(message, store_.Lease(mine, message, before, request.now, request.visible_at));
  }

  // Of a slot that the caller owns, or is the only one to take from kReady.
  void RemoveExpired(Mine& mine, Message message, SlotWord before) {
    mine.counts.not_leased.Add(1);
    store_.Remove(mine, message, before, &OwnedQueueCounts::expired);
    store_.Drop(message);
  }

 private:
  Store& store_;
  Redriving<T>& redriving_;
};

}  // namespace decouple::internal

#endif  // DECOUPLE_INTERNAL_HANDOVER_H_
