// A value, or why there is none. Like an absl::StatusOr, but that value() of a temporary gives the value itself:
//
//   for (auto& m : queue.Receive().value()) …        // what is looped over lives as long as the loop does
//
// In C++20 a StatusOr would be gone by then. A plain value.

#ifndef DECOUPLE_RESULT_H_
#define DECOUPLE_RESULT_H_

#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#include "decouple/internal/base/access.h"

namespace decouple {

template <typename Value>
class [[nodiscard]] Result {
 public:
  // An empty value.
  Result() = default;
  explicit Result(absl::Status status) : status_(std::move(status)) {}
  explicit Result(Value value) : value_(std::move(value)) {}

  bool ok() const { return status_.ok(); }
  const absl::Status& status() const& { return status_; }
  absl::Status status() && { return std::move(status_); }

  // If not ok() there is no value: the process ends, as with absl::StatusOr.
  Value& value() & { return Checked(); }
  const Value& value() const& { return const_cast<Result*>(this)->Checked(); }
  Value value() && { return std::move(Checked()); }
  Value& operator*() & { return Checked(); }
  const Value& operator*() const& { return value(); }
  Value operator*() && { return std::move(Checked()); }
  Value* operator->() { return &Checked(); }
  const Value* operator->() const { return &value(); }

 private:
  friend struct internal::Access;

  // The value, made in its place by a constructor that may be private.
  template <typename... Arguments>
  [[gnu::always_inline]] explicit Result(std::in_place_t, Arguments&&... arguments)
      : value_(internal::Access::Make<Value>(std::forward<Arguments>(arguments)...)) {}

  Value& Checked() {
    if (!status_.ok()) End(status_);
    return value_;
  }

  [[gnu::cold, gnu::noinline]] static void End(const absl::Status& status) {
    static_cast<void>(absl::StatusOr<bool>(status).value());
  }

  absl::Status status_;
  Value value_;
};

}  // namespace decouple

#endif  // DECOUPLE_RESULT_H_
