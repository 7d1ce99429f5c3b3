// The earliest of many deadlines, kept without an index of them: it may be too early, but is never too late.

#ifndef DECOUPLE_INTERNAL_LANE_EARLIEST_DEADLINE_H_
#define DECOUPLE_INTERNAL_LANE_EARLIEST_DEADLINE_H_

#include <atomic>
#include <cstdint>

#include "decouple/internal/base/time_math.h"

namespace decouple::inline v0_1::internal {

// An instant that only moves to an earlier one, except when a thread recomputes it.
//
// Protocol. A thread that writes a deadline first calls Lower(), then stores the word that carries the deadline. A
// thread that recomputes first calls Exchange(kForever), then loads the words, then calls Lower() with the earliest
// deadline that it found.
//
// Memory ordering. All of these are sequentially consistent. So either the recomputing thread sees the written word (or
// one that says that it is about to be written), or the writer sees kForever and lowers again. On x86 the writer's part
// is a plain load when the instant is early enough.
class EarliestDeadline {
 public:
  std::int64_t get() const { return nanos_.load(std::memory_order_seq_cst); }

  // Returns whether this made the instant earlier.
  bool Lower(std::int64_t nanos) {
    std::int64_t seen = nanos_.load(std::memory_order_seq_cst);
    while (nanos < seen) {
      if (nanos_.compare_exchange_weak(seen, nanos, std::memory_order_seq_cst)) return true;
    }
    return false;
  }

  // Returns the instant before.
  std::int64_t Exchange(std::int64_t nanos) { return nanos_.exchange(nanos, std::memory_order_seq_cst); }

 private:
  std::atomic<std::int64_t> nanos_{kForever};
};

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_LANE_EARLIEST_DEADLINE_H_
