// Receiving from a FIFO queue: the first message of the group that has waited longest, then the messages behind it in
// its group, then from the next group.
//
// Design. The redelivery lane names the first messages of groups, in the order in which they became receivable. A
// receive claims one there and locks its slot; then it locks the group and goes on through it as far as messages are
// visible. While the first message of a group is in flight no receiver finds the group.
//
// Limit of messages in flight. A receive of one message claims it from the limit by its ticket in the redelivery lane,
// which it claims anyway (exp. 20). A receive of several claims them singly, as it is not known beforehand how many a
// group has.

#ifndef DECOUPLE_INTERNAL_FIFO_FIFO_RECEIVER_H_
#define DECOUPLE_INTERNAL_FIFO_FIFO_RECEIVER_H_

#include <atomic>
#include <cstdint>

#include "decouple/internal/base/assert.h"
#include "decouple/internal/base/rcu.h"
#include "decouple/internal/fifo/fifo_kind.h"
#include "decouple/internal/fifo/fifo_state.h"
#include "decouple/internal/message/message_groups.h"
#include "decouple/internal/message/message_metadata.h"
#include "decouple/internal/message/message_state.h"
#include "decouple/internal/message/message_store.h"
#include "decouple/internal/message/redelivery_entry.h"
#include "decouple/internal/message/slot_ref.h"
#include "decouple/internal/queue/compaction.h"
#include "decouple/internal/queue/in_flight_limit.h"
#include "decouple/internal/queue/receive_grant.h"
#include "decouple/internal/queue/received_messages.h"
#include "decouple/internal/queue/timeout_sweep.h"

namespace decouple::inline v0_1::internal {

class FifoReceiver {
 public:
  explicit FifoReceiver(FifoState& state) : queue_(state.queue) {}

  // Leases up to `request.most` messages and adds them to `received`. Returns false if there was none only because the
  // limit of messages in flight is reached.
  bool Lease(LocalQueueState& local, const LeaseRequest& request, ReceivedMessages& received) {
    return request.most == 1 ? LeaseOne(local, request, received) : LeaseSeveral(local, request, received);
  }

 private:
  // A ticket of the redelivery lane claims one message from the limit. If no lease comes of it, it is counted as
  // not_leased where that is found out.
  bool LeaseOne(LocalQueueState& local, const LeaseRequest& request, ReceivedMessages& received) {
    for (bool has_swept = false; !IsNothingQueued();) {
      SlotRef first;
      SlotState before;
      switch (TakeFirst(local, queue_.limit.redelivery_gate(), first, before)) {
        case Taken::kNone:
          return true;
        case Taken::kGated:
          if (queue_.limit.TryOpenGates(InFlightLimit::Claimant::kRedeliveryLane)) break;
          if (has_swept || queue_.store.earliest().get() > request.now) return false;
          TimeoutSweep<FifoKind>(queue_).RunAll(
              local, request.now);  // messages that are due are in flight no longer, which makes room
          has_swept = true;
          break;
        case Taken::kOne:
          if (ReceiveGrant<FifoKind>(queue_).Grant(local, request, first, before, received)) return true;
      }
    }
    return true;
  }

  bool LeaseSeveral(LocalQueueState& local, const LeaseRequest& request, ReceivedMessages& received) {
    std::uint32_t leased = 0;
    while (leased < request.most && !IsNothingQueued()) {
      // Claims all that may be leased before a group is touched: messages of the group that are not leased now wait
      // until those that are leased come back.
      std::uint32_t claimed = Claim(request.most - leased);
      if (claimed < request.most && leased == 0 && queue_.store.earliest().get() <= request.now) {
        TimeoutSweep<FifoKind>(queue_).RunAll(local, request.now);  // as above
        claimed += Claim(request.most - claimed);
      }
      if (claimed == 0) return leased > 0;
      SlotRef first;
      SlotState before;
      std::uint32_t used = 0;
      if (TakeFirst(local, kOpenGate, first, before) == Taken::kNone) {
        leased = request.most;  // nothing is queued any more: ends the loop
      } else {
        local.counts.not_leased.Add(1);  // the ticket in the redelivery lane, which claims nothing from the limit here
        if (ReceiveGrant<FifoKind>(queue_).DisposeIfUndeliverable(local, request, first, before)) {
          used = 1;
        } else {
          used = LeaseGroup(local, request, first, before, claimed, received);
          leased += used;
        }
      }
      DECOUPLE_ASSERT(used <= claimed);
      local.counts.not_leased.Add(claimed - used);
    }
    return true;
  }

  bool IsNothingQueued() const {
    const MessageLane* const redelivery_lane = queue_.store.redelivery_lane();
    return redelivery_lane == nullptr || redelivery_lane->head() >= redelivery_lane->tail();
  }

  // Claims up to `most` from the limit, as many as are left. Returns how many.
  std::uint32_t Claim(std::uint32_t most) {
    std::uint32_t claimed = 0;
    while (claimed < most) {
      const std::uint32_t more = queue_.limit.ClaimSingle(most - claimed);
      claimed += more;
      if (more == 0 && !queue_.limit.TryOpenGates(InFlightLimit::Claimant::kSingle)) break;
    }
    return claimed;
  }

  enum class Taken { kOne, kNone, kGated };

  // Claims tickets of the redelivery lane up to the next message that is still visible, and locks its slot. kGated:
  // there is a message, but the gate is closed.
  Taken TakeFirst(LocalQueueState& local, const std::atomic<std::uint64_t>& gate, SlotRef& first, SlotState& before) {
    MessageLane& redelivery_lane = *queue_.store.redelivery_lane();
    for (;;) {
      const auto place =
          redelivery_lane.ClaimNext(RcuReadGuard(), local.redelivery_cursor, gate, kRedeliveryLayout.stride);
      if (place != MessageLane::kNoPlace) [[likely]] {
        MessageSlot& entry = *SlotAt(local.redelivery_cursor.receive_slots, place, kRedeliveryLayout.stride);
        const SlotState word(entry.word.load(std::memory_order_relaxed));  // as the claim acquired it
        first = ConsumeEntry(entry, word);
      } else if (const Taken taken = TakeNextSlow(local, redelivery_lane, gate, first); taken != Taken::kOne) {
        return taken;
      }
      if (UnqueueAndTryLock(first, before)) return Taken::kOne;
      local.counts.not_leased.Add(1);
    }
  }

  [[gnu::noinline]] Taken TakeNextSlow(LocalQueueState& local, MessageLane& redelivery_lane,
                                       const std::atomic<std::uint64_t>& gate, SlotRef& first) {
    for (;;) {
      const auto run = redelivery_lane.Claim(local.redelivery_cursor, 1, gate, WantAll());
      if (run.size == 0) return run.gated ? Taken::kGated : Taken::kNone;
      local.counts.not_leased.Add(run.size - run.taken_count());
      run.ForEachTaken([&](auto& entry, SlotState word) { first = ConsumeEntry(entry, word); });
      if (run.ends_round) {
        redelivery_lane.ReclaimRound();
        Compaction<FifoKind>(queue_).CompactSome(local);
      }
      if (run.taken != 0) return Taken::kOne;
    }
  }

  // Leases the first message of a group, which the caller has locked, and the visible ones behind it, up to `most`
  // messages. Returns how many.
  std::uint32_t LeaseGroup(LocalQueueState& local, const LeaseRequest& request, SlotRef first, SlotState before,
                           std::uint32_t most, ReceivedMessages& received) {
    if (most == 1) {  // needs no look at the messages behind it
      ReceiveGrant<FifoKind>(queue_).Lease(local, request, first, before, received);
      return 1;
    }
    const MessageMetadata& metadata = MetadataAt(first);
    const MessageGroups::GroupLock lock(queue_.store.groups(), metadata);
    // The group is locked, so `next` stays: a thread that deletes the first message needs the lock to take it out.
    const MessageMetadata* next = metadata.in_group.later;
    ReceiveGrant<FifoKind>(queue_).Lease(local, request, first, before, received);
    std::uint32_t leased = 1;
    for (; leased < most && next != nullptr; ++leased, next = next->in_group.later) {
      const SlotRef message = next->in_group.place;
      if (!MayFollow(request.now, message) || !TryLockVisible(local, request.now, message, before)) break;
      ReceiveGrant<FifoKind>(queue_).Lease(local, request, message, before, received);
    }
    return leased;
  }

  // Called in a locked group. Whether a message behind the first one seems to be visible, or due to be. A message that
  // is past its retention, or was received too often, ends the run: it is dealt with when it is the first.
  bool MayFollow(std::int64_t now, SlotRef message) const {
    const SlotState word(message.slot->word.load(std::memory_order_acquire));
    return IsVisible(now, message, word) && queue_.store.RetentionEnd(*message.slot) > now &&
           !ReceiveGrant<FifoKind>(queue_).IsReceivedTooOften(message, word);
  }

  // Called in a locked group. If another thread has locked the slot, this does not wait for it (message_groups.h), and
  // the run ends.
  bool TryLockVisible(LocalQueueState& local, std::int64_t now, SlotRef message, SlotState& before) {
    for (;;) {
      before = SlotState(message.slot->word.load(std::memory_order_acquire));
      if (!IsVisible(now, message, before)) return false;
      if (!TryLock(*message.slot, before)) continue;  // a mark has changed, or another thread has locked it
      if (IsVisible(now, message, before)) break;
      Unlock(*message.slot, before);  // its visibility timeout was changed in between
      return false;
    }
    if (before.phase() == Phase::kInFlight) MessageState<FifoOrder>(queue_.store).NoteReturned(local, message, before);
    return true;
  }

  // Messages that are due count as visible, even if the sweep has not reached them.
  static bool IsVisible(std::int64_t now, SlotRef message, SlotState word) {
    const bool waits = word.phase() == Phase::kInFlight || word.phase() == Phase::kDelayed;
    return word.phase() == Phase::kVisibleAgain || (waits && message.times().visible_at() <= now);
  }

  QueueState& queue_;
};

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_FIFO_FIFO_RECEIVER_H_
