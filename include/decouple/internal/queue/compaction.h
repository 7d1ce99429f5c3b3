// Compaction: frees segments whose messages are gone, and moves the last messages out of a segment that is nearly
// empty.
//
// Design. A segment keeps its memory as long as one of its slots is used, so a few old messages that are in flight or
// delayed could keep many segments. Their messages are moved into a lane of their own, where they lie densely
// (moved_messages.h), and are found there by their tickets. Only a message that nothing refers to by its slot moves: no
// delivery holds it, and no entry of the redelivery lane names it.
//
// A thread that looks for the message by its ticket finds the old slot locked, then done, and then looks in
// MovedMessages, where the message is by then.

#ifndef DECOUPLE_INTERNAL_QUEUE_COMPACTION_H_
#define DECOUPLE_INTERNAL_QUEUE_COMPACTION_H_

#include <algorithm>
#include <cstdint>
#include <memory>
#include <utility>

#include "decouple/internal/base/assert.h"
#include "decouple/internal/base/rcu.h"
#include "decouple/internal/lane/retired_segments.h"
#include "decouple/internal/message/body_type.h"
#include "decouple/internal/message/message_metadata.h"
#include "decouple/internal/message/message_slot.h"
#include "decouple/internal/message/message_state.h"
#include "decouple/internal/message/message_store.h"
#include "decouple/internal/message/moved_messages.h"
#include "decouple/internal/message/slot_ref.h"
#include "decouple/internal/queue/locked_slots.h"
#include "decouple/internal/queue/queue_state.h"

namespace decouple::inline v0_1::internal {

template <typename Kind>
class Compaction {
 public:
  explicit Compaction(QueueState& queue) : queue_(queue) {}

  // Frees some segments, and empties others. To be called now and then: when a receiver has claimed the last slot of a
  // round of segments, and by polls of an empty queue. Not from within a read section.
  void CompactSome(LocalQueueState& local) {
    queue_.store.ForEachLane([&](MessageLane& lane) {
      for (const SparseSegment& sparse : lane.ReclaimRound()) MoveMessagesOf(local, lane, sparse);
    });
  }

 private:
  void MoveMessagesOf(LocalQueueState& local, MessageLane& lane, const SparseSegment& sparse) {
    LockedSlots locked;
    {
      const RcuReadGuard section;  // until a slot is locked, the segment may be retired and freed
      MessageSegment* const segment = lane.pool().Find(sparse.number);
      if (segment == nullptr || segment->ordinal.load(std::memory_order_acquire) != sparse.ordinal) return;
      if (!WouldBeEmptied(*segment, sparse.ordinal)) return;
      locked.segment = segment;
      for (std::uint32_t i = 0; i < kSlotsPerSegment; ++i) {
        // Acquire: pairs with the last store of the word, which publishes the rest of the slot.
        const SlotState word(segment->slot(i).word.load(std::memory_order_acquire));
        if (word.IsOf(sparse.ordinal) && IsMovable(word)) locked.TryLock(i, word);
      }
    }
    locked.ForEach([&](SlotRef message, SlotState before) { MoveMessage(local, message, before); });
  }

  // Whether all slots of the segment would be free once its movable messages have moved.
  static bool WouldBeEmptied(const MessageSegment& segment, std::uint64_t ordinal) {
    for (std::uint32_t i = 0; i < kSlotsPerSegment; ++i) {
      const SlotState word(segment.slot(i).word.load(std::memory_order_acquire));
      if (!word.IsFree(ordinal) && !(word.IsOf(ordinal) && IsMovable(word))) return false;
    }
    return true;
  }

  static bool IsMovable(SlotState word) { return Kind::Order::MayRelocate(word.phase()) && !word.Has(kReferredTo); }

  // Requires: the caller has locked the slot of `from`; `before` is its word before that.
  void MoveMessage(LocalQueueState& local, SlotRef from, SlotState before) {
    DECOUPLE_ASSERT(IsLocked(*from.slot) && IsMovable(before));
    MovedMessages& moved_messages = queue_.store.MovedMessagesOrCreate();
    MessageLane& lane = moved_messages.lane();
    const std::uint64_t ticket = lane.TakeTickets(1);
    const auto place = lane.PlaceOf(ticket, local.moved_cursor);
    const SlotRef to{place.segment, place.slot};
    to.slot->sent_at.store(from.slot->sent_at.load(std::memory_order_relaxed), std::memory_order_relaxed);
    const std::int64_t visible_at = from.times().visible_at();
    LeaseTimes& times = to.TimesToWrite();
    times.set_visible_at(visible_at);
    times.set_first_received_at(from.times().first_received_at());

    const std::uint64_t original = MessageStore::TicketOf(from);
    auto metadata = std::make_unique<MessageMetadata>();
    const bool has_metadata = before.Has(SlotState::kHasMetadata);
    const bool moves_within = has_metadata && MetadataAt(from).is_moved;
    Kind::Order::BeginRelocation(from, before, *metadata);
    metadata->is_moved = true;
    metadata->moved_from = original;
    const bool is_shared = before.Has(SlotState::kShared);
    const BodyType& type = queue_.store.body_type();
    BodySource body = {.body = type.BodyIn(*from.slot), .shared = is_shared ? &from.slot->shared() : nullptr};
    const std::uint32_t body_marks = body.WriteTo(*to.slot, type);
    to.segment->data.Put(PlaceOf(to), std::move(metadata));
    moved_messages.Add(original, to);
    const SlotState moved(before.phase(), MessageLane::OrdinalOf(ticket), body_marks | SlotState::kHasMetadata,
                          before.receive_count());
    MessageLane::PublishUnclaimable(*to.slot, moved.With(Phase::kBusy));  // locked, so that it cannot end meanwhile
    if (moves_within && before.phase() == Phase::kDelayed) moved_messages.CountMoveWithin();
    lane.ForgetSkip(ticket);
    queue_.store.LowerDeadline(*to.segment, std::min(visible_at, queue_.store.RetentionEnd(*to.slot)));
    messages().order().FinishRelocation(local, from, to, moved);
    // No receiver claims from this lane: its head passes whatever has been published.
    while (lane.Claim(local.moved_cursor, kSlotsPerSegment, kOpenGate, WantAll()).size != 0) {
    }

    if (has_metadata) from.segment->data.Clear(PlaceOf(from));
    const SlotState left = before.Without(SlotState::kHasMetadata);
    if (is_shared) {
      FreeLast(from, left);  // the reference to the shared body has gone to the other slot
    } else {
      // What is left of the body was moved from: it is destroyed as that of a deleted message is.
      Unlock(*from.slot, left.With(Phase::kDeleted).With(SlotState::kReferenced));
      queue_.store.ReleaseReference(from);
    }
  }

  // The marks of a message that something refers to by its slot.
  static constexpr std::uint32_t kReferredTo = SlotState::kReferenced | SlotState::kMoreReferences | SlotState::kQueued;

  MessageState<typename Kind::Order> messages() const { return MessageState<typename Kind::Order>(queue_.store); }

  QueueState& queue_;
};

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_QUEUE_COMPACTION_H_
