// MoveToQueue the next visible message of a queue to another, for move tasks.
//
// The message is received, so it is the one that a receiver would get next; if it cannot be moved the receive is
// undone.

#ifndef DECOUPLE_INTERNAL_QUEUE_REDRIVE_MOVE_TO_QUEUE_H_
#define DECOUPLE_INTERNAL_QUEUE_REDRIVE_MOVE_TO_QUEUE_H_

#include <memory>

#include "decouple/internal/message/message_metadata.h"
#include "decouple/internal/message/message_store.h"
#include "decouple/internal/queue/queue_base.h"
#include "decouple/internal/queue/redrive/message_transfer.h"

namespace decouple::internal {

template <typename T>
class MoveToQueue {
 public:
  using Store = MessageStore<T>;
  using Message = typename Store::Message;
  using LocalState = typename Store::LocalState;

  MoveToQueue(QueueCore<T>& core, Store& store) : store_(store), source_(core, store) {}

  // Of a message that the caller has just received and owns: its only delivery is the caller's. `to` as for
  // QueueBase::MoveOne().
  MoveOutcome Move(LocalState& local, Message message, SlotState before, QueueBase* to) {
    std::shared_ptr<QueueBase> source;
    if (to == nullptr) {
      const MessageMetadata* const metadata = store_.MetadataOf(message);
      if (metadata != nullptr && metadata->origin != nullptr) source = metadata->origin->source.lock();
      to = source.get();
    }
    local.counts.received_to_move.Add(1);
    if (to == nullptr) {
      Undo(local, message, before);
      return MoveOutcome::kNoSource;
    }
    Transfer<T> transfer = source_.Prepare(local, message, before, before.Has(SlotState::kMoreReferences));
    if (static_cast<QueueCore<T>*>(to)->EnqueueTransfer(transfer)) {  // of the same sort: see CheckSameSort()
      source_.Finish(local, message, before, transfer, &LocalQueueCounts::moved);
      return MoveOutcome::kMoved;
    }
    Undo(local, message, before);
    return to->closed() ? MoveOutcome::kClosed : MoveOutcome::kNoRoom;
  }

 private:
  void Undo(LocalState& local, Message message, SlotState before) {
    store_.NoteReturned(local, message, before);
    store_.MakeVisible(local, message, before.ReceivedOnceLess());
    store_.visible().Notify(1);
  }

  Store& store_;
  TransferSource<T> source_;
};

}  // namespace decouple::internal

#endif  // DECOUPLE_INTERNAL_QUEUE_REDRIVE_MOVE_TO_QUEUE_H_
