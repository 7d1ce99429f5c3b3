// Receiving from a FIFO queue: the first message of the group that has waited longest, then those behind it in its
// group, then from the next group.
//
// The store's line names the first messages of groups, in the order in which they became receivable. One is taken from
// the line and owned; then its group is locked and walked as far as messages are visible. While the first is in flight
// nobody finds its group.

#ifndef DECOUPLE_INTERNAL_FIFO_LEASING_H_
#define DECOUPLE_INTERNAL_FIFO_LEASING_H_

#include <cstdint>
#include <mutex>

#include "decouple/internal/handover.h"
#include "decouple/internal/in_flight_limit.h"
#include "decouple/internal/message_store.h"
#include "decouple/internal/straggler_move.h"

namespace decouple::internal {

template <typename T>
class FifoLeasing {
 public:
  using Store = MessageStore<T>;
  using Message = typename Store::Message;
  using Mine = typename Store::Mine;
  using Line = typename Store::Line;
  using Limit = InFlightLimit<T>;

  FifoLeasing(Store& store, Limit& limit, Handover<T>& handover, StragglerMove<T>& moves)
      : store_(store), limit_(limit), handover_(handover), moves_(moves) {}

  // Leases up to `request.most` messages and calls sink(message, receive_count) for each, held. Returns false if it
  // gave none only because the limit of messages in flight is reached.
  template <typename Sink>
  bool Lease(Mine& mine, const LeaseRequest& request, Sink& sink) {
    std::uint32_t missing = request.most;
    while (missing > 0) {
      Line* const line = store_.line();
      if (line == nullptr || line->head() >= line->tail()) return true;
      if (!Claim()) return missing < request.most;
      Message first;
      SlotWord before;
      if (!TakeFirst(mine, *line, first, before)) {
        mine.counts.not_leased.Add(1);
        return true;
      }
      if (handover_.IsOver(mine, request.now, first, before)) continue;
      if (!LeaseGroup(mine, request, first, before, missing, sink)) return true;
    }
    return true;
  }

 private:
  // To take one message, whichever.
  bool Claim() { return limit_.ClaimOne() || (limit_.OpenFor(Limit::Claimant::kSingle) && limit_.ClaimOne()); }

  // The next that a line names and that is still visible; it is the caller's then.
  bool TakeFirst(Mine& mine, Line& line, Message& first, SlotWord& before) {
    for (;;) {
      const auto run = line.Claim(mine.line_view, 1, kOpenGate, WantAll());
      if (run.size == 0) return false;
      mine.counts.not_leased.Add(run.size);  // what is claimed of the limit is claimed one by one
      bool taken = false;
      run.ForEachTaken([&](auto& entry, SlotWord word) {
        first = Store::TakeEntry(entry, word);
        taken = store_.TakeFromLine(first, before);
      });
      if (run.reached_end) {
        line.TryRetire(2);
        moves_.Tidy(mine);
      }
      if (taken) return true;
    }
  }

  // The first of a group, and as many behind it as there are and may be given. False: the limit ended it.
  template <typename Sink>
  bool LeaseGroup(Mine& mine, const LeaseRequest& request, Message first, SlotWord before, std::uint32_t& missing,
                  Sink& sink) {
    const Particulars& particulars = *Store::ParticularsAt(first);
    const std::lock_guard lock(*particulars.in_group.group->mutex);
    // Its group's order is locked, so what is next stays: whoever deletes the first has to take it out of the order.
    const Particulars* next = particulars.in_group.later;
    handover_.Lease(mine, request, first, before, sink);
    for (--missing; missing > 0 && next != nullptr; --missing, next = next->in_group.later) {
      const Message message = Store::MessageAtPlace(next->in_group.place);
      if (!MayFollow(request.now, message)) return true;
      if (!Claim()) return false;
      if (!TryOwnVisible(mine, request.now, message, before)) {
        mine.counts.not_leased.Add(1);
        return true;
      }
      handover_.Lease(mine, request, message, before, sink);
    }
    return true;
  }

  // A look ahead: a message behind the first that is visible, or due to be. (One that is past its retention, or was
  // received too often, ends the run: it is dealt with when it is the first.)
  bool MayFollow(std::int64_t now, Message message) const {
    const SlotWord word(message.slot->word.load(std::memory_order_acquire));
    return IsVisible(now, message, word) && store_.RetentionEnd(*message.slot) > now &&
           !handover_.IsReceivedTooOften(word);
  }

  // In a locked group, so others may own the slot, and we do not wait for them: then the run ends.
  bool TryOwnVisible(Mine& mine, std::int64_t now, Message message, SlotWord& before) {
    for (;;) {
      before = SlotWord(message.slot->word.load(std::memory_order_acquire));
      if (!IsVisible(now, message, before)) return false;
      if (!Store::TryOwn(*message.slot, before)) continue;  // a mark has changed, or somebody else owns it
      if (IsVisible(now, message, before)) break;
      Store::Disown(*message.slot, before);  // its timeout was changed in between
      return false;
    }
    if (before.phase() == Phase::kInFlight) store_.NoteReturned(mine, message, before);
    return true;
  }

  // Those whose time is up are visible, though nobody has worked that off.
  static bool IsVisible(std::int64_t now, Message message, SlotWord word) {
    const bool waits = word.phase() == Phase::kInFlight || word.phase() == Phase::kDelayed;
    return word.phase() == Phase::kListed || (waits && message.slot->visible_at.load(std::memory_order_relaxed) <= now);
  }

  Store& store_;
  Limit& limit_;
  Handover<T>& handover_;
  StragglerMove<T>& moves_;
};

}  // namespace decouple::internal

#endif  // DECOUPLE_INTERNAL_FIFO_LEASING_H_
