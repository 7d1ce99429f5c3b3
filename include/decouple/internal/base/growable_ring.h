// A ring of pointers that grows: objects with consecutive numbers, of which a window is there at a time, found by their
// numbers. A number has a fixed place in the ring, which has at least as many places as the window has numbers.
//
// An entry may be out of date, so a reader has to look at the object whether it is the one of that number. Therefore
// Find needs no lock, and outgrown rings are kept instead of freed: together they are smaller than the one in use, and
// a reader that still uses one may only miss an object that was added since.
//
// Threading. At() and Guess() may be called by any thread; what keeps the objects is the caller's business, mostly an
// RCU read section. Everything else is called by one thread at a time.

#ifndef DECOUPLE_INTERNAL_BASE_GROWABLE_RING_H_
#define DECOUPLE_INTERNAL_BASE_GROWABLE_RING_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "decouple/internal/base/assert.h"

namespace decouple::inline v0_1::internal {

template <typename Object>
class GrowableRing {
 public:
  GrowableRing() = default;
  GrowableRing(const GrowableRing&) = delete;
  GrowableRing& operator=(const GrowableRing&) = delete;

  // What was put last at the place of this number; null if there is nothing. It may have another number.
  Object* At(std::uint64_t number) const {
    const Ring* const ring = ring_.load(std::memory_order_acquire);  // pairs with the release in Grow()
    // Acquire: pairs with the release in Put(), for what the object was before.
    return ring == nullptr ? nullptr : ring->at(number).load(std::memory_order_acquire);
  }

  // The address that the object of this number most likely has. It may be another's or freed: for a prefetch only.
  // Requires: something has been put into the ring.
  const Object* Guess(std::uint64_t number) const {
    return ring_.load(std::memory_order_acquire)->at(number).load(std::memory_order_relaxed);
  }

  // Puts the object at the place of its number. Grows first, if need be, so that all numbers from `first` to this one
  // have places of their own; the objects with numbers from `first` on stay. is_of(object, number) says whether an
  // object has that number: others stay behind, where they are removed. Amortized O(1).
  template <typename IsOf>
  void Put(std::uint64_t number, Object* object, std::uint64_t first, IsOf is_of) {
    DECOUPLE_ASSERT(first <= number && is_of(*object, number));
    while (rings_.empty() || number - first > rings_.back()->mask) Grow(first, is_of);
    rings_.back()->at(number).store(object, std::memory_order_release);
  }

  // Removes the object from the place of its number, unless another one has taken that.
  void Remove(std::uint64_t number, const Object* object) {
    std::atomic<Object*>& place = rings_.back()->at(number);
    if (place.load(std::memory_order_relaxed) == object) place.store(nullptr, std::memory_order_release);
  }

 private:
  static constexpr std::uint64_t kFirstSize = 4;

  struct Ring {
    explicit Ring(std::uint64_t size) : mask(size - 1), objects(new std::atomic<Object*>[size]()) {}
    std::atomic<Object*>& at(std::uint64_t number) const { return objects[number & mask]; }
    const std::uint64_t mask;
    const std::unique_ptr<std::atomic<Object*>[]> objects;
  };

  template <typename IsOf>
  void Grow(std::uint64_t first, IsOf is_of) {
    auto grown = std::make_unique<Ring>(rings_.empty() ? kFirstSize : (rings_.back()->mask + 1) * 2);
    if (!rings_.empty()) {
      const Ring& old = *rings_.back();
      for (std::uint64_t number = first; number <= first + old.mask; ++number) {
        Object* const object = old.at(number).load(std::memory_order_relaxed);
        if (object != nullptr && is_of(*object, number)) grown->at(number).store(object, std::memory_order_relaxed);
      }
    }
    ring_.store(grown.get(), std::memory_order_release);  // publishes the copied pointers
    rings_.push_back(std::move(grown));
  }

  std::atomic<const Ring*> ring_{nullptr};    // the newest
  std::vector<std::unique_ptr<Ring>> rings_;  // all of them
};

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_BASE_GROWABLE_RING_H_
