// Every change of a message's state, where it lies (message_places.h). What a message goes through:
//
//                publishing.h      lease               Remove
//   (nothing) ───────────▶ ready ─────────▶ in flight ─────────▶ deleted ──▶ (nothing)
//        │                                   │   ▲                  (once nobody holds the body any more)
//        └────▶ delayed ──▶ listed ◀─────────┘   │
//                 MakeVisible │                  │
//                             └──────────────────┘ lease, Hide
//
// A message stays in its slot from its publication to its end, unless it is the last but few in its segment and nobody
// holds it: then it may be moved once in a while (straggler_move.h). Ready messages are found by the lane's head; those
// that are visible again are listed: a second, normally empty lane names them, and receivers look there first. Messages
// with a group are listed with their tenant instead; those of a FIFO queue are never ready but listed from the start,
// by way of their group (fifo_groups.h). Which phase may follow which, and who may change it: slot_word.h.
//
// To change what is not his alone, a thread owns the slot for a few instructions (kBusy). Nothing of the user's runs
// meanwhile but the body's move, when it is moved aside or to another queue: a body is destroyed after the message is
// deleted, by the last one who holds it.
//
// Deadlines. Each segment, each chunk and the store keep the earliest instant at which one of theirs may be due; a new
// deadline is made known by LowerDeadline() before the word that carries it is stored, so a slot that is not yet what
// it is about to be (kReady behind the head, kBusy) counts as due to whoever recomputes (due_sweep.h).

#ifndef DECOUPLE_INTERNAL_MESSAGE_TRANSITIONS_H_
#define DECOUPLE_INTERNAL_MESSAGE_TRANSITIONS_H_

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>

#include "decouple/internal/aside.h"
#include "decouple/internal/body_holders.h"
#include "decouple/internal/event_count.h"
#include "decouple/internal/fifo_groups.h"
#include "decouple/internal/message_content.h"
#include "decouple/internal/message_places.h"
#include "decouple/internal/message_slot.h"
#include "decouple/internal/particulars.h"
#include "decouple/internal/queue_counters.h"
#include "decouple/internal/segment_pool.h"
#include "decouple/internal/slot_word.h"
#include "decouple/internal/tenant_lines.h"
#include "decouple/internal/thread_record.h"

namespace decouple::internal {

template <typename T>
class MessageTransitions : public MessagePlaces<T> {
  using Content = MessageContent<T>;
  using Places = MessagePlaces<T>;

 public:
  using typename Content::Message;
  using typename Content::Segment;
  using typename Content::Slot;
  using typename Places::Lane;
  using typename Places::Line;
  using typename Places::Mine;

  using Content::BytesOf;
  using Content::MessageAtPlace;
  using Content::ParticularsAt;

  using Places::aside;
  using Places::earliest;
  using Places::groups;
  using Places::lane;
  using Places::LineOrCreate;
  using Places::Now;
  using Places::RetentionEnd;
  using Places::Sums;
  using Places::tenants;
  using Places::TicketOf;
  using Places::visible;

  using Places::Places;

  // A message received so often goes to the back of the queue when it becomes visible again (SQS).
  static constexpr std::uint32_t kReceivesBeforeTheBack = 3;

  // ---- owning a slot ------------------------------------------------------------------------------------------------

  // From `seen` to kBusy. Sequentially consistent: whoever recomputes a deadline either sees kBusy or what it led to.
  static bool TryOwn(Slot& slot, SlotWord seen) {
    std::uint64_t expected = seen.bits();
    return slot.word.compare_exchange_strong(expected, seen.With(Phase::kBusy).bits(), std::memory_order_seq_cst,
                                             std::memory_order_relaxed);
  }

  // Gives an owned slot back with another word. Release: pairs with whoever takes it over next.
  static void Disown(Slot& slot, SlotWord word) { slot.word.store(word.bits(), std::memory_order_release); }

  // The caller's hold on the body of a slot that he owns comes on top of the holds that are there. Returns the word
  // that says so.
  SlotWord Hold(Slot& slot, SlotWord word) { return holders_.Add(&slot, word); }

  void DisownHeld(Slot& slot, SlotWord word) { Disown(slot, Hold(slot, word)); }

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
  void MakeVisible(Mine& mine, Message message, SlotWord before) {
    const bool in_line = before.Has(SlotWord::kInLine);
    const SlotWord listed = before.With(Phase::kListed).With(SlotWord::kInLine);
    const bool to_the_back = before.receive_count() >= kReceivesBeforeTheBack;
    LowerDeadline(*message.segment, RetentionEnd(*message.slot));
    if (groups() != nullptr) {
      if (groups()->GiveBackVisible(ParticularsAt(message), before.With(Phase::kListed))) Enlist(mine, message);
      return;
    }
    if (Particulars* const particulars = GroupedParticulars(message, before)) {
      if (!in_line) {
        const std::uint64_t ticket = TicketOf(message);
        particulars->place_in_line = to_the_back ? lane().tail() : ticket;
        // While we own the slot, so that it cannot end and be forgotten in between.
        tenants()->Join(particulars->tenant, particulars->place_in_line, ticket, {message.segment, message.slot});
      }
      Disown(*message.slot, listed);
      return;
    }
    Disown(*message.slot, listed);  // from here on only the mark says that the slot must stay
    if (in_line) return;
    if (to_the_back && EnlistAtTheBack(mine, message)) return;
    Enlist(mine, message);
  }

  // To in flight until `visible_at`, held by the caller, as a receive does it. Returns the word by which it is so.
  SlotWord Lease(Mine& mine, Message message, SlotWord before, std::int64_t now, std::int64_t visible_at) {
    Slot& slot = *message.slot;
    LeaseTimes& times = message.TimesToWrite();
    if (before.receive_count() == 0) times.set_first_received_at(now);
    times.set_visible_at(visible_at);
    LowerDeadline(*message.segment, std::min(visible_at, RetentionEnd(slot)));
    if (before.phase() == Phase::kDelayed) mine.counts.delay_ended.Add(1);
    mine.counts.received.Add(1);
    NoteLeased(message, before, now);
    const SlotWord held = Hold(slot, before.With(Phase::kInFlight).ReceivedOnceMore());
    Disown(slot, held);
    return held;
  }

  // The same of a ready slot that only the caller takes from there, for the first time. The deadline has been made
  // known, and the caller counts.
  [[gnu::always_inline]] static SlotWord LeaseReady(Slot& slot, LeaseTimes& times, std::int64_t now,
                                                    std::int64_t visible_at) {
    const SlotWord ready(slot.word.load(std::memory_order_relaxed));  // as the claim acquired it
    times.set_visible_at(visible_at);
    times.set_first_received_at(now);
    // Nobody else leaves kReady, so a store does. Release: pairs with whoever takes the slot over next.
    slot.word.store(ready.ReceivedFirst().bits(), std::memory_order_release);
    return ready.ReceivedFirst();
  }

  // To in flight until `visible_at`, without a receive.
  void Hide(Mine& mine, Message message, SlotWord before, std::int64_t now, std::int64_t visible_at) {
    Slot& slot = *message.slot;
    message.times().set_visible_at(visible_at);
    LowerDeadline(*message.segment, std::min(visible_at, RetentionEnd(slot)));
    if (before.phase() == Phase::kListed) {
      mine.counts.hidden_again.Add(1);
      if (WithdrawFromTenant(message, before)) before = before.Without(SlotWord::kInLine);
      NoteLeased(message, before, now);
    }
    Disown(slot, before.With(Phase::kInFlight));
  }

  // Back to what it was.
  void Restore(Mine& mine, Message message, SlotWord before) {
    if (groups() == nullptr || before.phase() != Phase::kListed) {
      Disown(*message.slot, before);
    } else if (groups()->GiveBackVisible(ParticularsAt(message), before)) {
      Enlist(mine, message);
      visible().Notify(1);
    }
  }

  // To deleted, held by the caller, who lets go of it by Drop().
  void Remove(Mine& mine, Message message, SlotWord before, OwnedCounter OwnedQueueCounts::*how) {
    Remove(mine, message, before, how, BytesOf(message, before));
  }
  // The same where the body has left the slot; it counted `bytes`.
  void Remove(Mine& mine, Message message, SlotWord before, OwnedCounter OwnedQueueCounts::*how, std::size_t bytes) {
    DisownHeld(*message.slot, before.With(Phase::kDeleted));
    CountRemoval(mine, message, before, how, bytes);
  }

  // Before MakeVisible(): what ends by it, a delay or a time in flight.
  void NoteReturned(Mine& mine, Message message, SlotWord before) {
    if (before.phase() == Phase::kDelayed) {
      mine.counts.delay_ended.Add(1);
      return;
    }
    mine.counts.returned.Add(1);
    NoteUnleased(message, before);
  }

  // ---- lines --------------------------------------------------------------------------------------------------------

  // A line has named the message and does so no more. True: it is visible and now the caller's own; `before` is set.
  bool TakeFromLine(Message message, SlotWord& before) {
    for (;;) {
      std::uint64_t seen = message.slot->word.load(std::memory_order_acquire);
      const SlotWord word(seen);
      if (word.phase() == Phase::kBusy) {
        Relax();
      } else if (word.phase() == Phase::kListed) {
        before = word.Without(SlotWord::kInLine);
        if (TryOwn(*message.slot, word)) return true;
      } else if (message.slot->word.compare_exchange_strong(seen, word.Without(SlotWord::kInLine).bits(),
                                                            std::memory_order_acq_rel, std::memory_order_relaxed)) {
        return false;
      }
    }
  }

  // The message that an entry of the line, taken by the caller, names. Frees the entry.
  static Message TakeEntry(LineSlot<T>& entry, SlotWord word) {
    const Message message{entry.segment, entry.message};
    entry.word.store(SlotWord(Phase::kDone, word.generation()).bits(), std::memory_order_release);  // after our reads
    return message;
  }

  // The message that a slot in phase kForward, taken by the caller, stands for. Frees the slot.
  static Message TakeForward(Message forward, SlotWord word) {
    const Message message{std::bit_cast<Segment*>(forward.times().first_received_at()),
                          std::bit_cast<Slot*>(forward.times().visible_at())};
    forward.slot->word.store(SlotWord(Phase::kDone, word.generation()).bits(), std::memory_order_release);
    return message;
  }

  // Puts a listed message, marked kInLine, into the line that is looked at first.
  void Enlist(Mine& mine, Message message) {
    Line& line = LineOrCreate();
    for (;;) {
      const std::uint64_t ticket = line.TakeTickets(1);
      const auto place = line.PlaceOf(ticket, mine.line_view);
      const std::uint64_t ordinal = Line::OrdinalOf(ticket);
      place.slot->segment = message.segment;
      place.slot->message = message.slot;
      if (line.Publish(*place.slot, ticket, SlotWord(Phase::kReady, ordinal))) return;
      place.slot->word.store(SlotWord(Phase::kDone, ordinal).bits(), std::memory_order_release);  // too late: again
    }
  }

 protected:
  // The caller holds the body, and everybody else sees that the message is gone.
  void CountRemoval(Mine& mine, Message message, SlotWord before, OwnedCounter OwnedQueueCounts::*how,
                    std::size_t bytes) {
    if (before.Has(SlotWord::kHasParticulars)) [[unlikely]] {
      Particulars& particulars = ParticularsAt(message);
      if (groups() != nullptr) {
        if (const auto next = groups()->Leave(particulars)) {
          Enlist(mine, MessageAtPlace(*next));
          visible().Notify(1);
        }
      }
      if (particulars.is_moved) aside()->Remove(particulars.moved_from);
      if (groups() == nullptr && particulars.tenant != nullptr) {
        if (before.phase() == Phase::kInFlight) NoteUnleased(message, before);
        if (before.phase() == Phase::kListed && WithdrawFromTenant(message, before)) {
          // Acquire and release: what others did to the word stays ordered.
          message.slot->word.fetch_and(~std::uint64_t{SlotWord::kInLine}, std::memory_order_acq_rel);
        }
        tenants()->Forget(particulars.tenant);
      }
    }
    if (before.phase() != Phase::kInFlight) mine.counts.removed_waiting.Add(1);
    if (before.phase() == Phase::kDelayed) mine.counts.removed_delayed.Add(1);
    (mine.counts.*how).Add(1);
    mine.counts.removed_bytes.Add(bytes);
    this->AnnounceRemoval();
  }

  BodyHolders holders_;

 private:
  // Of a message of a standard queue with a group.
  Particulars* GroupedParticulars(Message message, SlotWord word) {
    if (!word.Has(SlotWord::kHasParticulars) || groups() != nullptr) [[likely]]
      return nullptr;
    Particulars& particulars = ParticularsAt(message);
    return particulars.tenant == nullptr ? nullptr : &particulars;
  }

  // False: the place was skipped before we came.
  bool EnlistAtTheBack(Mine& mine, Message message) {
    const std::uint64_t ticket = lane().TakeTickets(1);
    const auto place = lane().PlaceOf(ticket, mine.view);
    const std::uint64_t ordinal = Lane::OrdinalOf(ticket);
    LeaseTimes& times = Message{place.segment, place.slot}.TimesToWrite();  // of a place that no message has
    times.set_visible_at(std::bit_cast<std::int64_t>(message.slot));
    times.set_first_received_at(std::bit_cast<std::int64_t>(message.segment));
    if (lane().Publish(*place.slot, ticket, SlotWord(Phase::kForward, ordinal))) return true;
    place.slot->word.store(SlotWord(Phase::kDone, ordinal).bits(), std::memory_order_release);
    return false;
  }

  void NoteLeased(Message message, SlotWord before, std::int64_t now) {
    if (Particulars* const particulars = GroupedParticulars(message, before)) {
      particulars->leased_at = now;
      tenants()->Leased(particulars->tenant, Sums().in_flight(), now);
    }
  }

  void NoteUnleased(Message message, SlotWord before) {
    if (Particulars* const particulars = GroupedParticulars(message, before)) {
      const std::int64_t now = Now();
      tenants()->Unleased(particulars->tenant, now - particulars->leased_at, now);
    }
  }

  // True: no line names the message any more.
  bool WithdrawFromTenant(Message message, SlotWord before) {
    Particulars* const particulars = GroupedParticulars(message, before);
    return particulars != nullptr &&
           tenants()->Withdraw(particulars->tenant, particulars->place_in_line, TicketOf(message));
  }
};

}  // namespace decouple::internal

#endif  // DECOUPLE_INTERNAL_MESSAGE_TRANSITIONS_H_
