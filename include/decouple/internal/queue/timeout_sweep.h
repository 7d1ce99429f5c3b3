// Works off what is due: visibility timeouts and delays that ended, and messages past their retention.
//
// Callers of the queue do it, a step at a time, when the store's earliest instant has passed. One step looks through
// one segment, so it is short however much is due at once; one thread steps at a time, others go on without.
//
// How a step finds its segment: it takes the store's instant away, looks for a chunk and in it for a segment whose
// instant has passed, takes that away as well, settles the due slots, and puts back the earliest of what is left, level
// by level. Whoever makes a new deadline known meanwhile finds the instant taken away and lowers it anew; one who did
// so before is seen, by his deadline or as in transit (see EarliestDeadline).
//
// A step may own what somebody holds, so it revokes the holders' bias (delete_bias.h), which interrupts every thread
// that runs. So that it does so ten times a second at most, however often something is due, the bias is given back only
// after a while.

#ifndef DECOUPLE_INTERNAL_QUEUE_TIMEOUT_SWEEP_H_
#define DECOUPLE_INTERNAL_QUEUE_TIMEOUT_SWEEP_H_

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <thread>

#include "decouple/internal/base/rcu.h"
#include "decouple/internal/base/time_math.h"
#include "decouple/internal/message/message_store.h"

namespace decouple::internal {

template <typename T>
class TimeoutSweep {
 public:
  using Store = MessageStore<T>;
  using Slot = typename Store::Slot;
  using Lane = typename Store::Lane;
  using Chunk = typename Lane::Chunk;
  using Segment = typename Store::Segment;
  using Message = typename Store::Message;
  using LocalState = typename Store::LocalState;

  explicit TimeoutSweep(Store& store) : store_(store) {}

  // At most `steps`; returns early when nothing is due, or when another thread is at it.
  void Steps(LocalState& local, std::int64_t now, int steps) {
    while (steps-- > 0 && store_.earliest().get() <= now && Step(local, now)) {
    }
  }

  // For those who come by now and then: holders have their bias again when nothing has been due for a while.
  void Rest(std::int64_t now) {
    if (!has_revoked_.load(std::memory_order_relaxed) || stepping_.exchange(true, std::memory_order_acquire)) return;
    RestoreBias(now);
    stepping_.store(false, std::memory_order_release);
  }

  // Until nothing is due at `now`, for those who need exact counts. Gives up on what other threads keep in transit.
  void All(LocalState& local, std::int64_t now) {
    for (int patience = kSpinsBeforeSkip; patience > 0 && store_.earliest().get() <= now;) {
      const bool settled_some = Step(local, now);
      if (settled_some) continue;
      --patience;
      std::this_thread::yield();
    }
  }

 private:
  static constexpr int kSpinsBeforeSkip = 1000;
  static constexpr std::int64_t kRevokedAtLeast = 100'000'000;  // a tenth of a second

  // Slots of one segment that the step owns.
  struct Batch {
    Segment* segment = nullptr;
    std::uint64_t slots = 0;  // a bit each
    std::array<SlotState, kSlotsPerSegment> before;
  };

  // Returns whether it settled something.
  bool Step(LocalState& local, std::int64_t now) {
    // Acquire and release: the cursor is handed on from stepper to stepper.
    if (stepping_.exchange(true, std::memory_order_acquire)) return false;
    RevokeBias(now);
    Batch batch;
    const std::int64_t taken = store_.earliest().Exchange(kForever);
    std::int64_t rest = FindDue(now, batch);
    if (batch.slots != 0) rest = std::min(rest, taken);  // there may be more
    const std::uint64_t over = SettleAll(local, now, batch);
    if (store_.earliest().Lower(rest)) {  // who looked in between knows of no deadline
      store_.visible().Notify(EventCount::kAll);
      store_.room().Notify(EventCount::kAll);
    }
    if (store_.earliest().get() > now) RestoreBias(now);
    stepping_.store(false, std::memory_order_release);
    ForEachBit(over, [&](std::size_t i) { store_.ReleaseReference({batch.segment, &batch.segment->slots[i]}); });
    return batch.slots != 0;
  }

  // The stepper's, both.
  void RevokeBias(std::int64_t now) {
    if (has_revoked_.load(std::memory_order_relaxed)) return;
    store_.bias().Revoke();
    has_revoked_.store(true, std::memory_order_relaxed);
    revoked_at_ = now;
  }
  void RestoreBias(std::int64_t now) {
    if (!has_revoked_.load(std::memory_order_relaxed) || now < SaturatingAdd(revoked_at_, kRevokedAtLeast)) return;
    has_revoked_.store(false, std::memory_order_relaxed);
    store_.bias().Restore();
  }

  // Owns what is due in one segment, and returns the earliest instant of all others that were looked at.
  std::int64_t FindDue(std::int64_t now, Batch& batch) {
    std::int64_t rest = kForever;
    store_.ForEachLane([&](Lane& lane) {
      if (batch.slots == 0) rest = std::min(rest, FindDueIn(lane, now, batch));
    });
    return batch.slots != 0 ? kForever : rest;
  }

  std::int64_t FindDueIn(Lane& lane, std::int64_t now, Batch& batch) {
    const auto& pool = lane.pool();
    const std::uint32_t end = pool.chunk_numbers_end();
    std::int64_t rest = kForever;
    for (std::uint32_t looked = 0; looked < end; ++looked) {
      if (cursor_ >= end) cursor_ = 0;
      const RcuReadGuard section;
      Chunk* const chunk = pool.FindChunk(cursor_);
      if (chunk != nullptr) {
        if (chunk->earliest.get() <= now) OwnDueIn(lane, *chunk, now, batch);
        if (batch.slots != 0) break;
        rest = std::min(rest, chunk->earliest.get());
      }
      ++cursor_;
    }
    return rest;
  }

  // In a section: of the first segment of `chunk` that has something due.
  void OwnDueIn(const Lane& lane, Chunk& chunk, std::int64_t now, Batch& batch) {
    chunk.earliest.Exchange(kForever);
    std::int64_t rest = kForever;
    for (std::uint32_t i = 0; i < chunk.size; ++i) {
      if (batch.slots == 0 && chunk.earliest_of[i].get() <= now) {
        chunk.earliest_of[i].Exchange(kForever);
        chunk.earliest_of[i].Lower(OwnDueIn(lane, chunk.segments[i], now, batch));
      }
      rest = std::min(rest, chunk.earliest_of[i].get());
    }
    chunk.earliest.Lower(rest);
  }

  // In a section. Returns the earliest instant of the segment's other slots; `now` for those in transit.
  std::int64_t OwnDueIn(const Lane& lane, Segment& segment, std::int64_t now, Batch& batch) {
    const std::uint64_t ordinal = segment.ordinal.load(std::memory_order_acquire);
    if (ordinal == 0) return kForever;
    const std::uint64_t head = lane.head();
    const std::uint64_t first_ticket = (ordinal - 1) * kSlotsPerSegment;
    std::int64_t rest = kForever;
    for (std::uint32_t i = 0; i < kSlotsPerSegment; ++i) {
      Slot& slot = segment.slots[i];
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
          const std::int64_t due = DueAt({&segment, &slot}, word);
          if (due > now) {
            rest = std::min(rest, due);
          } else if (Store::TryLock(slot, word)) {
            batch.segment = &segment;
            batch.slots |= 1ULL << i;
            batch.before[i] = word;
          } else {
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

  // Of a slot that the stepper owns, or only looks at.
  std::int64_t DueAt(Message message, SlotState word) const {
    const std::int64_t end = store_.RetentionEnd(*message.slot);
    if (word.phase() == Phase::kVisibleAgain) return end;
    LeaseTimes* const times = message.segment->FindColdFieldsOf(*message.slot);
    return times == nullptr ? end : std::min(end, times->visible_at());  // null: it is over since it was looked at
  }

  // Returns those that are past their retention: removed, and ours to drop.
  std::uint64_t SettleAll(LocalState& local, std::int64_t now, const Batch& batch) {
    std::uint64_t over = 0;
    std::uint32_t visible = 0;
    ForEachBit(batch.slots, [&](std::size_t i) {
      const Message message{batch.segment, &batch.segment->slots[i]};
      const SlotState before = batch.before[i];
      if (store_.RetentionEnd(*message.slot) <= now) {
        store_.Remove(local, message, before, &LocalQueueCounts::expired);
        over |= 1ULL << i;
      } else if (DueAt(message, before) <= now) {
        store_.NoteReturned(local, message, before);
        store_.MakeVisible(local, message, before);
        ++visible;
      } else {  // it was received anew between the look and the claim
        store_.LowerDeadline(*message.segment, DueAt(message, before));
        store_.Restore(local, message, before);
      }
    });
    if (visible != 0) store_.visible().Notify(visible);
    return over;
  }

  template <typename Visit>
  static void ForEachBit(std::uint64_t bits, Visit visit) {
    for (; bits != 0; bits &= bits - 1) visit(static_cast<std::size_t>(std::countr_zero(bits)));
  }

  Store& store_;
  std::atomic<bool> stepping_{false};
  // The stepper's.
  std::uint32_t cursor_ = 0;              // the chunk where the last step found something
  std::atomic<bool> has_revoked_{false};  // the holders' bias; others only peep
  std::int64_t revoked_at_ = 0;
};

}  // namespace decouple::internal

#endif  // DECOUPLE_INTERNAL_QUEUE_TIMEOUT_SWEEP_H_
