// Every change of a message's state, where it lies (message_lanes.h). What a message goes through:
//
//                message_writer.h      lease               Remove
//   (nothing) ───────────▶ ready ─────────▶ in flight ─────────▶ deleted ──▶ (nothing)
//        │                                   │   ▲                  (once nobody holds the body any more)
//        └────▶ delayed ──▶ listed ◀─────────┘   │
//                 MakeVisible │                  │
//                             └──────────────────┘ lease, Hide
//
// A message stays in its slot from its publication to its end, unless it is the last but few in its segment and nobody
// holds it: then it may be moved once in a while (compaction.h). Ready messages are found by the lane's head; those
// that are visible again are listed: a second, normally empty lane names them, and receivers look there first. Messages
// with a group are listed with their tenant instead; those of a FIFO queue are never ready but listed from the start,
// by way of their group (message_groups.h). Which phase may follow which, and who may change it: slot_state.h.
//
// To change what is not his alone, a thread owns the slot for a few instructions (kBusy). Nothing of the user's runs
// meanwhile but the body's move, when it is moved moved messages or to another queue: a body is destroyed after the message is
// deleted, by the last one who holds it.
//
// Deadlines. Each segment, each chunk and the store keep the earliest instant at which one of theirs may be due; a new
// deadline is made known by LowerDeadline() before the word that carries it is stored, so a slot that is not yet what
// it is about to be (kReady behind the head, kBusy) counts as due to whoever recomputes (timeout_sweep.h).

#ifndef DECOUPLE_INTERNAL_MESSAGE_MESSAGE_STATE_H_
#define DECOUPLE_INTERNAL_MESSAGE_MESSAGE_STATE_H_

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>

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

namespace decouple::internal {

template <typename T>
class MessageState : public MessageLanes<T> {
  using Content = MessageContent<T>;
  using Places = MessageLanes<T>;

 public:
  using typename Content::Message;
  using typename Content::Segment;
  using typename Content::Slot;
  using typename Places::Lane;
  using typename Places::LocalState;
  using typename Places::RedeliveryLane;

  using Content::BytesOf;
  using Content::MessageAtPlace;
  using Content::MetadataAt;

  using Places::earliest;
  using Places::fair_scheduler;
  using Places::groups;
  using Places::lane;
  using Places::moved_messages;
  using Places::Now;
  using Places::RedeliveryLaneOrCreate;
  using Places::RetentionEnd;
  using Places::Sums;
  using Places::TicketOf;
  using Places::visible;

  using Places::Places;

  // A message received so often goes to the back of the queue when it becomes visible again (SQS).
  static constexpr std::uint32_t kReceivesBeforeTheBack = 3;

  // ---- owning a slot ------------------------------------------------------------------------------------------------

  // From `seen` to kBusy. Sequentially consistent: whoever recomputes a deadline either sees kBusy or what it led to.
  static bool TryLock(Slot& slot, SlotState seen) {
    std::uint64_t expected = seen.bits();
    return slot.word.compare_exchange_strong(expected, seen.With(Phase::kBusy).bits(), std::memory_order_seq_cst,
                                             std::memory_order_relaxed);
  }

  // Gives an owned slot back with another word. Release: pairs with whoever takes it over next.
  static void Unlock(Slot& slot, SlotState word) { slot.word.store(word.bits(), std::memory_order_release); }

  // The caller's hold on the body of a slot that he owns comes on top of the holds that are there. Returns the word
  // that says so.
  SlotState AddReference(Slot& slot, SlotState word) { return extra_references_.Add(&slot, word); }

  void UnlockReferenced(Slot& slot, SlotState word) { Unlock(slot, AddReference(slot, word)); }

  // Every deadline is made known here before the word that carries it. When the segment's instant is no later already,
  // whoever lowered it sees to the rest.
  [[gnu::always_inline]] void LowerDeadline(Segment& segment, std::int64_t deadline) {
    if (deadline < segment.earliest().get()) [[unlikely]]
      LowerDeadlines(segment, deadline);
  }

  [[gnu::noinline]] void LowerDeadlines(Segment& segment, std::int64_t deadline) {
    if (!segment.earliest().Lower(deadline)) return;
    segment.chunk->earliest.Lower(deadline);
    if (earliest().Lower(deadline)) visible().Notify(EventCount::kAll);  // sleepers wait for the earliest
  }

  // ---- transitions of an owned slot; `before` is its word before that, with marks as they are to be -----------------

  // To visible again. The caller counts it and notifies visible().
  void MakeVisible(LocalState& local, Message message, SlotState before) {
    const bool in_line = before.Has(SlotState::kQueued);
    const SlotState listed = before.With(Phase::kVisibleAgain).With(SlotState::kQueued);
    const bool to_the_back = before.receive_count() >= kReceivesBeforeTheBack;
    LowerDeadline(*message.segment, RetentionEnd(*message.slot));
    if (groups() != nullptr) {
      if (groups()->GiveBackVisible(MetadataAt(message), before.With(Phase::kVisibleAgain))) Requeue(local, message);
      return;
    }
    if (MessageMetadata* const metadata = GroupedMetadata(message, before)) {
      if (!in_line) {
        const std::uint64_t ticket = TicketOf(message);
        metadata->place_in_line = to_the_back ? lane().tail() : ticket;
        // While we own the slot, so that it cannot end and be forgotten in between.
        fair_scheduler()->Join(metadata->tenant, metadata->place_in_line, ticket, {message.segment, message.slot});
      }
      Unlock(*message.slot, listed);
      return;
    }
    Unlock(*message.slot, listed);  // from here on only the mark says that the slot must stay
    if (in_line) return;
    if (to_the_back && RequeueAtTail(local, message)) return;
    Requeue(local, message);
  }

  // To in flight until `visible_at`, held by the caller, as a receive does it. Returns the word by which it is so.
  SlotState Lease(LocalState& local, Message message, SlotState before, std::int64_t now, std::int64_t visible_at) {
    Slot& slot = *message.slot;
    LeaseTimes& times = message.TimesToWrite();
    if (before.receive_count() == 0) times.set_first_received_at(now);
    times.set_visible_at(visible_at);
    LowerDeadline(*message.segment, std::min(visible_at, RetentionEnd(slot)));
    if (before.phase() == Phase::kDelayed) local.counts.delay_ended.Add(1);
    local.counts.received.Add(1);
    NoteLeased(message, before, now);
    const SlotState held = AddReference(slot, before.With(Phase::kInFlight).ReceivedOnceMore());
    Unlock(slot, held);
    return held;
  }

  // The same of a ready slot that only the caller takes from there, for the first time. The deadline has been made
  // known, and the caller counts.
  [[gnu::always_inline]] static SlotState LeaseReady(Slot& slot, LeaseTimes& times, std::int64_t now,
                                                     std::int64_t visible_at) {
    const SlotState ready(slot.word.load(std::memory_order_relaxed));  // as the claim acquired it
    times.set_visible_at(visible_at);
    times.set_first_received_at(now);
    // Nobody else leaves kReady, so a store does. Release: pairs with whoever takes the slot over next.
    slot.word.store(ready.ReceivedFirst().bits(), std::memory_order_release);
    return ready.ReceivedFirst();
  }

  // To in flight until `visible_at`, without a receive.
  void Hide(LocalState& local, Message message, SlotState before, std::int64_t now, std::int64_t visible_at) {
    Slot& slot = *message.slot;
    message.times().set_visible_at(visible_at);
    LowerDeadline(*message.segment, std::min(visible_at, RetentionEnd(slot)));
    if (before.phase() == Phase::kVisibleAgain) {
      local.counts.hidden_again.Add(1);
      if (WithdrawFromTenant(message, before)) before = before.Without(SlotState::kQueued);
      NoteLeased(message, before, now);
    }
    Unlock(slot, before.With(Phase::kInFlight));
  }

  // Back to what it was.
  void Restore(LocalState& local, Message message, SlotState before) {
    if (groups() == nullptr || before.phase() != Phase::kVisibleAgain) {
      Unlock(*message.slot, before);
    } else if (groups()->GiveBackVisible(MetadataAt(message), before)) {
      Requeue(local, message);
      visible().Notify(1);
    }
  }

  // To deleted, held by the caller, who lets go of it by ReleaseReference().
  void Remove(LocalState& local, Message message, SlotState before, SingleWriterCounter LocalQueueCounts::*how) {
    Remove(local, message, before, how, BytesOf(message, before));
  }
  // The same where the body has left the slot; it counted `bytes`.
  void Remove(LocalState& local, Message message, SlotState before, SingleWriterCounter LocalQueueCounts::*how,
              std::size_t bytes) {
    UnlockReferenced(*message.slot, before.With(Phase::kDeleted));
    CountRemoval(local, message, before, how, bytes);
  }

  // Before MakeVisible(): what ends by it, a delay or a time in flight.
  void NoteReturned(LocalState& local, Message message, SlotState before) {
    if (before.phase() == Phase::kDelayed) {
      local.counts.delay_ended.Add(1);
      return;
    }
    local.counts.returned.Add(1);
    NoteUnleased(message, before);
  }

  // ---- lines --------------------------------------------------------------------------------------------------------

  // A line has named the message and does so no more. True: it is visible and now the caller's own; `before` is set.
  bool TakeFromRedelivery(Message message, SlotState& before) {
    for (;;) {
      std::uint64_t seen = message.slot->word.load(std::memory_order_acquire);
      const SlotState word(seen);
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

  // The message that an entry of the line, taken by the caller, names. Frees the entry.
  static Message TakeEntry(RedeliverySlot<T>& entry, SlotState word) {
    const Message message{entry.segment, entry.message};
    entry.word.store(SlotState(Phase::kDone, word.generation()).bits(), std::memory_order_release);  // after our reads
    return message;
  }

  // The message that a slot in phase kRequeued, taken by the caller, stands for. Frees the slot.
  static Message TakeRequeued(Message forward, SlotState word) {
    const Message message{std::bit_cast<Segment*>(forward.times().first_received_at()),
                          std::bit_cast<Slot*>(forward.times().visible_at())};
    forward.slot->word.store(SlotState(Phase::kDone, word.generation()).bits(), std::memory_order_release);
    return message;
  }

  // Puts a listed message, marked kQueued, into the line that is looked at first.
  void Requeue(LocalState& local, Message message) {
    RedeliveryLane& line = RedeliveryLaneOrCreate();
    for (;;) {
      const std::uint64_t ticket = line.TakeTickets(1);
      const auto place = line.PlaceOf(ticket, local.redelivery_cursor);
      const std::uint64_t ordinal = RedeliveryLane::OrdinalOf(ticket);
      place.slot->segment = message.segment;
      place.slot->message = message.slot;
      if (line.Publish(*place.slot, ticket, SlotState(Phase::kReady, ordinal))) return;
      place.slot->word.store(SlotState(Phase::kDone, ordinal).bits(), std::memory_order_release);  // too late: again
    }
  }

 protected:
  // The caller holds the body, and everybody else sees that the message is gone.
  void CountRemoval(LocalState& local, Message message, SlotState before, SingleWriterCounter LocalQueueCounts::*how,
                    std::size_t bytes) {
    if (before.Has(SlotState::kHasMetadata)) [[unlikely]] {
      MessageMetadata& metadata = MetadataAt(message);
      if (groups() != nullptr) {
        if (const auto next = groups()->Leave(metadata)) {
          Requeue(local, MessageAtPlace(*next));
          visible().Notify(1);
        }
      }
      if (metadata.is_moved) moved_messages()->Remove(metadata.moved_from);
      if (groups() == nullptr && metadata.tenant != nullptr) {
        if (before.phase() == Phase::kInFlight) NoteUnleased(message, before);
        if (before.phase() == Phase::kVisibleAgain && WithdrawFromTenant(message, before)) {
          // Acquire and release: what others did to the word stays ordered.
          message.slot->word.fetch_and(~std::uint64_t{SlotState::kQueued}, std::memory_order_acq_rel);
        }
        fair_scheduler()->Forget(metadata.tenant);
      }
    }
    if (before.phase() != Phase::kInFlight) local.counts.removed_waiting.Add(1);
    if (before.phase() == Phase::kDelayed) local.counts.removed_delayed.Add(1);
    (local.counts.*how).Add(1);
    local.counts.removed_bytes.Add(bytes);
    this->AnnounceRemoval();
  }

  ExtraReferences extra_references_;

 private:
  // Of a message of a standard queue with a group.
  MessageMetadata* GroupedMetadata(Message message, SlotState word) {
    if (!word.Has(SlotState::kHasMetadata) || groups() != nullptr) [[likely]]
      return nullptr;
    MessageMetadata& metadata = MetadataAt(message);
    return metadata.tenant == nullptr ? nullptr : &metadata;
  }

  // False: the place was skipped before we came.
  bool RequeueAtTail(LocalState& local, Message message) {
    const std::uint64_t ticket = lane().TakeTickets(1);
    const auto place = lane().PlaceOf(ticket, local.cursor);
    const std::uint64_t ordinal = Lane::OrdinalOf(ticket);
    LeaseTimes& times = Message{place.segment, place.slot}.TimesToWrite();  // of a place that no message has
    times.set_visible_at(std::bit_cast<std::int64_t>(message.slot));
    times.set_first_received_at(std::bit_cast<std::int64_t>(message.segment));
    if (lane().Publish(*place.slot, ticket, SlotState(Phase::kRequeued, ordinal))) return true;
    place.slot->word.store(SlotState(Phase::kDone, ordinal).bits(), std::memory_order_release);
    return false;
  }

  void NoteLeased(Message message, SlotState before, std::int64_t now) {
    if (MessageMetadata* const metadata = GroupedMetadata(message, before)) {
      metadata->leased_at = now;
      fair_scheduler()->Leased(metadata->tenant, Sums().in_flight(), now);
    }
  }

  void NoteUnleased(Message message, SlotState before) {
    if (MessageMetadata* const metadata = GroupedMetadata(message, before)) {
      const std::int64_t now = Now();
      fair_scheduler()->Unleased(metadata->tenant, now - metadata->leased_at, now);
    }
  }

  // True: no line names the message any more.
  bool WithdrawFromTenant(Message message, SlotState before) {
    MessageMetadata* const metadata = GroupedMetadata(message, before);
    return metadata != nullptr &&
           fair_scheduler()->Withdraw(metadata->tenant, metadata->place_in_line, TicketOf(message));
  }
};

}  // namespace decouple::internal

#endif  // DECOUPLE_INTERNAL_MESSAGE_MESSAGE_STATE_H_
