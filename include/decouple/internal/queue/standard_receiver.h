// The receive order of a standard queue: which visible messages come next, and their leases.
//
// First come messages that are visible again, from the redelivery lane, then the lane in the order of sending. In a
// queue that has had a message with a group, the fair scheduler is served in between: messages of quiet tenants in the
// order of sending together with the lane, and after both those of noisy tenants (SQS's fair queues).
//
// Here a message is called queued if an entry of the redelivery lane, a slot in phase kRequeued or the fair scheduler
// names it. The receiver takes the name first, so that nothing names the message any more, and then learns from
// UnqueueAndTryLock() whether the message is still visible.

#ifndef DECOUPLE_INTERNAL_QUEUE_STANDARD_RECEIVER_H_
#define DECOUPLE_INTERNAL_QUEUE_STANDARD_RECEIVER_H_

#include <algorithm>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>

#include "decouple/internal/base/assert.h"
#include "decouple/internal/message/message_metadata.h"
#include "decouple/internal/message/message_store.h"
#include "decouple/internal/queue/compaction.h"
#include "decouple/internal/queue/in_flight_limit.h"
#include "decouple/internal/queue/receive_grant.h"

namespace decouple::inline v0_1::internal {

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

  StandardReceiver(Store& store, InFlightLimit<T>& limit, ReceiveGrant<T>& grant, Compaction<T>& compaction)
      : store_(store), limit_(limit), grant_(grant), compaction_(compaction) {}

  // Leases up to `request.most` messages and calls sink(message, word) for each; the sink holds a reference to the
  // message from then on. Returns false if it leased none only because the limit of messages in flight is reached.
  template <typename Sink>
  bool Lease(LocalState& local, const Request& request, Sink& sink) {
    DECOUPLE_ASSERT(request.most >= 1);
    std::uint32_t missing = request.most;
    for (;;) {
      std::optional<Claimant> gated;
      LeaseFromRedeliveryLane(local, request, missing, gated, sink);
      if (store_.fair_scheduler() == nullptr) [[likely]] {
        if (!gated) LeaseFromLane(local, request, missing, gated, sink);
      } else {
        while (missing > 0 && !gated && LeaseOneFairly(local, request, missing, gated, sink)) {
        }
      }
      if (!gated || missing == 0) [[likely]]
        return true;
      if (!limit_.TryOpenGates(*gated)) return missing < request.most || !IsAnyVisible(local, request);
    }
  }

  // Leases messages in consecutive slots, at least one, that the caller has claimed in the segment where it received
  // last. Returns how many; the others were past their retention.
  template <typename Sink>
  [[gnu::noinline]] std::uint32_t LeaseClaimed(LocalState& local, const Request& request, std::span<Slot> slots,
                                               Sink sink) {
    Segment* const segment = local.cursor.receive_segment;
    const auto first = static_cast<std::uint32_t>(slots.data() - segment->slots);
    const auto claimed = static_cast<std::uint32_t>(slots.size());
    DECOUPLE_ASSERT(claimed >= 1 && first + claimed <= kSlotsPerSegment);
    const typename Lane::Run run{.segment = segment,
                                 .ordinal = Lane::OrdinalOf(local.cursor.receive_first),
                                 .first = first,
                                 .size = claimed,
                                 .taken = ~std::uint64_t{0} >> (kSlotsPerSegment - claimed),
                                 .ends_round = store_.lane().EndsRound(local.cursor.receive_first + first + claimed)};
    std::uint32_t missing = claimed;
    LeaseRun(local, request, run, missing, sink);
    if (run.ends_round) compaction_.CompactSome(local);
    return claimed - missing;
  }

 private:
  template <typename Sink>
  void LeaseFromRedeliveryLane(LocalState& local, const Request& request, std::uint32_t& missing,
                               std::optional<Claimant>& gated, Sink& sink) {
    RedeliveryLane* const lane = store_.redelivery_lane();
    if (lane == nullptr) [[likely]]
      return;
    while (missing > 0) {
      const auto run = lane->Claim(local.redelivery_cursor, missing, limit_.redelivery_gate(), WantAll());
      if (run.size == 0) {
        if (run.gated) gated = Claimant::kRedeliveryLane;
        return;
      }
      local.counts.not_leased.Add(run.size - run.taken_count());
      run.ForEachTaken([&](auto& entry, SlotState word) {
        LeaseQueued(local, request, Store::ConsumeRedeliverySlot(entry, word), missing, sink);
      });
      if (run.ends_round) lane->ReclaimRound();
    }
  }

  template <typename Sink>
  void LeaseFromLane(LocalState& local, const Request& request, std::uint32_t& missing, std::optional<Claimant>& gated,
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
      if (run.ends_round) compaction_.CompactSome(local);
    }
  }

  // Requires: the caller has claimed the run.
  template <typename Sink>
  void LeaseRun(LocalState& local, const Request& request, const typename Lane::Run& run, std::uint32_t& missing,
                Sink& sink) {
    // One deadline for the whole run, lowered before any word is stored. A slot without a message can only make it too
    // early.
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
        LeaseQueued(local, request, Store::ConsumeRequeuedSlot({run.segment, &slot}, word), missing, sink);
      } else if (store_.RetentionEnd(slot) <= request.now) [[unlikely]] {
        grant_.RemoveExpired(local, message, word);
      } else {
        DECOUPLE_ASSERT(word.phase() == Phase::kReady);
        sink(message, Store::LeaseReady(slot, message.TimesToWrite(), request.now, request.visible_at));
        ++leased;
      }
    });
    local.counts.received.Add(leased);
    DECOUPLE_ASSERT(leased <= missing);
    missing -= leased;
  }

  // Leases one message of a queue that has a fair scheduler. False: there is none, or a gate is closed.
  template <typename Sink>
  bool LeaseOneFairly(LocalState& local, const Request& request, std::uint32_t& missing, std::optional<Claimant>& gated,
                      Sink& sink) {
    FairScheduler& fair_scheduler = *store_.fair_scheduler();
    const std::int64_t in_flight = store_.Sums().in_flight();
    const auto may_take = [&] {
      if (limit_.ClaimSingle(1) != 0) return true;
      gated = Claimant::kSingle;
      return false;
    };
    const auto lease = [&](const std::optional<SlotRef>& ref) {
      if (!ref) return false;
      LeaseQueued(local, request, Store::MessageOf(*ref), missing, sink);
      return true;
    };
    SkipToNextReady(local);
    if (lease(fair_scheduler.NextQuiet(store_.lane().head(), in_flight, request.now, may_take))) return true;
    if (gated) return false;
    std::uint32_t missing_from_lane = 1;
    LeaseFromLane(local, request, missing_from_lane, gated, sink);
    missing -= 1 - missing_from_lane;
    if (missing_from_lane == 0) return true;
    if (gated) return false;
    constexpr auto kAny = std::numeric_limits<std::uint64_t>::max();
    if (lease(fair_scheduler.NextQuiet(kAny, in_flight, request.now, may_take))) return true;
    return !gated && lease(fair_scheduler.NextNoisy(in_flight, request.now, may_take));
  }

  // Moves the head past slots without a ready message, so that the head is the ticket of the next message without a
  // tenant, and thereby says how old that message is.
  void SkipToNextReady(LocalState& local) {
    for (;;) {
      const auto run = store_.lane().Claim(local.cursor, kSlotsPerSegment, kOpenGate, WantNone);
      if (run.size == 0) return;
      local.counts.not_leased.Add(run.size);
      if (run.ends_round) compaction_.CompactSome(local);
    }
  }

  static bool WantNone(const Slot&, SlotState) { return false; }

  // Whether there is a visible message that only the limit keeps from the caller: a gate may also be closed to a claim
  // that would not have led to a lease.
  bool IsAnyVisible(LocalState& local, const Request& request) {
    bool found = false;
    for (RedeliveryLane* const lane = store_.redelivery_lane(); lane != nullptr && !found;) {
      const auto run = lane->Claim(local.redelivery_cursor, 1, kOpenGate, WantAll());
      if (run.size == 0) break;
      local.counts.not_leased.Add(run.size);
      run.ForEachTaken([&](auto& entry, SlotState word) {
        found = RequeueIfVisible(local, Store::ConsumeRedeliverySlot(entry, word));
      });
      if (run.ends_round) lane->ReclaimRound();
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
          found = RequeueIfVisible(local, Store::ConsumeRequeuedSlot({run.segment, &slot}, word));
        }
      });
      if (run.ends_round) compaction_.CompactSome(local);
    }
    return found || (store_.fair_scheduler() != nullptr && store_.fair_scheduler()->IsAnyWaiting());
  }

  // Whether a queued message is still visible; if so it is queued again.
  bool RequeueIfVisible(LocalState& local, Message message) {
    SlotState before;
    if (!store_.UnqueueAndTryLock(message, before)) return false;
    store_.MakeVisible(local, message, before);
    store_.visible().Notify(1);
    return true;
  }

  // Leases a queued message, or counts that it was not leased.
  template <typename Sink>
  void LeaseQueued(LocalState& local, const Request& request, Message message, std::uint32_t& missing, Sink& sink) {
    SlotState before;
    if (store_.UnqueueAndTryLock(message, before)) {
      if (grant_.Grant(local, request, message, before, sink)) --missing;
    } else {
      local.counts.not_leased.Add(1);
    }
  }

  Store& store_;
  InFlightLimit<T>& limit_;
  ReceiveGrant<T>& grant_;
  Compaction<T>& compaction_;
};

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_QUEUE_STANDARD_RECEIVER_H_
