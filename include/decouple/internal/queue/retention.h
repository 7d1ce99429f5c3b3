// Retention: a message is kept for the queue's retention period from its sending, and removed after it.
//
// Ready messages lie in the lane in the order of their sending, so those that are past their retention are at its head.
// This class removes them from there. Messages in any other state have a deadline that covers their retention, so the
// timeout sweep finds them (timeout_sweep.h); after the period has changed, MarkAllDue() makes it compute all deadlines
// anew. Until a message that is past its retention is removed, no receive gives it (receive_grant.h).

#ifndef DECOUPLE_INTERNAL_QUEUE_RETENTION_H_
#define DECOUPLE_INTERNAL_QUEUE_RETENTION_H_

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <limits>

#include "decouple/internal/base/assert.h"
#include "decouple/internal/base/rcu.h"
#include "decouple/internal/base/time_math.h"
#include "decouple/internal/message/message_state.h"
#include "decouple/internal/message/message_store.h"
#include "decouple/internal/message/redelivery_entry.h"
#include "decouple/internal/message/slot_ref.h"
#include "decouple/internal/message/standard_order.h"
#include "decouple/internal/queue/queue_state.h"

namespace decouple::inline v0_1::internal {

template <typename Kind>
class Retention {
 public:
  explicit Retention(QueueState& queue) : queue_(queue) {}

  // Removes ready messages that are past their retention, at most `most` of them, from the head up to the first that is
  // not. Returns a lower bound of the time at which any message was sent that is in the lane now or will be.
  std::int64_t RemoveExpiredAtHead(LocalQueueState& local, std::int64_t now, std::uint32_t most) {
    constexpr std::int64_t kUnknown = std::numeric_limits<std::int64_t>::min();
    std::int64_t head_sent_at = kUnknown;
    const auto wants = [&](const MessageSlot& slot, SlotState word) {
      if (word.phase() == Phase::kRequeued || queue_.store.RetentionEnd(slot) <= now) return true;
      head_sent_at = slot.sent_at.load(std::memory_order_relaxed);
      return false;
    };
    while (most > 0) {
      head_sent_at = kUnknown;
      const bool was_empty = queue_.store.lane().LooksEmpty();
      const auto run = queue_.store.lane().Claim(local.cursor, most, kOpenGate, wants);
      if (run.size == 0) return head_sent_at == kUnknown && was_empty ? now : head_sent_at;
      local.counts.not_leased.Add(run.size);
      run.ForEachTaken([&](MessageSlot& slot, SlotState word) {
        const SlotRef message{run.segment, &slot};
        if (word.phase() == Phase::kRequeued) {
          // It is at the head, so it is the next message anyway; in the redelivery lane it waits for the receiver.
          queue_.store.Requeue(local, ConsumeRequeued(message, word));
        } else {
          DECOUPLE_ASSERT(word.phase() == Phase::kReady);
          messages().Remove(local, message, word, &LocalQueueCounts::expired);
          queue_.store.ReleaseReference(message);
        }
      });
      most -= std::min(most, run.size);
      if (run.ends_round) queue_.store.lane().ReclaimRound();
    }
    return kUnknown;
  }

  // When the retention of the message at the head ends, if that is a ready message; else kForever.
  std::int64_t FindHeadRetentionEnd(LocalQueueState& local) {
    std::int64_t end = kForever;
    const auto run =
        queue_.store.lane().Claim(local.cursor, 1, kOpenGate, [&](const MessageSlot& slot, SlotState word) {
          if (word.phase() == Phase::kReady) end = queue_.store.RetentionEnd(slot);
          return false;
        });
    local.counts.not_leased.Add(run.size);
    return end;
  }

  // When the oldest message was sent of those that were received fewer than three times; kForever if there is none.
  // Messages in segments beyond that of the head are younger than the message at the head, so this takes
  // O(messages that the head has passed + segments); O(messages) in a queue that has taken over older messages.
  std::int64_t FindOldestSentAt() {
    std::int64_t oldest = kForever;
    ForEachSegment([&](MessageLane& lane, MessageSegment& segment, std::uint64_t ordinal) {
      if (ordinal > MessageLane::OrdinalOf(lane.head()) + 1 && !queue_.store.has_older_ones()) return;
      for (std::uint32_t i = 0; i < kSlotsPerSegment; ++i) {
        const MessageSlot& slot = segment.slot(i);
        // Acquire: pairs with the last store of the word, for sent_at.
        const SlotState word(slot.word.load(std::memory_order_acquire));
        const bool counts = word.IsOf(ordinal) && word.phase() != Phase::kDone && word.phase() != Phase::kRequeued &&
                            word.phase() != Phase::kDeleted &&
                            word.receive_count() < StandardOrder::kReceivesBeforeTheBack;
        if (counts) oldest = std::min(oldest, slot.sent_at.load(std::memory_order_relaxed));
      }
    });
    return oldest;
  }

  // Makes the next sweep look at every message that a head has passed. O(segments).
  void MarkAllDue() {
    ForEachSegment([&](MessageLane&, MessageSegment& segment, std::uint64_t) {
      queue_.store.LowerDeadline(segment, std::numeric_limits<std::int64_t>::min());
    });
  }

 private:
  // Calls visit(lane, segment, ordinal) for each segment in use, each within a read section of its own.
  template <typename Visit>
  void ForEachSegment(Visit visit) {
    queue_.store.ForEachLane([&](MessageLane& lane) {
      for (std::uint32_t number = 0; number < lane.pool().chunk_numbers_end() * kSlotsPerSegment; ++number) {
        const RcuReadGuard section;
        MessageSegment* const segment = lane.pool().Find(number);
        if (segment == nullptr) continue;
        const std::uint64_t ordinal = segment->ordinal.load(std::memory_order_acquire);
        if (ordinal != 0) visit(lane, *segment, ordinal);
      }
    });
  }

  MessageState<typename Kind::Order> messages() const { return MessageState<typename Kind::Order>(queue_.store); }

  QueueState& queue_;
};

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_QUEUE_RETENTION_H_
