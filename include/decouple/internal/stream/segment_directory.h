// Finds a shard's segments by their numbers: a ring of pointers that grows as the shard does.
//
// Numbers are consecutive; each has its place in the ring, and as many are there at a time as the ring has places, at
// most. Who looks is in a RcuReadGuard: a segment that has been taken out is freed after a RcuSynchronize() only. Rings
// that were outgrown stay (together they are no larger than the one in use), so replacing one waits for nobody; one who
// still looks into it may miss what has come since.

#ifndef DECOUPLE_INTERNAL_STREAM_SEGMENT_DIRECTORY_H_
#define DECOUPLE_INTERNAL_STREAM_SEGMENT_DIRECTORY_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

namespace decouple::internal {

template <typename Segment>
class SegmentDirectory {
 public:
  SegmentDirectory() { Grow(4); }

  // Within a section. Null: it is not there yet, or not any more.
  Segment* Find(std::uint64_t number) const {
    const Ring* const ring = ring_.load(std::memory_order_acquire);  // pairs with Grow()
    // Pairs with Add(): what the segment is was said before.
    Segment* const segment = ring->places[number & ring->mask].load(std::memory_order_acquire);
    return segment != nullptr && segment->number() == number ? segment : nullptr;
  }

  // Where that one most likely is, without a look at it: for a prefetch only.
  const Segment* Guess(std::uint64_t number) const {
    const Ring* const ring = ring_.load(std::memory_order_acquire);
    return ring->places[number & ring->mask].load(std::memory_order_relaxed);
  }

  // The rest by one thread at a time.

  // The next, or the first.
  void Add(Segment* segment) {
    if (begin_ == end_) begin_ = end_ = segment->number();
    if (end_ - begin_ > Current().mask) Grow(2 * (Current().mask + 1));
    PlaceOf(end_++).store(segment, std::memory_order_release);
  }

  // Takes the first out; it can be found no more, but somebody may just have found it.
  Segment* RemoveFirst() {
    Segment* const segment = First();
    PlaceOf(begin_++).store(nullptr, std::memory_order_release);
    return segment;
  }

  Segment* First() const { return Get(begin_); }
  // Of a number from begin() to before end().
  Segment* Get(std::uint64_t number) const {
    return Current().places[number & Current().mask].load(std::memory_order_relaxed);
  }
  bool empty() const { return begin_ == end_; }
  std::uint64_t begin() const { return begin_; }
  std::uint64_t end() const { return end_; }

 private:
  struct Ring {
    std::uint64_t mask = 0;
    std::unique_ptr<std::atomic<Segment*>[]> places;
  };

  Ring& Current() const { return *rings_.back(); }
  std::atomic<Segment*>& PlaceOf(std::uint64_t number) { return Current().places[number & Current().mask]; }

  void Grow(std::size_t size) {
    auto ring = std::make_unique<Ring>();
    ring->mask = size - 1;
    ring->places = std::make_unique<std::atomic<Segment*>[]>(size);
    for (std::uint64_t number = begin_; number < end_; ++number) {
      ring->places[number & ring->mask].store(Get(number), std::memory_order_relaxed);
    }
    ring_.store(ring.get(), std::memory_order_release);
    rings_.push_back(std::move(ring));
  }

  std::atomic<const Ring*> ring_{nullptr};
  std::vector<std::unique_ptr<Ring>> rings_;
  std::uint64_t begin_ = 0;
  std::uint64_t end_ = 0;
};

}  // namespace decouple::internal

#endif  // DECOUPLE_INTERNAL_STREAM_SEGMENT_DIRECTORY_H_
