// The long form of a test sends millions of messages, or takes hundreds of seeds. A run does a hundredth of it unless
// the environment says how many per cent:
//
//   DECOUPLE_TEST_PERCENT=100 build/gcc/tests/stress_test        the long form; so does tests/run stress

#ifndef DECOUPLE_TESTS_SCALE_H_
#define DECOUPLE_TESTS_SCALE_H_

#include <algorithm>
#include <cstdint>
#include <cstdlib>

namespace decouple::testing {

// 1 … 100.
inline std::int64_t TestPercent() {
  const char* const named = std::getenv("DECOUPLE_TEST_PERCENT");
  return named == nullptr ? 1 : std::clamp(std::atoi(named), 1, 100);
}

template <typename Number>
Number Scaled(Number all) {
  return static_cast<Number>(static_cast<std::int64_t>(all) * TestPercent() / 100);
}

}  // namespace decouple::testing

#endif  // DECOUPLE_TESTS_SCALE_H_
