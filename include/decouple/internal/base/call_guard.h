// Calls of user code, which may fail in any way, with the outcome as a status.
//
// User code may also end its thread (pthread_exit(), cancellation). That unwinds the stack as an exception does, and
// must reach the thread's first function: a handler that ends it, as `catch (...)`, ends the process. So no other place
// of the library catches what users throw, and whatever a caller of user code holds (a turn, a lease, a count) is let
// go by a destructor.

#ifndef DECOUPLE_INTERNAL_BASE_CALL_GUARD_H_
#define DECOUPLE_INTERNAL_BASE_CALL_GUARD_H_

#include <type_traits>

#if defined(__cpp_exceptions) && defined(__GLIBCXX__)
#include <cxxabi.h>
#endif

#include "absl/status/status.h"

namespace decouple::inline v0_1::internal {

// Calls `call` and returns its status, or OK if it returns anything else. An exception becomes an Unknown error. If
// `call` ends the thread, this does not return. Such an end has no exception object, so the reference below is to
// nothing: it is not used, but the undefined-behaviour sanitizer would object.
template <typename Call>
__attribute__((no_sanitize("null"))) absl::Status InvokeToStatus(Call call) {
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
#if defined(__GLIBCXX__)
  } catch (const abi::__forced_unwind&) {  // libc++ has no such type, and passes by all handlers by itself
    throw;
#endif
  } catch (...) {
    return absl::UnknownError("it threw");
  }
#endif
}

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_BASE_CALL_GUARD_H_
