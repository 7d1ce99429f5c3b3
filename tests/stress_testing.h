// What the tests with many threads share.

#ifndef DECOUPLE_TESTS_STRESS_TESTING_H_
#define DECOUPLE_TESTS_STRESS_TESTING_H_

#include <algorithm>
#include <thread>
#include <vector>

#include "scale.h"

namespace decouple::testing {

// How many messages a test sends of those of its long form; never so few that its threads do not meet.
inline int Messages(int all) { return std::min(all, std::max(Scaled(all), 50'000)); }

inline void Join(std::vector<std::thread>& threads) {
  for (auto& thread : threads) thread.join();
  threads.clear();
}

}  // namespace decouple::testing

#endif  // DECOUPLE_TESTS_STRESS_TESTING_H_
