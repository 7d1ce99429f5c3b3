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

#include "decouple/internal/base/assert.h"
#include "decouple/internal/message/message_metadata.h"
#include "decouple/internal/message/message_state.h"
#include "decouple/internal/message/message_store.h"
#include "decouple/internal/message/redelivery_entry.h"
#include "decouple/internal/message/slot_ref.h"
#include "decouple/internal/queue/compaction.h"
#include "decouple/internal/queue/in_flight_limit.h"
#include "decouple/internal/queue/receive_grant.h"
#include "decouple/internal/queue/received_messages.h"
#include "decouple/internal/queue/standard_kind.h"
#include "decouple/internal/queue/standard_state.h"

namespace decouple::inline v0_1::internal {

class StandardReceiver {
 public:
  using Claimant = InFlightLimit::Claimant;

  explicit StandardReceiver(StandardState& state) : StandardReceiver(state.queue) {}
  explicit StandardReceiver(QueueState& queue) : queue_(queue) {}

  // Leases up to `request.most` messages and adds them to `received`. Returns false if it leased none only because the
  // limit of messages in flight is reached.
  bool Lease(LocalQueueState& local, const LeaseRequest& request, ReceivedMessages& received) {
    DECOUPLE_ASSERT(request.most >= 1);
    std::uint32_t missing = request.most;
    for (;;) {
      std::optional<Claimant> gated;
      LeaseFromRedeliveryLane(local, request, missing, gated, received);
      if (queue_.store.fair_scheduler() == nullptr) [[likely]] {
        if (!gated) LeaseFromLane(local, request, missing, gated, received);
      } else {
        while (missing > 0 && !gated && LeaseOneFairly(local, request, missing, gated, received)) {
        }
      }
      if (!gated || missing == 0) [[likely]]
        return true;
      if (!queue_.limit.TryOpenGates(*gated)) return missing < request.most || !IsAnyVisible(local, request);
    }
  }

  // Leases messages in consecutive slots, at least one, that the caller has claimed in the segment where it received
  // last. Returns how many; the others were past their retention.
  std::uint32_t LeaseClaimed(LocalQueueState& local, const LeaseRequest& request, const MessageSlot& first_slot,
                             std::uint32_t claimed, ReceivedMessages& received) {
    MessageSegment* const segment = local.cursor.receive_segment;
    const std::uint32_t first = segment->PlaceOf(first_slot);
    DECOUPLE_ASSERT(claimed >= 1 && first + claimed <= kSlotsPerSegment);
    const MessageLane::Run run{
        .segment = segment,
        .ordinal = MessageLane::OrdinalOf(local.cursor.receive_first),
        .first = first,
        .size = claimed,
        .taken = ~std::uint64_t{0} >> (kSlotsPerSegment - claimed),
        .ends_round = queue_.store.lane().EndsRound(local.cursor.receive_first + first + claimed)};
    std::uint32_t missing = claimed;
    LeaseRun(local, request, run, missing, received);
    if (run.ends_round) Compaction<StandardKind>(queue_).CompactSome(local);
    return claimed - missing;
  }

 private:
  void LeaseFromRedeliveryLane(LocalQueueState& local, const LeaseRequest& request, std::uint32_t& missing,
                               std::optional<Claimant>& gated, ReceivedMessages& received) {
    MessageLane* const lane = queue_.store.redelivery_lane();
    if (lane == nullptr) [[likely]]
      return;
    while (missing > 0) {
      const auto run = lane->Claim(local.redelivery_cursor, missing, queue_.limit.redelivery_gate(), WantAll());
      if (run.size == 0) {
        if (run.gated) gated = Claimant::kRedeliveryLane;
        return;
      }
      local.counts.not_leased.Add(run.size - run.taken_count());
      run.ForEachTaken([&](auto& entry, SlotState word) {
        LeaseQueued(local, request, ConsumeEntry(entry, word), missing, received);
      });
      if (run.ends_round) lane->ReclaimRound();
    }
  }

  void LeaseFromLane(LocalQueueState& local, const LeaseRequest& request, std::uint32_t& missing,
                     std::optional<Claimant>& gated, ReceivedMessages& received) {
    MessageLane& lane = queue_.store.lane();
    while (missing > 0) {
      const auto run = lane.Claim(local.cursor, missing, queue_.limit.lane_gate(), WantAll());
      if (run.size == 0) {
        if (run.gated) gated = Claimant::kLane;
        return;
      }
      local.counts.not_leased.Add(run.size - run.taken_count());
      if (run.taken != 0) LeaseRun(local, request, run, missing, received);
      if (run.ends_round) Compaction<StandardKind>(queue_).CompactSome(local);
    }
  }

  // Requires: the caller has claimed the run.
  void LeaseRun(LocalQueueState& local, const LeaseRequest& request, const MessageLane::Run& run,
                std::uint32_t& missing, ReceivedMessages& received) {
    // One deadline for the whole run, lowered before any word is stored. A slot without a message can only make it too
    // early.
    std::int64_t deadline = request.visible_at;
    run.ForEachTaken([&](const MessageSlot& slot, SlotState) {
      const std::int64_t end = queue_.store.RetentionEnd(slot);
      if (end > request.now) deadline = std::min(deadline, end);
    });
    queue_.store.LowerDeadline(*run.segment, deadline);

    std::uint32_t leased = 0;
    run.ForEachTaken([&](MessageSlot& slot, SlotState word) {
      const SlotRef message{run.segment, &slot};
      if (word.phase() == Phase::kRequeued) [[unlikely]] {
        LeaseQueued(local, request, ConsumeRequeued({run.segment, &slot}, word), missing, received);
      } else if (queue_.store.RetentionEnd(slot) <= request.now) [[unlikely]] {
        ReceiveGrant<StandardKind>(queue_).RemoveExpired(local, message, word);
      } else {
        DECOUPLE_ASSERT(word.phase() == Phase::kReady);
        received.push_back({message, LeaseReady(slot, message.TimesToWrite(), request.now, request.visible_at)});
        ++leased;
      }
    });
    local.counts.received.Add(leased);
    DECOUPLE_ASSERT(leased <= missing);
    missing -= leased;
  }

  // Leases one message of a queue that has a fair scheduler. False: there is none, or a gate is closed.
  bool LeaseOneFairly(LocalQueueState& local, const LeaseRequest& request, std::uint32_t& missing,
                      std::optional<Claimant>& gated, ReceivedMessages& received) {
    FairScheduler& fair_scheduler = *queue_.store.fair_scheduler();
    const std::int64_t in_flight = queue_.store.Sums().in_flight();
    const auto may_take = [&] {
      if (queue_.limit.ClaimSingle(1) != 0) return true;
      gated = Claimant::kSingle;
      return false;
    };
    const auto lease = [&](const std::optional<SlotRef>& ref) {
      if (!ref) return false;
      LeaseQueued(local, request, *ref, missing, received);
      return true;
    };
    SkipToNextReady(local);
    if (lease(fair_scheduler.NextQuiet(queue_.store.lane().head(), in_flight, request.now, may_take))) return true;
    if (gated) return false;
    std::uint32_t missing_from_lane = 1;
    LeaseFromLane(local, request, missing_from_lane, gated, received);
    missing -= 1 - missing_from_lane;
    if (missing_from_lane == 0) return true;
    if (gated) return false;
    constexpr auto kAny = std::numeric_limits<std::uint64_t>::max();
    if (lease(fair_scheduler.NextQuiet(kAny, in_flight, request.now, may_take))) return true;
    return !gated && lease(fair_scheduler.NextNoisy(in_flight, request.now, may_take));
  }

  // Moves the head past slots without a ready message, so that the head is the ticket of the next message without a
  // tenant, and thereby says how old that message is.
  void SkipToNextReady(LocalQueueState& local) {
    for (;;) {
      const auto run = queue_.store.lane().Claim(local.cursor, kSlotsPerSegment, kOpenGate, WantNone);
      if (run.size == 0) return;
      local.counts.not_leased.Add(run.size);
      if (run.ends_round) Compaction<StandardKind>(queue_).CompactSome(local);
    }
  }

  static bool WantNone(const MessageSlot&, SlotState) { return false; }

  // Whether there is a visible message that only the limit keeps from the caller: a gate may also be closed to a claim
  // that would not have led to a lease.
  bool IsAnyVisible(LocalQueueState& local, const LeaseRequest& request) {
    bool found = false;
    for (MessageLane* const lane = queue_.store.redelivery_lane(); lane != nullptr && !found;) {
      const auto run = lane->Claim(local.redelivery_cursor, 1, kOpenGate, WantAll());
      if (run.size == 0) break;
      local.counts.not_leased.Add(run.size);
      run.ForEachTaken(
          [&](auto& entry, SlotState word) { found = RequeueIfVisible(local, ConsumeEntry(entry, word)); });
      if (run.ends_round) lane->ReclaimRound();
    }
    while (!found) {
      bool saw_ready = false;
      const auto run =
          queue_.store.lane().Claim(local.cursor, 1, kOpenGate, [&](const MessageSlot& slot, SlotState word) {
            saw_ready = word.phase() == Phase::kReady && queue_.store.RetentionEnd(slot) > request.now;
            return !saw_ready;
          });
      if (run.size == 0) {
        found = saw_ready;
        break;
      }
      local.counts.not_leased.Add(run.size - run.taken_count());
      run.ForEachTaken([&](MessageSlot& slot, SlotState word) {
        if (word.phase() == Phase::kReady) {
          ReceiveGrant<StandardKind>(queue_).RemoveExpired(local, {run.segment, &slot}, word);
        } else {
          local.counts.not_leased.Add(1);
          found = RequeueIfVisible(local, ConsumeRequeued({run.segment, &slot}, word));
        }
      });
      if (run.ends_round) Compaction<StandardKind>(queue_).CompactSome(local);
    }
    return found || (queue_.store.fair_scheduler() != nullptr && queue_.store.fair_scheduler()->IsAnyWaiting());
  }

  // Whether a queued message is still visible; if so it is queued again.
  bool RequeueIfVisible(LocalQueueState& local, SlotRef message) {
    SlotState before;
    if (!UnqueueAndTryLock(message, before)) return false;
    MessageState<StandardOrder>(queue_.store).MakeVisible(local, message, before);
    queue_.store.visible().Notify(1);
    return true;
  }

  // Leases a queued message, or counts that it was not leased.
  void LeaseQueued(LocalQueueState& local, const LeaseRequest& request, SlotRef message, std::uint32_t& missing,
                   ReceivedMessages& received) {
    SlotState before;
    if (UnqueueAndTryLock(message, before)) {
      if (ReceiveGrant<StandardKind>(queue_).Grant(local, request, message, before, received)) --missing;
    } else {
      local.counts.not_leased.Add(1);
    }
  }

  QueueState& queue_;
};

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_QUEUE_STANDARD_RECEIVER_H_
