// A counter with one writer, which any thread may read.

#ifndef DECOUPLE_INTERNAL_BASE_SINGLE_WRITER_COUNTER_H_
#define DECOUPLE_INTERNAL_BASE_SINGLE_WRITER_COUNTER_H_

#include <atomic>
#include <cstdint>

namespace decouple::inline v0_1::internal {

// Only the owning thread adds, with two plain instructions instead of a locked one.
class SingleWriterCounter {
 public:
  [[gnu::always_inline]] void Add(std::uint64_t n) {
    // Release, and acquire in value(): a thread that sees one count also sees what the owner counted before it. A sum
    // over several owners is exact only while none of them counts.
    value_.store(value_.load(std::memory_order_relaxed) + n, std::memory_order_release);
  }
  std::uint64_t value() const { return value_.load(std::memory_order_acquire); }

 private:
  std::atomic<std::uint64_t> value_{0};
};

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_BASE_SINGLE_WRITER_COUNTER_H_
