// What the tests with many threads share.

#ifndef DECOUPLE_TESTS_STRESS_TESTING_H_
#define DECOUPLE_TESTS_STRESS_TESTING_H_

#include <algorithm>
#include <cstdlib>
#include <thread>
#include <vector>

namespace decouple::testing {

// The sanitizers run a smaller number (DECOUPLE_STRESS_MESSAGES, set by tests/run).
inline int Messages(int usual) {
  const char* const named = std::getenv("DECOUPLE_STRESS_MESSAGES");
  return named == nullptr ? usual : std::min(usual, std::atoi(named));
}

inline void Join(std::vector<std::thread>& threads) {
  for (auto& thread : threads) thread.join();
  threads.clear();
}

}  // namespace decouple::testing

#endif  // DECOUPLE_TESTS_STRESS_TESTING_H_
