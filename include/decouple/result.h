// A value, or the error for which there is none. Unlike an absl::StatusOr, value() of a temporary returns by value:
//
//   for (auto& m : queue.Receive().value()) …        // the range lives as long as the loop
//
// In C++20 a temporary StatusOr would be destroyed before the loop runs. Everything else is as in a StatusOr, and a
// Result converts to one, so the macros that handle these take it, too:
//
//   ASSIGN_OR_RETURN(auto messages, queue.Receive());
//   ASSIGN_OR_RETURN(auto messages, queue.Receive().ToStatusOr());     // where the macro names absl::StatusOr
//
// A plain value.

#ifndef DECOUPLE_RESULT_H_
#define DECOUPLE_RESULT_H_

#include <concepts>
#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#include "decouple/internal/base/access.h"

namespace decouple::inline v0_1 {

template <typename Value>
class [[nodiscard]] Result {
 public:
  using value_type = Value;

  // A default-constructed value.
  Result() = default;
  // Implicit, so that a function of a Result returns either. An OK status stands for a default-constructed value.
  Result(absl::Status status) : status_(std::move(status)) {}  // NOLINT(google-explicit-constructor)
  Result(Value value) : value_(std::move(value)) {}            // NOLINT(google-explicit-constructor)

  bool ok() const { return status_.ok(); }
  const absl::Status& status() const& { return status_; }
  absl::Status status() && { return std::move(status_); }

  // Requires ok(); otherwise the process ends, as with absl::StatusOr.
  Value& value() & { return Checked(); }
  const Value& value() const& { return const_cast<Result*>(this)->Checked(); }
  Value value() && { return std::move(Checked()); }
  Value& operator*() & { return Checked(); }
  const Value& operator*() const& { return value(); }
  Value operator*() && { return std::move(Checked()); }
  Value* operator->() { return std::addressof(Checked()); }
  const Value* operator->() const { return std::addressof(value()); }

  // The same as an absl::StatusOr.
  absl::StatusOr<Value> ToStatusOr() && {
    if (!status_.ok()) return std::move(status_);
    return std::move(value_);
  }
  absl::StatusOr<Value> ToStatusOr() const& requires std::copy_constructible<Value> {
    if (!status_.ok()) return status_;
    return value_;
  }
  operator absl::StatusOr<Value>() && { return std::move(*this).ToStatusOr(); }  // NOLINT(google-explicit-constructor)

 private:
  friend struct internal::Access;

  // Constructs the value in place, by a constructor that may be private.
  template <typename... Arguments>
  [[gnu::always_inline]] explicit Result(std::in_place_t, Arguments&&... arguments)
      : value_(internal::Access::Make<Value>(std::forward<Arguments>(arguments)...)) {}

  Value& Checked() {
    if (!status_.ok()) EndProcess(status_);
    return value_;
  }

  [[gnu::cold, gnu::noinline]] static void EndProcess(const absl::Status& status) {
    static_cast<void>(absl::StatusOr<bool>(status).value());
  }

  absl::Status status_;
  Value value_;
};

}  // namespace decouple::inline v0_1

#endif  // DECOUPLE_RESULT_H_
