// A message on its way from one queue to another: as a dead letter, or by a move task.

#ifndef DECOUPLE_INTERNAL_QUEUE_REDRIVE_MESSAGE_TRANSFER_H_
#define DECOUPLE_INTERNAL_QUEUE_REDRIVE_MESSAGE_TRANSFER_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

#include "decouple/internal/base/single_writer_counter.h"
#include "decouple/internal/lane/slot_state.h"
#include "decouple/internal/message/message_metadata.h"
#include "decouple/internal/message/message_slot.h"
#include "decouple/internal/message/message_store.h"
#include "decouple/internal/message/queue_counters.h"
#include "decouple/internal/message/shared_body.h"

namespace decouple::internal {

// The queue that takes it over moves from it; one that does not leaves it as it is.
template <typename T>
struct Transfer {
  T* body = nullptr;  // null: it is in `shared`
  BodyReference shared;
  std::unique_ptr<MessageMetadata> metadata;  // attributes, group, deduplication id, origin
  std::size_t bytes = 0;                      // as the message counts towards sizes
  std::int64_t sent_at = 0;                   // to go on with, if the queue's kind keeps it
  bool is_dead_letter = false;                // else it is sent anew

  // Puts the body where it is to be.
  auto ConstructBody() {
    return [this](MessageSlot<T>& slot) {
      return shared ? slot.Share(shared.Release()) : slot.Construct(std::move(*body));
    };
  }
};

template <typename T>
class QueueCore;

// The side that gives messages up.
template <typename T>
class TransferSource {
 public:
  using Store = MessageStore<T>;
  using Message = typename Store::Message;
  using LocalState = typename Store::LocalState;

  TransferSource(QueueCore<T>& core, Store& store) : core_(core), store_(store) {}

  // For a message that the caller owns; nothing but the body is to be moved from. A body that is shown by deliveries
  // stays where it is, and is shared: then `before` says that it is held once more, until the transfer goes, which is
  // not before the caller has given the message back.
  Transfer<T> Prepare(LocalState& local, Message message, SlotState& before, bool is_shown) {
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
      local.counts.held_again.Add(1);
      transfer.shared = BodyReference(new LentBody(core_, message, transfer.bytes));
    } else {
      transfer.body = std::addressof(message.slot->body());
    }
    return transfer;
  }

  // The message was taken over.
  void Finish(LocalState& local, Message message, SlotState before, const Transfer<T>& transfer,
              SingleWriterCounter LocalQueueCounts::*how) {
    store_.Remove(local, message, before, how, transfer.bytes);
    store_.ReleaseReference(message);
  }

 private:
  // The body of a message that a delivery shows, where it is.
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

}  // namespace decouple::internal

#endif  // DECOUPLE_INTERNAL_QUEUE_REDRIVE_MESSAGE_TRANSFER_H_
