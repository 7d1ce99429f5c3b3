// Assertions of the library's own invariants: checked in debug builds and under sanitizers, free in release builds.
//
// An assertion states what no user of the library can break; what a user may get wrong is answered with an
// absl::Status.

#ifndef DECOUPLE_INTERNAL_BASE_ASSERT_H_
#define DECOUPLE_INTERNAL_BASE_ASSERT_H_

#include <cstdio>
#include <cstdlib>

// On in debug builds, which are those without optimisation and without NDEBUG, and under a sanitizer in any case. (Also
// on in optimised builds without NDEBUG they would cost each of these a tenth of its compile time, and time at run time
// that nobody asked for.) A program may define it to 0 or 1, the same for all of its files.
#if !defined(DECOUPLE_ASSERTIONS)
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define DECOUPLE_ASSERTIONS 1
#elif !defined(NDEBUG) && !defined(__OPTIMIZE__)
#define DECOUPLE_ASSERTIONS 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define DECOUPLE_ASSERTIONS 1
#endif
#endif
#endif
#if !defined(DECOUPLE_ASSERTIONS)
#define DECOUPLE_ASSERTIONS 0
#endif

// Ends the process unless `condition` holds. Where assertions are off it is not evaluated, so it must have no side
// effect.
#if DECOUPLE_ASSERTIONS
#define DECOUPLE_ASSERT(condition) \
  ((condition) ? static_cast<void>(0) : ::decouple::internal::FailAssertion(#condition, __FILE__, __LINE__))
#else
#define DECOUPLE_ASSERT(condition) static_cast<void>(0)
#endif

namespace decouple::inline v0_1::internal {

[[noreturn, gnu::cold, gnu::noinline]] inline void FailAssertion(const char* condition, const char* file, int line) {
  std::fprintf(stderr, "%s:%d: decouple: assertion failed: %s\n", file, line, condition);
  std::abort();
}

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_BASE_ASSERT_H_
