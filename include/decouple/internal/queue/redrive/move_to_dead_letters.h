// Moves a message that was received too often to the dead-letter queue. If that does not take it, the message is hidden
// for a while, and tried again.

#ifndef DECOUPLE_INTERNAL_QUEUE_REDRIVE_MOVE_TO_DEAD_LETTERS_H_
#define DECOUPLE_INTERNAL_QUEUE_REDRIVE_MOVE_TO_DEAD_LETTERS_H_

#include <cstdint>
#include <memory>

#include "absl/time/time.h"
#include "decouple/internal/base/assert.h"
#include "decouple/internal/base/time_math.h"
#include "decouple/internal/message/message_metadata.h"
#include "decouple/internal/message/message_slot.h"
#include "decouple/internal/message/message_store.h"
#include "decouple/internal/queue/queue_base.h"
#include "decouple/internal/queue/redrive/dead_letter_links.h"
#include "decouple/internal/queue/redrive/message_transfer.h"
#include "decouple/redrive_policy.h"

namespace decouple::inline v0_1::internal {

template <typename T>
class QueueCore;

template <typename T>
class MoveToDeadLetters {
 public:
  using Store = MessageStore<T>;
  using Message = typename Store::Message;
  using LocalState = typename Store::LocalState;

  MoveToDeadLetters(QueueCore<T>& core, Store& store) : core_(core), store_(store), source_(core, store) {}

  // Whether a visible message is not to be received a further time. Requires: as MessageContent.
  bool IsReceivedTooOften(Message message, SlotState before) const {
    const std::uint32_t most = core_.dead_letters().max_receives();
    return most != DeadLetterLinks::kAnyNumber && Store::ReceivesOf(message, before) >= most;
  }

  // Requires: IsReceivedTooOften(message, before), and the caller has locked the slot. Unlocks it.
  void MoveOrHide(LocalState& local, Message message, SlotState before, std::int64_t now) {
    DECOUPLE_ASSERT(IsLocked(*message.slot));
    const std::shared_ptr<QueueBase> target = core_.dead_letters().target();
    // Checked when the queues were linked: see LinkDeadLetters().
    DECOUPLE_ASSERT(target == nullptr || (target->body_type() == kTypeIdentity<T> && target.get() != &core_));
    auto* const dead_letters = static_cast<QueueCore<T>*>(target.get());
    Transfer<T> transfer;  // if it is not taken over, it must be destroyed after the message is unlocked
    if (dead_letters != nullptr && dead_letters->dead_letters().Allows(core_.identity())) {
      transfer = source_.Prepare(local, message, before, before.Has(SlotState::kReferenced));
      transfer.is_dead_letter = true;
      Origin& origin = *transfer.metadata->origin;
      origin.id = core_.receipts().IdOf(message);
      origin.source_name = core_.name();
      origin.source = core_.weak_from_this();
      origin.receives = Store::ReceivesOf(message, before);
      origin.first_received_at = Store::FirstReceivedAt(message, before);
      if (dead_letters->EnqueueTransfer(transfer)) {
        source_.Finish(local, message, before, transfer, &LocalQueueCounts::redriven);
        return;
      }
    }
    local.counts.failed_to_redrive.Add(1);
    store_.Hide(local, message, before, now, SaturatingAdd(now, absl::ToInt64Nanoseconds(kRedriveRetry)));
    // Not while a slot is locked. There may be room at the next attempt.
    if (dead_letters != nullptr) dead_letters->RunSomeTimeouts();
  }

 private:
  QueueCore<T>& core_;
  Store& store_;
  TransferSource<T> source_;
};

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_QUEUE_REDRIVE_MOVE_TO_DEAD_LETTERS_H_
