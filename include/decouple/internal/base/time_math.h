// Arithmetic of instants: nanoseconds since the Unix epoch in 64 bits, and the end of time.

#ifndef DECOUPLE_INTERNAL_BASE_TIME_MATH_H_
#define DECOUPLE_INTERNAL_BASE_TIME_MATH_H_

#include <cstdint>
#include <limits>

namespace decouple::inline v0_1::internal {

inline constexpr std::int64_t kForever = std::numeric_limits<std::int64_t>::max();

// `instant` + `duration`, where the duration is not negative; kForever if that is past the end of time.
[[gnu::always_inline]] constexpr std::int64_t SaturatingAdd(std::int64_t instant, std::int64_t duration) {
  std::int64_t later = 0;
  return __builtin_add_overflow(instant, duration, &later) ? kForever : later;
}

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_BASE_TIME_MATH_H_
