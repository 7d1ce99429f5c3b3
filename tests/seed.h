// Randomized tests take their seed from here, and print it when they fail:
//
//   DECOUPLE_SEED=1234 build/gcc/tests/standard_queue_model_test      runs that one again
#ifndef DECOUPLE_TESTS_SEED_H_
#define DECOUPLE_TESTS_SEED_H_

#include <cstdint>
#include <cstdlib>
#include <random>
#include <string>

#include "catch.h"

namespace decouple::testing {

// Calls run(seed) for `n` seeds of which the first is random, or for the one that the environment names.
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
