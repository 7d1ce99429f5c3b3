// Measures the memory of the process.

#ifndef DECOUPLE_TESTS_MEMORY_TESTING_H_
#define DECOUPLE_TESTS_MEMORY_TESTING_H_

#include <malloc.h>
#include <unistd.h>

#include <cstdint>
#include <fstream>

#include "sanitizers.h"

// Sanitizers keep freed memory, so nothing can be measured under them.
#if DECOUPLE_TESTS_ADDRESS_SANITIZER || DECOUPLE_TESTS_THREAD_SANITIZER
#define DECOUPLE_MEMORY_IS_MEASURABLE 0
#else
#define DECOUPLE_MEMORY_IS_MEASURABLE 1
#endif

namespace decouple::testing {

inline constexpr std::int64_t kMebibyte = std::int64_t{1} << 20;

inline std::int64_t ResidentBytes() {
  std::int64_t pages = 0;
  std::ifstream("/proc/self/statm") >> pages >> pages;
  return pages * sysconf(_SC_PAGESIZE);
}

// Bytes that are allocated on the heap and not freed.
inline std::int64_t HeapBytes() {
  const auto heap = mallinfo2();
  return static_cast<std::int64_t>(heap.uordblks + heap.hblkhd);
}

}  // namespace decouple::testing

#endif  // DECOUPLE_TESTS_MEMORY_TESTING_H_
