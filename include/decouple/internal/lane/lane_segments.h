// The segments of a lane of tickets: where they come from, how they are found, and where they go.
//
//   segments.InstallAhead(ordinal + 1);                    // the sender that passes the middle of a segment
//   if (segments.EndsRound(head)) segments.RetireRound();  // the receiver that claimed the last slot of one
//
// Ticket t lives in the segment of ordinal t / 64 + 1. From its installation on a segment is found by its ordinal
// (segment_index.h), and once the head has left it, it goes back to the pool when all of its slots are free again
// (retired_segments.h).
//
// Rounds. The structure mutex is for installing and retiring segments, and retiring is only ever tried. What it guards
// moves from one core's cache to the other's each time, a dozen lines at some 45 ns: so the more segments there are, the
// more of them, up to eight, make a round, and are installed and retired together (with a sender and a receiver,
// 20.1 -> 16.2 ns a message; with a million messages between them 37 -> 25).

#ifndef DECOUPLE_INTERNAL_LANE_LANE_SEGMENTS_H_
#define DECOUPLE_INTERNAL_LANE_LANE_SEGMENTS_H_

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <mutex>

#include "absl/container/inlined_vector.h"
#include "decouple/internal/base/cache_line.h"
#include "decouple/internal/base/rcu.h"
#include "decouple/internal/lane/retired_segments.h"
#include "decouple/internal/lane/segment_index.h"
#include "decouple/internal/lane/segment_pool.h"

namespace decouple::internal {

template <typename Slot>
class LaneSegments {
 public:
  using Pool = SegmentPool<Slot>;
  using Segment = typename Pool::Segment;
  using Chunk = typename Pool::Chunk;

  static constexpr std::uint64_t OrdinalOf(std::uint64_t ticket) { return ticket / kSlotsPerSegment + 1; }

  // `head`: the lane's, the first ticket that has not been passed.
  explicit LaneSegments(const std::atomic<std::uint64_t>& head) : head_(head) {}
  LaneSegments(const LaneSegments&) = delete;
  LaneSegments& operator=(const LaneSegments&) = delete;

  // Null: there is none, not yet or no more.
  Segment* Find(const RcuReadGuard&, std::uint64_t ordinal) const { return ring_.Find(ordinal); }

  // In a section: the segment of that number in the pool, if it is that one.
  Segment* FindByNumber(std::uint32_t number, std::uint64_t ordinal) const {
    Segment* const segment = pool_.Find(number);
    // Acquire: pairs with the release in Install(), so a segment that carries the ordinal has its words.
    return segment == nullptr || segment->ordinal.load(std::memory_order_acquire) != ordinal ? nullptr : segment;
  }

  // Of a ticket that the caller has yet to publish, which keeps the segment in use. Not inside a RcuReadGuard.
  Segment* FindOrInstall(std::uint64_t ordinal) {
    if (Segment* const segment = Find(RcuReadGuard(), ordinal)) return segment;
    const std::lock_guard lock(structure_);
    return Install(ordinal);
  }

  // Sees to it that it is there, and, out of what the pool has, the rest of a round behind it; unless somebody else is
  // at it. Not inside a RcuReadGuard.
  void InstallAhead(std::uint64_t ordinal) {
    if (Find(RcuReadGuard(), ordinal) != nullptr) return;
    const std::unique_lock lock(structure_, std::try_to_lock);
    if (!lock.owns_lock()) return;
    Install(ordinal);
    for (std::uint32_t more = segments_per_round_.load(std::memory_order_relaxed) - 1; more > 0; --more) {
      if (!pool_.HasFree()) return;
      Install(++ordinal);
    }
  }

  // Whether it is up to who claimed the slots before the ticket `end` to retire some.
  [[gnu::always_inline]] bool EndsRound(std::uint64_t end) const {
    // Without the division that a compiler makes which does not know that it is a power of two.
    return (end & (kSlotsPerSegment * std::uint64_t{segments_per_round_.load(std::memory_order_relaxed)} - 1)) == 0;
  }

  // At the end of a round, or when there is time. As TryRetire(); at most two segments that have to stay are looked at
  // for each of the round.
  SparseSegments RetireRound() { return TryRetire(2 * segments_per_round_.load(std::memory_order_relaxed)); }

  // Gives passed segments back whose slots are all free again: looks at most at `most` that are not, and tells of those
  // of these that are nearly empty. O(most + freed). Not inside a RcuReadGuard.
  SparseSegments TryRetire(std::uint32_t most) {
    SparseSegments sparse;
    absl::InlinedVector<Chunk*, kChunksAtOnce> unneeded;
    {
      const std::unique_lock lock(structure_, std::try_to_lock);
      if (!lock.owns_lock()) return sparse;  // somebody else is at it
      CollectPassed();
      sparse = passed_.RemoveFree(most, [&](Segment* segment) {
        if (Chunk* const chunk = Retire(segment)) unneeded.push_back(chunk);
        return unneeded.size() < kChunksAtOnce;
      });
    }
    for (Chunk* const chunk : unneeded) Pool::Release(chunk);
    return sparse;
  }

  const Pool& pool() const { return pool_; }
  Pool& pool() { return pool_; }

 private:
  // That go back to the system at one time.
  static constexpr std::size_t kChunksAtOnce = 4;
  static constexpr std::uint32_t kMostPerRound = 8;
  static constexpr std::uint32_t kLeastWhenSeasoned = 4;
  static constexpr std::uint64_t kSeasonedAfter = 64;  // segments: 4096 tickets

  // All below: under the mutex.

  Segment* Install(std::uint64_t ordinal) {
    if (Segment* const segment = ring_.Find(ordinal)) return segment;
    if (ordinal < next_uncollected_) {
      // The caller's ticket was skipped and the ring has moved on; its unpublished slot keeps the segment in use.
      Segment* found = nullptr;
      pool_.ForEachInUse([&](Segment& segment) {
        if (segment.ordinal.load(std::memory_order_relaxed) == ordinal) found = &segment;
      });
      return found;
    }
    CollectPassed();
    Segment* const segment = pool_.Take(ordinal);
    segment->first_unfinished = 0;
    segment->ordinal.store(ordinal, std::memory_order_release);  // publishes its words
    ring_.Add(ordinal, segment, next_uncollected_);
    FitRounds();
    return segment;
  }

  // Notes the segments that the head has left, in order.
  void CollectPassed() {
    const std::uint64_t now_at = OrdinalOf(head_.load(std::memory_order_acquire));
    for (; next_uncollected_ < now_at; ++next_uncollected_) passed_.Add(ring_.Find(next_uncollected_));
  }

  // Returns a chunk that is no longer needed, or null.
  Chunk* Retire(Segment* segment) {
    const std::uint64_t ordinal = segment->ordinal.load(std::memory_order_relaxed);
    ring_.Remove(ordinal, segment);
    segment->ordinal.store(0, std::memory_order_release);  // a receipt for it finds nothing from now on
    Chunk* const unneeded = pool_.Put(segment);
    FitRounds();
    return unneeded;
  }

  // A round is an eighth of the segments at most, so it keeps a small queue small; but where many have come by, a few
  // more segments are worth it.
  void FitRounds() {
    const std::uint32_t least = next_uncollected_ > kSeasonedAfter ? kLeastWhenSeasoned : 1;
    const std::uint32_t fit = std::bit_floor(std::clamp(pool_.segments() / 8, least, kMostPerRound));
    // Read by all: not written in vain. Relaxed: any value that it had will do.
    if (fit != segments_per_round_.load(std::memory_order_relaxed)) [[unlikely]]
      segments_per_round_.store(fit, std::memory_order_relaxed);
  }

  // Read by all, rarely written.
  alignas(kCacheLine) const std::atomic<std::uint64_t>& head_;
  SegmentIndex<Segment> ring_;
  std::atomic<std::uint32_t> segments_per_round_{1};  // a power of two

  // Apart, as both sides take it now and then, and all read what is above.
  alignas(kCacheLine) std::mutex structure_;
  // All below: under the mutex (the pool's Find functions excepted).
  std::uint64_t next_uncollected_ = 1;  // ordinals from here on are in the ring, those before are passed
  RetiredSegments<Segment> passed_;
  Pool pool_;
};

}  // namespace decouple::internal

#endif  // DECOUPLE_INTERNAL_LANE_LANE_SEGMENTS_H_
