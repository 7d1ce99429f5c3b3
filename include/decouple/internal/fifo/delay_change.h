// The change of a FIFO queue's delay, which applies to the messages that wait for theirs to end, too (SQS; in a standard
// queue a message keeps the delay that it was sent with).
//
// Design. Every message that is delayed in a FIFO queue has the queue's own delay, so its end follows from the sending
// time. The change walks over all slots and sets it anew. Messages that compaction moves meanwhile may escape a walk, so
// walks go on until one has found nothing to change.

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

namespace decouple::inline v0_1::internal {

template <typename T>
class DelayChange {
 public:
  using Store = MessageStore<T>;
  using Lane = typename Store::Lane;
  using Message = typename Store::Message;
  using Segment = typename Store::Segment;
  using Slot = typename Store::Slot;

  explicit DelayChange(Store& store) : store_(store) {}

  // Every message whose delay has not ended at `now` becomes visible `delay` after its sending. The caller has made the
  // delay known to senders, and calls this from one thread at a time, not from within a read section. O(segments +
  // messages).
  void Apply(std::int64_t delay, std::int64_t now) {
    store_.groups()->AwaitAppends();  // a sender reads the delay, and publishes its message, under the guard
    while (ApplyToAll(delay, now)) {
    }
  }

 private:
  // Whether a message was changed.
  bool ApplyToAll(std::int64_t delay, std::int64_t now) {
    bool has_changed = false;
    store_.ForEachLane([&](Lane& lane) {
      for (std::uint32_t number = 0; number < lane.pool().chunk_numbers_end() * kSlotsPerSegment; ++number) {
        while (!TryApplyToSegment(lane, number, delay, now, has_changed)) Relax();
      }
    });
    return has_changed;
  }

  // False: another thread had locked a slot; the caller tries again, outside of the read section, for which that thread
  // may wait.
  bool TryApplyToSegment(Lane& lane, std::uint32_t number, std::int64_t delay, std::int64_t now, bool& has_changed) {
    const RcuReadGuard section;
    Segment* const segment = lane.pool().Find(number);
    if (segment == nullptr) return true;
    const std::uint64_t ordinal = segment->ordinal.load(std::memory_order_acquire);
    bool is_complete = true;
    for (Slot& slot : segment->slots) {
      // Acquire: pairs with the last store of the word, which publishes the rest of the slot.
      const SlotState word(slot.word.load(std::memory_order_acquire));
      if (!word.IsOf(ordinal)) continue;
      if (word.phase() == Phase::kBusy) {
        is_complete = false;
      } else if (word.phase() == Phase::kDelayed) {
        if (Store::TryLock(slot, word)) {
          has_changed |= SetEnd({segment, &slot}, delay, now);
          Store::Unlock(slot, word);
        } else {
          is_complete = false;
        }
      }
    }
    return is_complete;
  }

  // Whether it was another. A delay that has ended stays so, even if no sweep has come yet. Requires: the caller has
  // locked the slot.
  bool SetEnd(Message message, std::int64_t delay, std::int64_t now) {
    const std::int64_t before = message.times().visible_at();
    const std::int64_t end = SaturatingAdd(message.slot->sent_at.load(std::memory_order_relaxed), delay);
    if (before == end || before <= now) return false;
    message.times().set_visible_at(end);
    store_.LowerDeadline(*message.segment, std::min(end, store_.RetentionEnd(*message.slot)));
    return true;
  }

  Store& store_;
};

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_FIFO_DELAY_CHANGE_H_
