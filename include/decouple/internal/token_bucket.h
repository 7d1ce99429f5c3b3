// So many a second, with up to a second's worth at once after a pause.
//
// One number says all: the instant at which the bucket will be full. Taking a token moves it on by a token's time.

#ifndef DECOUPLE_INTERNAL_TOKEN_BUCKET_H_
#define DECOUPLE_INTERNAL_TOKEN_BUCKET_H_

#include <algorithm>
#include <atomic>
#include <cstdint>

namespace decouple::internal {

// All members may be called from any thread.
class TokenBucket {
 public:
  static constexpr std::int64_t kSecond = 1'000'000'000;

  // Takes one of `per_second` (at least 1) tokens at `now`, in nanoseconds. False: there is none.
  bool TryTake(std::int64_t now, std::int64_t per_second) {
    const std::int64_t interval = kSecond / per_second;
    std::int64_t full_at = full_at_.load(std::memory_order_relaxed);  // it guards nothing but itself
    for (;;) {
      const std::int64_t next = std::max(full_at, now) + interval;
      if (next - now > kSecond) return false;
      if (full_at_.compare_exchange_weak(full_at, next, std::memory_order_relaxed)) return true;
    }
  }

  // When there will be a token again, if nobody takes any; not after `now` if there is one.
  std::int64_t NextAt(std::int64_t per_second) const {
    return full_at_.load(std::memory_order_relaxed) + kSecond / per_second - kSecond;
  }

  // Nothing was taken for a second, so it may as well be a new one.
  bool IsFull(std::int64_t now) const { return full_at_.load(std::memory_order_relaxed) <= now; }

 private:
  std::atomic<std::int64_t> full_at_{0};
};

}  // namespace decouple::internal

#endif  // DECOUPLE_INTERNAL_TOKEN_BUCKET_H_
