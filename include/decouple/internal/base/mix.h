// A cheap hash of a number.

#ifndef DECOUPLE_INTERNAL_BASE_MIX_H_
#define DECOUPLE_INTERNAL_BASE_MIX_H_

#include <cstdint>

namespace decouple::inline v0_1::internal {

// A bijection that spreads every bit of its input over all of its output (the finaliser of SplitMix64).
constexpr std::uint64_t Mix(std::uint64_t x) {
  x += 0x9E3779B97F4A7C15;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EB;
  return x ^ (x >> 31);
}

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_BASE_MIX_H_
