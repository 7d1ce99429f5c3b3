// Randomized tests take their seed from here, and print it when they fail:
//
//   DECOUPLE_SEED=1234 build/gcc/tests/model_test      runs that one again
#ifndef DECOUPLE_TESTS_SEED_H_
#define DECOUPLE_TESTS_SEED_H_

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <random>
#include <string>

#include "catch.h"
#include "scale.h"

namespace decouple::testing {

// Calls run(seed) for consecutive seeds of which the first is random: `n` of them in the long form (scale.h), and never
// fewer than ten if `n` is more. The environment may name a single one instead.
template <typename Run>
void ForEachSeed(std::uint64_t n, Run run) {
  const char* const named = std::getenv("DECOUPLE_SEED");
  const std::uint64_t first = named != nullptr ? std::stoull(named) : std::random_device{}();
  const std::uint64_t seeds = named != nullptr ? 1 : std::min(n, std::max<std::uint64_t>(Scaled(n), 10));
  for (std::uint64_t seed = first; seed < first + seeds; ++seed) {
    INFO("to run this again: DECOUPLE_SEED=" << seed);
    run(seed);
  }
}

}  // namespace decouple::testing

#endif  // DECOUPLE_TESTS_SEED_H_
