// Which sanitizer the tests are compiled with, 0 or 1 each: g++ says it by macros, clang++ by a test of its features.
#ifndef DECOUPLE_TESTS_SANITIZERS_H_
#define DECOUPLE_TESTS_SANITIZERS_H_

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define DECOUPLE_TESTS_ADDRESS_SANITIZER 1
#endif
#if __has_feature(thread_sanitizer)
#define DECOUPLE_TESTS_THREAD_SANITIZER 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define DECOUPLE_TESTS_ADDRESS_SANITIZER 1
#endif
#if defined(__SANITIZE_THREAD__)
#define DECOUPLE_TESTS_THREAD_SANITIZER 1
#endif

#if !defined(DECOUPLE_TESTS_ADDRESS_SANITIZER)
#define DECOUPLE_TESTS_ADDRESS_SANITIZER 0
#endif
#if !defined(DECOUPLE_TESTS_THREAD_SANITIZER)
#define DECOUPLE_TESTS_THREAD_SANITIZER 0
#endif

#endif  // DECOUPLE_TESTS_SANITIZERS_H_
