// The earliest of many deadlines, kept without an index.

#ifndef DECOUPLE_INTERNAL_LANE_EARLIEST_DEADLINE_H_
#define DECOUPLE_INTERNAL_LANE_EARLIEST_DEADLINE_H_

#include <atomic>
#include <cstdint>

#include "decouple/internal/base/time_math.h"

namespace decouple::internal {

// An instant that only ever moves to an earlier one, except by whoever recomputes it.
//
// The one who writes a deadline first makes sure that the instant is no later; the one who recomputes first takes the
// instant away, then looks at what it stands for, then lowers it again to what it saw. All of these are sequentially
// consistent: so either the looker sees what the writer wrote (or that it is about to), or the writer sees that the
// instant was taken away and lowers it anew. On x86 the writer's part is a plain load.
class EarliestDeadline {
 public:
  std::int64_t get() const { return nanos_.load(std::memory_order_seq_cst); }

  // Returns whether this made it earlier.
  bool Lower(std::int64_t nanos) {
    std::int64_t seen = nanos_.load(std::memory_order_seq_cst);
    while (nanos < seen) {
      if (nanos_.compare_exchange_weak(seen, nanos, std::memory_order_seq_cst)) return true;
    }
    return false;
  }

  std::int64_t TakeAway() { return nanos_.exchange(kForever, std::memory_order_seq_cst); }

 private:
  std::atomic<std::int64_t> nanos_{kForever};
};

}  // namespace decouple::internal

#endif  // DECOUPLE_INTERNAL_LANE_EARLIEST_DEADLINE_H_
