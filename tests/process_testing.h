// For the tests in process/, which end threads or the process itself and so cannot be test cases of Catch2. Each runs
// in a process of its own:
//
//   PROCESS_TEST(fork) { … REQUIRE_TRUE(…); }      // in process/fork.cc; process_test fork
#ifndef DECOUPLE_TESTS_PROCESS_TESTING_H_
#define DECOUPLE_TESTS_PROCESS_TESTING_H_

#include <unistd.h>

#include <cstdio>

namespace decouple::testing {

// Ends the process with 1, and runs no destructors, unless `is_true`. May be called in a destructor that runs after
// main().
inline void Require(bool is_true, const char* what) {
  if (is_true) return;
  std::fprintf(stderr, "not true: %s\n", what);
  _exit(1);
}

// Ends the process as a test that cannot be run here.
[[noreturn]] inline void Skip(const char* why) {
  std::fprintf(stderr, "skipped: %s\n", why);
  _exit(77);
}

// A test, by its name. All are static objects.
struct ProcessTest {
  ProcessTest(const char* its_name, void (*its_run)()) : name(its_name), run(its_run), next(first) { first = this; }

  const char* const name;
  void (*const run)();
  const ProcessTest* const next;

  static inline const ProcessTest* first = nullptr;
};

}  // namespace decouple::testing

#define PROCESS_TEST(name)                                           \
  static void RunTestOf_##name();                                    \
  static const ProcessTest test_of_##name{#name, &RunTestOf_##name}; \
  static void RunTestOf_##name()

#define REQUIRE_TRUE(condition) ::decouple::testing::Require(condition, #condition)

#endif  // DECOUPLE_TESTS_PROCESS_TESTING_H_
