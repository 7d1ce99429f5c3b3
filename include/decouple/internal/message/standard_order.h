// The order of a standard queue, for messages that are visible again. They are queued in the redelivery lane, where
// receivers look first; one that was received often goes to the back of the queue instead, and one with a group to its
// tenant (fair_scheduler.h).
//
// An order is the part of the state machine (message_state.h) in which the kinds of queues differ. Unless something
// else is said, its functions require that the caller has locked the message's slot; `before` is the word that the slot
// had before.

#ifndef DECOUPLE_INTERNAL_MESSAGE_STANDARD_ORDER_H_
#define DECOUPLE_INTERNAL_MESSAGE_STANDARD_ORDER_H_

#include <atomic>
#include <cstdint>
#include <memory>

#include "decouple/internal/base/assert.h"
#include "decouple/internal/lane/slot_state.h"
#include "decouple/internal/message/fair_scheduler.h"
#include "decouple/internal/message/message_content.h"
#include "decouple/internal/message/message_metadata.h"
#include "decouple/internal/message/message_slot.h"
#include "decouple/internal/message/message_store.h"
#include "decouple/internal/message/redelivery_entry.h"
#include "decouple/internal/message/slot_ref.h"

namespace decouple::inline v0_1::internal {

class StandardOrder {
 public:
  // A message that was received this often goes to the back of the queue when it becomes visible again (SQS).
  static constexpr std::uint32_t kReceivesBeforeTheBack = 3;

  explicit StandardOrder(MessageStore& store) : store_(store) {}

  // Unlocks a message that becomes visible, and queues it unless `before` says that it is queued.
  void UnlockVisible(LocalQueueState& local, SlotRef message, SlotState before) {
    const bool is_queued = before.Has(SlotState::kQueued);
    const SlotState queued = before.With(Phase::kVisibleAgain).With(SlotState::kQueued);
    const bool to_the_back = before.receive_count() >= kReceivesBeforeTheBack;
    if (MessageMetadata* const metadata = GroupedMetadata(message, before)) {
      if (!is_queued) {
        const std::uint64_t ticket = MessageStore::TicketOf(message);
        metadata->queue_position = to_the_back ? store_.lane().tail() : ticket;
        // Before the slot is unlocked, so that the message cannot end, and its tenant with it, in between.
        store_.fair_scheduler()->Enqueue(metadata->tenant, metadata->queue_position, ticket, message);
      }
      Unlock(*message.slot, queued);
      return;
    }
    Unlock(*message.slot, queued);  // from here on only kQueued keeps the slot from being reused
    if (is_queued) return;
    if (to_the_back && RequeueAtTail(local, message)) return;
    store_.Requeue(local, message);
  }

  // Unlocks a message that is as it was before.
  void Restore(LocalQueueState&, SlotRef message, SlotState before) { Unlock(*message.slot, before); }

  // The message is about to be in flight, is so no longer, or has ended while it was in the phase of `before`. The
  // caller has locked it or, for the last, has a reference to it.
  void NoteLeased(SlotRef message, SlotState before, std::int64_t now) {
    if (MessageMetadata* const metadata = GroupedMetadata(message, before)) {
      metadata->leased_at = now;
      store_.fair_scheduler()->AddInFlight(metadata->tenant, store_.Sums().in_flight(), now);
    }
  }
  void NoteUnleased(SlotRef message, SlotState before) {
    if (MessageMetadata* const metadata = GroupedMetadata(message, before)) {
      const std::int64_t now = store_.Now();
      store_.fair_scheduler()->RemoveInFlight(metadata->tenant, now - metadata->leased_at, now);
    }
  }
  void NoteRemoved(LocalQueueState&, SlotRef message, SlotState before) {
    MessageMetadata* const metadata = GroupedMetadata(message, before);
    if (metadata == nullptr) return;
    if (before.phase() == Phase::kInFlight) NoteUnleased(message, before);
    if (before.phase() == Phase::kVisibleAgain && Withdraw(message, before)) {
      // Acquire and release: what other threads did to the word stays ordered.
      message.slot->word.fetch_and(~std::uint64_t{SlotState::kQueued}, std::memory_order_acq_rel);
    }
    store_.fair_scheduler()->RemoveMessage(metadata->tenant);
  }

  // A visible message is hidden: takes it out of its tenant's queue. Returns false if it was not there.
  bool Withdraw(SlotRef message, SlotState before) {
    MessageMetadata* const metadata = GroupedMetadata(message, before);
    return metadata != nullptr && store_.fair_scheduler()->Withdraw(metadata->tenant, metadata->queue_position,
                                                                    MessageStore::TicketOf(message));
  }

  // Whether compaction may move a message that nothing refers to by its slot.
  static bool MayRelocate(Phase phase) { return phase == Phase::kInFlight || phase == Phase::kDelayed; }

  // Compaction copies a message to another slot, both of which it has locked, in two steps: before the copy with the
  // metadata `copy` is published, and after it. The second unlocks the copy with `word`.
  static void BeginRelocation(SlotRef from, SlotState before, MessageMetadata& copy) {
    if (before.Has(SlotState::kHasMetadata)) copy.TakeFrom(MetadataAt(from));
  }
  void FinishRelocation(LocalQueueState&, SlotRef, SlotRef to, SlotState word) { Unlock(*to.slot, word); }

 private:
  // The metadata of a message that has a group; null for every other message.
  static MessageMetadata* GroupedMetadata(SlotRef message, SlotState word) {
    if (!word.Has(SlotState::kHasMetadata)) [[likely]]
      return nullptr;
    MessageMetadata& metadata = MetadataAt(message);
    return metadata.tenant == nullptr ? nullptr : &metadata;
  }

  // Queues a message at the tail of the lane, by a slot in phase kRequeued that names it. Returns false if that slot's
  // ticket was skipped. Requires: as MessageStore::Requeue().
  bool RequeueAtTail(LocalQueueState& local, SlotRef message) {
    const std::uint64_t ticket = store_.lane().TakeTickets(1);
    const auto place = store_.lane().PlaceOf(ticket, local.cursor);
    const std::uint64_t ordinal = MessageLane::OrdinalOf(ticket);
    NameRequeued({place.segment, place.slot}, message);
    if (store_.lane().Publish(*place.slot, ticket, SlotState(Phase::kRequeued, ordinal))) return true;
    place.slot->word.store(SlotState(Phase::kDone, ordinal).bits(), std::memory_order_release);
    return false;
  }

  MessageStore& store_;
};

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_MESSAGE_STANDARD_ORDER_H_
