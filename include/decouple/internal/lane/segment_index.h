// Finds the segments of a lane by their ordinals.
//
// Design. A circular table of pointers, indexed by the ordinal modulo its size. An entry may be out of date: it is
// right if and only if the segment carries the ordinal that is looked for. So Find() needs no lock.
//
// Threading. Add() and Remove() are called under the lane's structure mutex. Find() may be called by any thread, inside
// a read section or under that mutex.

#ifndef DECOUPLE_INTERNAL_LANE_SEGMENT_INDEX_H_
#define DECOUPLE_INTERNAL_LANE_SEGMENT_INDEX_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "decouple/internal/base/assert.h"

namespace decouple::inline v0_1::internal {

template <typename Segment>
class SegmentIndex {
 public:
  // Null if there is no segment of that ordinal, not yet or no more.
  Segment* Find(std::uint64_t ordinal) const {
    const Table* const table = table_.load(std::memory_order_acquire);  // pairs with the release in Grow()
    if (table == nullptr) return nullptr;
    // Acquire, both: pair with the release in Add() and with the one that gave the segment its ordinal
    // (LaneSegments::Install()), so the segment is ready for use.
    Segment* const segment = table->at(ordinal).load(std::memory_order_acquire);
    if (segment == nullptr || segment->ordinal.load(std::memory_order_acquire) != ordinal) return nullptr;
    return segment;
  }

  // Requires: `segment` carries `ordinal`. The segments from `first` on can still be found afterwards.
  void Add(std::uint64_t ordinal, Segment* segment, std::uint64_t first) {
    DECOUPLE_ASSERT(segment->ordinal.load(std::memory_order_relaxed) == ordinal && first <= ordinal);
    while (tables_.empty() || ordinal - first > tables_.back()->mask) Grow(first);
    tables_.back()->at(ordinal).store(segment, std::memory_order_release);
  }

  // Removes the segment unless another one has taken its entry.
  void Remove(std::uint64_t ordinal, const Segment* segment) {
    std::atomic<Segment*>& entry = tables_.back()->at(ordinal);
    if (entry.load(std::memory_order_relaxed) == segment) entry.store(nullptr, std::memory_order_release);
  }

 private:
  struct Table {
    explicit Table(std::uint64_t n) : mask(n - 1), segments(new std::atomic<Segment*>[n]()) {}
    std::atomic<Segment*>& at(std::uint64_t ordinal) const { return segments[ordinal & mask]; }
    const std::uint64_t mask;
    const std::unique_ptr<std::atomic<Segment*>[]> segments;
  };

  void Grow(std::uint64_t first) {
    auto grown = std::make_unique<Table>(tables_.empty() ? 4 : (tables_.back()->mask + 1) * 2);
    if (!tables_.empty()) {
      const Table& old = *tables_.back();
      for (std::uint64_t ordinal = first; ordinal <= first + old.mask; ++ordinal) {
        Segment* const segment = old.at(ordinal).load(std::memory_order_relaxed);
        if (segment != nullptr && segment->ordinal.load(std::memory_order_relaxed) == ordinal) {
          grown->at(ordinal).store(segment, std::memory_order_relaxed);
        }
      }
    }
    table_.store(grown.get(), std::memory_order_release);  // publishes the copied pointers
    tables_.push_back(std::move(grown));
  }

  std::atomic<Table*> table_{nullptr};  // the newest
  // Used under the structure mutex. Old tables stay until the end: together they are smaller than the newest one, and a
  // thread that still reads one checks the ordinal of the segment that it finds.
  std::vector<std::unique_ptr<Table>> tables_;
};

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_LANE_SEGMENT_INDEX_H_
