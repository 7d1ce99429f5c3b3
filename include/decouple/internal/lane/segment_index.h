// Finds the segments of a lane by their ordinals: from the first that has not been passed to the last.
//
// A ring of pointers, indexed by the ordinal. A pointer from it is right if and only if the segment carries the ordinal
// that was looked for; so an entry may lie, and lookers need no lock.
//
// Threading: Add() and Remove() are called under the lane's structure mutex. Find() by anybody, in a RcuReadGuard or
// under that mutex.

#ifndef DECOUPLE_INTERNAL_LANE_SEGMENT_INDEX_H_
#define DECOUPLE_INTERNAL_LANE_SEGMENT_INDEX_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

namespace decouple::internal {

template <typename Segment>
class SegmentIndex {
 public:
  // Null: there is none, or not yet.
  Segment* Find(std::uint64_t ordinal) const {
    const Ring* const ring = ring_.load(std::memory_order_acquire);  // pairs with the release in Grow()
    if (ring == nullptr) return nullptr;
    // Acquire, both: pair with Add() and with whoever gave the segment its ordinal, so it is ready for use.
    Segment* const segment = ring->at(ordinal).load(std::memory_order_acquire);
    if (segment == nullptr || segment->ordinal.load(std::memory_order_acquire) != ordinal) return nullptr;
    return segment;
  }

  // A segment that carries its ordinal. Those from `first` on stay to be found.
  void Add(std::uint64_t ordinal, Segment* segment, std::uint64_t first) {
    while (rings_.empty() || ordinal - first > rings_.back()->mask) Grow(first);
    rings_.back()->at(ordinal).store(segment, std::memory_order_release);
  }

  // If it is still there.
  void Remove(std::uint64_t ordinal, const Segment* segment) {
    std::atomic<Segment*>& entry = rings_.back()->at(ordinal);
    if (entry.load(std::memory_order_relaxed) == segment) entry.store(nullptr, std::memory_order_release);
  }

 private:
  struct Ring {
    explicit Ring(std::uint64_t n) : mask(n - 1), segments(new std::atomic<Segment*>[n]()) {}
    std::atomic<Segment*>& at(std::uint64_t ordinal) const { return segments[ordinal & mask]; }
    const std::uint64_t mask;
    const std::unique_ptr<std::atomic<Segment*>[]> segments;
  };

  void Grow(std::uint64_t first) {
    auto grown = std::make_unique<Ring>(rings_.empty() ? 4 : (rings_.back()->mask + 1) * 2);
    if (!rings_.empty()) {
      const Ring& old = *rings_.back();
      for (std::uint64_t ordinal = first; ordinal <= first + old.mask; ++ordinal) {
        Segment* const segment = old.at(ordinal).load(std::memory_order_relaxed);
        if (segment != nullptr && segment->ordinal.load(std::memory_order_relaxed) == ordinal) {
          grown->at(ordinal).store(segment, std::memory_order_relaxed);
        }
      }
    }
    ring_.store(grown.get(), std::memory_order_release);  // publishes the copied pointers
    rings_.push_back(std::move(grown));
  }

  std::atomic<Ring*> ring_{nullptr};  // the newest
  // Under the structure mutex. Old ones stay until the end: together they are smaller than the newest, and who still
  // looks there checks the ordinal of what he finds.
  std::vector<std::unique_ptr<Ring>> rings_;
};

}  // namespace decouple::internal

#endif  // DECOUPLE_INTERNAL_LANE_SEGMENT_INDEX_H_
