// Moves the next visible message of a queue to another queue, for move tasks.
//
// The message is received first, so it is the message that a receiver would get next. If it cannot be moved, the
// receive is undone.

#ifndef DECOUPLE_INTERNAL_QUEUE_REDRIVE_MOVE_TO_QUEUE_H_
#define DECOUPLE_INTERNAL_QUEUE_REDRIVE_MOVE_TO_QUEUE_H_

#include <memory>

#include "decouple/internal/base/assert.h"
#include "decouple/internal/message/message_metadata.h"
#include "decouple/internal/message/message_slot.h"
#include "decouple/internal/message/message_state.h"
#include "decouple/internal/message/slot_ref.h"
#include "decouple/internal/queue/queue_base.h"
#include "decouple/internal/queue/queue_state.h"
#include "decouple/internal/queue/redrive/message_transfer.h"

namespace decouple::inline v0_1::internal {

template <typename Kind>
class MoveToQueue {
 public:
  explicit MoveToQueue(QueueState& queue) : queue_(queue) {}

  // `to` as for QueueBase::MoveOne(). Requires: the caller has just received the message, and has locked its slot.
  // Unlocks it. The caller's delivery holds one reference to the body; others show it only if kMoreReferences is set.
  MoveOutcome Move(LocalQueueState& local, SlotRef message, SlotState before, QueueBase* to) {
    DECOUPLE_ASSERT(IsLocked(*message.slot));
    std::shared_ptr<QueueBase> source;
    if (to == nullptr) {
      const MessageMetadata* const metadata = MetadataOf(message);
      if (metadata != nullptr && metadata->origin != nullptr) source = metadata->origin->source.lock();
      if (source != nullptr && source->deleted()) source.reset();
      to = source.get();
    }
    local.counts.received_to_move.Add(1);
    if (to == nullptr) {
      UndoReceive(local, message, before);
      return MoveOutcome::kNoSource;
    }
    // Checked when the task began, or when the source was linked to its dead-letter queue: see
    // CheckSameKindAndBodyType().
    DECOUPLE_ASSERT(to->body_type() == queue_.store.body_type().identity);
    Transfer transfer = PrepareTransfer(queue_, local, message, before, before.Has(SlotState::kMoreReferences));
    if (to->EnqueueTransfer(transfer)) {
      messages().Remove(local, message, before, &LocalQueueCounts::moved, transfer.bytes);
      queue_.store.ReleaseReference(message);
      return MoveOutcome::kMoved;
    }
    UndoReceive(local, message, before);
    return to->closed() ? MoveOutcome::kClosed : MoveOutcome::kNoRoom;
  }

 private:
  void UndoReceive(LocalQueueState& local, SlotRef message, SlotState before) {
    if (before.phase() == Phase::kVisibleAgain) {
      // Its visibility timeout has ended already, if the clock has made a jump since the receive.
      messages().Restore(local, message, before.ReceivedOnceLess());
      return;
    }
    messages().NoteReturned(local, message, before);
    messages().MakeVisible(local, message, before.ReceivedOnceLess());
    queue_.store.visible().Notify(1);
  }

  MessageState<typename Kind::Order> messages() const { return MessageState<typename Kind::Order>(queue_.store); }

  QueueState& queue_;
};

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_QUEUE_REDRIVE_MOVE_TO_QUEUE_H_
