// A counter with one writer, which everybody may read.

#ifndef DECOUPLE_INTERNAL_BASE_SINGLE_WRITER_COUNTER_H_
#define DECOUPLE_INTERNAL_BASE_SINGLE_WRITER_COUNTER_H_

#include <atomic>
#include <cstdint>

namespace decouple::internal {

// A counter of which only the owning thread is the writer: two plain instructions, readable by everybody.
class SingleWriterCounter {
 public:
  [[gnu::always_inline]] void Add(std::uint64_t n) {
    // A sum over threads is exact only when nothing runs, and then something else has ordered the threads. Release, and
    // acquire below: who sees one count sees what the thread counted before it.
    value_.store(value_.load(std::memory_order_relaxed) + n, std::memory_order_release);
  }
  std::uint64_t value() const { return value_.load(std::memory_order_acquire); }

 private:
  std::atomic<std::uint64_t> value_{0};
};

}  // namespace decouple::internal

#endif  // DECOUPLE_INTERNAL_BASE_SINGLE_WRITER_COUNTER_H_
