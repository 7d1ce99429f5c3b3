// Seeds for randomized tests, which print theirs when they fail. To repeat a failed run:
//
//   DECOUPLE_SEED=1234 build/gcc/tests/standard_queue_model_test
#ifndef DECOUPLE_TESTS_SEED_H_
#define DECOUPLE_TESTS_SEED_H_

#include <cstdint>
#include <cstdlib>
#include <random>
#include <string>

#include "catch.h"

namespace decouple::testing {

// Calls run(seed) for `n` consecutive seeds from a random one on, or only for the seed in DECOUPLE_SEED.
template <typename Run>
void ForEachSeed(std::uint64_t n, Run run) {
  const char* const named = std::getenv("DECOUPLE_SEED");
  const std::uint64_t first = named != nullptr ? std::stoull(named) : std::random_device{}();
  for (std::uint64_t seed = first; seed < first + (named != nullptr ? 1 : n); ++seed) {
    INFO("to run this again: DECOUPLE_SEED=" << seed);
    run(seed);
  }
}

}  // namespace decouple::testing

#endif  // DECOUPLE_TESTS_SEED_H_
