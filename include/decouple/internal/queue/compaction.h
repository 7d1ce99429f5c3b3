// Gives segments back whose messages are gone, and moves the last ones out of a segment that is nearly empty.

#ifndef DECOUPLE_INTERNAL_QUEUE_COMPACTION_H_
#define DECOUPLE_INTERNAL_QUEUE_COMPACTION_H_

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <memory>
#include <utility>

#include "decouple/internal/base/rcu.h"
#include "decouple/internal/lane/retired_segments.h"
#include "decouple/internal/message/message_metadata.h"
#include "decouple/internal/message/message_store.h"
#include "decouple/internal/message/moved_messages.h"

namespace decouple::internal {

template <typename T>
class Compaction {
 public:
  using Store = MessageStore<T>;
  using Slot = typename Store::Slot;
  using Lane = typename Store::Lane;
  using Segment = typename Store::Segment;
  using Message = typename Store::Message;
  using LocalState = typename Store::LocalState;

  explicit Compaction(Store& store) : store_(store) {}

  // Some of both, now and then. Outside of any section.
  void Tidy(LocalState& local) {
    store_.ForEachLane([&](Lane& lane) {
      for (const SparseSegment& sparse : lane.RetireRound()) MoveAllOf(local, lane, sparse);
    });
  }

 private:
  struct Owned {
    Segment* segment = nullptr;
    std::uint64_t slots = 0;  // a bit each
    std::array<SlotState, kSlotsPerSegment> before;
  };

  void MoveAllOf(LocalState& local, Lane& lane, const SparseSegment& sparse) {
    Owned owned;
    {
      const RcuReadGuard section;  // until we own a slot, the segment may go
      Segment* const segment = lane.pool().Find(sparse.number);
      if (segment == nullptr || segment->ordinal.load(std::memory_order_acquire) != sparse.ordinal) return;
      if (!IsWorthwhile(*segment, sparse.ordinal)) return;
      owned.segment = segment;
      for (std::uint32_t i = 0; i < kSlotsPerSegment; ++i) {
        const SlotState word(segment->slots[i].word.load(std::memory_order_acquire));
        if (!word.IsOf(sparse.ordinal) || !IsMovable(word) || !Store::TryLock(segment->slots[i], word)) continue;
        owned.slots |= 1ULL << i;
        owned.before[i] = word;
      }
    }
    for (std::uint64_t bits = owned.slots; bits != 0; bits &= bits - 1) {
      const int i = std::countr_zero(bits);
      Move(local, {owned.segment, &owned.segment->slots[i]}, owned.before[static_cast<std::size_t>(i)]);
    }
  }

  // Nothing of the segment would stay.
  bool IsWorthwhile(Segment& segment, std::uint64_t ordinal) const {
    return std::all_of(std::begin(segment.slots), std::end(segment.slots), [&](const Slot& slot) {
      const SlotState word(slot.word.load(std::memory_order_acquire));
      return word.IsFree(ordinal) || (word.IsOf(ordinal) && IsMovable(word));
    });
  }

  // Visible ones only of FIFO queues, where those that no line names lie behind another of their group.
  bool IsMovable(SlotState word) const {
    const bool is_waiting = word.phase() == Phase::kInFlight || word.phase() == Phase::kDelayed ||
                            (word.phase() == Phase::kVisibleAgain && store_.groups() != nullptr);
    return is_waiting && !word.Has(SlotState::kReferenced | SlotState::kMoreReferences | SlotState::kQueued);
  }

  // Of a slot that the caller owns. Who looks for the message by its ticket finds the slot owned, then over, and then
  // looks aside, where the message is by then.
  void Move(LocalState& local, Message from, SlotState before) {
    MovedMessages<T>& aside = store_.MovedMessagesOrCreate();
    const std::uint64_t ticket = aside.lane().TakeTickets(1);
    const auto place = aside.lane().PlaceOf(ticket, local.moved_cursor);
    const Message to{place.segment, place.slot};
    to.slot->sent_at.store(from.slot->sent_at.load(std::memory_order_relaxed), std::memory_order_relaxed);
    const std::int64_t visible_at = from.times().visible_at();
    LeaseTimes& times = to.TimesToWrite();
    times.set_visible_at(visible_at);
    times.set_first_received_at(from.times().first_received_at());

    const std::uint64_t original = store_.TicketOf(from);
    auto metadata = std::make_unique<MessageMetadata>();
    const bool has_some = before.Has(SlotState::kHasMetadata);
    if (has_some && store_.groups() == nullptr) metadata->TakeFrom(Store::MetadataAt(from));
    metadata->is_moved = true;
    metadata->moved_from = original;
    const bool is_shared = before.Has(SlotState::kShared);
    const std::uint32_t body_marks =
        is_shared ? to.slot->Share(&from.slot->shared()) : to.slot->Construct(std::move(from.slot->body()));
    to.segment->data.Put(Store::PlaceOf(to), std::move(metadata));
    aside.Add(original, to);
    const SlotState moved(before.phase(), Lane::OrdinalOf(ticket), body_marks | SlotState::kHasMetadata,
                          before.receive_count());
    Lane::PublishUnclaimable(*to.slot, moved.With(Phase::kBusy));  // it cannot end meanwhile
    aside.lane().ForgetSkip(ticket);
    store_.LowerDeadline(*to.segment, std::min(visible_at, store_.RetentionEnd(*to.slot)));
    if (store_.groups() == nullptr) {
      Store::Unlock(*to.slot, moved);
    } else if (store_.groups()->Relocate(Store::MetadataAt(from), Store::MetadataAt(to), {to.segment, to.slot},
                                         moved)) {
      store_.Requeue(local, to);
      store_.visible().Notify(1);
    }
    while (aside.lane().Claim(local.moved_cursor, kSlotsPerSegment, kOpenGate, WantAll()).size != 0) {
    }

    if (has_some) from.segment->data.Clear(Store::PlaceOf(from));
    const SlotState over = before.Without(SlotState::kHasMetadata);
    if (is_shared) {
      Store::FreeLast(from, over);  // its hold is with the other slot
    } else {
      Store::Unlock(*from.slot, over.With(Phase::kDeleted).With(SlotState::kReferenced));
      store_.ReleaseReference(from);
    }
  }

  Store& store_;
};

}  // namespace decouple::internal

#endif  // DECOUPLE_INTERNAL_QUEUE_COMPACTION_H_
