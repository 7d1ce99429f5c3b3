// Runs timeouts that have passed: the ends of visibility timeouts, of delays and, for messages that are not ready, of
// their retention.
//
// Design. Threads that call the queue sweep, one step at a time, when the store's earliest deadline has passed. A step
// goes through one segment, so it is short however many timeouts end at once. One thread at a time runs steps; the
// others go on without.
//
// One step: exchange(kForever) the earliest deadline of the store, of a chunk and of a segment whose deadline has
// passed; lock the due slots; fetch_min what remains back up, level by level; make the messages of the locked slots
// visible, or remove them. A thread that lowers a deadline meanwhile sees kForever and lowers it again; the deadline of
// a thread that did so before is seen by the step, or its slot is seen in transit (earliest_deadline.h).
//
// Delete bias. A step may lock slots whose messages are held by receivers, so it revokes their bias (delete_bias.h),
// which interrupts every running thread. The bias is restored only after a while, so it is revoked at most ten times a
// second, however often something is due.

#ifndef DECOUPLE_INTERNAL_QUEUE_TIMEOUT_SWEEP_H_
#define DECOUPLE_INTERNAL_QUEUE_TIMEOUT_SWEEP_H_

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <thread>

#include "decouple/internal/base/assert.h"
#include "decouple/internal/base/rcu.h"
#include "decouple/internal/base/time_math.h"
#include "decouple/internal/message/message_slot.h"
#include "decouple/internal/message/message_state.h"
#include "decouple/internal/message/message_store.h"
#include "decouple/internal/message/slot_ref.h"
#include "decouple/internal/queue/locked_slots.h"
#include "decouple/internal/queue/queue_state.h"

namespace decouple::inline v0_1::internal {

// All members may be called from any thread, but not from within a read section.
template <typename Kind>
class TimeoutSweep {
 public:
  explicit TimeoutSweep(QueueState& queue) : queue_(queue) {}

  // Runs at most `steps` steps; returns early when nothing is due, or when another thread runs a step.
  void RunSteps(LocalQueueState& local, std::int64_t now, int steps) {
    while (steps-- > 0 && queue_.store.earliest().get() <= now && RunStep(local, now)) {
    }
  }

  // Restores the delete bias when nothing has been due for a while. Calls of the queue do so now and then.
  void RestoreBiasIfIdle(std::int64_t now) {
    if (!queue_.sweep.has_revoked_bias.load(std::memory_order_relaxed) || !TryBeginStep()) return;
    RestoreBias(now);
    EndStep();
  }

  // Runs steps until nothing is due at `now`, for callers that need exact counts. Gives up on slots that other threads
  // keep in transit.
  void RunAll(LocalQueueState& local, std::int64_t now) {
    for (int yields_left = kYieldsBeforeGivingUp; yields_left > 0 && queue_.store.earliest().get() <= now;) {
      if (RunStep(local, now)) continue;
      --yields_left;
      std::this_thread::yield();
    }
  }

 private:
  static constexpr int kYieldsBeforeGivingUp = 1000;
  static constexpr std::int64_t kMinRevocation = 100'000'000;  // nanoseconds between two revocations of the bias

  // Acquire and release: these two hand the fields of the sweep from one stepping thread to the next.
  bool TryBeginStep() { return !queue_.sweep.is_stepping.exchange(true, std::memory_order_acquire); }
  void EndStep() {
    DECOUPLE_ASSERT(IsStepping());
    queue_.sweep.is_stepping.store(false, std::memory_order_release);
  }
  // For assertions of the thread that runs a step. Relaxed: only that thread clears the flag.
  bool IsStepping() const { return queue_.sweep.is_stepping.load(std::memory_order_relaxed); }

  // Returns whether it found something due.
  bool RunStep(LocalQueueState& local, std::int64_t now) {
    if (!TryBeginStep()) return false;
    RevokeBias(now);
    LockedSlots due;
    const std::int64_t taken = queue_.store.earliest().Exchange(kForever);
    std::int64_t rest = LockDue(now, due);
    const bool found = due.slots != 0;
    if (found) rest = std::min(rest, taken);  // there may be more
    due.slots = MakeVisibleOrRemove(local, now, due);
    if (queue_.store.earliest().Lower(rest)) {  // a thread that looked in between found no deadline to sleep until
      queue_.store.visible().Notify(EventCount::kAll);
      queue_.store.room().Notify(EventCount::kAll);
    }
    if (queue_.store.earliest().get() > now) RestoreBias(now);
    EndStep();
    // Destroys bodies, which is the user's code: nothing is locked any more.
    due.ForEach([&](SlotRef message, SlotState) { queue_.store.ReleaseReference(message); });
    return found;
  }

  // Requires, for both: the caller runs a step.
  void RevokeBias(std::int64_t now) {
    DECOUPLE_ASSERT(IsStepping());
    if (queue_.sweep.has_revoked_bias.load(std::memory_order_relaxed)) return;
    queue_.store.bias().Revoke();
    queue_.sweep.has_revoked_bias.store(true, std::memory_order_relaxed);
    queue_.sweep.revoked_bias_at = now;
  }
  void RestoreBias(std::int64_t now) {
    DECOUPLE_ASSERT(IsStepping());
    if (!queue_.sweep.has_revoked_bias.load(std::memory_order_relaxed) ||
        now < SaturatingAdd(queue_.sweep.revoked_bias_at, kMinRevocation))
      return;
    queue_.sweep.has_revoked_bias.store(false, std::memory_order_relaxed);
    queue_.store.bias().Restore();
  }

  // Locks the due slots of one segment, and returns the earliest deadline of all other segments that it looked at.
  std::int64_t LockDue(std::int64_t now, LockedSlots& due) {
    std::int64_t rest = kForever;
    queue_.store.ForEachLane([&](MessageLane& lane) {
      if (due.slots == 0) rest = std::min(rest, LockDueOfLane(lane, now, due));
    });
    return due.slots != 0 ? kForever : rest;
  }

  std::int64_t LockDueOfLane(MessageLane& lane, std::int64_t now, LockedSlots& due) {
    const auto& pool = lane.pool();
    const std::uint32_t end = pool.chunk_numbers_end();
    std::int64_t rest = kForever;
    for (std::uint32_t looked_at = 0; looked_at < end; ++looked_at) {
      if (queue_.sweep.next_chunk >= end) queue_.sweep.next_chunk = 0;
      const RcuReadGuard section;
      MessageLane::Chunk* const chunk = pool.FindChunk(queue_.sweep.next_chunk);
      if (chunk != nullptr) {
        if (chunk->earliest.get() <= now) LockDueOfChunk(section, lane, *chunk, now, due);
        if (due.slots != 0) break;
        rest = std::min(rest, chunk->earliest.get());
      }
      ++queue_.sweep.next_chunk;
    }
    return rest;
  }

  // Locks the due slots of the first segment of `chunk` that has some.
  void LockDueOfChunk(const RcuReadGuard& section, const MessageLane& lane, MessageLane::Chunk& chunk, std::int64_t now,
                      LockedSlots& due) {
    chunk.earliest.Exchange(kForever);
    std::int64_t rest = kForever;
    for (std::uint32_t i = 0; i < chunk.size; ++i) {
      if (due.slots == 0 && chunk.earliest_of[i].get() <= now) {
        chunk.earliest_of[i].Exchange(kForever);
        chunk.earliest_of[i].Lower(LockDueOfSegment(section, lane, chunk.segment(i), now, due));
      }
      rest = std::min(rest, chunk.earliest_of[i].get());
    }
    chunk.earliest.Lower(rest);
  }

  // Locks the due slots of `segment`. Returns the earliest deadline of its other slots; `now` for a slot in transit.
  std::int64_t LockDueOfSegment(const RcuReadGuard&, const MessageLane& lane, MessageSegment& segment, std::int64_t now,
                                LockedSlots& due) {
    const std::uint64_t ordinal = segment.ordinal.load(std::memory_order_acquire);
    if (ordinal == 0) return kForever;
    DECOUPLE_ASSERT(due.slots == 0);
    due.segment = &segment;
    const std::uint64_t head = lane.head();
    const std::uint64_t first_ticket = (ordinal - 1) * kSlotsPerSegment;
    std::int64_t rest = kForever;
    for (std::uint32_t i = 0; i < kSlotsPerSegment; ++i) {
      MessageSlot& slot = segment.slot(i);
      // Sequentially consistent: after the deadlines were taken away, as earliest_deadline.h requires of the sweep.
      const SlotState word(slot.word.load(std::memory_order_seq_cst));
      if (!word.IsOf(ordinal)) continue;
      switch (word.phase()) {
        case Phase::kBusy:
          rest = std::min(rest, now);
          break;
        case Phase::kReady:
        case Phase::kRequeued:
          if (first_ticket + i < head) rest = std::min(rest, now);
          break;
        case Phase::kDelayed:
        case Phase::kInFlight:
        case Phase::kVisibleAgain: {
          const std::int64_t due_at = DueAt({&segment, &slot}, word);
          if (due_at > now) {
            rest = std::min(rest, due_at);
          } else if (!due.TryLock(i, word)) {
            rest = std::min(rest, now);
          }
          break;
        }
        case Phase::kDone:
        case Phase::kDeleted:
          break;
      }
    }
    return rest;
  }

  // The deadline of a slot that the caller has locked, or only looks at within a read section.
  std::int64_t DueAt(SlotRef message, SlotState word) const {
    const std::int64_t end = queue_.store.RetentionEnd(*message.slot);
    if (word.phase() == Phase::kVisibleAgain) return end;
    LeaseTimes* const times = message.FindTimes();
    return times == nullptr ? end : std::min(end, times->visible_at());  // null: the message has ended since the look
  }

  // Unlocks all of `due`. Returns the slots whose messages were past their retention, one bit each: these messages are
  // removed, and the caller releases its reference to each.
  std::uint64_t MakeVisibleOrRemove(LocalQueueState& local, std::int64_t now, const LockedSlots& due) {
    std::uint64_t expired = 0;
    std::uint32_t visible = 0;
    due.ForEach([&](SlotRef message, SlotState before) {
      DECOUPLE_ASSERT(IsLocked(*message.slot));
      if (queue_.store.RetentionEnd(*message.slot) <= now) {
        messages().Remove(local, message, before, &LocalQueueCounts::expired);
        expired |= 1ULL << PlaceOf(message);
      } else if (DueAt(message, before) <= now) {
        messages().NoteReturned(local, message, before);
        messages().MakeVisible(local, message, before);
        ++visible;
      } else {  // it was received again between the look and the lock
        queue_.store.LowerDeadline(*message.segment, DueAt(message, before));
        messages().Restore(local, message, before);
      }
    });
    if (visible != 0) queue_.store.visible().Notify(visible);
    return expired;
  }

  MessageState<typename Kind::Order> messages() const { return MessageState<typename Kind::Order>(queue_.store); }

  QueueState& queue_;
};

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_QUEUE_TIMEOUT_SWEEP_H_
