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
#include "decouple/internal/message/message_state.h"
#include "decouple/internal/message/slot_ref.h"
#include "decouple/internal/queue/message_names.h"
#include "decouple/internal/queue/queue_base.h"
#include "decouple/internal/queue/queue_state.h"
#include "decouple/internal/queue/redrive/dead_letter_links.h"
#include "decouple/internal/queue/redrive/message_transfer.h"
#include "decouple/redrive_policy.h"

namespace decouple::inline v0_1::internal {

template <typename Kind>
class MoveToDeadLetters {
 public:
  explicit MoveToDeadLetters(QueueState& queue) : queue_(queue) {}

  // Whether a visible message is not to be received a further time. Requires: as in message_content.h.
  bool IsReceivedTooOften(SlotRef message, SlotState before) const {
    const std::uint32_t most = queue_.dead_letters.max_receives();
    return most != DeadLetterLinks::kAnyNumber && ReceivesOf(message, before) >= most;
  }

  // Requires: IsReceivedTooOften(message, before), and the caller has locked the slot. Unlocks it.
  void MoveOrHide(LocalQueueState& local, SlotRef message, SlotState before, std::int64_t now) {
    DECOUPLE_ASSERT(IsLocked(*message.slot));
    const std::shared_ptr<QueueBase> target = queue_.dead_letters.target();
    // Checked when the queues were linked: see LinkDeadLetters().
    DECOUPLE_ASSERT(target == nullptr ||
                    (target->body_type() == queue_.store.body_type().identity && target.get() != &queue_.queue));
    Transfer transfer;  // if it is not taken over, it must be destroyed after the message is unlocked
    if (target != nullptr && target->dead_letters().Allows(queue_.identity.value())) {
      transfer = PrepareTransfer(queue_, local, message, before, before.Has(SlotState::kReferenced));
      transfer.is_dead_letter = true;
      Origin& origin = *transfer.metadata->origin;
      origin.id = IdOf(queue_.identity, message);
      origin.source_name = queue_.identity.name();
      origin.source = queue_.queue.weak_from_this();
      origin.receives = ReceivesOf(message, before);
      origin.first_received_at = FirstReceivedAt(message, before);
      if (target->EnqueueTransfer(transfer)) {
        messages().Remove(local, message, before, &LocalQueueCounts::redriven, transfer.bytes);
        queue_.store.ReleaseReference(message);
        return;
      }
    }
    local.counts.failed_to_redrive.Add(1);
    messages().Hide(local, message, before, now, SaturatingAdd(now, absl::ToInt64Nanoseconds(kRedriveRetry)));
    // Not while a slot is locked. There may be room at the next attempt.
    if (target != nullptr) target->RunSomeTimeouts();
  }

 private:
  MessageState<typename Kind::Order> messages() const { return MessageState<typename Kind::Order>(queue_.store); }

  QueueState& queue_;
};

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_QUEUE_REDRIVE_MOVE_TO_DEAD_LETTERS_H_
