// Shared by all tests.

#ifndef DECOUPLE_TESTS_TESTING_H_
#define DECOUPLE_TESTS_TESTING_H_

#include <optional>
#include <stdexcept>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "catch.h"
#include "decouple/error.h"

namespace decouple::testing {

using absl::Hours;
using absl::Minutes;
using absl::Nanoseconds;
using absl::Seconds;

inline constexpr absl::Duration kOneNanosecond = Nanoseconds(1);

// The library's error in a status, or in an object that has a status; none if it is OK.
inline std::optional<Error> ErrorIn(const absl::Status& status) { return ErrorOf(status); }
template <typename Result>
std::optional<Error> ErrorIn(const Result& result) {
  return ErrorOf(result.status());
}

// Throws, as users' code may; does nothing where the tests are built without exceptions.
inline void ThrowIfPossible([[maybe_unused]] const char* what) {
#if defined(__cpp_exceptions)
  throw std::runtime_error(what);
#endif
}

}  // namespace decouple::testing

#endif  // DECOUPLE_TESTS_TESTING_H_
