// The size of a cache line, and one step of a spin.

#ifndef DECOUPLE_INTERNAL_BASE_CACHE_LINE_H_
#define DECOUPLE_INTERNAL_BASE_CACHE_LINE_H_

#include <cstddef>

namespace decouple::inline v0_1::internal {

inline constexpr std::size_t kCacheLine = 64;

// One step of a spin: tells the processor that this thread waits for another one.
inline void Relax() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_BASE_CACHE_LINE_H_
