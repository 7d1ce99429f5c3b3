// Runs the test that is named: process_test fork

#include <cstdio>
#include <cstring>

#include "process_testing.h"

int main(int arguments, char** argument) {
  using decouple::testing::ProcessTest;
  for (const ProcessTest* test = ProcessTest::first; arguments == 2 && test != nullptr; test = test->next) {
    if (std::strcmp(test->name, argument[1]) != 0) continue;
    test->run();
    return 0;
  }
  std::fprintf(stderr, "one argument, which is one of:");
  for (const ProcessTest* test = ProcessTest::first; test != nullptr; test = test->next) {
    std::fprintf(stderr, " %s", test->name);
  }
  std::fprintf(stderr, "\n");
  return 2;
}
