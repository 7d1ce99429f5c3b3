// Finds a shard's segments by their numbers: a ring of pointers that grows with the shard.
//
// The segments' numbers are consecutive. Each number has a fixed slot in the ring, and the ring has at least as many
// slots as there are segments at a time.
//
// Threading: Find() and Guess() may be called at any time, Find() inside an RCU read section: a segment that has been
// removed is freed only after RcuSynchronize(). Everything else is called by one thread at a time (RecordLog's mutex).
// Outgrown rings are kept (together they are no larger than the one in use), so replacing a ring waits for no reader. A
// reader that still uses an old ring may miss a segment that was added since.

#ifndef DECOUPLE_INTERNAL_STREAM_SEGMENT_DIRECTORY_H_
#define DECOUPLE_INTERNAL_STREAM_SEGMENT_DIRECTORY_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "decouple/internal/base/assert.h"

namespace decouple::inline v0_1::internal {

template <typename Segment>
class SegmentDirectory {
 public:
  SegmentDirectory() { Grow(4); }

  // Null: it has not been added yet, or has been removed. Requires: the caller is in a read section.
  Segment* Find(std::uint64_t number) const {
    const Ring* const ring = ring_.load(std::memory_order_acquire);  // pairs with Grow()
    // Pairs with Add(), which publishes the segment's number and range.
    Segment* const segment = ring->slots[number & ring->mask].load(std::memory_order_acquire);
    return segment != nullptr && segment->number() == number ? segment : nullptr;
  }

  // The address that the segment most likely has. It may be another segment's or freed: for a prefetch only.
  const Segment* Guess(std::uint64_t number) const {
    const Ring* const ring = ring_.load(std::memory_order_acquire);
    return ring->slots[number & ring->mask].load(std::memory_order_relaxed);
  }

  // ---- one thread at a time -----------------------------------------------------------------------------------------

  // Adds the segment that follows the last one, or any while the directory is empty.
  void Add(Segment* segment) {
    DECOUPLE_ASSERT(empty() || segment->number() == end_);
    if (begin_ == end_) begin_ = end_ = segment->number();
    if (end_ - begin_ > Current().mask) Grow(2 * (Current().mask + 1));
    DECOUPLE_ASSERT(SlotOf(end_).load(std::memory_order_relaxed) == nullptr);
    SlotOf(end_++).store(segment, std::memory_order_release);  // pairs with Find()
  }

  // Removes the first segment. Readers that found it before may still use it, until RcuSynchronize() has returned.
  Segment* RemoveFirst() {
    Segment* const segment = First();
    SlotOf(begin_++).store(nullptr, std::memory_order_release);
    return segment;
  }

  Segment* First() const { return Get(begin_); }
  // Requires: begin() <= number < end().
  Segment* Get(std::uint64_t number) const {
    DECOUPLE_ASSERT(begin_ <= number && number < end_);
    return Current().slots[number & Current().mask].load(std::memory_order_relaxed);
  }
  bool empty() const { return begin_ == end_; }
  std::uint64_t begin() const { return begin_; }
  std::uint64_t end() const { return end_; }

 private:
  struct Ring {
    std::uint64_t mask = 0;
    std::unique_ptr<std::atomic<Segment*>[]> slots;  // null: no segment
  };

  Ring& Current() const { return *rings_.back(); }
  std::atomic<Segment*>& SlotOf(std::uint64_t number) { return Current().slots[number & Current().mask]; }

  void Grow(std::size_t size) {
    auto ring = std::make_unique<Ring>();
    ring->mask = size - 1;
    ring->slots = std::make_unique<std::atomic<Segment*>[]>(size);
    for (std::uint64_t number = begin_; number < end_; ++number) {
      ring->slots[number & ring->mask].store(Get(number), std::memory_order_relaxed);
    }
    ring_.store(ring.get(), std::memory_order_release);  // pairs with Find() and Guess(): publishes the slots
    rings_.push_back(std::move(ring));
  }

  std::atomic<const Ring*> ring_{nullptr};
  std::vector<std::unique_ptr<Ring>> rings_;
  std::uint64_t begin_ = 0;
  std::uint64_t end_ = 0;
};

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_STREAM_SEGMENT_DIRECTORY_H_
