// Receiving: which visible messages come next, and making them the receiver's for a while.
//
// First those that are visible again (the line of returned messages), then the lane in the order of sending. From the
// first message with a group on, the tenants' lines are served in between: quiet ones in the order of sending together
// with the lane, then those of noisy tenants (SQS's fair queues).

#ifndef DECOUPLE_INTERNAL_QUEUE_STANDARD_RECEIVER_H_
#define DECOUPLE_INTERNAL_QUEUE_STANDARD_RECEIVER_H_

#include <algorithm>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>

#include "decouple/internal/message/message_metadata.h"
#include "decouple/internal/message/message_store.h"
#include "decouple/internal/queue/compaction.h"
#include "decouple/internal/queue/in_flight_limit.h"
#include "decouple/internal/queue/receive_grant.h"

namespace decouple::internal {

template <typename T>
class StandardReceiver {
 public:
  using Store = MessageStore<T>;
  using Slot = typename Store::Slot;
  using Lane = typename Store::Lane;
  using RedeliveryLane = typename Store::RedeliveryLane;
  using Segment = typename Store::Segment;
  using Message = typename Store::Message;
  using LocalState = typename Store::LocalState;
  using Claimant = typename InFlightLimit<T>::Claimant;

  using Request = LeaseRequest;

  StandardReceiver(Store& store, InFlightLimit<T>& limit, ReceiveGrant<T>& grant, Compaction<T>& moves)
      : store_(store), limit_(limit), grant_(grant), moves_(moves) {}

  // Leases up to `request.most` messages and calls sink(message, word) for each, held. Returns false if it
  // gave none only because the limit of messages in flight is reached.
  template <typename Sink>
  bool Lease(LocalState& local, const Request& request, Sink& sink) {
    std::uint32_t missing = request.most;
    for (;;) {
      std::optional<Claimant> gated;
      FromLine(local, request, missing, gated, sink);
      if (store_.fair_scheduler() == nullptr) [[likely]] {
        if (!gated) FromLane(local, request, missing, gated, sink);
      } else {
        while (missing > 0 && !gated && OneFairly(local, request, missing, gated, sink)) {
        }
      }
      if (!gated || missing == 0) [[likely]]
        return true;
      if (!limit_.OpenFor(*gated)) return missing < request.most || !IsSomethingVisible(local, request);
    }
  }

  // Consecutive slots, one at least, that have been claimed where the thread received last. Returns how many it gave;
  // the others were past their retention.
  template <typename Sink>
  [[gnu::noinline]] std::uint32_t LeaseClaimed(LocalState& local, const Request& request, std::span<Slot> slots,
                                               Sink sink) {
    Segment* const segment = local.cursor.receive_segment;
    const auto first = static_cast<std::uint32_t>(slots.data() - segment->slots);
    const auto claimed = static_cast<std::uint32_t>(slots.size());
    const typename Lane::Run run{.segment = segment,
                                 .ordinal = Lane::OrdinalOf(local.cursor.receive_first),
                                 .first = first,
                                 .size = claimed,
                                 .taken = ~std::uint64_t{0} >> (kSlotsPerSegment - claimed),
                                 .ends_round = store_.lane().EndsRound(local.cursor.receive_first + first + claimed)};
    std::uint32_t missing = claimed;
    LeaseRun(local, request, run, missing, sink);
    if (run.ends_round) moves_.Tidy(local);
    return claimed - missing;
  }

 private:
  template <typename Sink>
  void FromLine(LocalState& local, const Request& request, std::uint32_t& missing, std::optional<Claimant>& gated,
                Sink& sink) {
    RedeliveryLane* const line = store_.redelivery_lane();
    if (line == nullptr) [[likely]]
      return;
    while (missing > 0) {
      const auto run = line->Claim(local.redelivery_cursor, missing, limit_.redelivery_gate(), WantAll());
      if (run.size == 0) {
        if (run.gated) gated = Claimant::kLine;
        return;
      }
      local.counts.not_leased.Add(run.size - run.taken_count());
      run.ForEachTaken([&](auto& entry, SlotState word) {
        LeaseListed(local, request, Store::TakeEntry(entry, word), missing, sink);
      });
      if (run.ends_round) line->RetireRound();
    }
  }

  template <typename Sink>
  void FromLane(LocalState& local, const Request& request, std::uint32_t& missing, std::optional<Claimant>& gated,
                Sink& sink) {
    Lane& lane = store_.lane();
    while (missing > 0) {
      const auto run = lane.Claim(local.cursor, missing, limit_.lane_gate(), WantAll());
      if (run.size == 0) {
        if (run.gated) gated = Claimant::kLane;
        return;
      }
      local.counts.not_leased.Add(run.size - run.taken_count());
      if (run.taken != 0) LeaseRun(local, request, run, missing, sink);
      if (run.ends_round) moves_.Tidy(local);
    }
  }

  template <typename Sink>
  void LeaseRun(LocalState& local, const Request& request, const typename Lane::Run& run, std::uint32_t& missing,
                Sink& sink) {
    // One deadline for the whole run, before any word is stored. What is no message may only make it too early.
    std::int64_t deadline = request.visible_at;
    run.ForEachTaken([&](const Slot& slot, SlotState) {
      const std::int64_t end = store_.RetentionEnd(slot);
      if (end > request.now) deadline = std::min(deadline, end);
    });
    store_.LowerDeadline(*run.segment, deadline);

    std::uint32_t leased = 0;
    run.ForEachTaken([&](Slot& slot, SlotState word) {
      const Message message{run.segment, &slot};
      if (word.phase() == Phase::kRequeued) [[unlikely]] {
        LeaseListed(local, request, Store::TakeRequeued({run.segment, &slot}, word), missing, sink);
      } else if (store_.RetentionEnd(slot) <= request.now) [[unlikely]] {
        grant_.RemoveExpired(local, message, word);
      } else {
        sink(message, Store::LeaseReady(slot, message.TimesToWrite(), request.now, request.visible_at));
        ++leased;
      }
    });
    local.counts.received.Add(leased);
    missing -= leased;
  }

  // One message of a queue that has groups. False: there is none, or a gate is closed.
  template <typename Sink>
  bool OneFairly(LocalState& local, const Request& request, std::uint32_t& missing, std::optional<Claimant>& gated,
                 Sink& sink) {
    FairScheduler& fair_scheduler = *store_.fair_scheduler();
    const std::int64_t in_flight = store_.Sums().in_flight();
    const auto may_take = [&] {
      if (limit_.ClaimSingle(1) != 0) return true;
      gated = Claimant::kSingle;
      return false;
    };
    const auto lease = [&](const std::optional<SlotRef>& place) {
      if (!place) return false;
      LeaseListed(local, request, {static_cast<Segment*>(place->segment), static_cast<Slot*>(place->slot)}, missing,
                  sink);
      return true;
    };
    PassWhatIsListed(local);
    if (lease(fair_scheduler.NextQuiet(store_.lane().head(), in_flight, request.now, may_take))) return true;
    if (gated) return false;
    std::uint32_t one = 1;
    FromLane(local, request, one, gated, sink);
    missing -= 1 - one;
    if (one == 0) return true;
    if (gated) return false;
    constexpr auto kAny = std::numeric_limits<std::uint64_t>::max();
    if (lease(fair_scheduler.NextQuiet(kAny, in_flight, request.now, may_take))) return true;
    return !gated && lease(fair_scheduler.NextNoisy(in_flight, request.now, may_take));
  }

  // Moves the head to the next message that is no tenant's, so that its place says how old that one is.
  void PassWhatIsListed(LocalState& local) {
    for (;;) {
      const auto run = store_.lane().Claim(local.cursor, kSlotsPerSegment, kOpenGate, WantNone);
      if (run.size == 0) return;
      local.counts.not_leased.Add(run.size);
      if (run.ends_round) moves_.Tidy(local);
    }
  }

  static bool WantNone(const Slot&, SlotState) { return false; }

  // Whether the limit keeps us from anything: a gate is closed to what only seems to be there, too.
  bool IsSomethingVisible(LocalState& local, const Request& request) {
    bool found = false;
    for (RedeliveryLane* const line = store_.redelivery_lane(); line != nullptr && !found;) {
      const auto run = line->Claim(local.redelivery_cursor, 1, kOpenGate, WantAll());
      if (run.size == 0) break;
      local.counts.not_leased.Add(run.size);
      run.ForEachTaken(
          [&](auto& entry, SlotState word) { found = IsListedStill(local, Store::TakeEntry(entry, word)); });
      if (run.ends_round) line->RetireRound();
    }
    while (!found) {
      bool saw_ready = false;
      const auto run = store_.lane().Claim(local.cursor, 1, kOpenGate, [&](const Slot& slot, SlotState word) {
        saw_ready = word.phase() == Phase::kReady && store_.RetentionEnd(slot) > request.now;
        return !saw_ready;
      });
      if (run.size == 0) {
        found = saw_ready;
        break;
      }
      local.counts.not_leased.Add(run.size - run.taken_count());
      run.ForEachTaken([&](Slot& slot, SlotState word) {
        if (word.phase() == Phase::kReady) {
          grant_.RemoveExpired(local, {run.segment, &slot}, word);
        } else {
          local.counts.not_leased.Add(1);
          found = IsListedStill(local, Store::TakeRequeued({run.segment, &slot}, word));
        }
      });
      if (run.ends_round) moves_.Tidy(local);
    }
    return found || (store_.fair_scheduler() != nullptr && store_.fair_scheduler()->IsAnyWaiting());
  }

  // Of a message that a line named until now; if it is visible a line names it again.
  bool IsListedStill(LocalState& local, Message message) {
    SlotState before;
    if (!store_.TakeFromRedelivery(message, before)) return false;
    store_.MakeVisible(local, message, before);
    store_.visible().Notify(1);
    return true;
  }

  // A message that a line named until now.
  template <typename Sink>
  void LeaseListed(LocalState& local, const Request& request, Message message, std::uint32_t& missing, Sink& sink) {
    SlotState before;
    if (store_.TakeFromRedelivery(message, before)) {
      if (grant_.Grant(local, request, message, before, sink)) --missing;
    } else {
      local.counts.not_leased.Add(1);
    }
  }

  Store& store_;
  InFlightLimit<T>& limit_;
  ReceiveGrant<T>& grant_;
  Compaction<T>& moves_;
};

}  // namespace decouple::internal

#endif  // DECOUPLE_INTERNAL_QUEUE_STANDARD_RECEIVER_H_
