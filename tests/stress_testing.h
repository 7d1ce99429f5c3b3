// What the tests with many threads share: how many messages, and joining threads.

#ifndef DECOUPLE_TESTS_STRESS_TESTING_H_
#define DECOUPLE_TESTS_STRESS_TESTING_H_

#include <algorithm>
#include <cstdlib>
#include <thread>
#include <vector>

namespace decouple::testing {

// As many as usual, or at most DECOUPLE_STRESS_MESSAGES, which tests/run sets for the sanitizers.
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
