// The state machine of a message: the functions that change the phase of its slot, except those by which the holder of
// a message ends it (message_store.h). What each phase means, and which thread may take a slot out of it: slot_state.h.
//
//                             LeaseReady
//              ┌──▶ kReady ──────────────────────┐
//              │                                 ▼        Remove, from each of the four;
//   kDone ─────┼──▶ kDelayed ─────────────▶ kInFlight ────────────────────────────▶ kDeleted ──────────────────▶ kDone
//      Message-│        │        Lease        │    ▲      by its holder                      ReleaseReference,
//      Writer  │        │ MakeVisible         │    │      TryRemovePlain and others         the last one
//              │        ▼                     │    │
//              └──▶ kVisibleAgain ◀───────────┘    │
//                          │       MakeVisible     │
//                          └───────────────────────┘ Lease, Hide
//
// All edges that leave kDelayed, kInFlight or kVisibleAgain go through kBusy, which is the slot's lock bit, except
// those of the holder. In full:
//
//   edge                                         made by
//   kDone → kReady                               MessageWriter: the usual message of a standard queue
//   kDone → kDelayed                             MessageWriter: a message with a delay
//   kDone → kVisibleAgain                        MessageWriter: a message of a FIFO queue
//   kDone → kBusy                                MessageWriter: with a group, or transferred; Compaction: the copy
//   kDone → kRequeued                            RequeueAtTail()
//   kReady → kInFlight                           LeaseReady(), by the claimant
//   kReady → kDeleted                            Remove(), by the claimant: past its retention, or purged
//   kReady → kBusy                               LockSkipped(), by the sender, if skipped
//   kRequeued → kDone                            ConsumeRequeuedSlot(), by the claimant; RequeueAtTail(), if skipped
//   kDelayed, kInFlight, kVisibleAgain → kBusy   TryLock()
//   kBusy → kVisibleAgain                        MakeVisible(), Restore(); Compaction: the copy
//   kBusy → kInFlight                            Lease(), Hide(), Restore(), UnlockReferenced(); Compaction: the copy
//   kBusy → kDelayed                             Restore(); Compaction: the copy
//   kBusy → kDeleted                             Remove(); Compaction: the original
//   kBusy → kDone                                FreeLast(): the original of a compaction, if its body is shared
//   kInFlight → kDeleted                         TryRemovePlain(), TryRemoveInFlight(), RemoveReferenced()
//   kVisibleAgain → kDeleted                     RemoveReferenced()
//   kDeleted → kDone                             ReleaseReference()
//
// A thread that has locked a slot and changes nothing stores the word that it had before, by Restore() or Unlock().
//
// The claimant is the thread that moved the lane's head past the slot; a slot whose ticket was skipped has none. The
// marks of a word change without its phase: kQueued by MessageGroups, UnqueueAndTryLock() and CountRemoval(),
// kReferenced and kMoreReferences by ReleaseReference().
//
// Design. A message stays in its slot from its publication to its end, except that compaction may move it
// (compaction.h) when it is one of the last in its segment and no delivery refers to it. Ready messages are found by
// the lane's head. Those that are visible again are queued for redelivery: a second lane, normally empty, names them,
// and receivers look there first. Messages with a group are queued with their tenant instead (fair_scheduler.h); those
// of a FIFO queue are never ready but queued from the start, by way of their group (message_groups.h).
//
// Threading. To change what other threads may change too, a thread locks the slot for a few instructions (kBusy). No
// user code runs meanwhile except the body's move constructor, when compaction or another queue takes the message over:
// a body is destroyed after its message is deleted, by the thread that releases the last reference.
//
// Deadlines. Each segment, each chunk and the store keep the earliest instant at which one of their messages may be
// due. A new deadline is passed to LowerDeadline() before the word that carries it is stored. So the sweep, when it
// recomputes the instant, counts a slot as due whose state is about to change (kReady behind the head, kBusy;
// timeout_sweep.h).

#ifndef DECOUPLE_INTERNAL_MESSAGE_MESSAGE_STATE_H_
#define DECOUPLE_INTERNAL_MESSAGE_MESSAGE_STATE_H_

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>

#include "decouple/internal/base/assert.h"
#include "decouple/internal/base/cache_line.h"
#include "decouple/internal/base/event_count.h"
#include "decouple/internal/base/single_writer_counter.h"
#include "decouple/internal/lane/segment_pool.h"
#include "decouple/internal/lane/slot_state.h"
#include "decouple/internal/message/extra_references.h"
#include "decouple/internal/message/fair_scheduler.h"
#include "decouple/internal/message/message_content.h"
#include "decouple/internal/message/message_groups.h"
#include "decouple/internal/message/message_lanes.h"
#include "decouple/internal/message/message_metadata.h"
#include "decouple/internal/message/message_slot.h"
#include "decouple/internal/message/moved_messages.h"
#include "decouple/internal/message/queue_counters.h"

namespace decouple::inline v0_1::internal {

template <typename T>
class MessageState : public MessageLanes<T> {
  using Content = MessageContent<T>;
  using Lanes = MessageLanes<T>;

 public:
  using typename Content::Message;
  using typename Content::Segment;
  using typename Content::Slot;
  using typename Lanes::Lane;
  using typename Lanes::LocalState;
  using typename Lanes::RedeliveryLane;

  using Content::BytesOf, Content::MessageOf, Content::MetadataAt;
  using Lanes::earliest, Lanes::fair_scheduler, Lanes::groups, Lanes::lane, Lanes::moved_messages, Lanes::visible;
  using Lanes::Lanes;
  using Lanes::Now, Lanes::RedeliveryLaneOrCreate, Lanes::RetentionEnd, Lanes::Sums, Lanes::TicketOf;

  // A message that was received this often goes to the back of the queue when it becomes visible again (SQS).
  static constexpr std::uint32_t kReceivesBeforeTheBack = 3;

  // ---- locking a slot -----------------------------------------------------------------------------------------------

  // Locks the slot if its word is `seen`. Requires: the slot must stay where it is, as by an RcuReadGuard. Sequentially
  // consistent: a sweep that recomputes the deadline sees either kBusy or the word that is stored after it.
  static bool TryLock(Slot& slot, SlotState seen) {
    DECOUPLE_ASSERT(IsAnyOf(seen, Phase::kDelayed, Phase::kInFlight, Phase::kVisibleAgain));
    std::uint64_t expected = seen.bits();
    return slot.word.compare_exchange_strong(expected, seen.With(Phase::kBusy).bits(), std::memory_order_seq_cst,
                                             std::memory_order_relaxed);
  }

  // Locks a slot that was published as `ready`, but whose ticket was skipped, so no receiver will claim it. Requires:
  // the caller is its sender.
  static void LockSkipped(Slot& slot, SlotState ready) {
    DECOUPLE_ASSERT(WordOf(slot) == ready && IsTransition(ready, ready.With(Phase::kBusy)));
    slot.word.store(ready.With(Phase::kBusy).bits(), std::memory_order_release);
  }

  // Stores the next word of a slot that the caller has locked. Release: pairs with the acquire of the next thread that
  // locks or reads the slot.
  static void Unlock(Slot& slot, SlotState word) {
    DECOUPLE_ASSERT(IsLocked(slot) && IsTransition(WordOf(slot), word));
    slot.word.store(word.bits(), std::memory_order_release);
  }

  // Adds a reference of the caller's to the body. Returns `word` with the mark that says so. Requires: the caller has
  // locked the slot, or claimed it as kReady.
  SlotState AddReference(Slot& slot, SlotState word) {
    DECOUPLE_ASSERT(IsAnyOf(WordOf(slot), Phase::kBusy, Phase::kReady));
    return extra_references_.Add(&slot, word);
  }

  void UnlockReferenced(Slot& slot, SlotState word) { Unlock(slot, AddReference(slot, word)); }

  // Makes the deadline of one of the segment's messages known. Called before the word that carries it is stored. If the
  // segment's instant is no later already, the thread that lowered it also lowers the chunk's and the store's.
  [[gnu::always_inline]] void LowerDeadline(Segment& segment, std::int64_t deadline) {
    if (deadline < segment.earliest().get()) [[unlikely]]
      LowerDeadlineSlow(segment, deadline);
  }

  [[gnu::noinline]] void LowerDeadlineSlow(Segment& segment, std::int64_t deadline) {
    if (!segment.earliest().Lower(deadline)) return;
    segment.chunk->earliest.Lower(deadline);
    if (earliest().Lower(deadline)) visible().Notify(EventCount::kAll);  // sleepers wait for the earliest
  }

  // ---- transitions of a locked slot ---------------------------------------------------------------------------------
  // `before` is the word that the slot had before it was locked, with the marks that it is to have. Where nothing else
  // is said, these require that the caller has locked the slot, and unlock it.

  // To kVisibleAgain, queued for redelivery. The caller counts it and notifies visible().
  void MakeVisible(LocalState& local, Message message, SlotState before) {
    DECOUPLE_ASSERT(IsLocked(*message.slot));
    const bool is_queued = before.Has(SlotState::kQueued);
    const SlotState queued = before.With(Phase::kVisibleAgain).With(SlotState::kQueued);
    const bool to_the_back = before.receive_count() >= kReceivesBeforeTheBack;
    LowerDeadline(*message.segment, RetentionEnd(*message.slot));
    if (groups() != nullptr) {
      if (groups()->UnlockVisible(MetadataAt(message), before.With(Phase::kVisibleAgain))) Requeue(local, message);
      return;
    }
    if (MessageMetadata* const metadata = GroupedMetadata(message, before)) {
      if (!is_queued) {
        const std::uint64_t ticket = TicketOf(message);
        metadata->queue_position = to_the_back ? lane().tail() : ticket;
        // Before the slot is unlocked, so that the message cannot end, and its tenant with it, in between.
        fair_scheduler()->Enqueue(metadata->tenant, metadata->queue_position, ticket, {message.segment, message.slot});
      }
      Unlock(*message.slot, queued);
      return;
    }
    Unlock(*message.slot, queued);  // from here on only kQueued keeps the slot from being reused
    if (is_queued) return;
    if (to_the_back && RequeueAtTail(local, message)) return;
    Requeue(local, message);
  }

  // To kInFlight until `visible_at`, by a receive of the caller's, which has a reference then. Returns the new word.
  SlotState Lease(LocalState& local, Message message, SlotState before, std::int64_t now, std::int64_t visible_at) {
    Slot& slot = *message.slot;
    DECOUPLE_ASSERT(IsLocked(slot));
    DECOUPLE_ASSERT(IsAnyOf(before, Phase::kDelayed, Phase::kInFlight, Phase::kVisibleAgain));
    LeaseTimes& times = message.TimesToWrite();
    if (before.receive_count() == 0) times.set_first_received_at(now);
    times.set_visible_at(visible_at);
    LowerDeadline(*message.segment, std::min(visible_at, RetentionEnd(slot)));
    if (before.phase() == Phase::kDelayed) local.counts.delay_ended.Add(1);
    local.counts.received.Add(1);
    NoteLeased(message, before, now);
    const SlotState leased = AddReference(slot, before.With(Phase::kInFlight).ReceivedOnceMore());
    Unlock(slot, leased);
    return leased;
  }

  // Same as Lease(), for the first receive of a message whose slot the caller has claimed as kReady, not locked. The
  // caller has passed the deadline to LowerDeadline(), and counts the receive.
  [[gnu::always_inline]] static SlotState LeaseReady(Slot& slot, LeaseTimes& times, std::int64_t now,
                                                     std::int64_t visible_at) {
    const SlotState ready(slot.word.load(std::memory_order_relaxed));  // as the claim acquired it
    DECOUPLE_ASSERT(ready.phase() == Phase::kReady && IsConsistent(ready));
    times.set_visible_at(visible_at);
    times.set_first_received_at(now);
    // No other thread changes the word of a claimed kReady, so a store does. Release: as in Unlock().
    slot.word.store(ready.ReceivedFirst().bits(), std::memory_order_release);
    return ready.ReceivedFirst();
  }

  // To kInFlight until `visible_at`, without a receive.
  void Hide(LocalState& local, Message message, SlotState before, std::int64_t now, std::int64_t visible_at) {
    Slot& slot = *message.slot;
    DECOUPLE_ASSERT(IsLocked(slot) && IsAnyOf(before, Phase::kInFlight, Phase::kVisibleAgain));
    message.times().set_visible_at(visible_at);
    LowerDeadline(*message.segment, std::min(visible_at, RetentionEnd(slot)));
    if (before.phase() == Phase::kVisibleAgain) {
      local.counts.hidden_again.Add(1);
      if (WithdrawFromTenant(message, before)) before = before.Without(SlotState::kQueued);
      NoteLeased(message, before, now);
    }
    Unlock(slot, before.With(Phase::kInFlight));
  }

  // Back to what it was before it was locked.
  void Restore(LocalState& local, Message message, SlotState before) {
    if (groups() == nullptr || before.phase() != Phase::kVisibleAgain) {
      Unlock(*message.slot, before);
    } else if (groups()->UnlockVisible(MetadataAt(message), before)) {
      Requeue(local, message);
      visible().Notify(1);
    }
  }

  // To kDeleted. The caller has a reference then, which it releases by ReleaseReference(). `how` is one of the five
  // counts of removals. Requires: the caller has locked the slot, or claimed it as kReady.
  void Remove(LocalState& local, Message message, SlotState before, SingleWriterCounter LocalQueueCounts::*how) {
    Remove(local, message, before, how, BytesOf(message, before));
  }
  // Same as Remove(), for a message whose body has been moved away; it counted `bytes`.
  void Remove(LocalState& local, Message message, SlotState before, SingleWriterCounter LocalQueueCounts::*how,
              std::size_t bytes) {
    DECOUPLE_ASSERT(IsLocked(*message.slot) || (before.phase() == Phase::kReady && WordOf(*message.slot) == before));
    const SlotState deleted = AddReference(*message.slot, before.With(Phase::kDeleted));
    message.slot->word.store(deleted.bits(), std::memory_order_release);  // as in Unlock()
    CountRemoval(local, message, before, how, bytes);
  }

  // Counts the end of a delay or of a time in flight. Called before MakeVisible(), or before Lease() of a message that
  // is due.
  void NoteReturned(LocalState& local, Message message, SlotState before) {
    if (before.phase() == Phase::kDelayed) {
      local.counts.delay_ended.Add(1);
      return;
    }
    local.counts.returned.Add(1);
    NoteUnleased(message, before);
  }

  // ---- redelivery ---------------------------------------------------------------------------------------------------

  // Called with a message that the caller has taken out of the redelivery lane, a kRequeued slot or the fair scheduler.
  // Clears kQueued. If the message is still visible, locks its slot, sets `before` and returns true.
  bool UnqueueAndTryLock(Message message, SlotState& before) {
    for (;;) {
      std::uint64_t seen = message.slot->word.load(std::memory_order_acquire);
      const SlotState word(seen);
      DECOUPLE_ASSERT(word.phase() == Phase::kBusy || word.Has(SlotState::kQueued));
      if (word.phase() == Phase::kBusy) {
        Relax();
      } else if (word.phase() == Phase::kVisibleAgain) {
        before = word.Without(SlotState::kQueued);
        if (TryLock(*message.slot, word)) return true;
      } else if (message.slot->word.compare_exchange_strong(seen, word.Without(SlotState::kQueued).bits(),
                                                            std::memory_order_acq_rel, std::memory_order_relaxed)) {
        return false;
      }
    }
  }

  // Returns the message that a slot of the redelivery lane names, and frees that slot. Requires: the caller has claimed
  // it.
  static Message ConsumeRedeliverySlot(RedeliverySlot<T>& entry, SlotState word) {
    DECOUPLE_ASSERT(word.phase() == Phase::kReady);
    const Message message{entry.segment, entry.message};
    entry.word.store(SlotState(Phase::kDone, word.generation()).bits(), std::memory_order_release);  // after our reads
    return message;
  }

  // Returns the message that a slot in phase kRequeued names, and frees that slot. Requires: the caller has claimed it.
  static Message ConsumeRequeuedSlot(Message requeued, SlotState word) {
    DECOUPLE_ASSERT(word.phase() == Phase::kRequeued);
    const Message message{std::bit_cast<Segment*>(requeued.times().first_received_at()),
                          std::bit_cast<Slot*>(requeued.times().visible_at())};
    requeued.slot->word.store(SlotState(Phase::kDone, word.generation()).bits(), std::memory_order_release);
    return message;
  }

  // Queues a message in the redelivery lane. Requires: the caller has set kQueued, and has not queued the message
  // since.
  void Requeue(LocalState& local, Message message) {
    DECOUPLE_ASSERT(WordOf(*message.slot).Has(SlotState::kQueued));
    RedeliveryLane& redelivery_lane = RedeliveryLaneOrCreate();
    for (;;) {
      const std::uint64_t ticket = redelivery_lane.TakeTickets(1);
      const auto place = redelivery_lane.PlaceOf(ticket, local.redelivery_cursor);
      const std::uint64_t ordinal = RedeliveryLane::OrdinalOf(ticket);
      place.slot->segment = message.segment;
      place.slot->message = message.slot;
      if (redelivery_lane.Publish(*place.slot, ticket, SlotState(Phase::kReady, ordinal))) return;
      place.slot->word.store(SlotState(Phase::kDone, ordinal).bits(), std::memory_order_release);  // skipped: try again
    }
  }

 protected:
  // Takes a message that has just become kDeleted out of its group or tenant, and counts it. `before` is its word
  // before that. Requires: the caller has a reference to the message.
  void CountRemoval(LocalState& local, Message message, SlotState before, SingleWriterCounter LocalQueueCounts::*how,
                    std::size_t bytes) {
    if (before.Has(SlotState::kHasMetadata)) [[unlikely]] {
      MessageMetadata& metadata = MetadataAt(message);
      if (groups() != nullptr) {
        if (const auto next = groups()->Remove(metadata)) {
          Requeue(local, MessageOf(*next));
          visible().Notify(1);
        }
      }
      if (metadata.is_moved) moved_messages()->Remove(metadata.moved_from);
      if (groups() == nullptr && metadata.tenant != nullptr) {
        if (before.phase() == Phase::kInFlight) NoteUnleased(message, before);
        if (before.phase() == Phase::kVisibleAgain && WithdrawFromTenant(message, before)) {
          // Acquire and release: what other threads did to the word stays ordered.
          message.slot->word.fetch_and(~std::uint64_t{SlotState::kQueued}, std::memory_order_acq_rel);
        }
        fair_scheduler()->RemoveMessage(metadata.tenant);
      }
    }
    if (before.phase() != Phase::kInFlight) local.counts.removed_waiting.Add(1);
    if (before.phase() == Phase::kDelayed) local.counts.removed_delayed.Add(1);
    (local.counts.*how).Add(1);
    local.counts.removed_bytes.Add(bytes);
    this->AnnounceRemoval();
  }

  using Content::WordOf;

  ExtraReferences extra_references_;

 private:
  // The metadata of a message of a standard queue that has a group; null for every other message.
  MessageMetadata* GroupedMetadata(Message message, SlotState word) {
    if (!word.Has(SlotState::kHasMetadata) || groups() != nullptr) [[likely]]
      return nullptr;
    MessageMetadata& metadata = MetadataAt(message);
    return metadata.tenant == nullptr ? nullptr : &metadata;
  }

  // Queues a message at the tail of the lane, by a slot in phase kRequeued that names it in its lease times. Returns
  // false if that slot's ticket was skipped. Requires: as Requeue().
  bool RequeueAtTail(LocalState& local, Message message) {
    const std::uint64_t ticket = lane().TakeTickets(1);
    const auto place = lane().PlaceOf(ticket, local.cursor);
    const std::uint64_t ordinal = Lane::OrdinalOf(ticket);
    LeaseTimes& times = Message{place.segment, place.slot}.TimesToWrite();
    times.set_visible_at(std::bit_cast<std::int64_t>(message.slot));
    times.set_first_received_at(std::bit_cast<std::int64_t>(message.segment));
    if (lane().Publish(*place.slot, ticket, SlotState(Phase::kRequeued, ordinal))) return true;
    place.slot->word.store(SlotState(Phase::kDone, ordinal).bits(), std::memory_order_release);
    return false;
  }

  void NoteLeased(Message message, SlotState before, std::int64_t now) {
    if (MessageMetadata* const metadata = GroupedMetadata(message, before)) {
      metadata->leased_at = now;
      fair_scheduler()->AddInFlight(metadata->tenant, Sums().in_flight(), now);
    }
  }

  void NoteUnleased(Message message, SlotState before) {
    if (MessageMetadata* const metadata = GroupedMetadata(message, before)) {
      const std::int64_t now = Now();
      fair_scheduler()->RemoveInFlight(metadata->tenant, now - metadata->leased_at, now);
    }
  }

  // Takes the message out of its tenant's queue. Returns false if it was not there.
  bool WithdrawFromTenant(Message message, SlotState before) {
    MessageMetadata* const metadata = GroupedMetadata(message, before);
    return metadata != nullptr &&
           fair_scheduler()->Withdraw(metadata->tenant, metadata->queue_position, TicketOf(message));
  }
};

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_MESSAGE_MESSAGE_STATE_H_
