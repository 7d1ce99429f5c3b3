#if __has_include(<catch2/catch_all.hpp>)
// Catch2 v3 brings its own.
#else
#define CATCH_CONFIG_MAIN
#if !defined(__EXCEPTIONS)
#define CATCH_CONFIG_DISABLE_EXCEPTIONS
#endif
#include <catch2/catch.hpp>
#endif
