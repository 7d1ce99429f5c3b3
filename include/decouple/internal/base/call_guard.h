// Calls of user code, which may fail in any way, with the outcome as a status.

#ifndef DECOUPLE_INTERNAL_BASE_CALL_GUARD_H_
#define DECOUPLE_INTERNAL_BASE_CALL_GUARD_H_

#include <type_traits>

#include "absl/status/status.h"

namespace decouple::inline v0_1::internal {

// Calls `call` and returns its status, or OK if it returns anything else. An exception becomes an Unknown error.
template <typename Call>
absl::Status InvokeToStatus(Call call) {
#if defined(__cpp_exceptions)
  try {
#endif
    if constexpr (std::is_convertible_v<std::invoke_result_t<Call&>, absl::Status>) {
      return call();
    } else {
      static_cast<void>(call());
      return absl::OkStatus();
    }
#if defined(__cpp_exceptions)
  } catch (...) {
    return absl::UnknownError("it threw");
  }
#endif
}

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_BASE_CALL_GUARD_H_
