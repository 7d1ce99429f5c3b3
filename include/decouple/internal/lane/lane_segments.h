// The segments of a lane: from the pool into the index, and back into the pool.
//
//   segments.InstallAhead(ordinal + 1);                    // a sender in the middle of a segment
//   if (segments.EndsRound(head)) segments.ReclaimRound();  // a receiver that claimed the last slot of a round
//
// Life of a segment. The slots of tickets 64 × (n − 1) to 64 × n − 1 are in the segment of ordinal n. A segment is
// taken from the pool (segment_pool.h) and installed: from then on it is found by its ordinal (segment_index.h). Once
// the head has left it, it is retired (retired_segments.h); when all of its slots are free again it is reclaimed by the
// pool.
//
// Threading. The structure mutex is held to install and to retire. A sender whose ticket has no segment yet waits for
// it; all others only try it. A reader finds segments without it, inside a read section.
//
// Rounds. Each time the mutex changes cores, the dozen cache lines that it guards move too. So the more segments there
// are, the more of them, up to eight, make a round, and are installed and retired together (exp. 9).

#ifndef DECOUPLE_INTERNAL_LANE_LANE_SEGMENTS_H_
#define DECOUPLE_INTERNAL_LANE_LANE_SEGMENTS_H_

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <mutex>

#include "absl/base/thread_annotations.h"
#include "absl/container/inlined_vector.h"
#include "decouple/internal/base/assert.h"
#include "decouple/internal/base/cache_line.h"
#include "decouple/internal/base/mutex.h"
#include "decouple/internal/base/rcu.h"
#include "decouple/internal/base/thread_registry.h"
#include "decouple/internal/lane/retired_segments.h"
#include "decouple/internal/lane/segment_index.h"
#include "decouple/internal/lane/segment_pool.h"

namespace decouple::inline v0_1::internal {

template <typename Slot>
class LaneSegments {
 public:
  using Pool = SegmentPool<Slot>;
  using Segment = typename Pool::Segment;
  using Chunk = typename Pool::Chunk;

  static constexpr std::uint64_t OrdinalOf(std::uint64_t ticket) { return ticket / kSlotsPerSegment + 1; }

  // `head` is that of the lane: the first ticket that has not been passed.
  LaneSegments(const std::atomic<std::uint64_t>& head, const SlotLayout& layout) : head_(head), pool_(layout) {}
  LaneSegments(const LaneSegments&) = delete;
  LaneSegments& operator=(const LaneSegments&) = delete;

  // Null if there is no segment of that ordinal, not yet or no more.
  Segment* Find(const RcuReadGuard&, std::uint64_t ordinal) const { return index_.Find(ordinal); }

  // The segment of that number in the pool if it carries the ordinal, else null. Requires: inside a read section.
  Segment* FindByNumber(std::uint32_t number, std::uint64_t ordinal) const {
    Segment* const segment = pool_.Find(number);
    // Acquire: pairs with the release in Install(), which publishes the words of the segment's slots.
    return segment == nullptr || segment->ordinal.load(std::memory_order_acquire) != ordinal ? nullptr : segment;
  }

  // Requires: the segment is that of a ticket which the caller has yet to publish, and which therefore keeps the
  // segment in use; outside of a read section.
  Segment* FindOrInstall(std::uint64_t ordinal) ABSL_LOCKS_EXCLUDED(structure_mutex_) {
    if (Segment* const segment = Find(RcuReadGuard(), ordinal)) return segment;
    const MutexLock lock(structure_mutex_);
    Segment* const segment = Install(ordinal);
    DECOUPLE_ASSERT(segment != nullptr);
    return segment;
  }

  // Installs the segment, and as far as the pool has free ones the rest of a round behind it. Does nothing while
  // another thread has the structure mutex. Requires: outside of a read section.
  [[gnu::noinline]] void InstallAhead(std::uint64_t ordinal) ABSL_LOCKS_EXCLUDED(structure_mutex_) {
    if (Find(RcuReadGuard(), ordinal) != nullptr) return;
    if (!structure_mutex_.try_lock()) return;
    const MutexLock lock(structure_mutex_, std::adopt_lock);
    Install(ordinal);
    for (std::uint32_t more = segments_per_round_.load(std::memory_order_relaxed) - 1; more > 0; --more) {
      if (!pool_.HasFree()) return;
      Install(++ordinal);
    }
  }

  // Whether the receiver that claimed the slots before the ticket `end` has to call ReclaimRound().
  [[gnu::always_inline]] bool EndsRound(std::uint64_t end) const {
    // A mask, as the compiler does not know that the divisor is a power of two.
    return (end & (kSlotsPerSegment * std::uint64_t{segments_per_round_.load(std::memory_order_relaxed)} - 1)) == 0;
  }

  // Same as TryReclaim(), with two segments to look at for each segment of a round. Called at the end of a round, or
  // when there is time.
  SparseSegments ReclaimRound() { return TryReclaim(2 * segments_per_round_.load(std::memory_order_relaxed)); }

  // Retires the segments that the head has left, and gives those back to the pool whose slots are all free. Looks at
  // `most` others at most, and returns those of them that are nearly empty. Does nothing while another thread has the
  // structure mutex. O(most + freed). Requires: outside of a read section.
  [[gnu::noinline]] SparseSegments TryReclaim(std::uint32_t most) ABSL_LOCKS_EXCLUDED(structure_mutex_) {
    DECOUPLE_ASSERT(!ThreadRegistry::IsInReadSection());
    SparseSegments sparse;
    absl::InlinedVector<Chunk*, kChunksAtOnce> unneeded;
    {
      if (!structure_mutex_.try_lock()) return sparse;
      const MutexLock lock(structure_mutex_, std::adopt_lock);
      RetirePassed();
      sparse = retired_.RemoveFree(most, [&](Segment* segment) {
        structure_mutex_.AssertHeld();
        if (Chunk* const chunk = Reclaim(segment)) unneeded.push_back(chunk);
        return unneeded.size() < kChunksAtOnce;
      });
    }
    for (Chunk* const chunk : unneeded) Pool::Release(chunk);
    return sparse;
  }

  const Pool& pool() const { return pool_; }
  Pool& pool() { return pool_; }

 private:
  // So many chunks at most go back to the system in one call.
  static constexpr std::size_t kChunksAtOnce = 4;
  static constexpr std::uint32_t kMaxSegmentsPerRound = 8;
  static constexpr std::uint32_t kLeastPerRoundWhenBusy = 4;
  static constexpr std::uint64_t kBusyAfter = 64;  // segments: 4096 tickets

  // Null if the segment has been reclaimed already, which the caller's unpublished ticket rules out.
  Segment* Install(std::uint64_t ordinal) ABSL_EXCLUSIVE_LOCKS_REQUIRED(structure_mutex_) {
    if (Segment* const segment = index_.Find(ordinal)) return segment;
    if (ordinal < first_unretired_) {
      // The ticket was skipped and the index has moved on, but the unpublished slot keeps the segment in use.
      Segment* found = nullptr;
      pool_.ForEachInUse([&](Segment& segment) {
        if (segment.ordinal.load(std::memory_order_relaxed) == ordinal) found = &segment;
      });
      return found;
    }
    RetirePassed();
    Segment* const segment = pool_.Take(ordinal);
    segment->first_unfinished = 0;
    segment->ordinal.store(ordinal, std::memory_order_release);  // publishes its words
    index_.Add(ordinal, segment, first_unretired_);
    FitRounds();
    return segment;
  }

  // Retires the segments that the head has left, in order.
  void RetirePassed() ABSL_EXCLUSIVE_LOCKS_REQUIRED(structure_mutex_) {
    const std::uint64_t head_ordinal = OrdinalOf(head_.load(std::memory_order_acquire));
    for (; first_unretired_ < head_ordinal; ++first_unretired_) {
      Segment* const passed = index_.Find(first_unretired_);
      DECOUPLE_ASSERT(passed != nullptr);
      retired_.Add(passed);
    }
  }

  // Gives a segment whose slots are all free back to the pool. Returns a chunk that is no longer needed, or null.
  Chunk* Reclaim(Segment* segment) ABSL_EXCLUSIVE_LOCKS_REQUIRED(structure_mutex_) {
    const std::uint64_t ordinal = segment->ordinal.load(std::memory_order_relaxed);
    DECOUPLE_ASSERT(ordinal != 0 && ordinal < first_unretired_);
    index_.Remove(ordinal, segment);
    segment->ordinal.store(0, std::memory_order_release);  // from now on a receipt for it finds nothing
    Chunk* const unneeded = pool_.Put(segment);
    FitRounds();
    return unneeded;
  }

  // A round is an eighth of the segments at most, which keeps a small queue small. A queue that many messages have
  // passed through gets a few more.
  void FitRounds() ABSL_EXCLUSIVE_LOCKS_REQUIRED(structure_mutex_) {
    const std::uint32_t least = first_unretired_ > kBusyAfter ? kLeastPerRoundWhenBusy : 1;
    const std::uint32_t fit = std::bit_floor(std::clamp(pool_.segments() / 8, least, kMaxSegmentsPerRound));
    // Written only if it changes, as all threads read its cache line. Relaxed: any value that it had will do.
    if (fit != segments_per_round_.load(std::memory_order_relaxed)) [[unlikely]]
      segments_per_round_.store(fit, std::memory_order_relaxed);
  }

  // Read by all threads, rarely written.
  alignas(kCacheLine) const std::atomic<std::uint64_t>& head_;
  SegmentIndex<Segment> index_;
  std::atomic<std::uint32_t> segments_per_round_{1};  // a power of two

  // Apart from the above: senders and receivers both write here now and then.
  alignas(kCacheLine) Mutex structure_mutex_;
  std::uint64_t first_unretired_ ABSL_GUARDED_BY(structure_mutex_) = 1;  // ordinals before it have been retired
  RetiredSegments<Segment> retired_ ABSL_GUARDED_BY(structure_mutex_);
  Pool pool_;  // used under the mutex, but for its functions for readers (segment_pool.h)
};

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_LANE_LANE_SEGMENTS_H_
