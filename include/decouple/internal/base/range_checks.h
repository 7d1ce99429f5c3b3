// Checks of values that a user passes: is a duration or number in its range, is a string a valid name?

#ifndef DECOUPLE_INTERNAL_BASE_RANGE_CHECKS_H_
#define DECOUPLE_INTERNAL_BASE_RANGE_CHECKS_H_

#include <algorithm>
#include <cstddef>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "decouple/error.h"

namespace decouple::inline v0_1::internal {

// OK, or an error that names `what`, its value and the allowed range.
inline absl::Status CheckDuration(Error error, const char* what, absl::Duration value, absl::Duration least,
                                  absl::Duration most) {
  if (value >= least && value <= most) return absl::OkStatus();
  return MakeError(error, absl::StrCat(what, " of ", absl::FormatDuration(value), "; allowed are ",
                                       absl::FormatDuration(least), " to ", absl::FormatDuration(most)));
}

template <typename Number>
absl::Status CheckNumber(Error error, const char* what, Number value, Number least, Number most) {
  if (value >= least && value <= most) return absl::OkStatus();
  return MakeError(error, absl::StrCat(what, " of ", value, "; allowed are ", least, " to ", most));
}

// The names of consumers and consumer groups: 1 to 128 letters, digits, dots, hyphens and underscores (Kinesis).
inline absl::Status CheckName(const char* what, const std::string& name) {
  constexpr std::size_t kMaxCharacters = 128;
  const auto is_allowed = [](char c) {
    return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '.' || c == '-' || c == '_';
  };
  if (!name.empty() && name.size() <= kMaxCharacters && std::all_of(name.begin(), name.end(), is_allowed)) {
    return absl::OkStatus();
  }
  return MakeError(
      Error::kInvalidArgument,
      absl::StrCat(what, " \"", name, "\"; allowed are 1 to 128 letters, digits, dots, hyphens and underscores"));
}

}  // namespace decouple::inline v0_1::internal

#endif  // DECOUPLE_INTERNAL_BASE_RANGE_CHECKS_H_
