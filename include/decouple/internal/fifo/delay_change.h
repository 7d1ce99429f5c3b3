// The change of a FIFO queue's delay, which applies to the messages that wait for theirs to end, too (SQS; in a
// standard queue a message keeps the delay that it was sent with).
//
// Design. Every message that is delayed in a FIFO queue has the queue's own delay, so its end follows from the sending
// time. The change walks over all slots and sets it anew, in the queue's own lane first. Compaction may move messages
// meanwhile, but only into the lane of moved messages, which is walked afterwards. Within that lane a message may move
// from where the walk has yet to come to where it has been, so MovedMessages counts such moves, and the lane is walked
// again until there was none during a walk.

#ifndef DECOUPLE_INTERNAL_FIFO_DELAY_CHANGE_H_
#define DECOUPLE_INTERNAL_FIFO_DELAY_CHANGE_H_

#include <algorithm>
#include <atomic>
#include <cstdint>

#include "decouple/internal/base/cache_line.h"
#include "decouple/internal/base/rcu.h"
#include "decouple/internal/base/time_math.h"
#include "decouple/internal/lane/segment_pool.h"
#include "decouple/internal/message/message_groups.h"
#include "decouple/internal/message/message_store.h"
#include "decouple/internal/message/moved_messages.h"
#include "decouple/internal/queue/locked_slots.h"

namespace decouple::inline v0_1::internal {

class DelayChange {
 public:
  explicit DelayChange(MessageStore& store) : store_(store) {}

  // Every message whose delay has not ended at `now` becomes visible `delay` after its sending. The caller has made the
  // delay known to senders, and calls this from one thread at a time, not from within a read section. O(segments +
  // messages).
  void Apply(std::int64_t delay, std::int64_t now) {
    store_.groups().AwaitAppends();  // a sender reads the delay, and publishes its message, under the guard
    ApplyToLane(store_.lane(), delay, now);
    MovedMessages* const moved = store_.moved_messages();
    if (moved == nullptr) return;
    std::uint64_t moves = 0;
    do {
      moves = moved->moves_within();
      ApplyToLane(moved->lane(), delay, now);
    } while (moved->moves_within() != moves);
  }

 private:
  void ApplyToLane(MessageLane& lane, std::int64_t delay, std::int64_t now) {
    for (std::uint32_t number = 0; number < lane.pool().chunk_numbers_end() * kSlotsPerSegment; ++number) {
      while (!TryApplyToSegment(lane, number, delay, now)) Relax();
    }
  }

  // False: another thread had locked a slot; the caller tries again, outside of the read section, for which that thread
  // may wait.
  bool TryApplyToSegment(MessageLane& lane, std::uint32_t number, std::int64_t delay, std::int64_t now) {
    LockedSlots delayed;
    bool is_complete = true;
    {
      const RcuReadGuard section;  // until a slot is locked, the segment may be retired and freed
      MessageSegment* const segment = lane.pool().Find(number);
      if (segment == nullptr) return true;
      delayed.segment = segment;
      const std::uint64_t ordinal = segment->ordinal.load(std::memory_order_acquire);
      for (std::uint32_t i = 0; i < kSlotsPerSegment; ++i) {
        // Acquire: pairs with the last store of the word, which publishes the rest of the slot, and with the end of a
        // message that has moved, which comes after its copy and MovedMessages::CountMoveWithin().
        const SlotState word(segment->slot(i).word.load(std::memory_order_acquire));
        if (!word.IsOf(ordinal)) continue;
        if (word.phase() == Phase::kBusy || (word.phase() == Phase::kDelayed && !delayed.TryLock(i, word))) {
          is_complete = false;
        }
      }
    }
    // Outside of the section: an earlier deadline wakes those that sleep until the earliest, which takes a while.
    delayed.ForEach([&](SlotRef message, SlotState before) {
      SetEnd(message, delay, now);
      Unlock(*message.slot, before);
    });
    return is_complete;
  }

  // A delay that has ended stays so, even if no sweep has come yet. Requires: the caller has locked the slot.
  void SetEnd(SlotRef message, std::int64_t delay, std::int64_t now) {
    const std::int64_t before = message.times().visible_at();
    const std::int64_t end = SaturatingAdd(message.slot->sent_at.load(std::memory_order_relaxed), delay);
    if (before == end || before <= now) return;
    message.times().set_visible_at(end);
    store_.LowerDeadline(*message.segment, std::min(end, store_.RetentionEnd(*message.slot)));
  }

  MessageStore& store_;
};

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_FIFO_DELAY_CHANGE_H_
