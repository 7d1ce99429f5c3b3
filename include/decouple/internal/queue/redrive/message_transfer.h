// A message on its way from one queue to another: as a dead letter, or by a move task.

#ifndef DECOUPLE_INTERNAL_TRANSFER_H_
#define DECOUPLE_INTERNAL_TRANSFER_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

#include "decouple/internal/message_slot.h"
#include "decouple/internal/message_store.h"
#include "decouple/internal/particulars.h"
#include "decouple/internal/queue_counters.h"
#include "decouple/internal/shared_body.h"
#include "decouple/internal/slot_word.h"

namespace decouple::internal {

// The queue that takes it over moves from it; one that does not leaves it as it is.
template <typename T>
struct Transfer {
  T* body = nullptr;  // null: it is in `shared`
  BodyHold shared;
  std::unique_ptr<Particulars> particulars;  // attributes, group, deduplication id, origin
  std::size_t bytes = 0;                     // as the message counts towards sizes
  std::int64_t sent_at = 0;                  // to go on with, if the queue's kind keeps it
  bool is_dead_letter = false;               // else it is sent anew

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
class Transfers {
 public:
  using Store = MessageStore<T>;
  using Message = typename Store::Message;
  using Mine = typename Store::Mine;

  Transfers(QueueCore<T>& core, Store& store) : core_(core), store_(store) {}

  // For a message that the caller owns; nothing but the body is to be moved from. A body that is shown by deliveries
  // stays where it is, and is shared: then `before` says that it is held once more, until the transfer goes, which is
  // not before the caller has given the message back.
  Transfer<T> Prepare(Mine& mine, Message message, SlotWord& before, bool is_shown) {
    Transfer<T> transfer;
    transfer.bytes = store_.BytesOf(message, before);
    transfer.sent_at = message.slot->sent_at.load(std::memory_order_relaxed);
    transfer.particulars = std::make_unique<Particulars>();
    transfer.particulars->MakeOrigin();
    if (before.Has(SlotWord::kHasParticulars)) {
      const Particulars& particulars = Store::ParticularsAt(message);
      transfer.particulars->attributes = particulars.attributes;
      transfer.particulars->group = particulars.group;
      transfer.particulars->deduplication_id = particulars.deduplication_id;
      transfer.particulars->is_replayed = particulars.is_replayed;
    }
    if (before.Has(SlotWord::kShared)) {
      transfer.shared = BodyHold::On(message.slot->shared());
    } else if (is_shown) {
      before = store_.Hold(*message.slot, before);
      mine.counts.held_again.Add(1);
      transfer.shared = BodyHold(new LentBody(core_, message, transfer.bytes));
    } else {
      transfer.body = std::addressof(message.slot->body());
    }
    return transfer;
  }

  // The message was taken over.
  void Finish(Mine& mine, Message message, SlotWord before, const Transfer<T>& transfer,
              OwnedCounter OwnedQueueCounts::*how) {
    store_.Remove(mine, message, before, how, transfer.bytes);
    store_.Drop(message);
  }

 private:
  // The body of a message that a delivery shows, where it is.
  class LentBody final : public SharedBody {
   public:
    LentBody(QueueCore<T>& core, Message message, std::size_t bytes)
        : SharedBody(std::addressof(message.slot->body()), nullptr, bytes), core_(core), message_(message) {}
    ~LentBody() override { core_.LetGo(message_); }

   private:
    QueueCore<T>& core_;
    const Message message_;
  };

  QueueCore<T>& core_;
  Store& store_;
};

}  // namespace decouple::internal

#endif  // DECOUPLE_INTERNAL_TRANSFER_H_
