// A growing array of counters with one writer, the owning thread; any thread may read (SingleWriterCounter). A number
// is assigned to what is counted, and used again once that is gone.
//
// So each publishing thread counts for all of a topic's subscriptions in memory of its own, counters side by side: no
// locked instruction per delivery (exp. 1).

#ifndef DECOUPLE_INTERNAL_BASE_COUNTER_ARRAY_H_
#define DECOUPLE_INTERNAL_BASE_COUNTER_ARRAY_H_

#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "decouple/internal/base/assert.h"
#include "decouple/internal/base/mutex.h"
#include "decouple/internal/base/single_writer_counter.h"

namespace decouple::inline v0_1::internal {

// The counters lie in blocks of doubling size and never move, so a reader needs no lock.
class CounterArray {
 public:
  CounterArray() = default;
  CounterArray(const CounterArray&) = delete;
  CounterArray& operator=(const CounterArray&) = delete;
  ~CounterArray() {
    for (auto& block : blocks_) delete[] block.load(std::memory_order_relaxed);
  }

  // Where the counter of a number lies. Block b holds 8 × 2^b counters: those of the numbers n for which 8 × 2^b is the
  // highest bit of n + 8. (std::bit_width() returns an int or an unsigned number, by the version of the library; the
  // std::size_t{} makes either one of the right type.)
  class Place {
   public:
    explicit Place(std::uint32_t number)
        : block_(std::size_t{} + std::bit_width(number + kFirstBlock) - std::bit_width(kFirstBlock)),
          in_block_(number + kFirstBlock - (kFirstBlock << block_)) {}

   private:
    friend class CounterArray;
    std::size_t block_;
    std::size_t in_block_;
  };

  // Called by the owner alone. Allocates when the number is the first of its block.
  [[gnu::always_inline]] void Add(const Place& place, std::uint64_t n) {
    SingleWriterCounter* counters =
        blocks_[place.block_].load(std::memory_order_relaxed);  // relaxed: the owner alone stores it
    if (counters == nullptr) [[unlikely]]
      counters = NewBlock(place.block_);
    counters[place.in_block_].Add(n);
  }

  std::uint64_t value(const Place& place) const {
    // Acquire: pairs with the release in NewBlock().
    const SingleWriterCounter* const counters = blocks_[place.block_].load(std::memory_order_acquire);
    return counters == nullptr ? 0 : counters[place.in_block_].value();
  }

 private:
  static constexpr std::uint64_t kFirstBlock = 8;
  static constexpr std::size_t kBlocks = 30;  // enough for every number of 32 bits
  static_assert(std::bit_width(UINT32_MAX + kFirstBlock) - std::bit_width(kFirstBlock) < kBlocks);

  [[gnu::noinline]] SingleWriterCounter* NewBlock(std::size_t block) {
    auto* const counters = new SingleWriterCounter[kFirstBlock << block];
    blocks_[block].store(counters, std::memory_order_release);  // pairs with value()
    return counters;
  }

  std::array<std::atomic<SingleWriterCounter*>, kBlocks> blocks_{};
};

// Assigns the numbers of counters. Those that were given back are used first, so that arrays stay as short as possible.
class CounterNumbers {
 public:
  std::uint32_t Take() {
    const MutexLock lock(mutex_);
    if (given_back_.empty()) return end_++;
    const std::uint32_t number = given_back_.back();
    given_back_.pop_back();
    return number;
  }

  // Requires: nothing counts by `number` any more. The counters keep their values, so the next user of the number
  // begins from there.
  void GiveBack(std::uint32_t number) {
    const MutexLock lock(mutex_);
    DECOUPLE_ASSERT(number < end_);
    given_back_.push_back(number);
  }

 private:
  Mutex mutex_;
  std::uint32_t end_ ABSL_GUARDED_BY(mutex_) = 0;  // all numbers before it have been taken at least once
  std::vector<std::uint32_t> given_back_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_BASE_COUNTER_ARRAY_H_
