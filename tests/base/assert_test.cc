#include "decouple/internal/base/assert.h"

#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>

#include "catch.h"

namespace decouple::testing {

// Whether a process that asserts `holds` is ended by it.
bool IsEndedByAssertion([[maybe_unused]] bool holds) {
  const pid_t child = fork();
  if (child == 0) {
    std::signal(SIGABRT, SIG_DFL);
    static_cast<void>(std::freopen("/dev/null", "w", stderr));
    DECOUPLE_ASSERT(holds);
    _exit(0);
  }
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

TEST_CASE("an assertion that does not hold ends the process where assertions are on, and nowhere else") {
  CHECK(IsEndedByAssertion(false) == (DECOUPLE_ASSERTIONS == 1));
  CHECK_FALSE(IsEndedByAssertion(true));
}

#if DECOUPLE_ASSERTIONS == 0
TEST_CASE("a condition is not evaluated where assertions are off") {
  [[maybe_unused]] bool is_evaluated = false;
  DECOUPLE_ASSERT((is_evaluated = true));
  CHECK_FALSE(is_evaluated);
}
#endif

}  // namespace decouple::testing
