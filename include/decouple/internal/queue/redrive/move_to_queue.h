// Moving the next visible message of a queue to another, for move tasks.
//
// The message is received, so it is the one that a receiver would get next; if it cannot be moved the receive is
// undone.

#ifndef DECOUPLE_INTERNAL_MOVING_H_
#define DECOUPLE_INTERNAL_MOVING_H_

#include <memory>

#include "decouple/internal/any_queue.h"
#include "decouple/internal/message_store.h"
#include "decouple/internal/particulars.h"
#include "decouple/internal/transfer.h"

namespace decouple::internal {

template <typename T>
class Moving {
 public:
  using Store = MessageStore<T>;
  using Message = typename Store::Message;
  using Mine = typename Store::Mine;

  Moving(QueueCore<T>& core, Store& store) : store_(store), transfers_(core, store) {}

  // Of a message that the caller has just received and owns: its only delivery is the caller's. `to` as for
  // AnyQueue::MoveOne().
  MoveOutcome Move(Mine& mine, Message message, SlotWord before, AnyQueue* to) {
    std::shared_ptr<AnyQueue> source;
    if (to == nullptr) {
      const Particulars* const particulars = store_.ParticularsOf(message);
      if (particulars != nullptr && particulars->origin != nullptr) source = particulars->origin->source.lock();
      to = source.get();
    }
    mine.counts.received_to_move.Add(1);
    if (to == nullptr) {
      Undo(mine, message, before);
      return MoveOutcome::kNoSource;
    }
    Transfer<T> transfer = transfers_.Prepare(mine, message, before, before.Has(SlotWord::kHeldByMore));
    if (static_cast<QueueCore<T>*>(to)->TakeOver(transfer)) {  // of the same sort: see CheckSameSort()
      transfers_.Finish(mine, message, before, transfer, &OwnedQueueCounts::moved);
      return MoveOutcome::kMoved;
    }
    Undo(mine, message, before);
    return to->closed() ? MoveOutcome::kClosed : MoveOutcome::kNoRoom;
  }

 private:
  void Undo(Mine& mine, Message message, SlotWord before) {
    store_.NoteReturned(mine, message, before);
    store_.MakeVisible(mine, message, before.ReceivedOnceLess());
    store_.visible().Notify(1);
  }

  Store& store_;
  Transfers<T> transfers_;
};

}  // namespace decouple::internal

#endif  // DECOUPLE_INTERNAL_MOVING_H_
