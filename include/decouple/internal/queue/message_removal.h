// Going through many messages at once: to remove all (purge) or those at the head that are past their retention, to
// find the oldest, and to have all looked at again when the retention has changed.

#ifndef DECOUPLE_INTERNAL_QUEUE_MESSAGE_REMOVAL_H_
#define DECOUPLE_INTERNAL_QUEUE_MESSAGE_REMOVAL_H_

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cstdint>
#include <limits>

#include "decouple/internal/base/cache_line.h"
#include "decouple/internal/base/rcu.h"
#include "decouple/internal/base/single_writer_counter.h"
#include "decouple/internal/base/time_math.h"
#include "decouple/internal/message/message_store.h"

namespace decouple::internal {

template <typename T>
class MessageRemoval {
 public:
  using Store = MessageStore<T>;
  using Slot = typename Store::Slot;
  using Lane = typename Store::Lane;
  using RedeliveryLane = typename Store::RedeliveryLane;
  using Segment = typename Store::Segment;
  using Message = typename Store::Message;
  using LocalState = typename Store::LocalState;

  explicit MessageRemoval(Store& store) : store_(store) {}

  // Removes ready messages that are past their retention from the head on, at most `most` of them. They lie in the
  // order of sending, so the first that is not ends it. In other states the sweep finds them. Returns an instant before
  // which nothing was sent that is there now, or comes there later.
  std::int64_t ExpiredAtHead(LocalState& local, std::int64_t now, std::uint32_t most) {
    constexpr std::int64_t kUnknown = std::numeric_limits<std::int64_t>::min();
    std::int64_t head_sent_at = kUnknown;
    const auto wants = [&](const Slot& slot, SlotState word) {
      if (word.phase() == Phase::kRequeued || store_.RetentionEnd(slot) <= now) return true;
      head_sent_at = slot.sent_at.load(std::memory_order_relaxed);
      return false;
    };
    while (most > 0) {
      head_sent_at = kUnknown;
      const bool was_empty = store_.lane().LooksEmpty();
      const auto run = store_.lane().Claim(local.cursor, most, kOpenGate, wants);
      if (run.size == 0) return head_sent_at == kUnknown && was_empty ? now : head_sent_at;
      local.counts.not_leased.Add(run.size);
      run.ForEachTaken([&](Slot& slot, SlotState word) {
        if (word.phase() == Phase::kRequeued) {
          // Next in any case, as it is at the head: there it waits for the receiver.
          store_.Requeue(local, Store::TakeRequeued({run.segment, &slot}, word));
        } else {
          RemoveOwned(local, {run.segment, &slot}, word, &LocalQueueCounts::expired);
        }
      });
      most -= std::min(most, run.size);
      if (run.ends_round) store_.lane().RetireRound();
    }
    return kUnknown;
  }

  // Removes every message that was sent before the call, in whatever state it is. O(messages).
  void Everything(LocalState& local) {
    store_.bias().Revoke();
    ReadyBefore(local, store_.lane().tail());
    store_.ForEachLane([&](Lane& lane) {
      for (std::uint32_t chunk = 0; chunk < lane.pool().chunk_numbers_end(); ++chunk) {
        for (std::uint32_t i = 0; i < kSlotsPerSegment; ++i) AllOfSegment(local, lane, chunk * kSlotsPerSegment + i);
        lane.TryRetire(2 * kSlotsPerSegment);
      }
    });
    store_.bias().Restore();
    DrainLine(local);
    store_.lane().TryRetire(2 * kSlotsPerSegment);
  }

  // When the message at the head will be past its retention, if it is a ready one; else for ever.
  std::int64_t HeadRetentionEnd(LocalState& local) {
    std::int64_t end = kForever;
    const auto run = store_.lane().Claim(local.cursor, 1, kOpenGate, [&](const Slot& slot, SlotState word) {
      if (word.phase() == Phase::kReady) end = store_.RetentionEnd(slot);
      return false;
    });
    local.counts.not_leased.Add(run.size);
    return end;
  }

  // When the oldest message was sent that was received fewer than three times; kForever if there is none. Beyond the
  // segment of the head all are younger than at its head, so: O(messages that the head has passed + segments); in a
  // queue that has taken over messages O(messages).
  std::int64_t OldestSentAt() {
    std::int64_t oldest = kForever;
    ForEachSegment([&](Lane& lane, Segment& segment, std::uint64_t ordinal) {
      if (ordinal > Lane::OrdinalOf(lane.head()) + 1 && !store_.has_older_ones()) return;
      for (const Slot& slot : segment.slots) {
        const SlotState word(slot.word.load(std::memory_order_acquire));
        const bool counts = word.IsOf(ordinal) && word.phase() != Phase::kDone && word.phase() != Phase::kRequeued &&
                            word.phase() != Phase::kDeleted && word.receive_count() < Store::kReceivesBeforeTheBack;
        if (counts) oldest = std::min(oldest, slot.sent_at.load(std::memory_order_relaxed));
      }
    });
    return oldest;
  }

  // The next sweep looks at every message that a head has passed. O(segments).
  void LookAtAllAgain() {
    ForEachSegment([&](Lane&, Segment& segment, std::uint64_t) {
      store_.LowerDeadline(segment, std::numeric_limits<std::int64_t>::min());
    });
  }

 private:
  // Each segment in use, in a section: visit(lane, segment, ordinal).
  template <typename Visit>
  void ForEachSegment(Visit visit) {
    store_.ForEachLane([&](Lane& lane) {
      for (std::uint32_t number = 0; number < lane.pool().chunk_numbers_end() * kSlotsPerSegment; ++number) {
        const RcuReadGuard section;
        Segment* const segment = lane.pool().Find(number);
        if (segment == nullptr) continue;
        const std::uint64_t ordinal = segment->ordinal.load(std::memory_order_acquire);
        if (ordinal != 0) visit(lane, *segment, ordinal);
      }
    });
  }

  void ReadyBefore(LocalState& local, std::uint64_t end) {
    Lane& lane = store_.lane();
    while (lane.head() < end) {
      const auto run = lane.Claim(local.cursor, kSlotsPerSegment, kOpenGate, WantAll());
      if (run.size == 0) return;  // a sender has its ticket, but its message is not there yet
      local.counts.not_leased.Add(run.size);
      run.ForEachTaken([&](Slot& slot, SlotState word) {
        if (word.phase() == Phase::kRequeued) {
          Unqueue(local, Store::TakeRequeued({run.segment, &slot}, word));
        } else {
          RemoveOwned(local, {run.segment, &slot}, word, &LocalQueueCounts::purged);
        }
      });
      if (run.ends_round) lane.RetireRound();
    }
  }

  void AllOfSegment(LocalState& local, Lane& lane, std::uint32_t number) {
    while (!TryAllOfSegment(local, lane, number)) Relax();
  }

  // False: somebody else owned a slot just then.
  bool TryAllOfSegment(LocalState& local, Lane& lane, std::uint32_t number) {
    bool complete = true;
    std::uint64_t owned = 0;
    Segment* segment = nullptr;
    std::array<SlotState, kSlotsPerSegment> before;
    {
      const RcuReadGuard section;  // until we own a slot, the segment may go
      segment = lane.pool().Find(number);
      if (segment == nullptr) return true;
      const std::uint64_t ordinal = segment->ordinal.load(std::memory_order_acquire);
      for (std::uint32_t i = 0; i < kSlotsPerSegment; ++i) {
        const SlotState word(segment->slots[i].word.load(std::memory_order_acquire));
        const bool has_message =
            word.IsOf(ordinal) && (word.phase() == Phase::kInFlight || word.phase() == Phase::kVisibleAgain ||
                                   word.phase() == Phase::kDelayed || word.phase() == Phase::kBusy);
        if (!has_message) continue;
        if (word.phase() == Phase::kBusy || !Store::TryLock(segment->slots[i], word)) {
          complete = false;
          continue;
        }
        owned |= 1ULL << i;
        before[i] = word;
      }
    }
    const auto for_each_owned = [&](auto visit) {
      for (std::uint64_t bits = owned; bits != 0; bits &= bits - 1) {
        const int i = std::countr_zero(bits);
        visit(Message{segment, &segment->slots[i]}, before[static_cast<std::size_t>(i)]);
      }
    };
    for_each_owned(
        [&](Message message, SlotState word) { store_.Remove(local, message, word, &LocalQueueCounts::purged); });
    for_each_owned(
        [&](Message message, SlotState) { store_.ReleaseReference(message); });  // bodies end while nothing is owned
    return complete;
  }

  // Entries of the line name nothing any more, for the most part: those go, so that their slots are free.
  void DrainLine(LocalState& local) {
    RedeliveryLane* const line = store_.redelivery_lane();
    if (line == nullptr) return;
    const std::uint64_t end = line->tail();
    while (line->head() < end) {
      const auto run = line->Claim(local.redelivery_cursor, kSlotsPerSegment, kOpenGate, WantAll());
      if (run.size == 0) return;
      local.counts.not_leased.Add(run.size);
      run.ForEachTaken([&](auto& entry, SlotState word) { Unqueue(local, Store::TakeEntry(entry, word)); });
      if (run.ends_round) line->RetireRound();
    }
  }

  // What a line named is purged too.
  void Unqueue(LocalState& local, Message message) {
    SlotState before;
    if (store_.TakeFromRedelivery(message, before)) RemoveOwned(local, message, before, &LocalQueueCounts::purged);
  }

  void RemoveOwned(LocalState& local, Message message, SlotState before, SingleWriterCounter LocalQueueCounts::*how) {
    store_.Remove(local, message, before, how);
    store_.ReleaseReference(message);
  }

  Store& store_;
};

}  // namespace decouple::internal

#endif  // DECOUPLE_INTERNAL_QUEUE_MESSAGE_REMOVAL_H_
