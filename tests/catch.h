// Includes Catch2, version 2 or 3.
#ifndef DECOUPLE_TESTS_CATCH_H_
#define DECOUPLE_TESTS_CATCH_H_

#if defined(__EXCEPTIONS)
#else
#define CATCH_CONFIG_DISABLE_EXCEPTIONS
#endif

#if __has_include(<catch2/catch_all.hpp>)
#include <catch2/catch_all.hpp>
#else
#include <catch2/catch.hpp>
#endif

#endif  // DECOUPLE_TESTS_CATCH_H_
