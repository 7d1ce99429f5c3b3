// A message on its way from one queue to another: as a dead letter, or by a move task.

#ifndef DECOUPLE_INTERNAL_QUEUE_REDRIVE_MESSAGE_TRANSFER_H_
#define DECOUPLE_INTERNAL_QUEUE_REDRIVE_MESSAGE_TRANSFER_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

#include "decouple/internal/base/assert.h"
#include "decouple/internal/base/single_writer_counter.h"
#include "decouple/internal/lane/slot_state.h"
#include "decouple/internal/message/message_metadata.h"
#include "decouple/internal/message/message_slot.h"
#include "decouple/internal/message/message_store.h"
#include "decouple/internal/message/queue_counters.h"
#include "decouple/internal/message/shared_body.h"

namespace decouple::inline v0_1::internal {

// A queue that takes the message over moves from the transfer; a queue that does not leaves it as it is.
template <typename T>
struct Transfer {
  T* body = nullptr;                          // in the source's slot, which stays locked; null: it is in `shared`
  BodyReference shared;                       // if `body` is null
  std::unique_ptr<MessageMetadata> metadata;  // attributes, group, deduplication id, origin
  std::size_t bytes = 0;                      // the message's size
  std::int64_t sent_at = 0;                   // by the source's clock; a standard queue keeps it for a dead letter
  bool is_dead_letter = false;                // else the message counts as sent anew

  // Returns construct(slot) for MessageWriter, which moves the body, or the reference to it, into the slot.
  auto ConstructBody() {
    DECOUPLE_ASSERT((body == nullptr) == static_cast<bool>(shared));
    return [this](MessageSlot<T>& slot) {
      return shared ? slot.Share(shared.Release()) : slot.Construct(std::move(*body));
    };
  }
};

template <typename T>
class QueueCore;

// The queue that gives messages up.
template <typename T>
class TransferSource {
 public:
  using Store = MessageStore<T>;
  using Message = typename Store::Message;
  using LocalState = typename Store::LocalState;

  TransferSource(QueueCore<T>& core, Store& store) : core_(core), store_(store) {}

  // Describes a message whose slot the caller has locked; only the body is to be moved from. A body that deliveries
  // show (`is_shown`) stays where it is, and is shared: then the transfer holds a reference to it, which is marked in
  // `before`, and must not be destroyed before the caller has unlocked the slot.
  Transfer<T> Prepare(LocalState& local, Message message, SlotState& before, bool is_shown) {
    DECOUPLE_ASSERT(IsLocked(*message.slot));
    Transfer<T> transfer;
    transfer.bytes = store_.BytesOf(message, before);
    transfer.sent_at = message.slot->sent_at.load(std::memory_order_relaxed);
    transfer.metadata = std::make_unique<MessageMetadata>();
    transfer.metadata->MakeOrigin();
    if (before.Has(SlotState::kHasMetadata)) {
      const MessageMetadata& metadata = Store::MetadataAt(message);
      transfer.metadata->attributes = metadata.attributes;
      transfer.metadata->group = metadata.group;
      transfer.metadata->deduplication_id = metadata.deduplication_id;
      transfer.metadata->is_replayed = metadata.is_replayed;
    }
    if (before.Has(SlotState::kShared)) {
      transfer.shared = BodyReference::On(message.slot->shared());
    } else if (is_shown) {
      before = store_.AddReference(*message.slot, before);
      local.counts.references_added.Add(1);
      transfer.shared = BodyReference(new LentBody(core_, message, transfer.bytes));
    } else {
      transfer.body = std::addressof(message.slot->body());
    }
    return transfer;
  }

  // Removes the message, which another queue has taken over, and unlocks it. `how` counts it.
  void Finish(LocalState& local, Message message, SlotState before, const Transfer<T>& transfer,
              SingleWriterCounter LocalQueueCounts::*how) {
    store_.Remove(local, message, before, how, transfer.bytes);
    store_.ReleaseReference(message);
  }

 private:
  // A body that a delivery shows, shared where it is. Keeps a reference to the message as a delivery does.
  class LentBody final : public SharedBody {
   public:
    LentBody(QueueCore<T>& core, Message message, std::size_t bytes)
        : SharedBody(std::addressof(message.slot->body()), nullptr, bytes), core_(core), message_(message) {}
    ~LentBody() override { core_.ReleaseReference(message_); }

   private:
    QueueCore<T>& core_;
    const Message message_;
  };

  QueueCore<T>& core_;
  Store& store_;
};

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_QUEUE_REDRIVE_MESSAGE_TRANSFER_H_
