// Purge: removes every message that was sent before the call, in whatever state it is.
//
// Design. A message may lie in four places, and they are emptied in turn: the ready messages, by moving the lane's
// head; every segment of every lane, slot by slot, for messages in flight, delayed or visible again; the redelivery
// lane, whose entries then name messages that are gone, so that their slots become free; and last the segments
// themselves. A slot that another thread has locked is waited for, outside of any read section.
//
// A purge locks slots whose messages are held by receivers, so it revokes the delete bias (delete_bias.h) meanwhile.

#ifndef DECOUPLE_INTERNAL_QUEUE_PURGE_H_
#define DECOUPLE_INTERNAL_QUEUE_PURGE_H_

#include <atomic>
#include <cstdint>

#include "decouple/internal/base/assert.h"
#include "decouple/internal/base/cache_line.h"
#include "decouple/internal/base/rcu.h"
#include "decouple/internal/message/message_state.h"
#include "decouple/internal/message/message_store.h"
#include "decouple/internal/message/redelivery_entry.h"
#include "decouple/internal/message/slot_ref.h"
#include "decouple/internal/queue/locked_slots.h"
#include "decouple/internal/queue/queue_state.h"

namespace decouple::inline v0_1::internal {

template <typename Kind>
class Purge {
 public:
  explicit Purge(QueueState& queue) : queue_(queue) {}

  // O(messages). May be called from any thread, by several at once; not from within a read section.
  void RemoveAll(LocalQueueState& local) {
    queue_.store.bias().Revoke();
    RemoveReady(local, queue_.store.lane().tail());
    queue_.store.ForEachLane([&](MessageLane& lane) {
      for (std::uint32_t chunk = 0; chunk < lane.pool().chunk_numbers_end(); ++chunk) {
        for (std::uint32_t i = 0; i < kSlotsPerSegment; ++i) RemoveSegment(local, lane, chunk * kSlotsPerSegment + i);
        lane.TryReclaim(2 * kSlotsPerSegment);
      }
    });
    queue_.store.bias().Restore();
    DrainRedeliveryLane(local);
    queue_.store.lane().TryReclaim(2 * kSlotsPerSegment);
  }

 private:
  // The ready messages whose tickets are before `end`.
  void RemoveReady(LocalQueueState& local, std::uint64_t end) {
    MessageLane& lane = queue_.store.lane();
    while (lane.head() < end) {
      const auto run = lane.Claim(local.cursor, kSlotsPerSegment, kOpenGate, WantAll());
      if (run.size == 0) return;  // a sender has taken the ticket, but has not published its message yet
      local.counts.not_leased.Add(run.size);
      run.ForEachTaken([&](MessageSlot& slot, SlotState word) {
        if (word.phase() == Phase::kRequeued) {
          RemoveDequeued(local, ConsumeRequeued({run.segment, &slot}, word));
        } else {
          DECOUPLE_ASSERT(word.phase() == Phase::kReady);
          Remove(local, {run.segment, &slot}, word);
        }
      });
      if (run.ends_round) lane.ReclaimRound();
    }
  }

  void RemoveSegment(LocalQueueState& local, MessageLane& lane, std::uint32_t number) {
    while (!TryRemoveSegment(local, lane, number)) Relax();
  }

  // False: another thread had locked a slot; the caller tries again.
  bool TryRemoveSegment(LocalQueueState& local, MessageLane& lane, std::uint32_t number) {
    bool is_complete = true;
    LockedSlots locked;
    {
      const RcuReadGuard section;  // until a slot is locked, the segment may be retired and freed
      locked.segment = lane.pool().Find(number);
      if (locked.segment == nullptr) return true;
      const std::uint64_t ordinal = locked.segment->ordinal.load(std::memory_order_acquire);
      for (std::uint32_t i = 0; i < kSlotsPerSegment; ++i) {
        // Acquire: pairs with the last store of the word, which publishes the rest of the slot.
        const SlotState word(locked.segment->slot(i).word.load(std::memory_order_acquire));
        const bool has_message =
            word.IsOf(ordinal) && (word.phase() == Phase::kInFlight || word.phase() == Phase::kVisibleAgain ||
                                   word.phase() == Phase::kDelayed || word.phase() == Phase::kBusy);
        if (!has_message) continue;
        if (word.phase() == Phase::kBusy || !locked.TryLock(i, word)) is_complete = false;
      }
    }
    // Bodies are destroyed, which is the user's code, only once no slot is locked any more.
    locked.ForEach(
        [&](SlotRef message, SlotState word) { messages().Remove(local, message, word, &LocalQueueCounts::purged); });
    locked.ForEach([&](SlotRef message, SlotState) { queue_.store.ReleaseReference(message); });
    return is_complete;
  }

  // By now most entries name messages that are gone. They are taken, so that the slots that they name become free.
  void DrainRedeliveryLane(LocalQueueState& local) {
    MessageLane* const lane = queue_.store.redelivery_lane();
    if (lane == nullptr) return;
    const std::uint64_t end = lane->tail();
    while (lane->head() < end) {
      const auto run = lane->Claim(local.redelivery_cursor, kSlotsPerSegment, kOpenGate, WantAll());
      if (run.size == 0) return;
      local.counts.not_leased.Add(run.size);
      run.ForEachTaken([&](auto& entry, SlotState word) { RemoveDequeued(local, ConsumeEntry(entry, word)); });
      if (run.ends_round) lane->ReclaimRound();
    }
  }

  // Requires: the caller has taken the only entry that named the message.
  void RemoveDequeued(LocalQueueState& local, SlotRef message) {
    SlotState before;
    if (UnqueueAndTryLock(message, before)) Remove(local, message, before);
  }

  // Requires: the caller has locked the slot, or has claimed it as ready. `before` is its word before that.
  void Remove(LocalQueueState& local, SlotRef message, SlotState before) {
    messages().Remove(local, message, before, &LocalQueueCounts::purged);
    queue_.store.ReleaseReference(message);
  }

  MessageState<typename Kind::Order> messages() const { return MessageState<typename Kind::Order>(queue_.store); }

  QueueState& queue_;
};

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_QUEUE_PURGE_H_
