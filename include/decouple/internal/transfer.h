// A message on its way from one queue to another: as a dead letter, or by a move task.

#ifndef DECOUPLE_INTERNAL_TRANSFER_H_
#define DECOUPLE_INTERNAL_TRANSFER_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

#include "decouple/internal/message_slot.h"
#include "decouple/internal/message_store.h"
#include "decouple/internal/queue_counters.h"
#include "decouple/internal/slot_word.h"

namespace decouple::internal {

// The queue that takes it over moves from it; one that does not leaves it as it is.
template <typename T>
struct Transfer {
  T* body = nullptr;                         // null: particulars.origin->shared has it
  std::unique_ptr<Particulars> particulars;  // attributes, group, deduplication id, origin
  std::size_t bytes = 0;                     // as the message counts towards sizes
  std::int64_t sent_at = 0;                  // to go on with, if the queue's kind keeps it
  bool is_dead_letter = false;               // else it is sent anew

  // Puts the body where it is to be.
  auto ConstructBody() {
    return [this](MessageSlot<T>& slot) { slot.Construct(std::move(*body)); };
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
    transfer.particulars->origin = std::make_unique<Origin>();
    if (before.Has(SlotWord::kHasParticulars)) {
      const Particulars& particulars = *Store::ParticularsAt(message);
      transfer.particulars->attributes = particulars.attributes;
      transfer.particulars->group = particulars.group;
      transfer.particulars->deduplication_id = particulars.deduplication_id;
      if (particulars.shared_body() != nullptr) {
        transfer.particulars->origin->shared = particulars.origin->shared;
        return transfer;
      }
    }
    if (is_shown) {
      before = store_.Hold(*message.slot, before);
      mine.counts.held_again.Add(1);
      transfer.particulars->origin->shared = std::shared_ptr<const void>(
          std::addressof(message.slot->body()), [core = &core_, message](const void*) { core->LetGo(message); });
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
  QueueCore<T>& core_;
  Store& store_;
};

}  // namespace decouple::internal

#endif  // DECOUPLE_INTERNAL_TRANSFER_H_
