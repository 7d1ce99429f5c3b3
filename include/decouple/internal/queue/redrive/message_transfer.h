// A message on its way from one queue to another: as a dead letter, or by a move task.

#ifndef DECOUPLE_INTERNAL_QUEUE_REDRIVE_MESSAGE_TRANSFER_H_
#define DECOUPLE_INTERNAL_QUEUE_REDRIVE_MESSAGE_TRANSFER_H_

#include <cstddef>
#include <cstdint>
#include <memory>

#include "decouple/internal/base/assert.h"
#include "decouple/internal/lane/slot_state.h"
#include "decouple/internal/message/body_type.h"
#include "decouple/internal/message/message_content.h"
#include "decouple/internal/message/message_metadata.h"
#include "decouple/internal/message/message_slot.h"
#include "decouple/internal/message/message_store.h"
#include "decouple/internal/message/shared_body.h"
#include "decouple/internal/message/slot_ref.h"
#include "decouple/internal/queue/queue_base.h"
#include "decouple/internal/queue/queue_state.h"

namespace decouple::inline v0_1::internal {

// A queue that takes the message over moves from the transfer; a queue that does not leaves it as it is.
struct Transfer {
  void* body = nullptr;                       // in the source's slot, which stays locked; null: it is in `shared`
  BodyReference shared;                       // if `body` is null
  std::unique_ptr<MessageMetadata> metadata;  // attributes, group, deduplication id, origin
  std::size_t bytes = 0;                      // the message's size
  std::int64_t sent_at = 0;                   // by the source's clock; a standard queue keeps it for a dead letter
  bool is_dead_letter = false;                // else the message counts as sent anew

  // For the queue that takes the message over, once it has admitted it.
  BodySource TakeBody() {
    DECOUPLE_ASSERT((body == nullptr) == static_cast<bool>(shared));
    return {.body = body, .shared = shared.Release()};
  }
};

// A body that a delivery shows, shared where it is. Keeps a reference to the message as a delivery does.
class LentBody final : public SharedBody {
 public:
  LentBody(QueueState& queue, SlotRef message, std::size_t bytes)
      : SharedBody(queue.store.body_type().BodyIn(*message.slot), nullptr, bytes), queue_(queue), message_(message) {}
  ~LentBody() override { queue_.queue.ReleaseReference(message_); }

 private:
  QueueState& queue_;
  const SlotRef message_;
};

// Describes a message that its queue is about to give up, and whose slot the caller has locked; only the body is to be
// moved from. A body that deliveries show (`is_shown`) stays where it is, and is shared: then the transfer holds a
// reference to it, which is marked in `before`, and must not be destroyed before the caller has unlocked the slot.
inline Transfer PrepareTransfer(QueueState& queue, LocalQueueState& local, SlotRef message, SlotState& before,
                                bool is_shown) {
  DECOUPLE_ASSERT(IsLocked(*message.slot));
  const BodyType& type = queue.store.body_type();
  Transfer transfer;
  transfer.bytes = BytesOf(message, before, type);
  transfer.sent_at = message.slot->sent_at.load(std::memory_order_relaxed);
  transfer.metadata = std::make_unique<MessageMetadata>();
  transfer.metadata->MakeOrigin();
  if (before.Has(SlotState::kHasMetadata)) {
    const MessageMetadata& metadata = MetadataAt(message);
    transfer.metadata->attributes = metadata.attributes;
    transfer.metadata->group = metadata.group;
    transfer.metadata->deduplication_id = metadata.deduplication_id;
    transfer.metadata->is_replayed = metadata.is_replayed;
  }
  if (before.Has(SlotState::kShared)) {
    transfer.shared = BodyReference::On(message.slot->shared());
  } else if (is_shown) {
    before = queue.store.AddReference(*message.slot, before);
    local.counts.references_added.Add(1);
    transfer.shared = BodyReference(new LentBody(queue, message, transfer.bytes));
  } else {
    transfer.body = type.BodyIn(*message.slot);
  }
  return transfer;
}

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_QUEUE_REDRIVE_MESSAGE_TRANSFER_H_
