// Receiving from a FIFO queue: the first message of the group that has waited longest, then those behind it in its
// group, then from the next group.
//
// The store's line names the first messages of groups, in the order in which they became receivable. One is taken from
// the line and owned; then its group is locked and walked as far as messages are visible. While the first is in flight
// nobody finds its group.
//
// Of the limit of messages in flight, who wants one message claims it by its place in the line, which he takes anyway (a
// tenth of a send, receive and delete less). Who wants several claims them one by one, as it is not known beforehand how
// many a group has.

#ifndef DECOUPLE_INTERNAL_FIFO_FIFO_RECEIVER_H_
#define DECOUPLE_INTERNAL_FIFO_FIFO_RECEIVER_H_

#include <atomic>
#include <cstdint>
#include <mutex>

#include "decouple/internal/base/rcu.h"
#include "decouple/internal/message/message_metadata.h"
#include "decouple/internal/message/message_store.h"
#include "decouple/internal/queue/compaction.h"
#include "decouple/internal/queue/in_flight_limit.h"
#include "decouple/internal/queue/receive_grant.h"
#include "decouple/internal/queue/timeout_sweep.h"

namespace decouple::internal {

template <typename T>
class FifoReceiver {
 public:
  using Store = MessageStore<T>;
  using Message = typename Store::Message;
  using LocalState = typename Store::LocalState;
  using RedeliveryLane = typename Store::RedeliveryLane;
  using Limit = InFlightLimit<T>;

  FifoReceiver(Store& store, Limit& limit, TimeoutSweep<T>& sweep, ReceiveGrant<T>& grant, Compaction<T>& moves)
      : store_(store), limit_(limit), sweep_(sweep), grant_(grant), moves_(moves) {}

  // Leases up to `request.most` messages and calls sink(message, word) for each, held. Returns false if it
  // gave none only because the limit of messages in flight is reached.
  template <typename Sink>
  bool Lease(LocalState& local, const LeaseRequest& request, Sink& sink) {
    return request.most == 1 ? LeaseOne(local, request, sink) : LeaseSeveral(local, request, sink);
  }

 private:
  // What its place in the line claims and no lease comes of is counted where that is found out.
  template <typename Sink>
  bool LeaseOne(LocalState& local, const LeaseRequest& request, Sink& sink) {
    for (bool has_swept = false; !IsNothingListed();) {
      Message first;
      SlotState before;
      switch (TakeFirst(local, limit_.redelivery_gate(), first, before)) {
        case Taken::kNone:
          return true;
        case Taken::kGated:
          if (limit_.OpenFor(Limit::Claimant::kLine)) break;
          if (has_swept || store_.earliest().get() > request.now) return false;
          sweep_.RunAll(local, request.now);  // what is in flight only until somebody works it off makes room
          has_swept = true;
          break;
        case Taken::kOne:
          if (grant_.Grant(local, request, first, before, sink)) return true;
      }
    }
    return true;
  }

  template <typename Sink>
  bool LeaseSeveral(LocalState& local, const LeaseRequest& request, Sink& sink) {
    std::uint32_t given = 0;
    while (given < request.most && !IsNothingListed()) {
      // All that may be given, before a group is touched: what is not given of it now waits until the rest comes back.
      std::uint32_t claimed = Claim(request.most - given);
      if (claimed < request.most && given == 0 && store_.earliest().get() <= request.now) {
        sweep_.RunAll(local, request.now);  // as above
        claimed += Claim(request.most - claimed);
      }
      if (claimed == 0) return given > 0;
      Message first;
      SlotState before;
      std::uint32_t used = 0;
      if (TakeFirst(local, kOpenGate, first, before) == Taken::kNone) {
        given = request.most;  // there is no more
      } else {
        local.counts.not_leased.Add(1);  // the place in the line, which is no claim here
        if (grant_.IsOver(local, request.now, first, before)) {
          used = 1;
        } else {
          used = LeaseGroup(local, request, first, before, claimed, sink);
          given += used;
        }
      }
      local.counts.not_leased.Add(claimed - used);
    }
    return true;
  }

  bool IsNothingListed() const {
    const RedeliveryLane* const line = store_.redelivery_lane();
    return line == nullptr || line->head() >= line->tail();
  }

  // As many of the limit as are asked for, or as there are.
  std::uint32_t Claim(std::uint32_t most) {
    std::uint32_t claimed = 0;
    while (claimed < most) {
      const std::uint32_t more = limit_.ClaimSingle(most - claimed);
      claimed += more;
      if (more == 0 && !limit_.OpenFor(Limit::Claimant::kSingle)) break;
    }
    return claimed;
  }

  enum class Taken { kOne, kNone, kGated };

  // The next that the line names and that is still visible; it is the caller's then, and its place in the line is
  // claimed. kGated: there is one, but none may be claimed.
  Taken TakeFirst(LocalState& local, const std::atomic<std::uint64_t>& gate, Message& first, SlotState& before) {
    RedeliveryLane& line = *store_.redelivery_lane();
    for (;;) {
      const auto place = line.ClaimNext(RcuReadGuard(), local.redelivery_cursor, gate);
      if (place != RedeliveryLane::kNoPlace) [[likely]] {
        auto& entry = local.redelivery_cursor.receive_segment->slots[place];
        const SlotState word(entry.word.load(std::memory_order_relaxed));  // as the claim acquired it
        first = Store::TakeEntry(entry, word);
      } else if (const Taken taken = TakeNextSlow(local, line, gate, first); taken != Taken::kOne) {
        return taken;
      }
      if (store_.TakeFromRedelivery(first, before)) return Taken::kOne;
      local.counts.not_leased.Add(1);
    }
  }

  [[gnu::noinline]] Taken TakeNextSlow(LocalState& local, RedeliveryLane& line, const std::atomic<std::uint64_t>& gate,
                                       Message& first) {
    for (;;) {
      const auto run = line.Claim(local.redelivery_cursor, 1, gate, WantAll());
      if (run.size == 0) return run.gated ? Taken::kGated : Taken::kNone;
      local.counts.not_leased.Add(run.size - run.taken_count());
      run.ForEachTaken([&](auto& entry, SlotState word) { first = Store::TakeEntry(entry, word); });
      if (run.ends_round) {
        line.RetireRound();
        moves_.CompactSome(local);
      }
      if (run.taken != 0) return Taken::kOne;
    }
  }

  // The first of a group, and as many behind it as there are, up to `most`. Returns how many.
  template <typename Sink>
  std::uint32_t LeaseGroup(LocalState& local, const LeaseRequest& request, Message first, SlotState before,
                           std::uint32_t most, Sink& sink) {
    if (most == 1) {  // nobody looks behind it
      grant_.Lease(local, request, first, before, sink);
      return 1;
    }
    const MessageMetadata& metadata = Store::MetadataAt(first);
    const auto lock = store_.groups()->Lock(metadata);
    // Its group's order is locked, so what is next stays: whoever deletes the first has to take it out of the order.
    const MessageMetadata* next = metadata.in_group.later;
    grant_.Lease(local, request, first, before, sink);
    std::uint32_t leased = 1;
    for (; leased < most && next != nullptr; ++leased, next = next->in_group.later) {
      const Message message = Store::MessageAtPlace(next->in_group.place);
      if (!MayFollow(request.now, message) || !TryOwnVisible(local, request.now, message, before)) break;
      grant_.Lease(local, request, message, before, sink);
    }
    return leased;
  }

  // A look ahead: a message behind the first that is visible, or due to be. (One that is past its retention, or was
  // received too often, ends the run: it is dealt with when it is the first.)
  bool MayFollow(std::int64_t now, Message message) const {
    const SlotState word(message.slot->word.load(std::memory_order_acquire));
    return IsVisible(now, message, word) && store_.RetentionEnd(*message.slot) > now &&
           !grant_.IsReceivedTooOften(word);
  }

  // In a locked group, so others may own the slot, and we do not wait for them: then the run ends.
  bool TryOwnVisible(LocalState& local, std::int64_t now, Message message, SlotState& before) {
    for (;;) {
      before = SlotState(message.slot->word.load(std::memory_order_acquire));
      if (!IsVisible(now, message, before)) return false;
      if (!Store::TryLock(*message.slot, before)) continue;  // a mark has changed, or somebody else owns it
      if (IsVisible(now, message, before)) break;
      Store::Unlock(*message.slot, before);  // its timeout was changed in between
      return false;
    }
    if (before.phase() == Phase::kInFlight) store_.NoteReturned(local, message, before);
    return true;
  }

  // Those whose time is up are visible, though nobody has worked that off.
  static bool IsVisible(std::int64_t now, Message message, SlotState word) {
    const bool waits = word.phase() == Phase::kInFlight || word.phase() == Phase::kDelayed;
    return word.phase() == Phase::kVisibleAgain || (waits && message.times().visible_at() <= now);
  }

  Store& store_;
  Limit& limit_;
  TimeoutSweep<T>& sweep_;
  ReceiveGrant<T>& grant_;
  Compaction<T>& moves_;
};

}  // namespace decouple::internal

#endif  // DECOUPLE_INTERNAL_FIFO_FIFO_RECEIVER_H_
