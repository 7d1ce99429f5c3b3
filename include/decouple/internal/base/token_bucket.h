// A token bucket: so many tokens a second, and up to a second's worth at once after a pause.
//
// Its whole state is one number, the instant at which the bucket will be full. Taking tokens moves that instant on by
// the time in which so many tokens come.

#ifndef DECOUPLE_INTERNAL_BASE_TOKEN_BUCKET_H_
#define DECOUPLE_INTERNAL_BASE_TOKEN_BUCKET_H_

#include <algorithm>
#include <atomic>
#include <cstdint>

#include "absl/numeric/int128.h"
#include "decouple/internal/base/assert.h"

namespace decouple::inline v0_1::internal {

// All members may be called from any thread.
class TokenBucket {
 public:
  static constexpr std::int64_t kSecond = 1'000'000'000;

  // Takes `n` tokens at `now`, in nanoseconds, from a bucket that gets `per_second` (at least 1) of them. Returns
  // false, and takes none, if there are fewer; but a full bucket gives any number, and is then in debt.
  bool TryTake(std::int64_t now, std::int64_t per_second, std::int64_t n = 1) {
    const std::int64_t interval = TimeOf(n, per_second);
    std::int64_t full_at = full_at_.load(std::memory_order_relaxed);  // relaxed: the number publishes nothing
    for (;;) {
      const std::int64_t next = std::max(full_at, now) + interval;
      if (next - now > kSecond && full_at > now) return false;
      if (full_at_.compare_exchange_weak(full_at, next, std::memory_order_relaxed)) return true;
    }
  }

  // Takes `n` tokens, however many there are. The bucket may be in debt before and after.
  void Take(std::int64_t now, std::int64_t per_second, std::int64_t n) {
    const std::int64_t interval = TimeOf(n, per_second);
    std::int64_t full_at = full_at_.load(std::memory_order_relaxed);
    while (!full_at_.compare_exchange_weak(full_at, std::max(full_at, now) + interval, std::memory_order_relaxed)) {
    }
  }

  // Returns tokens that were taken and not used.
  void GiveBack(std::int64_t per_second, std::int64_t n) {
    full_at_.fetch_sub(TimeOf(n, per_second), std::memory_order_relaxed);
  }

  // Whether there is no token at all.
  bool IsEmpty(std::int64_t now) const { return full_at_.load(std::memory_order_relaxed) - now >= kSecond; }

  // When the bucket will be full if none are taken.
  std::int64_t full_at() const { return full_at_.load(std::memory_order_relaxed); }

  // When there will be a token again if none are taken; not after `now` if there is one.
  std::int64_t NextAt(std::int64_t per_second) const {
    return full_at_.load(std::memory_order_relaxed) + kSecond / per_second - kSecond;
  }

  // Whether the bucket is full, so that it is as good as a new one.
  bool IsFull(std::int64_t now) const { return full_at_.load(std::memory_order_relaxed) <= now; }

 private:
  // How long it takes for `n` tokens to come.
  static std::int64_t TimeOf(std::int64_t n, std::int64_t per_second) {
    DECOUPLE_ASSERT(per_second >= 1);
    return static_cast<std::int64_t>(absl::int128(n) * kSecond / per_second);
  }

  std::atomic<std::int64_t> full_at_{0};
};

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_BASE_TOKEN_BUCKET_H_
